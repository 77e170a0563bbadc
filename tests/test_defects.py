"""Each known defect of the final kernel of the course that pyos descends from, shown to be gone.

The programs are what a user of the course would write: they know `pyos`, and nothing of the kernel.
"""

import contextlib
import errno
import fcntl
import os
import resource
import socket
import struct
import subprocess
import sys
import textwrap

import pytest

import pyos
from pyos import (
    KILL,
    TERM,
    BadTrap,
    Deadlock,
    GetTid,
    KillTask,
    NewTask,
    ReadWait,
    Sleep,
    Tasks,
    WaitTask,
    WriteWait,
)
from pyos.lib.sockets import connect, listen

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def pair():
    left, right = socket.socketpair()
    with left, right:
        yield left, right


@pytest.fixture
def boot(tmp_path):
    """Boot a program's source as `python -m pyos boot`; answers the finished process."""

    def boot_it(source, *options):
        program = tmp_path / "program.py"
        program.write_text(textwrap.dedent(source))
        return subprocess.run(
            [sys.executable, "-m", "pyos", "boot", *options, str(program)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return boot_it


# --- "killing a task inside a subroutine closed only the innermost frame, and the caller ran on"


@pytest.mark.parametrize("sig", [TERM, KILL])
def test_killing_a_task_inside_a_subroutine_closes_every_frame_and_the_caller_does_not_run_on(sig):
    journal = []

    def inner():
        try:
            yield Sleep(1000)
        finally:
            journal.append("inner closed")

    def middle():
        try:
            yield inner()
            journal.append("middle ran on")
        finally:
            journal.append("middle closed")

    def outer():
        try:
            yield middle()
            journal.append("outer ran on")
        finally:
            journal.append("outer closed")

    def main():
        tid = yield NewTask(outer())
        yield
        assert (yield KillTask(tid, sig)) is True
        status = yield WaitTask(tid)
        return status.signal, [info.tid for info in (yield Tasks())]

    assert pyos.run(main()) == (sig, [1])
    assert journal == ["inner closed", "middle closed", "outer closed"]


# --- "an exception in a subroutine could not be caught by its caller, and ended the whole OS"


def test_an_exception_in_a_subroutine_is_caught_by_its_caller():
    def divide(a, b):
        yield
        return a / b

    def careful():
        try:
            yield divide(1, 0)
        except ZeroDivisionError:
            return (yield divide(6, 3))

    def main():
        tid = yield NewTask(careful())
        return (yield WaitTask(tid)).value

    assert pyos.run(main()) == 2.0


def test_an_exception_in_a_subroutine_that_nobody_catches_does_not_end_the_os():
    def divide(a, b):
        yield
        return a / b

    def careless():
        yield divide(1, 0)

    def main():
        tid = yield NewTask(careless())
        status = yield WaitTask(tid)
        return type(status.error), (yield GetTid())

    assert pyos.run(main()) == (ZeroDivisionError, 1)


# --- "any task's exception, a bad trap argument or a closed fd ended the scheduler
# --- (one client's RST killed the server)"


def test_a_tasks_exception_does_not_end_the_scheduler(capfd):
    def fails():
        yield
        raise RuntimeError("of one task")

    def lives():
        for _ in range(10):
            yield
        return "alive"

    def main():
        yield NewTask(fails(), detached=True)
        tid = yield NewTask(lives())
        return (yield WaitTask(tid)).value

    assert pyos.run(main()) == "alive"
    assert "RuntimeError: of one task" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda: "text", BadTrap),
        (lambda: GetTid, BadTrap),
        (lambda: NewTask(None), TypeError),
        (lambda: NewTask(print), TypeError),
        (lambda: KillTask("1"), TypeError),
        (lambda: KillTask(2, "TERM"), ValueError),
        (lambda: WaitTask([]), TypeError),
        (lambda: ReadWait("stdin"), TypeError),
        (lambda: ReadWait(None), TypeError),
        (lambda: WriteWait(2.5), TypeError),
        (lambda: ReadWait(-1), OSError),
        (lambda: Sleep("1"), TypeError),
    ],
)
def test_a_bad_trap_or_argument_does_not_end_the_scheduler(make, kind):
    def child():
        yield make()

    def main():
        tid = yield NewTask(child())
        status = yield WaitTask(tid)
        return status.error, (yield GetTid())

    error, tid = pyos.run(main())
    assert isinstance(error, kind)
    assert tid == 1


@pytest.mark.parametrize("wait", [ReadWait, WriteWait])
def test_a_closed_fd_does_not_end_the_scheduler(wait):
    closed = socket.socket()
    number = closed.fileno()
    closed.close()

    def child(file):
        yield wait(file)

    def main():
        errors = []
        for file in (closed, number):
            tid = yield NewTask(child(file))
            errors.append((yield WaitTask(tid)).error.errno)
        return errors

    assert pyos.run(main()) == [errno.EBADF, errno.EBADF]


