"""Signals, wherever they hit: INT, TERM, KILL, STOP and CONT."""

import contextlib
import gc
import math
import sys

import pytest

from pyos import (
    CONT,
    INT,
    KILL,
    STOP,
    TERM,
    BadTrap,
    Channel,
    Exit,
    GetTid,
    GetTime,
    KillTask,
    Limits,
    Lock,
    NewTask,
    Receive,
    Semaphore,
    Send,
    Sleep,
    TaskKilled,
    Tasks,
    Timeout,
    WaitTask,
)
from pyos.kernel.trampoline import PATIENCE
from tests.kernel.programs import fails, forever, outcome, sleeps, yields
from tests.kernel.waits import WAITS

every_wait = pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS.keys())
BOUNDED = Limits(max_mailbox=1)


def state_of(tid):
    """As a subroutine: the state of a task."""
    return next((info.state for info in (yield Tasks()) if info.tid == tid), "gone")


# --- whatever the target waits for


@every_wait
@pytest.mark.parametrize("signal", [INT, TERM, KILL])
def test_a_signal_ends_a_task_at_once_whatever_it_waits_for(run, wait, signal):
    def main():
        tid = yield NewTask(wait())
        yield Sleep(1)
        yield KillTask(tid, signal)
        status = yield WaitTask(tid)
        return status.signal, (yield GetTime())

    assert run(main(), limits=BOUNDED).value == (signal, 1.0)


@every_wait
def test_int_may_be_survived_whatever_it_interrupted(run, wait):
    def child():
        try:
            yield wait()
        except TaskKilled as killed:
            yield Sleep(1)
            return killed.signal, killed.sender, killed.reason

    def main():
        tid = yield NewTask(child())
        yield Sleep(1)
        yield KillTask(tid, INT, reason="look up")
        status = yield WaitTask(tid)
        return status.value, status.signal, (yield GetTime())

    assert run(main(), limits=BOUNDED).value == ((INT, 1, "look up"), None, 2.0)


@every_wait
def test_a_stopped_task_can_be_killed_whatever_it_waits_for(run, wait):
    def main():
        tid = yield NewTask(wait())
        yield Sleep(1)
        yield KillTask(tid, STOP)
        yield KillTask(tid, KILL)
        return (yield WaitTask(tid)).signal, (yield GetTime())

    assert run(main(), limits=BOUNDED).value == (KILL, 1.0)


@every_wait
def test_term_ends_a_stopped_task_whatever_it_waits_for(run, wait):
    def main():
        tid = yield NewTask(wait())
        yield Sleep(1)
        yield KillTask(tid, STOP)
        yield Sleep(1)
        yield KillTask(tid, TERM)
        return (yield WaitTask(tid)).signal, (yield GetTime())

    assert run(main(), limits=BOUNDED).value == (TERM, 2.0)


@pytest.mark.parametrize("signal", [INT, TERM, KILL])
def test_frames_are_closed_innermost_first_each_once(run, signal):
    closed = []

    def frame(n):
        try:
            if n % 3 == 0:
                yield Sleep(50) if n == 0 else frame(n - 1)
            elif n % 3 == 1:
                yield from frame(n - 1)
            else:
                yield coroutine(n - 1)
        finally:
            closed.append(n)

    async def coroutine(n):
        try:
            await Timeout(90, frame(n))
        finally:
            closed.append(f"coroutine {n}")

    def main():
        tid = yield NewTask(frame(8))
        yield Sleep(1)
        yield KillTask(tid, signal)
        return (yield WaitTask(tid)).signal

    assert run(main()).value is signal
    assert closed == [0, 1, "coroutine 1", 2, 3, 4, "coroutine 4", 5, 6, 7, "coroutine 7", 8]


@pytest.mark.parametrize("signal", [INT, TERM, STOP, CONT, KILL])
def test_a_task_that_never_started_is_just_closed_or_stopped(run, signal):
    def child():
        ran.append(True)
        yield

    ran = []

    def main():
        tid = yield NewTask(child())
        answer = yield KillTask(tid, signal)
        yield Sleep(1)
        state = yield state_of(tid)
        yield KillTask(tid, KILL)
        return answer, state, (yield WaitTask(tid)).signal

    answer, state, ended_by = run(main()).value
    assert answer is True
    assert (state, ended_by, ran) == {
        STOP: ("stopped", KILL, []),
        CONT: ("zombie", None, [True]),
    }.get(signal, ("zombie", signal, []))


