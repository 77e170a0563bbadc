"""The poller: what its three backends promise alike, and descriptors that are not what they seem."""

import contextlib
import errno
import fcntl
import io
import math
import os
import resource
import socket
import threading

import pytest

import pyos
from pyos import KILL, TERM, GetTid, KillTask, NewTask, ReadWait, Sleep, Timeout, WaitTask, WriteWait
from pyos.kernel.clock import VirtualClock
from pyos.kernel.kernel import Kernel
from pyos.kernel.poller import BACKENDS, READ, WRITE

pytestmark = [pytest.mark.timeout(30), pytest.mark.filterwarnings("error")]


@pytest.fixture(params=["epoll", "poll", "select"])
def name(request):
    if request.param not in BACKENDS:
        pytest.skip(f"this system has no {request.param}")
    return request.param


@pytest.fixture
def pair():
    left, right = socket.socketpair()
    with left, right:
        left.setblocking(False)
        right.setblocking(False)
        yield left, right


@pytest.fixture
def pipe():
    ends = list(os.pipe())
    yield ends
    for fd in ends:
        with contextlib.suppress(OSError):
            os.close(fd)


def boot(name, *programs):
    """Run the programs under a virtual clock as children of one init, with an audit at the end; their statuses."""

    def init():
        tids = []
        for program in programs:
            tids.append((yield NewTask(program)))
        statuses = []
        for tid in tids:
            statuses.append((yield WaitTask(tid)))
        return statuses

    with Kernel(poller=name, clock=VirtualClock(), log=[].append) as kernel:
        kernel.spawn(init())
        status = kernel.run()
        kernel.audit()
        assert not kernel.readiness.waiting
        return status.value


def settle(kernel):
    """Step until every task is blocked or gone, without looking for I/O."""
    while kernel.scheduler.runq:
        kernel.scheduler.step(kernel.stepwise)
        kernel.audit()


def waiting(file, trap=ReadWait):
    yield trap(file)
    return "woken"


def error_of(file, trap=ReadWait):
    try:
        yield trap(file)
    except Exception as error:
        return error
    return None


class Calls:
    """Counts what a kernel's backend is asked."""

    def __init__(self, kernel):
        self.counts = dict.fromkeys(("register", "modify", "unregister"), 0)
        for call in self.counts:
            setattr(kernel.readiness.backend, call, self.counting(call, getattr(kernel.readiness.backend, call)))

    def counting(self, call, real):
        def counted(*args):
            self.counts[call] += 1
            return real(*args)

        return counted

    @property
    def made(self):
        return tuple(self.counts.values())


# --- registration


def test_readiness_stays_registered_between_waits(name, pair):
    left, right = pair

    def server():
        readable = ReadWait(left)
        for _ in range(20):
            yield readable
            left.send(left.recv(100))

    with Kernel(poller=name, clock=VirtualClock()) as kernel:
        calls = Calls(kernel)
        kernel.spawn(server())
        settle(kernel)
        assert calls.made == (1, 0, 0)
        for _ in range(20):
            right.send(b"request")
            kernel._deliver(0.0)
            settle(kernel)
            assert right.recv(100) == b"request"
        assert calls.made == (1, 0, 0)
        assert not kernel.table.alive


def test_a_running_kernel_makes_no_call_but_poll_for_a_message(name, pair):
    left, right = pair

    def server():
        readable = ReadWait(left)
        for _ in range(20):
            yield readable
            left.send(left.recv(100))

    def client(kernel):
        readable = ReadWait(right)
        for sent in range(20):
            right.send(b"ping")
            if sent == 1:
                calls.append(Calls(kernel))  # by now both ends are registered
            yield readable
            right.recv(100)

    calls = []
    with Kernel(poller=name) as kernel:
        kernel.spawn(server())
        kernel.spawn(client(kernel))
        kernel.run()
        assert calls[0].made == (0, 0, 0)


