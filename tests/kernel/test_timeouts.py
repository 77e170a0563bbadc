"""Timeout: a deadline around a subroutine or a trap, nested, and in the company of signals."""

import contextlib
import math
import os
import traceback

import pytest

from pyos import (
    CONT,
    INT,
    KILL,
    STOP,
    TERM,
    BadTrap,
    Channel,
    Condition,
    Event,
    Exit,
    GetTid,
    GetTime,
    KillTask,
    Limits,
    Lock,
    NewTask,
    ReadWait,
    Receive,
    Semaphore,
    Send,
    Sleep,
    TaskKilled,
    Tasks,
    TaskTimeout,
    Timeout,
    WaitTask,
    run,
)
from pyos.kernel.clock import VirtualClock
from tests.conftest import drive
from tests.kernel.programs import fails, forever, outcome, sleeps, yields
from tests.kernel.waits import WAITS


def timed(target):
    """As a subroutine: what `yield target` gives or raises, and how long that took."""
    start = yield GetTime()
    result = yield outcome(target)
    return result, (yield GetTime()) - start


# --- in time


@pytest.mark.parametrize(
    ("target", "result"),
    [
        (GetTid, 1),
        (lambda: Sleep(0.5), None),
        (lambda: Sleep(1), None),  # due with the deadline, and set before it
        (lambda: Sleep(0), None),
        (lambda: yields(0, "nothing yielded"), "nothing yielded"),
        (lambda: sleeps(0.5, "slept"), "slept"),
        (lambda: WaitTask(99), None),
        (lambda: Timeout(2, sleeps(0.5, "nested")), "nested"),
        (lambda: Timeout(2, Timeout(3, GetTid())), 1),
        (lambda: Timeout(2, Timeout(3, Sleep(0.5))), None),
    ],
)
@pytest.mark.parametrize("seconds", [1, 1.0, math.inf])
def test_a_result_in_time_is_the_result(run, target, result, seconds):
    def main():
        value = yield Timeout(seconds, target())
        yield Sleep(5)  # no deadline is left to strike
        return value

    assert run(main()).value == result


def test_a_coroutine_is_a_target_too(run):
    async def work():
        await Sleep(0.5)
        return await Timeout(2, Receive())

    async def main():
        await Send(1, "to myself")
        return await Timeout(1, work())

    assert run(main()).value == (1, "to myself")


def test_an_error_of_the_target_is_raised_at_the_caller(run):
    error = ValueError("mine")

    def main():
        first = yield outcome(Timeout(1, fails(error)))
        second = yield outcome(Timeout(1, WaitTask(1)))
        yield Sleep(5)
        return first is error, type(second)

    assert run(main()).value == (True, ValueError)


def test_exit_ends_the_task_through_its_timeouts(run):
    def child():
        yield Timeout(1, Timeout(2, exits()))

    def exits():
        yield Sleep(0.1)
        yield Timeout(1, Exit("over"))

    def main():
        return (yield WaitTask((yield NewTask(child())))).value

    assert run(main()).value == "over"


@pytest.mark.parametrize(
    ("seconds", "error"),
    [(-1, ValueError), (math.nan, ValueError), ("1", TypeError), (None, TypeError), (True, TypeError)],
)
@pytest.mark.parametrize("nested", [False, True])
def test_a_bad_duration_is_refused_and_nothing_is_started(run, seconds, error, nested):
    def main():
        target = Timeout(1, Timeout(seconds, starts())) if nested else Timeout(seconds, starts())
        result = yield outcome(target)
        yield Sleep(3)
        return type(result)

    def starts():
        ran.append(True)
        yield

    ran = []
    assert run(main()).value is error
    assert ran == []


@pytest.mark.parametrize("target", [None, 42, "x", yields, GetTid, [], object()])
def test_a_target_that_is_neither_subroutine_nor_trap_is_refused(run, target):
    def main():
        return (yield outcome(Timeout(1, target)))

    error = run(main()).value
    assert type(error) is BadTrap
    assert "the target of a Timeout is a subroutine or a trap" in str(error)