@pytest.mark.parametrize("signal", [INT, TERM, KILL, STOP, CONT])
@pytest.mark.parametrize("tid", [0, -1, 99, 2])
def test_the_dead_and_the_unknown_get_no_signal(run, signal, tid):
    def main():
        yield NewTask(yields(0))
        yield Sleep(1)
        return (yield KillTask(tid, signal))

    assert run(main()).value is False


# --- INT


def test_int_is_raised_each_time(run):
    def child():
        seen = 0
        while seen < 3:
            try:
                yield Sleep(50)
            except TaskKilled:
                seen += 1
        return seen

    def main():
        tid = yield NewTask(child())
        for _ in range(3):
            yield Sleep(1)
            yield KillTask(tid, INT)
        return (yield WaitTask(tid)).value

    assert run(main()).value == 3


def test_two_ints_at_once_are_both_raised(run):
    def child():
        seen = []
        for _ in range(3):
            try:
                yield Sleep(5)
            except TaskKilled as killed:
                seen.append(killed.reason)
        return seen

    def main():
        tid = yield NewTask(child())
        yield Sleep(1)
        yield KillTask(tid, INT, reason="one")
        yield KillTask(tid, INT, reason="two")
        return (yield WaitTask(tid)).value

    assert run(main()).value == ["one", "two"]


def test_int_and_term_at_once_are_both_raised_though_the_first_is_caught_by_a_subroutine_that_returns(run):
    seen = []

    def sub(item):
        try:
            yield
        except TaskKilled as killed:
            seen.append(killed.signal)

    def child(channel):
        item = yield channel.get()
        yield sub(item)
        try:
            yield Sleep(5)
        except TaskKilled as killed:
            seen.append(killed.signal)
            raise

    def main():
        channel = Channel()
        tid = yield NewTask(child(channel))
        yield
        yield channel.put("item")
        yield KillTask(tid, INT)
        yield KillTask(tid, TERM)
        return (yield WaitTask(tid)).signal

    assert run(main()).value is TERM
    assert seen == [INT, TERM]


def test_int_does_not_start_a_grace_period(run):
    def child():
        with contextlib.suppress(TaskKilled):
            yield Sleep(50)
        yield Sleep(50)
        return "lived"

    def main():
        tid = yield NewTask(child())
        yield
        yield KillTask(tid, INT, grace=1.0)
        return (yield WaitTask(tid)).value

    assert run(main()).value == "lived"


def test_a_dying_task_gets_no_int(run):
    def child():
        try:
            yield Sleep(50)
        finally:
            yield Sleep(0.5)
            cleaned.append(True)

    cleaned = []

    def main():
        tid = yield NewTask(child())
        yield
        yield KillTask(tid)
        yield Sleep(0.1)
        return (yield KillTask(tid, INT)), (yield WaitTask(tid)).signal

    assert run(main()).value == (True, TERM)
    assert cleaned == [True]


@pytest.mark.parametrize("signal", [INT, TERM])
def test_a_task_may_signal_itself_and_catch_it_there(run, signal):
    def main():
        try:
            yield KillTask((yield GetTid()), signal, reason="me")
        except TaskKilled as killed:
            return killed.signal, killed.sender, killed.reason

    assert run(main()).value == (signal, 1, "me")


def test_killing_oneself_runs_no_further_line(run):
    def child():
        yield KillTask((yield GetTid()), KILL)
        ran.append(True)

    ran = []

    def main():
        tid = yield NewTask(child())
        return (yield WaitTask(tid)).signal

    assert run(main()).value is KILL
    assert ran == []


# --- TERM


