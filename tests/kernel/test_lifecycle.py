"""Lives and deaths: starting, ending, waiting, killing, shutting down."""

import contextlib
import math
import sys

import pytest

from pyos import (
    KILL,
    TERM,
    BadTrap,
    Choose,
    Exec,
    Exit,
    GetTid,
    GetTime,
    KillTask,
    NewTask,
    Signal,
    Sleep,
    TaskKilled,
    Tasks,
    WaitTask,
)
from tests.conftest import drive
from tests.kernel.programs import fails, forever, outcome, sleeps, yields

# --- birth


def test_a_child_starts_after_its_parents_slice(run):
    order = []

    def child():
        order.append("child")
        yield

    def main():
        yield NewTask(child())
        order.append("parent")
        yield GetTid()
        order.append("parent still")
        yield
        order.append("parent again")

    run(main())
    assert order == ["parent", "parent still", "child", "parent again"]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (yields, r"yields is a function: call it"),
        (42, "a task is a generator or coroutine object, not int"),
        (None, "not NoneType"),
        (iter([]), "not list_iterator"),
        (GetTid(), "not GetTid"),
        (GetTid, "GetTid is a function: call it"),
    ],
)
def test_only_a_generator_or_coroutine_object_becomes_a_task(run, target, message):
    def main():
        with pytest.raises(TypeError, match=message):
            yield NewTask(target)
        return len((yield Tasks()))

    assert run(main()).value == 1


def test_an_async_generator_is_no_task(run):
    async def agen():
        yield 1

    def main():
        return (yield outcome(NewTask(agen())))

    error = run(main()).value
    assert type(error) is TypeError
    assert str(error) == (
        "a task is a generator or coroutine object, and agen is an async generator: "
        "in an async def, a trap is awaited and not yielded"
    )


def test_a_trap_is_no_task(run):
    def main():
        return (yield outcome(NewTask(Sleep(1))))

    error = run(main()).value
    assert type(error) is TypeError
    assert "not Sleep, which is a trap: pass what a function returns that has `yield Sleep(...)` in it" in str(error)


def test_a_started_generator_is_refused(run):
    def main():
        started = yields(5)
        next(started)
        first = yield outcome(NewTask(started))
        finished = yields(0)
        list(finished)
        second = yield outcome(NewTask(finished))
        return first, second

    first, second = run(main()).value
    assert (type(first), type(second)) == (ValueError, ValueError)
    assert "yields has started already" in str(first)


def test_a_task_cannot_make_a_task_of_itself(run):
    def main():
        return type((yield outcome(NewTask(box[0]))))

    box = [main()]
    assert run(box[0]).value is ValueError


def test_names_default_to_the_targets_own(run):
    async def coroutine():
        pass

    def main():
        yield NewTask(yields(9))
        yield NewTask(coroutine())
        yield NewTask(yields(9), name="given")
        return [info.name for info in (yield Tasks())]

    assert run(main()).value == ["main", "yields", "coroutine", "given"]


def test_a_name_that_is_no_string_is_refused(run):
    def main():
        return type((yield outcome(NewTask(yields(0), name=3)))), len((yield Tasks()))

    assert run(main()).value == (TypeError, 1)


# --- death


def test_an_exit_status_carries_the_value(run):
    def main():
        tid = yield NewTask(yields(1, [1, 2]), name="kid")
        return (yield WaitTask(tid))

    status = run(main()).value
    assert (status.tid, status.name, status.value, status.error, status.signal) == (2, "kid", [1, 2], None, None)
    assert status.ok


def test_an_exit_status_carries_the_error(run, log):
    error = ValueError("mine")

    def main():
        tid = yield NewTask(fails(error))
        return (yield WaitTask(tid))

    status = run(main()).value
    assert status.error is error
    assert not status.ok
    assert status.value is None
    assert log == []  # somebody was waiting


def test_exit_ends_a_task_from_any_depth(run):
    closed = []

    def sub(n):
        try:
            if n:
                yield sub(n - 1)
            else:
                yield from bottom()
        finally:
            closed.append(n)

    def bottom():
        try:
            yield Exit("deep")
        finally:
            closed.append("bottom")

    def main():
        tid = yield NewTask(sub(3))
        return (yield WaitTask(tid))

    status = run(main()).value
    assert (status.value, status.ok) == ("deep", True)
    assert closed == ["bottom", 0, 1, 2, 3]