def test_an_event_nobody_waits_for_is_unregistered(name, pair):
    left, right = pair
    with Kernel(poller=name, clock=VirtualClock()) as kernel:
        calls = Calls(kernel)
        sleeper = kernel.spawn(waiting(left))
        settle(kernel)
        kernel.kill(sleeper, KILL, sender=None, reason=None, grace=math.inf)
        assert calls.made == (1, 0, 0), "a registration is left alone until it costs something"
        right.send(b"x")
        kernel._deliver(0.0)
        assert calls.made == (1, 0, 1)
        assert not kernel.readiness.watched
        assert kernel.readiness.fetch(0.0) == []
        kernel.audit()


def test_only_the_part_nobody_waits_for_is_unregistered(name, pair):
    left, right = pair
    with Kernel(poller=name, clock=VirtualClock()) as kernel:
        kernel.spawn(waiting(left))
        writer = kernel.spawn(waiting(left, WriteWait))
        settle(kernel)
        kernel._deliver(0.0)
        assert writer.wait is None
        settle(kernel)
        calls = Calls(kernel)
        kernel._deliver(0.0)
        assert calls.made == (0, 1, 0)
        assert kernel.readiness.watched[left.fileno()].mask == READ
        assert kernel.readiness.fetch(0.0) == []
        right.send(b"x")
        kernel.run()
        kernel.audit()


def test_reading_and_writing_on_one_descriptor(name, pair):
    left, right = pair
    right.send(b"x")
    assert [s.value for s in boot(name, waiting(left), waiting(left, WriteWait))] == ["woken", "woken"]


@pytest.mark.parametrize("trap", [ReadWait, WriteWait])
def test_all_tasks_that_wait_for_one_descriptor_are_woken(name, pair, trap):
    left, right = pair
    right.send(b"x")
    statuses = boot(name, *(waiting(left, trap) for _ in range(5)), waiting(left.fileno(), trap))
    assert [s.value for s in statuses] == ["woken"] * 6


def test_readers_and_writers_are_woken_apart(name, pair):
    left, right = pair
    with Kernel(poller=name, clock=VirtualClock()) as kernel:
        readers = [kernel.spawn(waiting(left)) for _ in range(3)]
        writers = [kernel.spawn(waiting(left, WriteWait)) for _ in range(3)]
        settle(kernel)
        kernel._deliver(0.0)
        assert [task.state for task in writers] == ["ready"] * 3
        assert [task.state for task in readers] == ["blocked"] * 3
        settle(kernel)
        right.send(b"x")
        kernel._deliver(0.0)
        assert [task.state for task in readers] == ["ready"] * 3


@pytest.mark.parametrize("signal", [TERM, KILL])
@pytest.mark.parametrize("victim", range(4))
def test_a_killed_waiter_leaves_the_others_waiting(name, pair, signal, victim):
    left, right = pair
    with Kernel(poller=name, clock=VirtualClock()) as kernel:
        tasks = [kernel.spawn(waiting(left)) for _ in range(4)]
        settle(kernel)
        kernel.kill(tasks[victim], signal, sender=None, reason=None, grace=math.inf)
        kernel.table.closed = None
        if victim == 0:  # init: the others get TERM
            kernel.run()
            assert not kernel.table.alive
            return
        settle(kernel)
        assert [task.state for task in tasks].count("blocked") == 3
        assert kernel.readiness.waiting == 3
        right.send(b"x")
        kernel.run()
        kernel.audit()


def test_a_wait_that_is_given_up_is_forgotten_and_can_begin_again(name, pair):
    left, right = pair

    def patient():
        for _ in range(3):
            tid = yield NewTask(waiting(left))
            yield
            yield KillTask(tid)
            assert (yield WaitTask(tid)).signal is TERM
        right.send(b"x")
        return (yield waiting(left))

    assert boot(name, patient())[0].value == "woken"


# --- files that are always ready, or never


def test_regular_files_and_dev_null_are_always_ready(name, tmp_path):
    path = tmp_path / "file"
    path.write_text("x")
    with open(path, "r+") as file, open(os.devnull, "r+b", buffering=0) as null:
        programs = [waiting(f, trap) for f in (file, null) for trap in (ReadWait, WriteWait)]
        assert [s.value for s in boot(name, *programs)] == ["woken"] * 4