def test_who_is_killed_at_the_end_of_its_grace_was_killed_by_the_sender_of_term(run, log):
    """So a parent that ends a linked child which does not listen is not told of a failure."""

    def stubborn():
        while True:
            with contextlib.suppress(TaskKilled):
                yield Sleep(50)

    def main():
        tid = yield NewTask(stubborn(), linked=True)
        yield
        yield KillTask(tid, grace=2)
        return (yield WaitTask(tid)).signal, (yield GetTime())

    assert run(main()).value == (KILL, 2.0)
    assert len(log) == 1
    assert log[0].startswith("task 2 (stubborn) at ")
    assert "did not end within 2 s of TERM: KILL" in log[0]


def busy():
    while True:
        yield


@pytest.mark.parametrize("holds", ["nothing", "an answer"])
@pytest.mark.parametrize("others", [0, 200])
def test_term_is_raised_once_before_kill_however_short_the_grace(run, holds, others):
    """Also in a task that is behind many others in the run queue, or has an answer to be used first."""
    events = []

    def victim(child):
        try:
            yield WaitTask(child)
            events.append("answer")
            yield Sleep(50)
        except TaskKilled as killed:
            events.append(killed.signal)
            while True:
                yield Sleep(50)

    def child(box):
        yield Sleep(0)
        for _ in range(others):
            yield NewTask(busy())
        if holds == "nothing":
            yield KillTask(box[0], grace=0)
            yield Sleep(50)
        yield NewTask(killer(box))

    def killer(box):
        yield KillTask(box[0], grace=0)

    def main():
        box = []
        tid = yield NewTask(child(box))
        box.append((yield NewTask(victim(tid))))
        yield Sleep(0)
        status = yield WaitTask(box[0])
        for info in (yield Tasks()):
            if info.tid != 1:
                yield KillTask(info.tid, KILL)
        return status.signal, (yield GetTime())

    assert run(main()).value == (KILL, 0.0)
    assert events == (["answer", TERM] if holds == "an answer" else [TERM])


def test_kill_does_not_wait_for_term_to_be_raised_in_a_stopped_task(run):
    def main():
        tid = yield NewTask(forever())
        yield
        yield KillTask(tid, grace=0)
        yield KillTask(tid, STOP)
        return (yield WaitTask(tid)).signal

    assert run(main()).value is KILL


def test_a_dying_task_keeps_its_first_reason_and_its_first_grace(run):
    reasons = []

    def child():
        try:
            yield Sleep(50)
        except TaskKilled as killed:
            reasons.append(killed.reason)
            yield Sleep(50)

    def main():
        tid = yield NewTask(child())
        yield
        yield KillTask(tid, reason="first", grace=1)
        yield Sleep(0.5)
        yield KillTask(tid, reason="second", grace=9)
        yield WaitTask(tid)
        return (yield GetTime())

    assert run(main()).value == 1.0
    assert reasons == ["first"]


# --- a task that already holds an answer


@pytest.mark.parametrize("signal", [INT, TERM])
@pytest.mark.parametrize("stopped", [False, True], ids=["ready", "stopped before"])
def test_a_grant_in_the_same_round_as_a_signal_is_delivered_and_cleaned_up(run, signal, stopped):
    events = []

    def child(lock, channel):
        yield lock.acquire()
        try:
            events.append("acquired")
            yield GetTid()
            item = yield channel.get()  # answered at once
            events.append(item)
            yield Sleep(50)
        except TaskKilled as killed:
            events.append(killed.signal)
        finally:
            yield lock.release()
            yield Sleep(0.5)
            events.append("released")

    def main():
        lock, channel = Lock(), Channel(1)
        yield lock.acquire()
        tid = yield NewTask(child(lock, channel))
        yield channel.put("item")
        yield
        if stopped:
            yield KillTask(tid, STOP)
        yield lock.release()
        yield KillTask(tid, signal)
        if stopped:
            yield KillTask(tid, CONT)
        yield lock.acquire()
        yield WaitTask(tid)
        return (yield GetTime())

    assert run(main()).value == 0.5
    assert events == ["acquired", "item", signal, "released"]