def test_exit_is_not_stopped_by_except_exception(run):
    def child():
        try:
            yield Exit(5)
        except Exception:
            return "stopped"

    def main():
        tid = yield NewTask(child())
        return (yield WaitTask(tid)).value

    assert run(main()).value == 5


def test_clean_up_after_exit_may_yield(run):
    def child():
        try:
            yield Exit("over")
        finally:
            yield Sleep(1)
            done.append((yield GetTime()))

    done = []

    def main():
        tid = yield NewTask(child())
        return (yield WaitTask(tid)).value

    assert run(main()).value == "over"
    assert done == [1.0]


@pytest.mark.parametrize("code", [None, 0, 3, "bye"])
def test_sys_exit_is_exit(run, code):
    def child():
        yield
        sys.exit(code)

    def main():
        tid = yield NewTask(child())
        return (yield WaitTask(tid))

    status = run(main()).value
    assert (status.value, status.ok) == (code, True)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, GeneratorExit, BaseException])
def test_a_base_exception_of_its_own_is_a_tasks_error(run, kind):
    def main():
        tid = yield NewTask(fails(kind()))
        return type((yield WaitTask(tid)).error)

    assert run(main()).value is kind


def test_a_stop_iteration_of_its_own_is_a_runtime_error(run):
    def main():
        tid = yield NewTask(fails(StopIteration(3)))
        return type((yield WaitTask(tid)).error)

    assert run(main()).value is RuntimeError


def test_an_uncaught_error_is_logged_once_with_its_traceback(run, log):
    def main():
        yield NewTask(fails(ValueError("boo")), name="bad")
        yield Sleep(1)
        return "fine"

    assert run(main()).value == "fine"
    assert len(log) == 1
    assert log[0].startswith("task 2 (bad) died of an uncaught ValueError\nTraceback (most recent call last):\n")
    assert log[0].endswith("ValueError: boo")
    assert "raise error" in log[0]
    assert "pyos/kernel" not in log[0]


def test_an_error_is_not_logged_again_when_it_is_waited_for_later(run, log):
    def main():
        tid = yield NewTask(fails(ValueError()))
        yield Sleep(1)
        return type((yield WaitTask(tid)).error)

    assert run(main()).value is ValueError
    assert len(log) == 1


@pytest.mark.parametrize(("killed", "lines"), [([], 0), ([0], 0), ([1], 0), ([0, 1], 1)])
def test_an_error_is_logged_if_everyone_who_was_told_is_killed_before_they_know(run, log, killed, lines):
    def target(waiters):
        yield Sleep(1)
        yield NewTask(killer([waiters[n] for n in killed]))
        raise ValueError("boo")

    def killer(tids):
        for tid in tids:
            yield KillTask(tid, KILL)

    def waiter(tid):
        yield WaitTask(tid)

    def main():
        waiters = []
        tid = yield NewTask(target(waiters), detached=True)
        for _ in range(2):
            waiters.append((yield NewTask(waiter(tid))))
        yield Sleep(2)

    assert run(main()).ok
    assert len(log) == lines


def test_inits_own_error_is_logged_and_ends_the_system(run, log):
    def main():
        yield NewTask(forever())
        raise ValueError("init")

    assert type(run(main()).error) is ValueError
    assert len(log) == 1


# --- waiting


def test_several_tasks_may_wait_for_one(run):
    def waiter(tid):
        return (yield WaitTask(tid)).value

    def main():
        target = yield NewTask(sleeps(1, "done"))
        waiters = []
        for _ in range(3):
            waiters.append((yield NewTask(waiter(target))))
        values = [(yield WaitTask(target)).value]
        for tid in waiters:
            values.append((yield WaitTask(tid)).value)
        return values

    assert run(main()).value == ["done"] * 4


def test_without_a_tid_the_next_child_to_exit_is_waited_for(run):
    def main():
        for seconds in (3, 1, 2):
            yield NewTask(sleeps(seconds, seconds))
        values = []
        while (status := (yield WaitTask())) is not None:
            values.append(status.value)
        return values

    assert run(main()).value == [1, 2, 3]