@pytest.mark.parametrize("trap", [ReadWait, WriteWait])
def test_a_closed_or_negative_descriptor_is_ebadf(name, trap):
    left, right = socket.socketpair()
    number = left.fileno()
    left.close()
    right.close()
    with open(os.devnull) as file:
        pass
    for bad in (left, number, -1, -(10**30), 2**31, 10**30, file, 999_999):
        (status,) = boot(name, error_of(bad, trap))
        if bad == 999_999 and name == "select":
            continue
        assert isinstance(status.value, OSError), bad
        assert status.value.errno == errno.EBADF


class Odd:
    """An object whose fileno() does as it likes."""

    def __init__(self, do):
        self.do = do

    def fileno(self):
        return self.do()


def raising(error):
    def raises():
        raise error

    return raises


@pytest.mark.parametrize(
    ("do", "kind"),
    [
        (raising(RuntimeError("mine")), RuntimeError),
        (raising(KeyError("mine")), KeyError),
        (raising(StopIteration("mine")), RuntimeError),
        (raising(ValueError("closed")), OSError),
        (lambda: True, TypeError),
        (lambda: "3", TypeError),
        (lambda: None, TypeError),
        (lambda: 3.0, TypeError),
        (lambda: 10**30, OSError),
        (lambda: -1, OSError),
        (lambda: 1 / 0, ZeroDivisionError),
    ],
)
def test_what_fileno_does_wrong_is_an_error_of_the_task(name, do, kind):
    (status,) = boot(name, error_of(Odd(do)))
    assert type(status.value) is kind


@pytest.mark.parametrize("file", [True, False, None, "3", 3.0, b"3", object(), [3], socket.socket, Odd])
def test_what_is_no_file_is_a_type_error_in_the_task(name, file):
    (status,) = boot(name, error_of(file))
    assert isinstance(status.value, TypeError)


def test_fileno_that_exits_ends_only_its_task(name, pair):
    left, right = pair
    right.send(b"x")
    odd = [error_of(Odd(raising(error))) for error in (SystemExit(7), KeyboardInterrupt())]
    statuses = boot(name, *odd, waiting(left))
    assert statuses[0].value == 7
    assert isinstance(statuses[1].error, KeyboardInterrupt)
    assert statuses[2].value == "woken"


# --- the other end is gone


def test_a_pipe_whose_writer_is_gone_wakes_its_reader(name, pipe):
    reader, writer = pipe
    os.close(writer)
    assert boot(name, waiting(reader))[0].value == "woken"


def test_a_pipe_whose_writer_goes_wakes_a_reader_that_waits(name, pipe):
    reader, writer = pipe

    def closer():
        yield
        os.close(writer)

    assert boot(name, waiting(reader), closer())[0].value == "woken"


def test_a_full_pipe_whose_reader_goes_wakes_its_writer(name, pipe):
    reader, writer = pipe
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(65536))

    def closer():
        yield
        os.close(reader)

    assert boot(name, waiting(writer, WriteWait), closer())[0].value == "woken"


def test_hang_up_wakes_readers_and_writers(name, pair):
    left, right = pair
    with contextlib.suppress(BlockingIOError):
        while True:
            left.send(bytes(65536))

    def closer():
        yield
        right.close()

    statuses = boot(name, waiting(left), waiting(left, WriteWait), closer())
    assert [s.value for s in statuses[:2]] == ["woken", "woken"]


def test_a_refused_connection_wakes_readers_and_writers(name):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
    with socket.socket() as client:
        client.setblocking(False)
        client.connect_ex(address)
        statuses = boot(name, waiting(client), waiting(client, WriteWait))
        assert [s.value for s in statuses] == ["woken", "woken"]
        assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED


# --- numbers are reused