@pytest.mark.parametrize("order", [[STOP, INT, CONT], [STOP, CONT, INT], [INT, STOP, CONT], [STOP, CONT, STOP, TERM]])
@pytest.mark.parametrize("park", [False, True], ids=["at once", "parked"])
def test_no_order_of_stop_and_signal_loses_a_grant(run, order, park):
    def child(channel):
        item = yield channel.get()
        try:
            yield Sleep(50)
        except TaskKilled:
            return item

    def main():
        channel = Channel()
        tid = yield NewTask(child(channel))
        yield Sleep(1)
        yield channel.put("item")
        for signal in order:
            yield KillTask(tid, signal)
            if park:
                yield Sleep(0.1)
        return (yield WaitTask(tid)).value

    assert run(main()).value == "item"


def test_a_signal_held_back_is_raised_at_the_first_bare_yield(run):
    def child(channel):
        yield channel.get()
        for _ in range(5):
            yield GetTid()
        try:
            yield
        except TaskKilled:
            return "at the bare yield"
        yield Sleep(5)

    assert run(granted_and_terminated(child)).value == "at the bare yield"


def test_a_signal_held_back_is_raised_at_the_first_trap_that_would_block_which_leaves_no_trace(run):
    def child(channel):
        yield channel.get()
        try:
            yield channel.get()
        except TaskKilled:
            return [info.state for info in (yield Tasks())]

    def main():
        channel = Channel()
        value = yield from granted_and_terminated(child, channel)
        putter = yield NewTask(outcome(Timeout(1, channel.put("nobody is here to get it"))))
        return value, type((yield WaitTask(putter)).value).__name__

    assert run(main()).value == (["blocked", "running"], "TaskTimeout")


def test_a_signal_held_back_does_not_wait_for_ever(run):
    def child(channel):
        yield channel.get()
        n = 0
        try:
            while True:
                yield helper()
                n += 1
        except TaskKilled:
            return n

    def helper():
        yield GetTid()

    assert 0 < run(granted_and_terminated(child)).value <= PATIENCE


@pytest.mark.parametrize("last", ["generator", "coroutine"])
def test_patience_with_a_task_that_only_calls_ends_too(run, last):
    def child(channel):
        yield channel.get()
        try:
            while True:
                yield nothing() if last == "generator" else nothing_async()
        except TaskKilled:
            return "ended"

    def nothing():
        return
        yield

    async def nothing_async():
        pass

    assert run(granted_and_terminated(child)).value == "ended"


def test_a_timeout_begun_by_clean_up_is_carried_out_before_the_signal_is_raised(run):
    events = []

    def child(channel):
        yield channel.get()
        yield Timeout(1, cleans())
        events.append("cleaned")
        try:
            yield Timeout(1, Sleep(5))
        except TaskKilled:
            return (yield GetTime())

    def cleans():
        yield GetTid()
        events.append("cleaning")
        return

    assert run(granted_and_terminated(child)).value == 0.0
    assert events == ["cleaning", "cleaned"]


def test_an_error_that_passes_through_callers_does_not_drop_the_signal(run):
    def child(channel):
        yield channel.get()
        with contextlib.suppress(ValueError):
            yield calls(5)
        try:
            yield Sleep(50)
        except TaskKilled as killed:
            return killed.signal, killed.__context__

    def calls(n):
        yield (calls(n - 1) if n else fails(ValueError()))

    assert run(granted_and_terminated(child)).value == (TERM, None)


def granted_and_terminated(child, channel=None):
    """As init: a child gets an item and TERM in the same step; its value."""
    channel = channel or Channel()
    tid = yield NewTask(child(channel))
    yield
    yield channel.put("item")
    yield KillTask(tid)
    return (yield WaitTask(tid)).value


# --- STOP and CONT


def test_a_stopped_task_does_not_run_until_it_is_continued(run):
    steps = []

    def child():
        while True:
            steps.append((yield GetTime()))
            yield Sleep(1)

    def main():
        tid = yield NewTask(child())
        yield Sleep(2.5)
        yield KillTask(tid, STOP)
        yield Sleep(3)
        before = yield state_of(tid)
        yield KillTask(tid, CONT)
        yield Sleep(1.2)
        yield KillTask(tid, KILL)
        return before

    assert run(main()).value == "stopped"
    assert steps == [0.0, 1.0, 2.0, 5.5, 6.5]