def test_zombies_are_waited_for_in_the_order_of_their_deaths(run):
    def main():
        for seconds in (3, 1, 2):
            yield NewTask(sleeps(seconds, seconds))
        yield Sleep(5)
        values = []
        for _ in range(3):
            values.append((yield WaitTask()).value)
        return values

    assert run(main()).value == [1, 2, 3]


def test_detached_and_adopted_tasks_are_nobodys_next_child(run):
    def child():
        yield NewTask(sleeps(2))

    def main():
        yield NewTask(sleeps(3), detached=True)
        tid = yield NewTask(child())
        first = (yield WaitTask()).tid
        return first == tid, (yield WaitTask())

    assert run(main()).value == (True, None)


def test_waiting_for_nobody_answers_none(run):
    def main():
        return (yield WaitTask()), (yield WaitTask(99)), (yield WaitTask(0)), (yield WaitTask(-1))

    assert run(main()).value == (None, None, None, None)


@pytest.mark.parametrize("bad", ["2", 2.0, True, [], (1,)])
def test_a_tid_is_an_int(run, bad):
    def main():
        return type((yield outcome(WaitTask(bad)))), type((yield outcome(KillTask(bad))))

    assert run(main()).value == (TypeError, TypeError)


def test_waiting_for_oneself_is_an_error(run):
    def main():
        return (yield outcome(WaitTask(1)))

    error = run(main()).value
    assert type(error) is ValueError
    assert "wait for itself" in str(error)


def test_a_killed_waiter_is_forgotten(run):
    def main():
        target = yield NewTask(sleeps(5, "x"))
        waiter = yield NewTask(outcome(WaitTask(target)))
        yield Sleep(1)
        yield KillTask(waiter)
        return (yield WaitTask(waiter)).signal, (yield WaitTask(target)).value

    assert run(main()).value == (TERM, "x")


# --- TERM


def test_term_is_raised_once_at_the_current_yield(run):
    seen = []

    def child():
        try:
            yield Sleep(10)
        except TaskKilled as killed:
            seen.append((killed.signal, killed.sender, killed.reason, str(killed)))
            raise

    def main():
        tid = yield NewTask(child())
        yield
        answer = yield KillTask(tid, reason="enough")
        return answer, (yield WaitTask(tid)).signal

    assert run(main()).value == (True, TERM)
    assert seen == [(TERM, 1, "enough", "TERM from task 1: enough")]


def test_term_interrupts_a_sleep_at_once(run):
    def main():
        tid = yield NewTask(forever())
        yield
        yield KillTask(tid)
        yield WaitTask(tid)
        return (yield GetTime())

    assert run(main()).value == 0.0


def test_clean_up_after_term_may_yield(run):
    def child():
        try:
            yield Sleep(10)
        finally:
            yield Sleep(0.5)
            times.append((yield GetTime()))

    times = []

    def main():
        tid = yield NewTask(child())
        yield
        yield KillTask(tid)
        return (yield WaitTask(tid)).signal

    assert run(main()).value is TERM
    assert times == [0.5]


def test_a_task_that_catches_term_and_returns_has_ended_normally(run):
    def child():
        try:
            yield Sleep(10)
        except TaskKilled:
            return "survived"

    def main():
        tid = yield NewTask(child())
        yield
        yield KillTask(tid)
        return (yield WaitTask(tid))

    status = run(main()).value
    assert (status.value, status.ok) == ("survived", True)


def test_after_its_grace_a_task_gets_kill_and_a_log_line(run, log):
    def stubborn():
        while True:
            with contextlib.suppress(TaskKilled):
                yield Sleep(10)

    def main():
        tid = yield NewTask(stubborn())
        yield
        yield KillTask(tid, grace=2.5)
        status = yield WaitTask(tid)
        return status.signal, (yield GetTime())

    assert run(main()).value == (KILL, 2.5)
    assert len(log) == 1
    assert "task 2 (stubborn) at " in log[0]
    assert __file__ in log[0]
    assert log[0].endswith("did not end within 2.5 s of TERM: KILL")


