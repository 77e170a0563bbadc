"""Timers, the real and the virtual clock, and what is due together."""

import math
import socket
from itertools import pairwise

import pytest

from pyos import KILL, TERM, Deadlock, GetTime, KillTask, NewTask, ReadWait, Sleep, TaskKilled, WaitTask, run
from pyos.kernel.clock import RealClock, Timers, VirtualClock
from pyos.kernel.kernel import Kernel

pytestmark = pytest.mark.timeout(30)


@pytest.fixture
def kernel():
    with Kernel(clock=VirtualClock(), log=[].append) as kernel:
        yield kernel


def sleeping(seconds, order=None, name=None):
    yield Sleep(seconds)
    if order is not None:
        order.append(name)


def stay():
    yield Sleep(math.inf)


# --- timers


def test_equal_deadlines_wake_in_the_order_they_were_set():
    order = []

    def main():
        for name in range(50):
            yield NewTask(sleeping(1, order, name))
        yield Sleep(2)

    run(main(), clock=VirtualClock())
    assert order == list(range(50))


def test_timers_wake_in_the_order_of_their_deadlines_whatever_the_order_of_setting():
    order = []

    def main():
        for name in (5, 1, 4, 2, 3):
            yield NewTask(sleeping(name, order, name))
        yield Sleep(9)

    run(main(), clock=VirtualClock())
    assert order == [1, 2, 3, 4, 5]


def test_cancelled_timers_do_not_pile_up(kernel):
    def patient():
        for _ in range(1000):
            tid = yield NewTask(sleeping(1000))
            yield
            yield KillTask(tid, KILL)
            yield WaitTask(tid)

    kernel.spawn(patient())
    longest = 0
    while kernel.step():
        longest = max(longest, len(kernel.timers.heap))
        kernel.audit()
    assert longest < 200


def test_the_heap_is_rebuilt_around_what_still_lives(kernel):
    order = []
    kernel.spawn(stay())
    tasks = [kernel.spawn(sleeping(1000 - n, order, n)) for n in range(300)]
    while kernel.scheduler.runq:
        kernel.scheduler.step(kernel.stepwise)
    for n, task in enumerate(tasks):
        if n % 3:
            kernel.kill(task, KILL, sender=None, reason=None, grace=math.inf)
            kernel.audit()
    assert len(kernel.timers.heap) < 300
    while kernel.table.alive > 1 and kernel.step():
        pass
    assert order == [n for n in reversed(range(300)) if n % 3 == 0]
    kernel.audit()


def test_an_alarm_goes_off_once_and_a_cancelled_one_never():
    clock = VirtualClock()
    timers = Timers(clock)
    rung = []
    first = timers.set_alarm(1, lambda: rung.append(1))
    second = timers.set_alarm(2, lambda: rung.append(2))
    timers.cancel(second)
    timers.cancel(second)
    assert timers.next_deadline() == 1
    clock.time = 5
    for due in timers.pop_due():
        due.action()
        due.action = None
    timers.cancel(first)
    assert rung == [1]
    assert timers.next_deadline() is None
    assert timers.dead == 0


# --- due together


def ready_in_the_same_round(kernel):
    """Jump to the next deadline without waking anybody yet."""
    while kernel.scheduler.runq:
        kernel.scheduler.step(kernel.stepwise)
    kernel.clock.time = kernel.timers.next_deadline()


def test_io_is_delivered_before_timers_that_are_due_in_the_same_round(kernel):
    order = []
    left, right = socket.socketpair()
    with left, right:

        def reader():
            yield ReadWait(left)
            order.append("io")

        kernel.spawn(sleeping(1, order, "timer"))
        kernel.spawn(reader())
        ready_in_the_same_round(kernel)
        right.send(b"x")
        while kernel.step():
            pass
    assert order == ["io", "timer"]


def test_a_shutdown_that_comes_with_a_timer_wakes_its_sleeper_once(kernel):
    seen = []

    def main():
        try:
            yield Sleep(1)
            seen.append("slept")
        except TaskKilled:
            seen.append("killed")
            yield
            yield Sleep(1)
            seen.append("cleaned up")
            raise

    kernel.spawn(main())
    ready_in_the_same_round(kernel)
    kernel.post(lambda: kernel.shut_down("now"))
    kernel._deliver(0.0)
    kernel.audit()
    while kernel.step():
        kernel.audit()
    assert seen == ["killed", "cleaned up"]
    assert kernel.init_status.signal is TERM