def replaced(file):
    """Close a socket and open another pair, one end of which has the same number."""
    number = file.fileno()
    file.close()
    fresh, peer = socket.socketpair()
    if fresh.fileno() != number:
        fresh, peer = peer, fresh
    assert fresh.fileno() == number
    return fresh, peer


def test_a_reused_number_does_not_inherit_an_idle_registration(name, pair):
    left, right = pair
    with Kernel(poller=name, clock=VirtualClock()) as kernel:
        kernel.spawn(waiting(right))  # init, which stays
        first = kernel.spawn(waiting(left))
        settle(kernel)
        kernel.kill(first, KILL, sender=None, reason=None, grace=math.inf)
        fresh, peer = replaced(left)
        with fresh, peer:
            second = kernel.spawn(waiting(fresh))
            settle(kernel)
            kernel._deliver(0.0)
            assert second.state == "blocked"
            peer.send(b"x")
            kernel._deliver(0.0)
            assert second.state == "ready"
            kernel.audit()


@pytest.mark.parametrize("by_number", [False, True])
def test_who_waits_for_the_old_file_of_a_reused_number_gets_ebadf(name, pair, by_number):
    left, _ = pair
    with Kernel(poller=name, clock=VirtualClock(), log=[].append) as kernel:
        init = kernel.spawn(wait_for_both())
        first = kernel.spawn(error_of(left.fileno() if by_number else left), parent=init)
        settle(kernel)
        fresh, peer = replaced(left)
        with fresh, peer:
            second = kernel.spawn(waiting(fresh.fileno() if by_number else fresh), parent=init)
            settle(kernel)
            assert first.status is not None
            assert first.status.value.errno == errno.EBADF
            assert second.state == "blocked"
            peer.send(b"x")
            kernel.run()
            assert second.status.value == "woken"
            kernel.audit()


def wait_for_both():
    for child in (2, 3):
        yield WaitTask(child)


def test_a_number_reused_for_another_kind_of_file(name, pair, tmp_path):
    left, right = pair
    number = left.fileno()

    def first():
        right.send(b"x")
        yield ReadWait(number)
        left.close()
        with open(tmp_path / "file", "w") as file:
            assert file.fileno() == number
            yield WriteWait(file)
            yield WriteWait(number)
        return "done"

    assert boot(name, first())[0].value == "done"


def test_a_closed_descriptor_that_a_duplicate_keeps_alive_is_not_reported_for_ever(name, pair):
    left, right = pair
    number = left.fileno()
    with Kernel(poller=name, clock=VirtualClock()) as kernel:
        kernel.spawn(waiting(right))
        task = kernel.spawn(waiting(left))
        settle(kernel)
        duplicate = left.dup()
        with duplicate:
            left.close()
            kernel.kill(task, KILL, sender=None, reason=None, grace=math.inf)
            right.send(b"x")  # epoll goes on reporting the dead number
            for _ in range(3):
                kernel._deliver(0.0)
            assert kernel.readiness.fetch(0.0) == []
            assert number not in kernel.readiness.watched
            kernel.audit()


def test_a_number_reused_while_a_duplicate_keeps_the_old_file_alive(name, pair):
    left, right = pair
    with Kernel(poller=name, clock=VirtualClock()) as kernel:
        kernel.spawn(waiting(right))
        first = kernel.spawn(waiting(left))
        settle(kernel)
        kernel.kill(first, KILL, sender=None, reason=None, grace=math.inf)
        with left.dup():
            fresh, peer = replaced(left)
            with fresh, peer:
                second = kernel.spawn(waiting(fresh))
                settle(kernel)
                right.send(b"for the old file")
                for _ in range(3):
                    kernel._deliver(0.0)
                assert second.state == "blocked", "woken by an event of the old file"
                peer.send(b"x")
                for _ in range(3):
                    kernel._deliver(0.0)
                assert second.state == "ready"
                kernel.audit()


def test_both_a_file_and_its_duplicate_can_be_waited_for(name, pair):
    left, right = pair
    right.send(b"x")
    with left.dup() as duplicate:
        assert [s.value for s in boot(name, waiting(left), waiting(duplicate))] == ["woken", "woken"]