def test_a_target_that_has_started_is_refused(run):
    def main():
        target = yields(3)
        next(target)
        error = yield outcome(Timeout(1, target))
        yield Sleep(3)
        target.close()
        return type(error)

    assert run(main()).value is BadTrap


def test_timeouts_that_contain_themselves_are_refused(run):
    def main():
        endless = Timeout(1, None)
        endless.target = endless
        error = yield outcome(endless)
        endless.target = None
        return type(error)

    assert run(main()).value is BadTrap


def test_a_timeout_may_be_yielded_again(run):
    def main():
        poll = Timeout(1, Receive())
        first = yield timed(poll)
        yield Send(1, "x")
        return type(first[0]), first[1], (yield poll)

    assert run(main()).value == (TaskTimeout, 1.0, (1, "x"))


# --- out of time


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS.keys())
def test_the_deadline_ends_a_subroutine_at_once_whatever_it_waits_for(run, wait):
    def main():
        error, took = yield timed(Timeout(1, wait()))
        yield Sleep(5)
        return type(error), took

    assert run(main(), limits=Limits(max_mailbox=1)).value == (TaskTimeout, 1.0)


@pytest.mark.parametrize(
    "trap",
    [
        lambda: Sleep(5),
        Receive,
        lambda: Channel().get(),
        lambda: Channel().put(1),
        lambda: Event().wait(),
        lambda: Semaphore(0).acquire(),
        lambda: WaitTask(2),
        lambda: Timeout(3, Sleep(5)),
        lambda: Timeout(3, Timeout(4, Receive())),
    ],
)
@pytest.mark.parametrize("seconds", [0, 1])
def test_the_deadline_ends_a_traps_wait_and_the_error_carries_the_timeout(run, trap, seconds):
    def main():
        yield NewTask(forever())
        timeout = Timeout(seconds, trap())
        error, took = yield timed(timeout)
        yield Sleep(9)
        return type(error), took, error.timeout is timeout, str(error)

    assert run(main()).value == (TaskTimeout, float(seconds), True, f"not done within {seconds} s")


def test_a_timeout_whose_seconds_were_changed_meanwhile_says_what_it_was_set_to(run):
    trap = Timeout(2, Sleep(50))

    def meddler():
        yield Sleep(1)
        trap.seconds = "soon"

    def main():
        yield NewTask(meddler())
        return str((yield outcome(trap)))

    assert run(main()).value == "not done within 2 s"


def test_task_timeout_is_a_timeout_error_that_except_exception_catches(run):
    def main():
        try:
            yield Timeout(1, Sleep(5))
        except TimeoutError as error:
            return isinstance(error, Exception)

    assert run(main()).value is True


def test_the_targets_finally_blocks_run_before_the_caller_sees_the_error(run):
    events = []

    def frame(n):
        try:
            yield (frame(n - 1) if n else Sleep(50))
        finally:
            yield Sleep(0.1)
            events.append(n)

    def main():
        error = yield outcome(Timeout(1, frame(3)))
        events.append(type(error))
        return (yield GetTime())

    assert run(main()).value == pytest.approx(1.4)
    assert events == [0, 1, 2, 3, TaskTimeout]


def test_a_target_that_catches_the_error_and_returns_gives_its_value(run):
    def target():
        try:
            yield Sleep(50)
        except TaskTimeout:
            yield Sleep(0.5)
            return "caught"

    def main():
        value = yield Timeout(1, target())
        yield Sleep(5)
        return value

    assert run(main()).value == "caught"


def test_a_target_that_turns_the_error_into_another_raises_that(run):
    def target():
        try:
            yield Sleep(50)
        except TaskTimeout:
            raise KeyError("mine") from None

    def main():
        return type((yield outcome(Timeout(1, target()))))

    assert run(main()).value is KeyError


