"""The load test's client: many connections, each sending random messages of 1 KiB and comparing what comes back.

It talks to the echo server at PORT of 127.0.0.1, and to no other machine; without a port it serves itself, from a task.
A connection sends a message, waits for its whole echo, compares them, and sends the next. In the end it says that it is
done, and expects the end of the stream without a byte more. The exit code is 0 if all came back, else 1.

Boot it: python -m pyos boot userland/course/loadtest/blaster.py [PORT] [--connections N] [--messages M]
"""

import argparse
import random
import resource

from pyos import GetTime, KillTask, NewTask, Program, Random, Sleep, WaitTask
from pyos.lib.sockets import Socket, connect, listen

HOST = "127.0.0.1"
SIZE = 1024  # bytes of a message
SPARE = 64  # descriptors for everything else
STALL = 30.0  # seconds without any echo, after which the test is given up


class Wrong(Exception):
    """The server did something else than echo."""


class Progress:
    """How many messages have been verified, said at each tenth."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.done = 0
        self.next = self.step = max(1, total // 10)

    def add(self) -> None:
        self.done += 1
        if self.done >= self.next:
            self.next += self.step
            print(f"blaster: {self.done:,} of {self.total:,} messages verified", flush=True)


def main(*argv: str) -> Program:
    parser = argparse.ArgumentParser("blaster", argparse.SUPPRESS, __doc__)
    parser.add_argument("port", nargs="?", type=a_number, help="of the echo server; without it, blaster serves itself")
    parser.add_argument("--connections", type=a_number, default=10, help="how many at the same time (default 10)")
    parser.add_argument("--messages", type=a_number, default=20, help="how many for each connection (default 20)")
    options = parser.parse_args(argv)
    if options.port and options.port > 65535:
        parser.error(f"there is no port {options.port}")
    allow_descriptors(parser, options.connections * (1 if options.port else 2) + SPARE)
    port = options.port or (yield start_server())
    return (yield run(port, options.connections, options.messages))


def a_number(text: str) -> int:
    """A whole number above zero."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def allow_descriptors(parser: argparse.ArgumentParser, needed: int) -> None:
    """Raise this process's limit if it is too low."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < needed:
        if hard < needed:
            parser.error(f"this needs {needed} open files, and the limit is {hard} (ulimit -Hn)")
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def run(port: int, connections: int, messages: int) -> Program:
    """Blast, and report; answers the exit code."""
    progress = Progress(connections * messages)
    seed = yield Random()
    start = yield GetTime()
    tids = []
    for number in range(connections):
        numbers = random.Random(f"{seed} {number}")
        tids.append((yield NewTask(blast(port, messages, numbers, progress), name=f"blast {number}")))
    watcher = yield NewTask(watch(progress, tids), detached=True)
    failures = yield collect(tids)
    yield KillTask(watcher)
    seconds = (yield GetTime()) - start
    speed = f"{seconds:.2f} s, {progress.done / seconds if seconds else 0:,.0f} a second"
    print(f"blaster: {progress.done:,} messages verified on {connections} connections in {speed}")
    if failures:
        print(f"blaster: {len(failures)} of {connections} connections failed, the first: {failures[0]}")
    return 1 if failures else 0


def blast(port: int, messages: int, numbers: random.Random, progress: Progress) -> Program:
    """One connection; answers what went wrong, or None."""
    try:
        conn = yield connect(HOST, port)
        with conn:
            for _ in range(messages):
                message = numbers.randbytes(SIZE)
                yield conn.sendall(message)
                echo = yield conn.recv(SIZE)
                while len(echo) < SIZE:
                    echo += yield receive_more(conn, SIZE - len(echo))
                if echo != message:
                    raise Wrong("an echo differs from its message")
                progress.add()
            conn.shutdown()
            if (yield conn.recv(1)):
                raise Wrong("there was more than the echoes")
    except (OSError, Wrong) as error:
        return getattr(error, "strerror", None) or str(error)


def receive_more(conn: Socket, size: int) -> Program:
    """The rest of an echo, or a part of it."""
    data = yield conn.recv(size)
    if not data:
        raise Wrong("the stream ended within an echo")
    return data


def collect(tids: list[int]) -> Program:
    """Wait for every connection; answers what went wrong, in order."""
    failures = []
    for tid in tids:
        status = yield WaitTask(tid)
        if status.signal:
            failures.append(f"no echo for {STALL:g} s")
        elif status.error or status.value:
            failures.append(status.value or repr(status.error))
    return failures


def watch(progress: Progress, tids: list[int]) -> Program:
    """Give up when nothing comes back any more."""
    seen = -1
    while progress.done > seen:
        seen = progress.done
        yield Sleep(STALL)
    for tid in tids:
        yield KillTask(tid, reason="no echo comes back")


def start_server() -> Program:
    """Serve from a task of this system; answers the port."""
    server = listen(HOST)
    yield NewTask(serve(server), detached=True)
    return server.address[1]


def serve(server: Socket) -> Program:
    with server:
        while True:
            conn, _ = yield server.accept()
            yield NewTask(echo(conn), detached=True)


def echo(conn: Socket) -> Program:
    with conn:
        while data := (yield conn.recv()):
            yield conn.sendall(data)
