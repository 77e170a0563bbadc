"""A kernel among signals and threads: what wakes it when it is idle, nested kernels, kernels side by side."""

import contextlib
import math
import signal
import socket
import threading
import time

import pytest

import pyos
from pyos import TERM, Deadlock, NewTask, ReadWait, Sleep, TaskKilled, Tasks, WaitTask
from pyos.host import signals_handled
from pyos.kernel.clock import RealClock
from pyos.kernel.kernel import Kernel, current_kernel
from tests.conftest import drive
from tests.kernel.programs import forever, sleeps, yields

pytestmark = pytest.mark.timeout(30)


@pytest.fixture
def pair():
    left, right = socket.socketpair()
    with left, right:
        yield left, right


# --- what wakes it


def when_idle(kernel, action):
    """Have another thread call `action` once the kernel is about to wait in the system."""
    idle = threading.Event()
    fetch = kernel.readiness.fetch

    def watched(timeout):
        if timeout > 0:
            idle.set()
        return fetch(timeout)

    def act():
        idle.wait()
        action()

    kernel.readiness.fetch = watched
    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    return thread


@pytest.fixture(params=["run", "step"])
def real(request):
    """A kernel with the real clock, and how to run it."""
    with Kernel(clock=RealClock(), log=[].append) as kernel:
        yield kernel, kernel.run if request.param == "run" else lambda: drive(kernel)


@pytest.mark.parametrize("waiting", ["for ever", "for a deadline far away", "for io"])
def test_a_post_from_another_thread_wakes_an_idle_kernel(real, pair, waiting):
    kernel, go = real
    threads = []

    def action():
        threads.append(threading.current_thread())
        kernel.shut_down("posted")

    def main():
        yield {
            "for ever": Sleep(math.inf),
            "for a deadline far away": Sleep(1e9),
            "for io": ReadWait(pair[0]),
        }[waiting]

    kernel.spawn(main())
    when_idle(kernel, lambda: kernel.post(action)).name = "other"
    go()
    assert kernel.init_status.signal is TERM
    assert threads == [threading.current_thread()]


@pytest.mark.parametrize("to", ["this thread", "another thread"])
def test_a_post_from_a_signal_handler_wakes_an_idle_kernel(real, to):
    """A signal to another thread interrupts no wait, and neither does one that comes just before the wait."""
    kernel, go = real

    def on_signal(number, frame):
        kernel.post(lambda: kernel.shut_down(signal.Signals(number).name))

    def send():
        signal.pthread_kill(receiver or threading.get_ident(), signal.SIGUSR1)

    receiver = threading.get_ident() if to == "this thread" else None
    before = signal.signal(signal.SIGUSR1, on_signal)
    try:
        kernel.spawn(forever())
        when_idle(kernel, send)
        with signals_handled(kernel):
            go()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert kernel.init_status.signal is TERM