@pytest.mark.parametrize("inside", ["nothing", "timeout", "timeouts", "timeout of a timeout", "a call"])
def test_a_target_that_still_runs_a_second_later_is_closed_with_all_its_frames(run, log, inside):
    events = []

    def stubborn(name):
        try:
            while True:
                with contextlib.suppress(TaskTimeout):
                    yield Sleep(50)
        finally:
            events.append(name)

    def caller(target):
        try:
            yield target
        finally:
            events.append("caller")

    targets = {
        "nothing": lambda: stubborn("innermost"),
        "timeout": lambda: caller(Timeout(20, stubborn("innermost"))),
        "timeouts": lambda: caller(Timeout(20, caller(Timeout(30, stubborn("innermost"))))),
        "timeout of a timeout": lambda: Timeout(20, Timeout(30, stubborn("innermost"))),
        "a call": lambda: caller(stubborn("innermost")),
    }

    def main():
        error, took = yield timed(Timeout(1, targets[inside]()))
        events.append(type(error))
        yield Sleep(99)
        return took

    assert run(main()).value == 2.0
    callers = {"timeout": 1, "timeouts": 2, "a call": 1}.get(inside, 0)
    assert events == ["innermost", *["caller"] * callers, TaskTimeout]
    assert len(log) == 1
    assert log[0].startswith("task 1 (main) at ")
    assert "did not end within 1 s of its deadline: closed" in log[0]
    assert "stubborn" in log[0]


@pytest.mark.parametrize("way", ["run", "step"])
def test_a_target_that_never_waits_is_closed_and_its_task_is_ready_once(make_kernel, log, way):
    clock = VirtualClock()
    kernel = make_kernel(clock=clock)
    closed = []

    def spins():
        try:
            while True:
                with contextlib.suppress(TaskTimeout):
                    while True:
                        clock.time += 0.01  # it takes its time, as nobody waits
                        yield
        finally:
            closed.append("spins")

    def main():
        result, took = yield timed(Timeout(1, spins()))
        yield
        entries = sum(task.tid == 1 for task in kernel.scheduler.runq)
        return type(result), 2 <= took < 4, entries

    kernel.spawn(main())
    if way == "run":
        kernel.run()
    else:
        drive(kernel)
    assert kernel.init_status.value == (TaskTimeout, True, 0)
    assert closed == ["spins"]
    assert len(log) == 1


@pytest.mark.parametrize(
    "block",
    [
        lambda tid: None,
        lambda tid: Sleep(0),
        lambda tid: Sleep(1),
        lambda tid: Receive(),
        lambda tid: KillTask(tid, STOP),
        lambda tid: Timeout(1, Receive()),
    ],
)
def test_clean_up_of_a_closed_target_that_would_block_is_abandoned(run, log, block):
    after = []

    def stubborn():
        try:
            while True:
                with contextlib.suppress(TaskTimeout):
                    yield Sleep(50)
        finally:
            yield block((yield GetTid()))
            after.append(True)

    def main():
        error = yield outcome(Timeout(1, stubborn()))
        yield Sleep(10)
        return type(error), (yield GetTime())

    assert run(main()).value == (TaskTimeout, 12.0)
    assert after == []
    assert len(log) == 2
    assert "cannot be answered at once: the frame is abandoned" in log[1]


def test_signals_on_their_way_to_a_task_survive_the_closing_of_its_target(make_kernel, log):
    """The task has been granted an item and sent two signals when a target that does not listen is closed."""
    seen = []

    def stubborn(channel):
        try:
            while True:
                with contextlib.suppress(TaskTimeout):
                    yield channel.get()
        finally:
            yield Channel().get()  # would block, and must not be taken for where the signals are raised

    def child(channel):
        for target in (Timeout(1, stubborn(channel)), Sleep(50), Sleep(50)):
            try:
                yield target
            except (TaskTimeout, TaskKilled) as error:
                seen.append(getattr(error, "reason", "timeout"))
        return (yield GetTime())

    def main(kernel):
        channel = Channel()
        tid = yield NewTask(child(channel))
        yield Sleep(1.9)
        done = []
        for _ in range(100):  # so many that the child does not run again in this turn
            yield NewTask(busy(done))
        yield
        yield channel.put("item")
        for reason in ("one", "two"):
            yield KillTask(tid, INT, reason=reason)
        kernel.clock.time = 2.0
        yield
        done.append(True)
        got = yield Timeout(1, channel.get())  # it was given back
        return got, (yield WaitTask(tid)).value

    def busy(done):
        while not done:
            yield

    kernel = make_kernel()
    kernel.spawn(main(kernel))
    assert kernel.run().value == ("item", 2.0)
    assert seen == ["timeout", "one", "two"]
    assert len(log) == 2