def test_an_infinite_grace_never_kills(run):
    def slow():
        try:
            yield Sleep(10)
        except TaskKilled:
            yield Sleep(1000)
            return "in my own time"

    def main():
        tid = yield NewTask(slow())
        yield
        yield KillTask(tid, grace=math.inf)
        return (yield WaitTask(tid)).value

    assert run(main()).value == "in my own time"


def test_no_grace_at_all_kills_at_the_next_wait(run):
    def slow():
        try:
            yield Sleep(10)
        finally:
            yield Sleep(1)

    def main():
        tid = yield NewTask(slow())
        yield
        yield KillTask(tid, grace=0)
        yield WaitTask(tid)
        return (yield GetTime())

    assert run(main()).value == 0.0


def test_a_dying_task_keeps_its_first_reason(run):
    reasons = []

    def child():
        try:
            yield Sleep(10)
        except TaskKilled as killed:
            reasons.append(killed.reason)
            try:
                yield Sleep(0.5)
            except TaskKilled as second:
                reasons.append(second.reason)
            raise

    def main():
        tid = yield NewTask(child())
        yield
        answers = (yield KillTask(tid, reason="first")), (yield KillTask(tid, reason="second"))
        yield WaitTask(tid)
        return answers

    assert run(main()).value == (True, True)
    assert reasons == ["first"]


@pytest.mark.parametrize("signal", [TERM, KILL])
def test_a_dead_or_unknown_tid_answers_false(run, signal):
    def main():
        tid = yield NewTask(yields(0))
        yield Sleep(1)
        zombie = yield KillTask(tid, signal)
        yield WaitTask(tid)
        return zombie, (yield KillTask(tid, signal)), (yield KillTask(999, signal)), (yield KillTask(-1, signal))

    assert run(main()).value == (False, False, False, False)


@pytest.mark.parametrize("signal", [TERM, KILL])
def test_a_task_may_kill_itself(run, signal):
    closed = []

    def child():
        try:
            yield KillTask((yield GetTid()), signal)
            closed.append("went on")
        finally:
            closed.append("closed")

    def main():
        tid = yield NewTask(child())
        return (yield WaitTask(tid)).signal

    assert run(main()).value is signal
    assert closed == ["closed"]


@pytest.mark.parametrize("signal", [TERM, KILL])
def test_killing_init_shuts_the_system_down(run, signal):
    closed = []

    def service():
        try:
            yield Sleep(math.inf)
        finally:
            closed.append("service")

    def killer():
        yield Sleep(1)
        yield KillTask(1, signal)
        yield Sleep(math.inf)

    def main():
        yield NewTask(service())
        yield NewTask(killer())
        yield Sleep(math.inf)

    assert run(main()).signal is signal
    assert closed == ["service"]


@pytest.mark.parametrize("signal", [TERM, KILL])
def test_a_task_that_never_started_is_just_closed(run, signal):
    ran = []

    def child():
        try:
            ran.append("started")
            yield
        finally:
            ran.append("closed")

    async def coroutine():
        ran.append("started")

    def main():
        one = yield NewTask(child())
        two = yield NewTask(coroutine())
        answers = (yield KillTask(one, signal)), (yield KillTask(two, signal))
        return answers, (yield WaitTask(one)).signal, (yield WaitTask(two)).signal

    assert run(main()).value == ((True, True), signal, signal)
    assert ran == []


def test_a_ready_task_gets_its_answer_before_the_term(run):
    """The status it waited for is not lost; the exception comes at its next bare yield or blocking trap."""
    seen = []

    def waiter(tid):
        status = yield WaitTask(tid)
        seen.append(status.value)
        seen.append((yield GetTid()))
        try:
            yield Sleep(10)
        except TaskKilled as killed:
            seen.append(killed.reason)
            raise

    def main():
        box = {}
        target = yield NewTask(_ends_and_kills(box))
        box["waiter"] = yield NewTask(waiter(target))
        return (yield WaitTask(box["waiter"])).signal

    assert run(main()).value is TERM
    assert seen == ["value", 3, "now"]


def _ends_and_kills(box):
    """End, so that the waiter is ready with the answer, and have a grandchild kill it before it runs."""

    def killer():
        yield KillTask(box["waiter"], reason="now")

    yield Sleep(1)
    yield NewTask(killer())  # is ahead of the waiter in the run queue
    return "value"