def test_an_fd_closed_while_its_task_waits_does_not_end_the_scheduler(pair):
    left, _ = pair

    def reader(file):
        yield ReadWait(file)

    def main():
        file = left.dup()
        tid = yield NewTask(reader(file))
        yield
        file.close()
        yield from (Sleep(0.001) for _ in range(5))
        yield KillTask(tid)
        return (yield WaitTask(tid)).signal, (yield GetTid())

    assert pyos.run(main()) == (TERM, 1)


def test_one_clients_reset_does_not_kill_the_server():
    """A client resets (SO_LINGER 0) in mid-stream: its connection's task ends, and the server serves the next one."""
    ended = []

    def echo(conn):
        try:
            with conn:
                while data := (yield conn.recv()):
                    yield conn.sendall(data)
        finally:
            ended.append("connection")

    def server(listener):
        with listener:
            while True:
                conn, _ = yield listener.accept()
                yield NewTask(echo(conn), detached=True)

    def client(address, reset):
        conn = yield connect(*address)
        with conn:
            yield conn.sendall(b"hello")
            data = yield conn.recv()
            if reset:
                conn.raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return data

    def main():
        listener = listen()
        served = yield NewTask(server(listener))
        answers = []
        for reset in (True, False, True, False):
            tid = yield NewTask(client(listener.address, reset))
            answers.append((yield WaitTask(tid)).value)
        while len(ended) < 4:
            yield Sleep(0.001)
        states = [info.name for info in (yield Tasks())]
        yield KillTask(served)
        return answers, states

    assert pyos.run(main()) == ([b"hello"] * 4, ["main", "server"])


# --- "a task killed while waiting for I/O stayed in the table until its fd fired"


@pytest.mark.parametrize("sig", [TERM, KILL])
def test_a_task_killed_while_waiting_for_io_leaves_the_table_at_once(pair, sig):
    left, right = pair

    def reader():
        yield ReadWait(left)

    def main():
        tid = yield NewTask(reader(), detached=True)
        yield
        before = [info.waiting_on for info in (yield Tasks())]
        yield KillTask(tid, sig)
        yield  # TERM is raised at its next turn
        after = [info.tid for info in (yield Tasks())]
        right.send(b"too late")
        other = yield NewTask(reader())  # the fd is free for others
        return before, after, (yield WaitTask(other)).ok

    assert pyos.run(main()) == (["", f"read fd {left.fileno()}"], [1], True)


# --- "a second reader on one fd silently lost the first"


def test_a_second_reader_on_one_fd_does_not_lose_the_first(pair):
    left, right = pair
    woken = []

    def reader(name):
        yield ReadWait(left)
        woken.append(name)

    def main():
        tids = []
        for name in ("first", "second", "third"):
            tids.append((yield NewTask(reader(name))))
        yield
        right.send(b"x")
        for tid in tids:
            yield WaitTask(tid)

    pyos.run(main())
    assert sorted(woken) == ["first", "second", "third"]


def test_a_reader_and_a_writer_on_one_fd_do_not_lose_each_other(pair):
    left, right = pair
    woken = []

    def waits(trap, name):
        yield trap
        woken.append(name)

    def main():
        left.setblocking(False)
        right.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:  # until it is not writable
                left.send(bytes(65536))
        reader = yield NewTask(waits(ReadWait(left), "reader"))
        yield NewTask(waits(WriteWait(left), "writer"))
        yield
        right.send(b"x")
        yield WaitTask(reader)
        while "writer" not in woken:
            with contextlib.suppress(BlockingIOError):
                right.recv(1 << 20)
            yield

    pyos.run(main())
    assert woken == ["reader", "writer"]


# --- "a bare `yield` delivered the previous syscall's result again"


def test_a_bare_yield_does_not_deliver_the_previous_result_again():
    def child():
        seen = [(yield GetTid())]
        for _ in range(3):
            seen.append((yield))
        return seen

    def main():
        tid = yield NewTask(child())
        seen = [(yield), (yield)]
        status = yield WaitTask(tid)
        seen.append((yield))
        return seen, status.value

    assert pyos.run(main()) == ([None, None, None], [2, None, None, None])


# --- "WaitTask on oneself hung; nothing reported a deadlock; exit values and errors were lost"


def test_waiting_for_oneself_does_not_hang():
    def main():
        try:
            yield WaitTask((yield GetTid()))
        except ValueError as error:
            return str(error)

    assert pyos.run(main()) == "task 1 would wait for itself"


def waits_for(tid):
    yield WaitTask(tid)