@pytest.mark.parametrize("signal", [KILL, TERM, INT])
def test_clean_up_of_a_closed_target_may_kill_its_own_task(run, signal):
    events = []

    def stubborn():
        try:
            while True:
                with contextlib.suppress(TaskTimeout):
                    yield Sleep(50)
        finally:
            events.append("closing")
            yield KillTask((yield GetTid()), signal)

    def child():
        try:
            yield Timeout(1, stubborn())
        finally:
            events.append("closed")

    def main():
        tid = yield NewTask(child())
        status = yield WaitTask(tid)
        return status.signal, type(status.error), (yield GetTime())

    value = run(main()).value
    assert events == ["closing", "closed"]
    assert value == ((KILL, type(None), 2.0) if signal is KILL else (None, TaskTimeout, 2.0))


def test_a_closed_target_gives_back_what_it_was_granted(run):
    def stubborn(permits):
        while True:
            with contextlib.suppress(TaskTimeout):
                yield permits.acquire()

    def main():
        permits = Semaphore(0)
        tid = yield NewTask(outcome(Timeout(1, stubborn(permits))))
        yield Sleep(1.5)
        yield KillTask(tid, STOP)
        yield permits.release()
        yield Sleep(2)
        yield KillTask(tid, CONT)
        yield WaitTask(tid)
        return (yield outcome(Timeout(1, permits.acquire())))

    result = run(main()).value
    assert result is None or type(result) is TaskTimeout  # taken by the target, or given back: never two permits


def test_a_target_that_was_never_started_is_closed(run):
    """Its deadline, and the second after it, pass while another task keeps the machine."""

    def main():
        tid = yield NewTask(outcome(Timeout(1, yields(1))))
        yield KillTask(tid, STOP)
        yield Sleep(5)
        yield KillTask(tid, CONT)
        return (yield WaitTask(tid)).value

    assert run(main()).value is None


# --- nested


@pytest.mark.parametrize(
    ("outer", "inner", "whose", "when"),
    [
        (1, 2, "outer", 1.0),
        (2, 1, "inner", 1.0),
        (1, 1, "outer", 1.0),
        (0, 0, "outer", 0.0),
        (math.inf, 1, "inner", 1.0),
    ],
)
@pytest.mark.parametrize("direct", [False, True], ids=["subroutine", "trap of a trap"])
@pytest.mark.parametrize("target", [lambda: Sleep(50), lambda: sleeps(50)], ids=["trap", "subroutine"])
def test_of_nested_timeouts_the_one_that_passes_first_is_raised(run, outer, inner, whose, when, direct, target):
    def main():
        inner_trap = Timeout(inner, target())
        outer_trap = Timeout(outer, inner_trap if direct else passes_on(inner_trap))
        error, took = yield timed(outer_trap)
        yield Sleep(99)
        return "outer" if error.timeout is outer_trap else "inner" if error.timeout is inner_trap else None, took

    def passes_on(trap):
        return (yield trap)

    assert run(main()).value == (whose, when)


def test_catching_another_timeouts_error_and_returning_does_not_stop_it(run):
    events = []

    def innermost():
        try:
            yield Sleep(50)
        except TaskTimeout as error:
            events.append(error.timeout.seconds)
            return "caught"

    def middle():
        try:
            events.append((yield Timeout(20, innermost())))
        except TaskTimeout as error:
            events.append(error.timeout.seconds)
            raise

    def main():
        error, took = yield timed(Timeout(1, middle()))
        yield Sleep(99)
        return error.timeout.seconds, took

    assert run(main()).value == (1, 1.0)
    assert events == [1, 1]