def test_a_descriptor_closed_behind_its_waiter_wakes_it_with_ebadf_where_the_system_says_so(name, pair):
    left, _ = pair

    def closer():
        yield
        os.close(left.detach())
        yield Sleep(1)

    if name == "epoll":
        pytest.skip("epoll forgets a closed file without a word")
    (status, _) = boot(name, error_of(left), closer())
    assert status.value.errno == errno.EBADF


@pytest.mark.parametrize("buffering", [0, -1])
@pytest.mark.parametrize("by_object", [False, True])
def test_a_file_that_does_not_own_its_descriptor_is_told_when_that_was_closed(name, pair, buffering, by_object):
    left, right = pair

    def main():
        file = open(left.fileno(), "rb", buffering=buffering, closefd=False)  # noqa: SIM115
        if by_object:
            file = Wrapping(file)
        right.send(b"x")
        yield ReadWait(file)
        left.recv(1)
        left.close()
        with pytest.raises(OSError, match="Bad file descriptor") as caught:
            yield Timeout(1, ReadWait(file))
        return caught.value.errno

    assert boot(name, main())[0].value == errno.EBADF


class Wrapping(io.IOBase):
    """A file of the user's own making: nobody can say whether it knows when its descriptor is closed."""

    def __init__(self, file):
        self.file = file

    def fileno(self):
        return self.file.fileno()


def test_a_file_that_owns_its_descriptor_stays_registered_between_waits(name, pipe):
    reader, writer = pipe
    with Kernel(poller=name, clock=VirtualClock()) as kernel:
        file = open(reader, "rb", closefd=True)  # noqa: SIM115
        pipe.remove(reader)
        with file:
            kernel.spawn(twice(file, writer))
            calls = []
            register = kernel.readiness._register
            kernel.readiness._register = lambda *args: (calls.append(1), register(*args))[1]
            kernel.run()
            assert len(calls) == 1


def twice(file, writer):
    for _ in range(2):
        os.write(writer, b"x")
        yield ReadWait(file)
        os.read(file.fileno(), 1)


def test_the_kernels_own_descriptors_cannot_be_waited_for(name):
    def prober(own):
        errors = []
        for fd in own:
            for trap in (ReadWait, WriteWait):
                try:
                    yield trap(fd)
                    errors.append("ready")
                except OSError as error:
                    errors.append(error.errno)
        return errors

    with Kernel(poller=name, clock=VirtualClock(), log=[].append) as kernel:
        own = [*kernel.readiness.wake_up.filenos, *filter(lambda fd: fd >= 0, [kernel.readiness.backend.fileno()])]
        kernel.spawn(prober(own))
        status = kernel.run()
        assert status.value == [errno.EBADF] * 2 * len(own)
        # and the kernel can still be woken
        assert not kernel.readiness.watched
        posted = []
        kernel.post(lambda: posted.append(1))
        kernel._deliver(0.0)
        assert posted == [1]


# --- high numbers