def test_a_wait_goes_on_while_the_task_is_stopped(run):
    def child():
        yield Sleep(5)
        return (yield GetTime())

    def main():
        tid = yield NewTask(child())
        yield Sleep(1)
        yield KillTask(tid, STOP)
        yield Sleep(1)
        yield KillTask(tid, CONT)
        return (yield WaitTask(tid)).value

    assert run(main()).value == 5.0


@pytest.mark.parametrize("when", ["while it waits", "before it has run", "once it has the answer"])
def test_what_a_stopped_task_waited_for_is_there_when_it_goes_on(run, when):
    def child(channel):
        first = yield channel.get()
        second = yield channel.get()
        return first, second

    def main():
        channel = Channel()
        tid = yield NewTask(child(channel))
        if when == "before it has run":
            yield KillTask(tid, STOP)
            yield Sleep(1)
            yield KillTask(tid, CONT)
        yield Sleep(1)
        if when == "while it waits":
            yield KillTask(tid, STOP)
        yield channel.put("one")
        if when == "once it has the answer":
            yield KillTask(tid, STOP)
        yield Sleep(1)
        states = yield state_of(tid)
        yield KillTask(tid, CONT)
        yield channel.put("two")
        return states, (yield WaitTask(tid)).value

    state, value = run(main()).value
    assert value == ("one", "two")
    assert state == ("blocked" if when == "before it has run" else "stopped")


def test_a_task_may_stop_itself(run):
    def child():
        answer = yield KillTask((yield GetTid()), STOP)
        return answer, (yield GetTime())

    def main():
        tid = yield NewTask(child())
        yield Sleep(2)
        yield KillTask(tid, CONT)
        return (yield WaitTask(tid)).value

    assert run(main()).value == (True, 2.0)


def test_stopping_twice_and_continuing_twice_are_harmless(run):
    def main():
        tid = yield NewTask(sleeps(1, "done"))
        yield
        answers = []
        for signal in (CONT, STOP, STOP, CONT, CONT):
            answers.append((yield KillTask(tid, signal)))
        return answers, (yield WaitTask(tid)).value

    assert run(main()).value == ([True] * 5, "done")


def test_stopping_and_continuing_again_and_again_leaves_nothing_behind(make_kernel):
    def main():
        tid = yield NewTask(sleeps(1, "done"))
        yield
        for _ in range(10_000):
            yield KillTask(tid, STOP)
            yield KillTask(tid, CONT)
        return (yield WaitTask(tid)).value

    kernel = make_kernel()
    kernel.spawn(main())
    assert kernel.run().value == "done"


def test_int_for_a_stopped_task_ends_its_wait_and_is_raised_when_it_goes_on(run):
    def child(channel):
        try:
            yield channel.get()
        except TaskKilled:
            return (yield GetTime())

    def main():
        channel = Channel()
        tid = yield NewTask(child(channel))
        yield Sleep(1)
        yield KillTask(tid, STOP)
        yield KillTask(tid, INT)
        yield Sleep(1)
        other = yield NewTask(outcome(Timeout(1, channel.put("for nobody"))))
        yield WaitTask(other)
        yield KillTask(tid, CONT)
        return (yield WaitTask(tid)).value

    assert run(main()).value == 3.0


@pytest.mark.parametrize("n", [1, 2, 3])
def test_every_int_for_a_stopped_task_is_raised_once(run, n):
    def child():
        seen = 0
        for _ in range(5):
            try:
                yield Sleep(1)
            except TaskKilled:
                seen += 1
        return seen

    def main():
        tid = yield NewTask(child())
        yield
        yield KillTask(tid, STOP)
        for _ in range(n):
            yield KillTask(tid, INT)
        yield Sleep(9)
        yield KillTask(tid, CONT)
        return (yield WaitTask(tid)).value

    assert run(main()).value == n


def test_a_stopped_task_that_is_closed_without_having_started_leaves_the_run_queue(run):
    def main():
        tid = yield NewTask(forever())
        yield KillTask(tid, STOP)
        yield Sleep(1)
        yield KillTask(tid)
        return (yield WaitTask(tid)).signal

    assert run(main()).value is TERM


