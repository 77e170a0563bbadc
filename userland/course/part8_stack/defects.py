"""Part 8: what the kernel of stage 8 gets wrong and pyos does not; each defect is a program that runs in both.

What production needs beyond the eight stages is in pyos/kernel: scheduler.py (a budget for each turn, and faults that
stay with their task), trampoline.py (errors and closing through every frame), lifecycle.py (statuses, zombies, signals,
shutdown), clock.py (timers), poller.py (epoll), readiness.py (several waiters for a file, files closed or replaced
meanwhile), loader.py (programs from files), choice.py (each order in which tasks can run), audit.py (what holds at
every step).
"""

import argparse
import contextlib
import fcntl
import importlib.util
import io
import resource
import socket
import struct
import sys
import threading
from pathlib import Path

try:
    import pyos
except ModuleNotFoundError:
    sys.exit(
        "defects: pyos is not installed: in its folder, python -m pyos boot userland/course/part8_stack/defects.py"
    )

QUIET = 25  # polls in a row, of 0.01 s each, that make nobody ready: the rest of stage 8's tasks never will be
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: a close throws away what is unsent, and the peer's connection is reset


# --- the programs: `system` is the module whose traps they yield, `say` notes what they find


def kill_in_a_subroutine(system, say):
    """Killing a task in a subroutine closes only the innermost frame, and the caller runs on."""

    def subroutine():
        try:
            while True:
                yield
        finally:
            say("the subroutine is closed")

    def caller():
        yield subroutine()
        say("the caller runs on")

    tid = yield system.NewTask(caller())
    yield
    yield
    yield system.KillTask(tid)
    yield system.WaitTask(tid)


def error_in_a_subroutine(system, say):
    """An error in a subroutine cannot be caught by its caller, and ends the system."""

    def subroutine():
        yield
        raise ValueError("from a subroutine")

    try:
        yield subroutine()
    except ValueError as error:
        say(f"the caller catches ValueError: {error}")


def error_in_a_task(system, say):
    """An error in one task ends the system."""

    def fails():
        yield
        raise ValueError("from a task")

    tid = yield system.NewTask(fails())
    status = yield system.WaitTask(tid)
    say(f"the others run on, and are told of {status.error!r}")


def bad_argument(system, say):
    """A bad argument of a trap ends the system."""
    try:
        yield system.NewTask(5)
        yield
    except TypeError as error:
        say(f"the caller catches TypeError: {error}")


def closed_file(system, say):
    """Waiting for a closed file ends the system."""
    file = socket.socket()
    file.close()
    try:
        yield system.ReadWait(file)
    except OSError as error:
        say(f"the caller catches {error!r}")


def reset_connection(system, say):
    """A client that resets its connection ends the server for everyone."""

    def server(listener):
        for _ in range(2):
            yield system.ReadWait(listener)
            conn, _ = listener.accept()
            yield system.NewTask(echo(conn))

    def echo(conn):
        with conn:
            yield system.ReadWait(conn)
            conn.sendall(conn.recv(100))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield system.NewTask(server(listener))
        with socket.create_connection(listener.getsockname()) as rude:
            rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        with socket.create_connection(listener.getsockname()) as client:
            client.sendall(b"hello")
            yield system.ReadWait(client)
            say(f"the next client gets {client.recv(100)}")


def kill_while_waiting(system, say):
    """A task killed while it waits for a file stays in the table until the file is ready."""

    def reader(file):
        yield system.ReadWait(file)

    near, far = socket.socketpair()
    with near, far:
        tid = yield system.NewTask(reader(near))
        yield
        yield system.KillTask(tid)
        yield system.WaitTask(tid)
        say("the killed task is gone")


def two_readers(system, say):
    """Of two tasks that wait for one file, the first is forgotten."""

    def reader(name, file):
        yield system.ReadWait(file)
        say(f"{name} wakes")

    near, far = socket.socketpair()
    with near, far:
        tids = []
        for name in ("the first", "the second"):
            tids.append((yield system.NewTask(reader(name, near))))
        yield
        far.send(b"x")
        for tid in tids:
            yield system.WaitTask(tid)