def deadlock():
    yield WaitTask((yield NewTask(waits_for(1), name="partner")))


def test_a_deadlock_is_reported_with_who_waits_for_what():
    with pytest.raises(Deadlock) as caught:
        pyos.run(deadlock())
    assert "task 1 (deadlock) waits: wait task 2" in str(caught.value)
    assert "task 2 (partner) waits: wait task 1" in str(caught.value)


def test_a_deadlock_ends_the_process_with_exit_code_3(boot):
    done = boot(
        """
        from pyos import NewTask, WaitTask

        def partner():
            yield WaitTask(1)

        def main():
            try:
                yield WaitTask((yield NewTask(partner())))
            finally:
                print("cleaned up")
        """
    )
    assert (done.returncode, done.stdout) == (3, "cleaned up\n")
    assert "deadlock: nothing can ever run again" in done.stderr
    assert "task 1 (program) waits: wait task 2" in done.stderr
    assert "task 2 (partner) waits: wait task 1" in done.stderr


def test_exit_values_and_errors_are_not_lost():
    def value():
        yield Sleep(0)
        return {"answer": 42}

    def error():
        yield Sleep(0)
        raise LookupError("kept")

    def main():
        tids = [(yield NewTask(value())), (yield NewTask(error())), (yield NewTask(waits_for(1)))]
        for _ in range(5):
            yield
        yield KillTask(tids[2])
        return [(yield WaitTask(tids[0])), (yield WaitTask(tids[1])), (yield WaitTask(tids[2]))]

    first, second, third = pyos.run(main())
    assert (first.value, first.ok) == ({"answer": 42}, True)
    assert (str(second.error), second.ok) == ("kept", False)
    assert (third.signal, third.ok) == (TERM, False)


def test_inits_value_and_error_reach_the_host(boot):
    def value():
        yield
        return "value"

    def error():
        yield
        raise LookupError("kept")

    assert pyos.run(value()) == "value"
    with pytest.raises(LookupError, match="kept"):
        pyos.run(error())
    assert boot("def main():\n    yield\n    return 7\n").returncode == 7
    failed = boot("def main():\n    yield\n    raise LookupError('kept')\n")
    assert failed.returncode == 1
    assert "LookupError: kept" in failed.stderr


# --- "more than 1023 descriptors crashed `select`; the OS never exited because its I/O task never did"


@pytest.fixture
def room():
    """Leave to open 3,000 descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 3000:
        pytest.skip(f"only {hard} descriptors are allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 3000), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def many_pipes(room):
    """1,100 of them."""
    pipes = [os.pipe() for _ in range(1100)]
    yield pipes
    for pipe in pipes:
        for fd in pipe:
            os.close(fd)


@pytest.mark.parametrize("poller", [None, "poll"])
def test_more_than_1023_descriptors_are_waited_for_at_once(many_pipes, poller):
    def reader(fd):
        yield ReadWait(fd)
        return os.read(fd, 1)

    def main():
        for fd, _ in many_pipes:
            yield NewTask(reader(fd))
        yield
        waiting = sum(info.waiting_on.startswith("read fd") for info in (yield Tasks()))
        for _, fd in many_pipes:
            os.write(fd, b"x")
        data = b""
        while (status := (yield WaitTask())) is not None:
            data += status.value
        return waiting, data

    assert pyos.run(main(), poller=poller) == (1100, b"x" * 1100)


def test_a_descriptor_above_1023_under_select_is_an_error_of_its_task_alone(room, pair):
    left, right = pair
    high = fcntl.fcntl(left, fcntl.F_DUPFD, 1500)

    def reader(fd):
        yield ReadWait(fd)

    def main():
        small = yield NewTask(reader(left))
        big = yield NewTask(reader(high))
        right.send(b"x")
        return (yield WaitTask(small)).ok, str((yield WaitTask(big)).error)

    try:
        ok, error = pyos.run(main(), poller="select")
    finally:
        os.close(high)
    assert ok
    assert error.startswith(f"fd {high} is above 1023, the highest that select can watch")


def test_select_says_so_in_a_process_that_has_used_up_its_descriptors(many_pipes):
    def main():
        yield

    with pytest.raises(ValueError, match="above 1023, the highest that select can watch"):
        pyos.run(main(), poller="select")


def test_the_os_exits_when_its_last_task_has(boot):
    """Also when tasks have waited for I/O, and some still do."""
    done = boot(
        """
        import socket
        from pyos import NewTask, ReadWait

        left, right = socket.socketpair()

        def waits_for_ever():
            try:
                yield ReadWait(right)
            finally:
                print("waiter closed")

        def main():
            yield NewTask(waits_for_ever())
            right.send(b"x")
            yield ReadWait(left)
            print("main is over")
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "main is over\nwaiter closed\n", "")