def test_the_outer_target_may_catch_its_own_error_though_an_inner_one_had_it_first(run):
    def innermost():
        with contextlib.suppress(TaskTimeout):
            yield Sleep(50)
        return "inner value"

    def middle():
        try:
            return (yield Timeout(20, innermost()))
        except TaskTimeout:
            return "outer value"

    def main():
        return (yield Timeout(1, middle()))

    assert run(main()).value == "outer value"


def test_the_inner_timeout_strikes_while_the_outer_one_is_being_cleaned_up_after(run):
    events = []

    def innermost():
        try:
            yield Sleep(50)
        finally:
            try:
                yield Sleep(50)
            except TaskTimeout as error:
                events.append(error.timeout.seconds)

    def main():
        error, took = yield timed(Timeout(1, Timeout(1.5, innermost())))
        yield Sleep(99)
        return error.timeout.seconds, took

    assert run(main()).value == (1, 1.5)
    assert events == [1.5]


def test_an_inner_timeout_that_was_cleaned_up_after_for_too_long_is_the_outer_ones_in_the_end(run):
    """The clean-up after the inner error swallows the outer one; it is raised all the same."""
    seen = []

    def innermost():
        try:
            yield Sleep(50)
        finally:
            with contextlib.suppress(TaskTimeout):
                yield Sleep(50)

    def middle():
        try:
            yield Timeout(1, innermost())
        except TaskTimeout as error:
            seen.append(error.timeout.seconds)
            raise

    def main():
        error, took = yield timed(Timeout(1.5, middle()))
        yield Sleep(99)
        return error.timeout.seconds, took

    assert run(main()).value == (1.5, 1.5)
    assert seen == [1.5]


def test_a_hundred_timeouts_deep(run):
    def deep(n):
        if n == 0:
            yield Sleep(50)
        return (yield Timeout(100 + n, deep(n - 1)))

    def main():
        error, took = yield timed(Timeout(1, deep(100)))
        return error.timeout.seconds, took

    assert run(main()).value == (1, 1.0)


# --- a result in the same round as the deadline


def test_a_death_in_the_same_round_as_the_deadline_is_told(run):
    """The end of a grace and the deadline are due at once, and the grace was set first."""

    def stubborn():
        while True:
            with contextlib.suppress(TaskKilled):
                yield Sleep(50)

    def main():
        tid = yield NewTask(stubborn())
        yield
        yield KillTask(tid, grace=1.0)
        return (yield Timeout(1.0, WaitTask(tid))).signal, (yield GetTime())

    assert run(main()).value == (KILL, 1.0)


def test_data_in_the_same_round_as_the_deadline_counts(make_kernel):
    def main(kernel, reader, writer):
        tid = yield NewTask(outcome(Timeout(1, ReadWait(reader))))
        yield
        yield
        os.write(writer, b"x")
        kernel.clock.time = 1.0
        return (yield WaitTask(tid)).value

    reader, writer = os.pipe()
    try:
        kernel = make_kernel()
        kernel.spawn(main(kernel, reader, writer))
        assert kernel.run().value is None
    finally:
        os.close(reader)
        os.close(writer)


def puts_at(seconds, channel):
    yield Sleep(seconds)
    yield channel.put("item")


@pytest.mark.parametrize("sub", [False, True], ids=["trap", "subroutine"])
def test_an_item_that_missed_the_deadline_is_there_for_the_next(run, sub):
    def main():
        channel = Channel()
        target = outcome_of(channel.get()) if sub else channel.get()
        tid = yield NewTask(outcome(Timeout(1, target)))
        yield Sleep(0.5)
        yield NewTask(puts_at(0.5, channel))  # wakes after the deadline, as it was set later
        got = yield Timeout(5, channel.get())
        return type((yield WaitTask(tid)).value), got

    def outcome_of(trap):
        return (yield trap)

    assert run(main()).value == (TaskTimeout, "item")