@pytest.mark.parametrize("last", ["bare yield", "end of budget", "returns", "raises"])
def test_a_held_back_term_comes_at_the_first_bare_yield_or_the_end_of_the_budget(run, last):
    seen = []

    def sub():
        yield GetTid()
        return "sub"

    def waiter(tid):
        yield WaitTask(tid)
        seen.append((yield sub()))
        if last == "returns":
            return "done"
        if last == "raises":
            raise ValueError("own")
        try:
            if last == "bare yield":
                yield
            else:
                for n in range(1000):
                    yield GetTid()
                    seen[1:] = [n]
        except TaskKilled:
            seen.append("killed")
            raise

    def main():
        box = {}
        target = yield NewTask(_ends_and_kills(box))
        box["waiter"] = yield NewTask(waiter(target))
        return (yield WaitTask(box["waiter"]))

    status = run(main()).value
    assert seen[0] == "sub"
    if last == "returns":
        assert status.value == "done"
    elif last == "raises":
        assert str(status.error) == "own"
    else:
        assert status.signal is TERM
        assert seen[-1] == "killed"
        assert last == "bare yield" or 40 < seen[1] < 64


def test_kill_discards_the_answer_of_a_ready_task(run):
    seen = []

    def waiter(tid):
        try:
            seen.append((yield WaitTask(tid)))
        finally:
            seen.append("closed")

    def main():
        box = {}

        def killer():
            yield KillTask(box["waiter"], KILL)

        def target():
            yield Sleep(1)
            yield NewTask(killer())

        tid = yield NewTask(target())
        box["waiter"] = yield NewTask(waiter(tid))
        return (yield WaitTask(box["waiter"])).signal

    assert run(main()).value is KILL
    assert seen == ["closed"]


# --- KILL


@pytest.mark.parametrize("kind", ["yield", "yield from", "await", "mixed"])
def test_killing_a_task_closes_every_frame_innermost_first_and_once(run, kind):
    closed = []

    def by_yield(n):
        try:
            yield by_yield(n - 1) if n else Sleep(math.inf)
        finally:
            closed.append(n)

    def by_yield_from(n):
        try:
            if n:
                yield from by_yield_from(n - 1)
            else:
                yield Sleep(math.inf)
        finally:
            closed.append(n)

    async def by_await(n):
        try:
            await (by_await(n - 1) if n else Sleep(math.inf))
        finally:
            closed.append(n)

    def mixed(n):
        try:
            if n % 2:
                yield from mixed(n - 1)
            else:
                yield mixed(n - 1) if n else Sleep(math.inf)
        finally:
            closed.append(n)

    kinds = {"yield": by_yield, "yield from": by_yield_from, "await": by_await, "mixed": mixed}

    def main():
        tid = yield NewTask(kinds[kind](50))
        yield
        yield KillTask(tid, KILL)
        return (yield WaitTask(tid)).signal

    assert run(main()).value is KILL
    assert closed == list(range(51))


def test_kill_cannot_be_caught(run):
    def child():
        while True:
            try:
                yield Sleep(10)
            except TaskKilled:
                seen.append("caught")

    seen = []

    def main():
        tid = yield NewTask(child())
        yield
        yield KillTask(tid, KILL)
        return (yield WaitTask(tid)).signal

    assert run(main()).value is KILL
    assert seen == []


def test_traps_of_clean_up_are_answered_at_once_as_the_victims(run, log):
    seen = []

    def child():
        try:
            yield Sleep(10)
        finally:
            seen.append((yield GetTid()))
            seen.append((yield sub()))
            seen.append((yield Choose("ab")))

    def sub():
        return (yield GetTime())

    def main():
        tid = yield NewTask(child())
        yield
        yield KillTask(tid, KILL)
        return (yield WaitTask(tid)).signal

    assert run(main()).value is KILL
    assert seen == [2, 0.0, "a"]
    assert log == []