def test_a_stopped_task_gives_back_its_grant_when_it_is_killed(run):
    def main():
        permits = Semaphore(0)
        tid = yield NewTask(outcome(permits.acquire()))
        yield Sleep(1)
        yield KillTask(tid, STOP)
        yield permits.release()
        yield Sleep(1)
        yield KillTask(tid, KILL)
        yield permits.acquire()
        return type((yield outcome(Timeout(1, permits.acquire())))).__name__

    assert run(main()).value == "TaskTimeout"


def test_a_grant_that_was_used_is_not_given_back_by_a_task_that_was_stopped_later(run):
    def child(permits):
        yield permits.acquire()
        while True:
            yield

    def main():
        permits = Semaphore(0)
        tid = yield NewTask(child(permits))
        yield
        yield permits.release()
        yield
        yield
        yield KillTask(tid, STOP)
        yield
        yield KillTask(tid, KILL)
        return type((yield outcome(Timeout(1, permits.acquire())))).__name__

    assert run(main()).value == "TaskTimeout"


def test_stopping_a_task_does_not_stop_the_shutdown(run):
    closed = []

    def service():
        try:
            yield Sleep(math.inf)
        finally:
            closed.append(True)

    def main():
        tid = yield NewTask(service())
        yield
        yield KillTask(tid, STOP)
        yield
        return "over"

    assert run(main()).value == "over"
    assert closed == [True]


# --- KILL


def test_a_killed_task_releases_what_its_clean_up_can_release_at_once(run, log):
    def child(lock):
        yield lock.acquire()
        try:
            yield Sleep(50)
        finally:
            yield lock.release()

    def main():
        lock = Lock()
        tid = yield NewTask(child(lock))
        yield
        yield KillTask(tid, KILL)
        yield lock.acquire()
        yield lock.release()

    run(main())
    assert log == []


@pytest.mark.parametrize(
    "block",
    [
        lambda tid: Sleep(0),
        lambda tid: Sleep(1),
        lambda tid: Receive(),
        lambda tid: KillTask(tid, STOP),
        lambda tid: None,
        lambda tid: Timeout(1, Sleep(0)),
        lambda tid: Timeout(1, waits_in_vain()),
        lambda tid: waits_in_vain(),
    ],
)
def test_clean_up_of_a_killed_task_that_would_block_is_abandoned_and_logged(run, log, block):
    after = []

    def child():
        try:
            yield Sleep(50)
        finally:
            yield block((yield GetTid()))
            after.append(True)

    def main():
        tid = yield NewTask(child())
        yield
        yield KillTask(tid, KILL)
        return (yield WaitTask(tid)).signal

    assert run(main()).value is KILL
    assert after == []
    assert len(log) == 1
    assert "cannot be answered at once: the frame is abandoned" in log[0]


def waits_in_vain():
    yield Sleep(1)


def test_clean_up_of_a_killed_task_that_spins_is_abandoned_and_never_resumed(run, log, monkeypatch):
    """Nor by its finaliser, which would raise GeneratorExit in it once more."""
    raised = []
    complaints = []
    monkeypatch.setattr(sys, "unraisablehook", complaints.append)

    def spins():
        while True:
            try:
                yield GetTid()
            except GeneratorExit:
                raised.append(True)

    def child():
        try:
            yield Sleep(50)
        finally:
            yield spins()

    def main():
        tid = yield NewTask(child())
        yield
        yield KillTask(tid, KILL)
        return (yield WaitTask(tid)).signal

    assert run(main()).value is KILL
    gc.collect()
    assert (raised, complaints) == ([], [])
    assert len(log) == 1
    assert "its clean-up yielded 1000 times: the frame is abandoned" in log[0]


def test_clean_up_of_a_killed_task_may_use_timeouts_around_what_is_answered_at_once(run, log):
    results = []

    def child(lock):
        yield lock.acquire()
        try:
            yield Sleep(50)
        finally:
            results.append((yield Timeout(1, sub())))
            results.append((yield Timeout(1, Timeout(2, GetTid()))))
            yield Timeout(0.1, lock.release())

    def sub():
        yield GetTid()
        return "sub"

    def main():
        lock = Lock()
        tid = yield NewTask(child(lock))
        yield
        yield KillTask(tid, KILL)
        yield lock.acquire()
        yield lock.release()
        return (yield WaitTask(tid)).signal

    assert run(main()).value is KILL
    assert results == ["sub", 2]
    assert log == []