def bare_yield(system, say):
    """A bare yield delivers the answer of the trap before it again."""
    yield system.GetTid()
    answer = yield
    say(f"a bare yield delivers {answer}")


def wait_for_oneself(system, say):
    """A task that waits for itself hangs."""
    tid = yield system.GetTid()
    try:
        yield system.WaitTask(tid)
    except ValueError as error:
        say(f"the caller catches ValueError: {error}")


def deadlock(system, say):
    """Two tasks that wait for each other hang, and nothing reports it."""

    def child(parent):
        yield system.WaitTask(parent)

    tid = yield system.GetTid()
    tid = yield system.NewTask(child(tid))
    yield system.WaitTask(tid)


def exit_value(system, say):
    """What a task returns is lost."""

    def child():
        yield
        return 42

    tid = yield system.NewTask(child())
    say(f"waiting answers {(yield system.WaitTask(tid))}")


def many_descriptors(system, say):
    """A descriptor above 1023 is too much for select."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    near, far = socket.socketpair()
    with near, far, open(fcntl.fcntl(near, fcntl.F_DUPFD, 1024), "rb", buffering=0) as high:
        far.send(b"x")
        yield system.ReadWait(high)
        say(f"descriptor {high.fileno()} is readable")


def never_ends(system, say):
    """The system never ends, since the task that polls never does."""
    yield


DEFECTS = [
    kill_in_a_subroutine,
    error_in_a_subroutine,
    error_in_a_task,
    bad_argument,
    closed_file,
    reset_connection,
    kill_while_waiting,
    two_readers,
    bare_yield,
    wait_for_oneself,
    deadlock,
    exit_value,
    many_descriptors,
    never_ends,
]


# --- the two systems


def load_stage_8():
    """The module of stage 8, from the file beside this one."""
    spec = importlib.util.spec_from_file_location("stage8_sockets", Path(__file__).with_name("stage8_sockets.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def in_stage_8(stage8, program):
    """What a program says in a new kernel of stage 8, and what becomes of that, as lines. A subroutine."""
    said = []
    kernel = stage8.Kernel()
    kernel.spawn(kernel.poll())
    kernel.spawn(program(stage8, said.append))
    quiet = 0
    try:
        while quiet < QUIET:
            kernel.step()
            quiet = quiet + 1 if [task.tid for task in kernel.ready] == [1] else 0
            yield
    except Exception as error:
        return [*said, f"the system dies of {type(error).__name__}: {error}"]
    if waiting := len(kernel.tasks) - 1:
        said.append(f"{waiting} {'task waits' if waiting == 1 else 'tasks wait'} for ever")
    return said or ["the system polls for ever, for nobody"]


def in_pyos(program):
    """The same in a new kernel of pyos, in a thread, as this one has a kernel already. A subroutine."""
    said = []
    with contextlib.redirect_stderr(io.StringIO()) as log:
        thread = threading.Thread(target=boot, args=(program, said))
        thread.start()
        while thread.is_alive():
            yield pyos.Sleep(0.01)
    logged = [line for line in log.getvalue().splitlines() if line.startswith("pyos: ")]
    said += [line.removeprefix("pyos: ").rstrip(":") for line in logged]
    return said or ["the system has ended"]


def boot(program, said):
    try:
        pyos.run(program(pyos, said.append))
    except BaseException as error:
        reason = [line.strip() for line in str(error).splitlines()]
        said.append(f"{type(error).__name__}: {' '.join(reason[:2])}")


def main(*argv):
    names = {defect.__name__: defect for defect in DEFECTS}
    parser = argparse.ArgumentParser("defects", argparse.SUPPRESS, __doc__)
    parser.add_argument("defect", nargs="*", help=f"some of {', '.join(names)}; otherwise all")
    chosen = parser.parse_args(argv).defect
    if unknown := [name for name in chosen if name not in names]:
        parser.error(f"there is no defect {unknown[0]} (see --help)")
    stage8 = load_stage_8()
    for name in chosen or names:
        print(f"{name}: {names[name].__doc__}")
        print("    stage 8:", "; ".join((yield from in_stage_8(stage8, names[name]))))
        print("    pyos:   ", "; ".join((yield from in_pyos(names[name]))))


if __name__ == "__main__":
    pyos.run(main(*sys.argv[1:]))