@pytest.mark.parametrize("depth", [0, 1, 50])
def test_a_value_on_its_way_through_callers_when_the_deadline_passes_is_delivered(run, depth):
    """The target has its answer and the rest of its way takes no time: the value counts."""

    def gets(channel, n):
        return (yield (gets(channel, n - 1) if n else channel.get()))

    def main():
        channel = Channel()
        tid = yield NewTask(outcome(Timeout(1, gets(channel, depth))))
        yield KillTask(tid, CONT)
        yield Sleep(0.9)
        yield KillTask(tid, STOP)
        yield channel.put("item")
        yield Sleep(0.5)
        yield KillTask(tid, CONT)
        return (yield WaitTask(tid)).value

    assert run(main()).value == "item"


def test_a_target_that_goes_on_with_its_answer_past_the_deadline_gets_the_error_where_it_would_block(run):
    events = []

    def target(channel):
        events.append((yield channel.get()))
        events.append((yield GetTid()))
        yield Sleep(50)

    def main():
        channel = Channel()
        tid = yield NewTask(outcome(Timeout(1, target(channel))))
        yield Sleep(0.5)
        yield KillTask(tid, STOP)
        yield channel.put("item")
        yield Sleep(1)
        yield KillTask(tid, CONT)
        return type((yield WaitTask(tid)).value)

    assert run(main()).value is TaskTimeout
    assert events == ["item", 2]


# --- with signals


@pytest.mark.parametrize("signal", [INT, TERM, KILL])
@pytest.mark.parametrize("target", [lambda: Sleep(50), lambda: sleeps(50), lambda: Timeout(9, sleeps(50))])
def test_a_signal_goes_through_a_timeout(run, signal, target):
    def main():
        tid = yield NewTask(outcome(Timeout(5, target())))
        yield Sleep(1)
        yield KillTask(tid, signal)
        status = yield WaitTask(tid)
        yield Sleep(99)
        return status.signal

    assert run(main()).value is signal


def test_a_signal_survived_inside_leaves_the_deadline_in_force(run):
    def target():
        with contextlib.suppress(TaskKilled):
            yield Sleep(50)
        yield Sleep(50)

    def main():
        tid = yield NewTask(timed(Timeout(5, target())))
        yield Sleep(1)
        yield KillTask(tid, INT)
        error, took = (yield WaitTask(tid)).value
        return type(error), took

    assert run(main()).value == (TaskTimeout, 5.0)


@pytest.mark.parametrize("first", ["signal", "deadline"])
@pytest.mark.parametrize("signal", [INT, TERM])
def test_a_signal_and_the_deadline_at_the_same_moment_are_both_seen(run, signal, first):
    seen = []

    def target():
        for _ in range(3):
            try:
                yield Sleep(50)
            except (TaskKilled, TaskTimeout) as error:
                seen.append(type(error))
        return "survived"

    def main():
        if first == "signal":
            killer = yield NewTask(kills_at(1, 3))
            assert killer == 2
        tid = yield NewTask(outcome(Timeout(1, target())))
        if first == "deadline":
            yield NewTask(kills_at(1, tid))
        yield WaitTask(tid)

    def kills_at(seconds, tid):
        yield Sleep(seconds)
        yield KillTask(tid, signal)

    run(main())
    assert set(seen) == {TaskKilled, TaskTimeout}


def test_a_killed_task_leaves_no_deadline(make_kernel):
    def main():
        tids = []
        for _ in range(10):
            tids.append((yield NewTask(outcome(Timeout(5, Timeout(6, sleeps(50)))))))
        yield Sleep(1)
        for tid in tids:
            yield KillTask(tid, KILL)

    kernel = make_kernel()
    kernel.spawn(main())
    kernel.run()
    assert kernel.clock.now() == 1.0
    assert kernel.timers.next_deadline() is None or kernel.shutting_down is not None


@pytest.mark.parametrize("when", ["before the deadline", "after the deadline"])
def test_a_stopped_task_gets_its_timeout_when_it_goes_on(run, when):
    def main():
        tid = yield NewTask(timed(Timeout(2, sleeps(50))))
        yield Sleep(1)
        yield KillTask(tid, STOP)
        yield Sleep(0.5 if when == "before the deadline" else 9)
        yield KillTask(tid, CONT)
        error, took = (yield WaitTask(tid)).value
        return type(error), took

    assert run(main()).value == (TaskTimeout, 2.0 if when == "before the deadline" else 10.0)