@pytest.mark.parametrize("trap", [Sleep(5), None, Sleep(0), WaitTask(1)])
def test_clean_up_that_would_block_is_abandoned_and_logged(run, log, capfd, trap):
    closed = []

    def inner():
        try:
            yield Sleep(10)
        finally:
            yield trap
            closed.append("inner")

    def outer():
        try:
            yield inner()
        finally:
            closed.append("outer")

    def main():
        tid = yield NewTask(outer(), name="victim")
        yield
        yield KillTask(tid, KILL)
        return (yield WaitTask(tid)).signal

    assert run(main()).value is KILL
    assert closed == ["outer"]
    assert len(log) == 1
    assert "killing task 2 (victim), in " in log[0]
    assert "inner: its clean-up yielded" in log[0]
    assert "abandoned" in log[0]
    assert "GeneratorExit" not in capfd.readouterr().err


def test_a_frame_that_delegates_to_an_abandoned_one_is_abandoned_with_it(run, log, capfd):
    closed = []

    def inner():
        try:
            yield Sleep(10)
        finally:
            try:
                yield Sleep(5)
            finally:
                closed.append("inner twice")
                yield Sleep(3)

    def outer():
        try:
            yield from inner()
        finally:
            closed.append("outer")

    def outermost():
        try:
            yield outer()
        finally:
            closed.append("outermost")

    def main():
        tid = yield NewTask(outermost())
        yield
        yield KillTask(tid, KILL)

    run(main())
    assert closed == ["outermost"]
    assert len(log) == 2
    assert "inner: its clean-up yielded Sleep(seconds=5)" in log[0]
    assert "outer: it waits for inner: the frame is abandoned with it" in log[1]
    assert "GeneratorExit" not in "".join(log) + capfd.readouterr().err


def test_an_error_in_clean_up_is_logged_and_the_other_frames_are_closed(run, log):
    closed = []

    class Unprintable(Exception):
        def __repr__(self):
            raise ValueError

    def inner(error):
        try:
            yield Sleep(10)
        finally:
            raise error

    def outer(error):
        try:
            yield inner(error)
        finally:
            closed.append("outer")

    def main():
        for error in (ZeroDivisionError("last words"), Unprintable()):
            tid = yield NewTask(outer(error))
            yield
            yield KillTask(tid, KILL)
            yield WaitTask(tid)

    run(main())
    assert closed == ["outer", "outer"]
    assert "inner: its clean-up raised ZeroDivisionError('last words') at " in log[0]
    assert "Unprintable" in log[1]


def test_errors_of_traps_in_clean_up_are_raised_there(run, log):
    seen = []

    def child():
        try:
            yield Sleep(10)
        finally:
            seen.append(type((yield outcome(Sleep(-1)))))
            try:
                yield "nonsense"
            except BadTrap as bad:
                seen.append(type(bad))

    def main():
        tid = yield NewTask(child())
        yield
        yield KillTask(tid, KILL)

    run(main())
    assert seen == [ValueError, BadTrap]
    assert log == []


def test_clean_up_may_exit(run, log):
    def child():
        try:
            yield Sleep(10)
        finally:
            yield Exit("ignored")

    def main():
        tid = yield NewTask(child())
        yield
        killed = yield KillTask(tid, KILL)
        return killed, (yield WaitTask(tid)).signal

    assert run(main()).value == (True, KILL)
    assert log == []


def test_clean_up_may_kill_its_own_task_again(run, log):
    seen = []

    def child():
        me = yield GetTid()
        try:
            yield Sleep(10)
        finally:
            seen.append((yield KillTask(me, KILL)))
            seen.append((yield KillTask(me)))

    def main():
        tid = yield NewTask(child())
        yield
        yield KillTask(tid, KILL)

    run(main())
    assert seen == [True, True]
    assert log == []


def test_clean_up_may_kill_its_killer(run):
    def victim():
        try:
            yield Sleep(10)
        finally:
            yield KillTask(3, KILL)

    def killer():
        yield KillTask(2, KILL)
        yield Sleep(10)

    def main():
        one = yield NewTask(victim())
        yield
        two = yield NewTask(killer())
        return (yield WaitTask(one)).signal, (yield WaitTask(two)).signal, (yield GetTime())

    assert run(main()).value == (KILL, KILL, 0.0)


def test_clean_up_that_spins_is_bounded(run, log):
    def child():
        try:
            yield Sleep(10)
        finally:
            while True:
                yield GetTid()

    def main():
        tid = yield NewTask(child())
        yield
        yield KillTask(tid, KILL)

    run(main())
    assert "its clean-up yielded 1000 times: the frame is abandoned" in log[0]