@pytest.fixture
def high_socket():
    """A socket with a number above 1023, and its peer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 1100:
        pytest.skip("this system allows no descriptor above 1023")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1100), hard))
    left, right = socket.socketpair()
    with left:
        high = socket.socket(fileno=fcntl.fcntl(left, fcntl.F_DUPFD_CLOEXEC, 1050))
    with high, right:
        right.send(b"x")
        yield high
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("backend", ["epoll", "poll"])
def test_descriptors_above_1023_are_watched(backend, high_socket):
    assert boot(backend, waiting(high_socket))[0].value == "woken"


def test_a_descriptor_above_1023_under_select_is_an_error_of_its_task(high_socket, pair):
    left, right = pair
    right.send(b"x")
    failed, other = boot("select", error_of(high_socket), waiting(left))
    assert isinstance(failed.value, ValueError)
    assert "1023" in str(failed.value)
    assert other.value == "woken"


# --- time


@pytest.mark.parametrize("seconds", [1e10, 1e300, 10**15, math.inf])
def test_huge_and_infinite_sleeps_wait_for_io(name, pair, seconds):
    """poll() overflows on huge timeouts."""
    left, right = pair

    def main():
        sleeper = yield NewTask(asleep(seconds))
        yield ReadWait(left)
        yield KillTask(sleeper, KILL)
        return "done"

    def asleep(seconds):
        yield Sleep(seconds)

    with Kernel(poller=name) as kernel:
        when_idle(kernel, lambda: right.send(b"x"))
        kernel.spawn(main())
        assert kernel.run().value == "done"
        kernel.audit()


def when_idle(kernel, action):
    """Have another thread call `action` once the kernel is about to wait in its backend. Returns the list of waits."""
    idle = threading.Event()
    waits = []
    backend = kernel.readiness.backend
    real = kernel.readiness.fetch

    def fetch(timeout):
        if timeout > 0:
            waits.append(timeout)
            idle.set()
        return real(timeout)

    def act():
        idle.wait()
        action()

    assert backend is not None
    kernel.readiness.fetch = fetch
    threading.Thread(target=act, daemon=True).start()
    return waits


def test_an_idle_kernel_waits_in_the_system_and_wakes_only_for_what_comes(name, pair):
    left, right = pair

    def main():
        for _ in range(3):
            yield ReadWait(left)
            left.recv(1)

    with Kernel(poller=name) as kernel:
        waits = when_idle(kernel, lambda: [right.send(b"x") for _ in range(3)])
        kernel.spawn(main())
        kernel.run()
        assert 1 <= len(waits) <= 3
        assert min(waits) > 1000, "nothing is due: it waits as long as it can"
        kernel.audit()


@pytest.mark.parametrize("trap", [None, GetTid])
def test_a_spinning_task_starves_neither_io_nor_timers_nor_threads(name, pair, trap):
    left, right = pair
    seen = []

    def spinner():
        while len(seen) < 3:
            yield trap() if trap else None

    def reader():
        yield ReadWait(left)
        seen.append("io")

    def sleeper():
        yield Sleep(0.001)
        seen.append("timer")

    def init():
        yield NewTask(reader())
        yield NewTask(sleeper())
        yield NewTask(spinner())
        for _ in range(3):
            yield WaitTask()

    class Other(threading.Thread):
        def run(self):
            for _ in range(50):  # gives the lock up, and has to get it back, fifty times
                os.getpid()
                with open(os.devnull):
                    pass
            seen.append("thread")
            right.send(b"x")

    with Kernel(poller=name) as kernel:
        kernel.spawn(init())
        thread = Other()
        thread.start()
        kernel.run()
        thread.join()
        kernel.audit()
    assert set(seen) == {"io", "timer", "thread"}


def test_another_thread_wakes_an_idle_kernel(name):
    def main():
        yield Sleep(math.inf)

    with Kernel(poller=name) as kernel:
        when_idle(kernel, lambda: kernel.post(lambda: kernel.shut_down("the thread says so")))
        kernel.spawn(main())
        assert kernel.run().signal is TERM


def test_a_burst_of_wake_ups_loses_none(name):
    posted = []

    def main():
        while len(posted) < 100_000:
            yield Sleep(0.001)

    with Kernel(poller=name) as kernel:
        kernel.spawn(main())

        def burst():
            for n in range(100_000):  # more than the wake-up socket holds
                kernel.post(lambda n=n: posted.append(n))

        thread = threading.Thread(target=burst)
        thread.start()
        kernel.run()
        thread.join()
    assert posted == list(range(100_000))


def test_an_unknown_poller_is_a_value_error():
    with pytest.raises(ValueError, match="no poller 'kqueue'"):
        Kernel(poller="kqueue")


def test_run_takes_a_poller(name, pair):
    left, right = pair
    right.send(b"x")
    assert pyos.run(waiting(left), poller=name) == "woken"


def test_masks_are_the_same_numbers_for_every_backend():
    assert (READ, WRITE) == (1, 4)