@pytest.mark.parametrize("to", ["this thread", "another thread"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_sigint_and_sigterm_shut_an_idle_kernel_down(real, number, to):
    kernel, go = real

    def send():
        signal.pthread_kill(receiver or threading.get_ident(), number)

    reasons = []

    def main():
        try:
            yield Sleep(math.inf)
        except TaskKilled as killed:
            reasons.append(killed.reason)
            raise

    receiver = threading.get_ident() if to == "this thread" else None
    kernel.spawn(main())
    when_idle(kernel, send)
    with signals_handled(kernel) as caught:
        go()
    assert reasons == [number.name]
    assert caught.signal is number


def test_the_process_has_its_signals_back_afterwards():
    """Its handlers, and the descriptor that they are told through."""

    def main():
        inside.append((signal.set_wakeup_fd(-1), signal.getsignal(signal.SIGTERM)))
        signal.set_wakeup_fd(inside[0][0])
        yield

    inside = []
    reader, writer = socket.socketpair()
    with reader, writer:
        writer.setblocking(False)
        before = signal.set_wakeup_fd(writer.fileno()), signal.getsignal(signal.SIGTERM)
        try:
            pyos.run(main())
        finally:
            after = signal.set_wakeup_fd(before[0]), signal.getsignal(signal.SIGTERM)
        assert after == (writer.fileno(), before[1])
        assert inside[0][0] not in (-1, writer.fileno())
        assert inside[0][1] != before[1]


def test_a_signal_that_interrupts_a_busy_kernel_is_heard_between_two_steps(real):
    kernel, go = real
    seen = []

    def on_signal(number, frame):
        kernel.post(lambda: seen.append("heard"))

    def main():
        for _ in range(3):
            inside.append(True)
            signal.raise_signal(signal.SIGUSR1)
            assert len(seen) < len(inside)
            inside.append(False)
            while len(seen) < len(inside) // 2:
                yield

    inside = []
    before = signal.signal(signal.SIGUSR1, on_signal)
    try:
        kernel.spawn(main())
        go()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert kernel.init_status.error is None
    assert seen == ["heard"] * 3


def test_an_idle_kernel_costs_no_cpu(pair):
    """It waits for a socket, a timer far away and another thread, which wakes it after a while on the real clock."""

    def reader():
        yield ReadWait(pair[0])

    def main():
        yield NewTask(reader())
        yield NewTask(sleeps(1e6))
        yield Sleep(math.inf)

    def act():
        used.append(time.process_time())
        threading.Event().wait(0.5)
        used.append(time.process_time())
        kernel.post(lambda: kernel.shut_down("enough"))

    used = []
    with Kernel() as kernel:
        kernel.spawn(main())
        when_idle(kernel, act)
        kernel.run()
    assert used[1] - used[0] < 0.1 * 0.5


# --- nesting and threads


@pytest.fixture(params=["run", "step"])
def inside(request, make_kernel):
    """Call a function in a task of a running kernel: what it answers or raises."""

    def call(function):
        def main():
            try:
                return function()
            except RuntimeError as error:
                return error
            yield

        kernel = make_kernel()
        kernel.spawn(main())
        if request.param == "step":
            drive(kernel)
        return kernel.run().value

    return call


def test_run_in_a_task_is_refused_and_closes_its_target(inside):
    targets = [yields(1)]
    error = inside(lambda: pyos.run(targets[0]))
    assert type(error) is RuntimeError
    assert "a kernel is already running in this thread: use NewTask" in str(error)
    assert targets[0].gi_frame is None


@pytest.mark.parametrize("way", ["run", "step"])
def test_a_kernel_in_a_task_of_another_one_is_refused(inside, make_kernel, way):
    inner = make_kernel()
    inner.spawn(yields(1))
    error = inside(getattr(inner, way))
    assert type(error) is RuntimeError
    assert "a kernel is already running in this thread" in str(error)
    assert inner.run().ok


def test_a_kernel_in_another_thread_of_a_task_is_not_nested(inside):
    def in_a_thread():
        values = []
        thread = threading.Thread(target=lambda: values.append(pyos.run(yields(1, "value"))))
        thread.start()
        thread.join()
        return values

    assert inside(in_a_thread) == ["value"]


@pytest.mark.parametrize("how", ["returns", "raises", "deadlock"])
def test_after_a_run_the_thread_is_free_for_the_next(make_kernel, how):
    def waits():
        yield WaitTask(1)

    def main():
        seen.append(current_kernel())
        if how == "deadlock":
            tid = yield NewTask(waits())
            yield WaitTask(tid)
        kernel.post(lambda: 1 // (how != "raises"))
        yield
        yield

    seen = []
    kernel = make_kernel()
    kernel.spawn(main())
    with contextlib.suppress(Deadlock, ZeroDivisionError):
        kernel.run()
    assert seen == [kernel]
    assert current_kernel() is None
    assert pyos.run(yields(1, "next")) == "next"


def test_kernels_in_several_threads_know_nothing_of_each_other():
    barrier = threading.Barrier(3)
    found = {}

    def main(n):
        barrier.wait()  # all three are running now
        assert current_kernel() is not None
        tids = []
        for _ in range(5):
            tids.append((yield NewTask(sleeps(0.001 * n))))
        names = {info.name for info in (yield Tasks())}
        while (yield WaitTask()):
            pass
        found[n] = tids, names, current_kernel()

    threads = [threading.Thread(target=lambda n=n: pyos.run(main(n))) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [tids for tids, _, _ in found.values()] == [[2, 3, 4, 5, 6]] * 3
    assert [names for _, names, _ in found.values()] == [{"main", "sleeps"}] * 3
    assert len({id(kernel) for _, _, kernel in found.values()}) == 3


def test_in_another_thread_the_process_keeps_its_signal_handlers():
    def main():
        yield
        return {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    found = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    thread = threading.Thread(target=lambda: found.append(pyos.run(main())))
    thread.start()
    thread.join()
    assert found == [before]
    assert pyos.run(main()) != before
    assert {number: signal.getsignal(number) for number in before} == before