def test_a_task_killed_together_with_its_deadline_is_not_woken_from_the_dead(run):
    """The grace period ends at the very time for which the dying task's own sleep is due."""

    def slow():
        try:
            yield Sleep(1)
        except TaskKilled:
            yield Sleep(1)

    def main():
        tid = yield NewTask(slow())
        yield
        yield KillTask(tid, grace=1.0)
        yield Sleep(2)
        return (yield WaitTask(tid)).signal

    assert run(main()).value is KILL


def test_clean_up_at_a_deadline_may_kill_whoever_is_due_with_it(run):
    def stubborn():
        try:
            yield Sleep(50)
        except TaskKilled:
            try:
                yield Sleep(50)
            finally:
                yield KillTask(3)

    def main():
        one = yield NewTask(stubborn())
        yield
        yield KillTask(one, grace=1.0)
        two = yield NewTask(sleeps(1.0))
        return (yield WaitTask(two)).signal

    assert run(main()).value is TERM


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"signal": 3}, ValueError),
        ({"signal": "TERM"}, ValueError),
        ({"grace": -1}, ValueError),
        ({"grace": math.nan}, ValueError),
        ({"grace": "1"}, TypeError),
        ({"grace": True}, TypeError),
        ({"grace": 10**400}, OverflowError),
        ({"reason": 5}, TypeError),
    ],
)
def test_a_signal_with_bad_arguments_is_not_sent(run, arguments, error):
    def main():
        tid = yield NewTask(sleeps(1, "unharmed"))
        yield
        refused = type((yield outcome(KillTask(tid, **arguments))))
        info = (yield Tasks())[1]
        yield KillTask(tid, reason="real")
        return refused, info.state, (yield WaitTask(tid)).signal

    assert run(main()).value == (error, "blocked", TERM)


def test_signals_may_be_given_as_numbers(run):
    def main():
        tid = yield NewTask(forever())
        yield
        yield KillTask(tid, 9)
        return (yield WaitTask(tid)).signal

    assert run(main()).value is Signal.KILL


# --- shutdown


def test_when_init_exits_every_task_gets_term_newest_first(run):
    order = []

    def service(n):
        try:
            yield Sleep(math.inf)
        except TaskKilled as killed:
            order.append((n, killed.signal, killed.sender, killed.reason))
            raise

    def main():
        for n in range(3):
            yield NewTask(service(n))
        yield
        return "over"

    assert run(main()).value == "over"
    assert order == [(n, TERM, 0, "init has ended") for n in (2, 1, 0)]


def test_who_does_not_end_within_five_seconds_of_shutdown_is_killed(make_kernel, log):
    def stubborn():
        while True:
            with contextlib.suppress(TaskKilled):
                yield Sleep(math.inf)

    def main():
        yield NewTask(stubborn())
        yield

    kernel = make_kernel()
    kernel.spawn(main())
    kernel.run()
    assert kernel.clock.now() == 5.0
    assert len(log) == 1
    assert "task 2 (stubborn) at " in log[0]
    assert "did not end within 5 s of shutdown: KILL" in log[0]


def test_closing_a_kernel_kills_what_is_left(make_kernel):
    closed = []

    def child():
        try:
            yield Sleep(10)
        finally:
            closed.append("child")

    def main():
        yield NewTask(child())
        try:
            yield Sleep(10)
        finally:
            closed.append("init")

    with make_kernel() as kernel:
        kernel.spawn(main())
        for _ in range(3):
            kernel.step()
    assert closed == ["child", "init"]


def test_shutting_down_twice_is_harmless(make_kernel):
    def main():
        yield Sleep(math.inf)

    kernel = make_kernel()
    kernel.spawn(main())
    kernel.step()
    kernel.shut_down("first")
    kernel.shut_down("second")
    drive(kernel)
    assert kernel.init_status.signal is TERM


def test_a_program_that_raises_stop_iteration_while_loading_does_not_end_its_caller(run, tmp_path):
    program = tmp_path / "program.py"
    program.write_text("next(iter(()))\n\ndef main():\n    yield\n")

    def main():
        return (yield outcome(Exec(str(program))))

    assert "raised StopIteration while loading" in str(run(main()).value)
