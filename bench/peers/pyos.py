"""pyos itself, by its public interface."""

import pyos
import pyos.kernel.kernel  # `pyos.run` would import it while the clocks run; the peers import all of theirs
from bench.workloads.echo import ECHO
from pyos import Limits, NewTask, ReadWait, WriteWait
from pyos.lib.sockets import Socket

TITLE = "pyos"
LIMITS = Limits(max_tasks=2_000_000)  # the default would refuse the last of a million


def version():
    return pyos.__version__


def run(program, *args, **params):
    pyos.run(program(*args, **params), limits=LIMITS)


def accept(listener, serve):
    """Start a task for each connection."""
    server = Socket(listener)
    while True:
        conn, _ = yield server.accept()
        yield NewTask(serve(conn), detached=True)


@ECHO.on("pyos")
def echo(listener):
    def serve(conn):
        with conn:
            while data := (yield from conn.recv()):
                yield from conn.sendall(data)

    return accept(listener, serve)


@ECHO.on("pyos", variant="yield sub")
def echo_by_calls(listener):
    """The same with calls through the trampoline."""

    def serve(conn):
        with conn:
            while data := (yield conn.recv()):
                yield conn.sendall(data)

    return accept(listener, serve)


@ECHO.on("pyos", variant="traps")
def echo_by_traps(listener):
    """The same without the library: as near to the system as the hand-written epoll loop is."""

    def serve(conn):
        sock = conn.raw
        readable, writable = ReadWait(sock), WriteWait(sock)
        with sock:
            while True:
                yield readable
                data = sock.recv(65536)
                if not data:
                    return
                while (sent := sock.send(data)) < len(data):
                    data = data[sent:]
                    yield writable

    return accept(listener, serve)