def test_a_kill_from_an_alarm_that_comes_with_a_timer_wakes_its_sleeper_once(kernel):
    """The grace of one task ends in the moment in which another, which its clean-up kills, would wake."""
    seen = []

    def stubborn(victim):
        try:
            yield Sleep(1000)
        finally:
            try:
                yield Sleep(1000)
            finally:
                yield KillTask(victim, TERM)

    def sleeper():
        try:
            yield Sleep(1)
            seen.append("slept")
        except TaskKilled:
            seen.append("killed")
            yield Sleep(0.5)
            seen.append("cleaned up")

    def main():
        late = yield NewTask(stubborn(3))
        yield NewTask(sleeper())
        yield
        yield KillTask(late, TERM, grace=1)
        yield WaitTask()
        yield WaitTask()

    kernel.spawn(main())
    while kernel.step():
        kernel.audit()
    assert seen in (["killed", "cleaned up"], ["slept"])


def test_an_alarm_cancelled_by_another_that_is_due_with_it_is_counted_once(kernel):
    def stubborn(other):
        try:
            yield Sleep(1000)
        finally:
            try:
                yield Sleep(1000)
            finally:
                yield KillTask(other, KILL)

    def main():
        first = yield NewTask(stubborn(3))
        second = yield NewTask(stubborn(2))
        yield
        yield KillTask(first, TERM, grace=1)
        yield KillTask(second, TERM, grace=1)
        yield WaitTask()
        yield WaitTask()

    kernel.spawn(main())
    while kernel.step():
        kernel.audit()
    assert kernel.timers.dead == 0


# --- the clocks


def test_the_virtual_clock_jumps_to_the_next_deadline():
    clock = VirtualClock()

    def main():
        times = [(yield GetTime()), (yield GetTime(wall=True))]
        yield Sleep(1e6)
        return [*times, (yield GetTime()), (yield GetTime(wall=True))]

    assert run(main(), clock=clock) == [0.0, 1e9, 1e6, 1e9 + 1e6]


def test_the_virtual_clock_stands_still_while_tasks_are_ready():
    def main():
        yield NewTask(sleeping(5))
        for _ in range(1000):
            yield
            assert (yield GetTime()) == 0.0

    run(main(), clock=VirtualClock())


def test_the_virtual_clock_does_not_jump_over_io_that_has_come():
    left, right = socket.socketpair()
    with left, right:
        right.send(b"x")

        def main():
            yield NewTask(sleeping(1000))
            yield ReadWait(left)
            return (yield GetTime())

        assert run(main(), clock=VirtualClock()) == 0.0


def test_the_real_clock_never_goes_back():
    def main():
        times = []
        for _ in range(5):
            times.append((yield GetTime()))
            yield Sleep(0.001)
        return times

    times = run(main())
    assert times == sorted(times)
    assert all(b - a >= 0.001 for a, b in pairwise(times))
    assert RealClock().wall() > 1.7e9


def test_a_deadline_already_past_is_due_at_once():
    """A sleep so short that the clock cannot show it."""

    def main():
        yield Sleep(1e15)  # here a float cannot hold a microsecond
        before = yield GetTime()
        yield Sleep(1e-6)
        return (yield GetTime()) - before

    assert run(main(), clock=VirtualClock()) == 0.0


# --- for ever


def test_an_eternal_sleep_is_no_standstill(kernel):
    kernel.spawn(stay())
    while kernel.scheduler.runq:
        kernel.scheduler.step(kernel.stepwise)
    assert not kernel._at_standstill()
    kernel.audit()
    kernel.post(lambda: kernel.shut_down("enough"))
    assert kernel.run().signal is TERM
    assert kernel.timers.eternal == 0


def test_an_eternal_sleeper_that_is_killed_leaves_a_standstill_to_be_seen():
    def main():
        sleeper = yield NewTask(stay())
        yield NewTask(waits_for_init())
        yield
        yield KillTask(sleeper)
        yield WaitTask(sleeper)
        yield WaitTask()

    def waits_for_init():
        yield WaitTask(1)

    with pytest.raises(Deadlock, match="wait for any child"):
        run(main(), clock=VirtualClock())


@pytest.mark.parametrize("seconds", [-1, -0.001, math.nan, -math.inf])
def test_a_time_that_cannot_be_slept_is_a_value_error(seconds):
    with pytest.raises(ValueError, match="cannot sleep for"):
        run(sleeping(seconds), clock=VirtualClock())


@pytest.mark.parametrize("seconds", ["1", None, True, [], 1j])
def test_what_is_no_number_is_a_type_error(seconds):
    with pytest.raises(TypeError, match="seconds are a number"):
        run(sleeping(seconds), clock=VirtualClock())


def test_a_number_too_big_for_a_clock_is_an_error_of_the_task(kernel):
    def main():
        try:
            yield Sleep(10**400)
        except (OverflowError, ValueError) as error:
            return type(error)

    kernel.spawn(main())
    assert kernel.run().value in (OverflowError, ValueError)
    kernel.audit()


def test_a_sleep_of_nothing_lets_the_others_run():
    order = []

    def other():
        order.append("other")
        yield

    def main():
        yield NewTask(other())
        yield Sleep(0)
        order.append("main")

    run(main(), clock=VirtualClock())
    assert order == ["other", "main"]