@pytest.mark.parametrize("signal", [KILL, TERM, INT])
def test_clean_up_of_a_killed_task_may_signal_its_own_task(run, signal, log):
    def child():
        try:
            yield Sleep(50)
        finally:
            yield KillTask((yield GetTid()), signal)

    def main():
        tid = yield NewTask(child())
        yield
        yield KillTask(tid, KILL)
        return (yield WaitTask(tid)).signal

    assert run(main()).value is KILL


@pytest.mark.parametrize("signal", [KILL, TERM])
def test_clean_up_may_kill_whoever_killed_it(run, signal):
    def victim(killer):
        try:
            yield Sleep(50)
        finally:
            yield KillTask(killer, signal)

    def killer(box):
        yield
        yield KillTask(box[0], KILL)
        yield Sleep(50)

    def main():
        box = []
        tid = yield NewTask(killer(box))
        box.append((yield NewTask(victim(tid))))
        return (yield WaitTask(tid)).signal, (yield WaitTask(box[0])).signal

    assert run(main()).value == (signal, KILL)


def test_two_tasks_whose_clean_ups_kill_each_other_both_end(run):
    def child(other):
        try:
            yield Sleep(50)
        finally:
            yield KillTask(other[0], KILL)

    def main():
        one, two = [], []
        two.append((yield NewTask(child(one))))
        one.append((yield NewTask(child(two))))
        yield
        yield KillTask(two[0], KILL)
        return (yield WaitTask(two[0])).signal, (yield WaitTask(one[0])).signal

    assert run(main()).value == (KILL, KILL)


@pytest.mark.parametrize("signal", [STOP, INT])
def test_clean_up_may_stop_or_interrupt_whoever_killed_it(run, signal):
    def victim(killer):
        try:
            yield Sleep(50)
        finally:
            yield KillTask(killer, signal)

    def killer(box):
        yield
        try:
            answer = yield KillTask(box[0], KILL)
        except TaskKilled as killed:
            return killed.signal
        return answer, (yield GetTime())

    def main():
        box = []
        tid = yield NewTask(killer(box))
        box.append((yield NewTask(victim(tid))))
        yield Sleep(5)
        yield KillTask(tid, CONT)
        return (yield WaitTask(tid)).value

    assert run(main()).value == ((True, 5.0) if signal is STOP else INT)


def test_the_clean_up_of_a_killed_task_sees_itself(run):
    def child():
        try:
            yield Sleep(50)
        finally:
            seen.append((yield GetTid()))
            tid = yield NewTask(forever())
            seen.append(next(info.parent for info in (yield Tasks()) if info.tid == tid))

    seen = []

    def main():
        tid = yield NewTask(child())
        yield
        yield KillTask(tid, KILL)
        return tid

    tid = run(main()).value
    assert seen == [tid, tid]


def test_exit_in_the_clean_up_of_a_killed_task_is_harmless(run, log):
    def child():
        try:
            yield Sleep(50)
        finally:
            yield Exit(3)

    def main():
        tid = yield NewTask(child())
        yield
        yield KillTask(tid, KILL)
        return (yield WaitTask(tid)).signal

    assert run(main()).value is KILL
    assert log == []


def test_a_bad_trap_in_the_clean_up_of_a_killed_task_is_raised_there(run):
    errors = []

    def child():
        try:
            yield Sleep(50)
        finally:
            errors.append(type((yield outcome(42))))
            errors.append(type((yield outcome(NewTask(42)))))

    def main():
        tid = yield NewTask(child())
        yield
        yield KillTask(tid, KILL)

    run(main())
    assert errors == [BadTrap, TypeError]


def test_a_killed_sender_s_message_that_was_taken_stays_taken(run):
    def child(tid):
        yield Send(tid, "one")
        yield Send(tid, "two")

    def main():
        tid = yield NewTask(child(1))
        yield
        yield KillTask(tid, KILL)
        first = yield Receive()
        return first, (yield Receive())

    assert run(main(), limits=Limits(max_mailbox=2)).value == ((2, "one"), (2, "two"))