def test_a_stopped_task_that_has_timed_out_takes_nothing_from_the_queue(run):
    def main():
        channel = Channel()
        tid = yield NewTask(outcome(Timeout(1, channel.get())))
        yield Sleep(0.5)
        yield KillTask(tid, STOP)
        yield Sleep(1)
        putter = yield NewTask(outcome(Timeout(1, channel.put("item"))))
        put = type((yield WaitTask(putter)).value)
        yield KillTask(tid, CONT)
        return put, type((yield WaitTask(tid)).value)

    assert run(main()).value == (TaskTimeout, TaskTimeout)


def test_a_timeout_that_a_held_back_signal_interrupts_leaves_no_deadline(run):
    """The trap would block: the signal is raised instead, and none of the Timeouts is in force."""

    def child(channel):
        yield channel.get()
        with contextlib.suppress(TaskKilled):
            yield Timeout(3, Timeout(2, channel.get()))
        start = yield GetTime()
        yield Sleep(9)
        return (yield GetTime()) - start

    def main():
        channel = Channel()
        tid = yield NewTask(child(channel))
        yield
        yield channel.put(1)
        yield KillTask(tid, INT)
        return (yield WaitTask(tid))

    assert run(main()).value.value == 9.0


def test_two_held_back_signals_and_a_timeout(run):
    seen = []

    def child(channel):
        yield channel.get()
        for _ in range(3):
            try:
                yield Timeout(2, Timeout(3, channel.get()))
            except (TaskKilled, TaskTimeout) as error:
                seen.append(type(error).__name__)
        return (yield GetTime())

    def main():
        channel = Channel()
        tid = yield NewTask(child(channel))
        yield
        yield channel.put(1)
        yield KillTask(tid, INT)
        yield KillTask(tid, INT)
        return (yield WaitTask(tid)).value

    assert run(main()).value == 2.0
    assert seen == ["TaskKilled", "TaskKilled", "TaskTimeout"]


# --- around a condition, which has to take its lock again


def test_a_timed_out_wait_for_a_condition_has_the_lock_again(run):
    events = []

    def waiter(lock, condition):
        yield lock.acquire()
        try:
            yield Timeout(1, condition.wait())
        except TaskTimeout:
            events.append(("timed out", (yield GetTime())))
        yield lock.release()

    def main():
        lock = Lock()
        condition = Condition(lock)
        tid = yield NewTask(waiter(lock, condition))
        yield Sleep(0.5)
        yield lock.acquire()
        yield Sleep(2)
        notified = yield condition.notify()
        yield lock.release()
        yield WaitTask(tid)
        return notified

    assert run(main()).value == 0
    assert events == [("timed out", 2.5)]


# --- what is seen


def test_the_traceback_of_a_timeout_shows_the_userland_chain_alone(run):
    def inner():
        yield Sleep(50)

    def outer():
        yield inner()

    def main():
        try:
            yield Timeout(1, outer())
        except TaskTimeout as error:
            return [frame.name for frame in traceback.extract_tb(error.__traceback__)]

    assert run(main()).value == ["main", "outer", "inner"]


def test_the_stack_of_a_task_in_a_timeout_shows_its_own_frames_alone(run):
    def inner():
        yield Timeout(9, Timeout(8, Sleep(50)))

    def main():
        yield NewTask(outcome(Timeout(5, Timeout(6, inner()))))
        yield Sleep(1)
        info = (yield Tasks())[1]
        return [line.rsplit(".", 1)[-1].rsplit(" ", 1)[-1] for line in info.stack], info.waiting_on

    assert run(main()).value == (["outcome", "inner"], "sleep 49s")


def test_on_the_real_clock():
    def main():
        start = yield GetTime()
        error = yield outcome(Timeout(0.01, forever()))
        return type(error), (yield GetTime()) - start

    kind, took = run(main())
    assert kind is TaskTimeout
    assert 0.01 <= took < 5
