"""TaskGroup and gather: children end with their group, failures are raised together, and no kill is swallowed."""

import contextlib
import gc
import traceback

import pytest

from pyos import (
    INT,
    KILL,
    TERM,
    BadTrap,
    Exit,
    GetTime,
    KillTask,
    LimitExceeded,
    Limits,
    LinkedTaskFailed,
    NewTask,
    Sleep,
    TaskKilled,
    Tasks,
    TaskTimeout,
    Timeout,
    WaitTask,
)
from pyos.lib import TaskGroup, gather
from tests.kernel.programs import fails, forever, outcome, sleeps, yields


def fails_at(seconds, error):
    yield Sleep(seconds)
    raise error


def lasts(events, name="child", clean_up=0.0):
    """A child that notes its end, after a while of clean-up."""
    try:
        yield from forever()
    except TaskKilled as killed:
        yield Sleep(clean_up)
        events.append((name, killed.signal, killed.reason))
        raise


def grouped(group, body):
    """Run a body in each of the ways there are."""

    def by_run():
        return (yield group.run(body))

    def by_hand():
        value = yield body(group)
        yield group.join()
        return value

    async def by_async_with():
        async with group:
            return await Timeout(1e9, body(group))

    return {"run": by_run, "join": by_hand, "async with": by_async_with}


@pytest.fixture(params=["run", "join", "async with"])
def in_group(request):
    """`yield in_group(body)` runs body(group) in a group; its value."""

    def start(body, group=None):
        return grouped(group or TaskGroup(), body)[request.param]()

    start.way = request.param
    return start


@pytest.fixture(params=["run", "async with"])
def in_block(request):
    """As in_group, for what the block alone promises: the end of the children when the body fails."""
    return lambda body: grouped(TaskGroup(), body)[request.param]()


# --- all well


def test_a_group_ends_when_its_children_have_ended_and_has_its_bodys_value(run, in_group):
    group = TaskGroup()

    def body(group):
        tids = []
        for seconds in (3, 1, 2):
            tids.append((yield group.start(sleeps(seconds, f"slept {seconds}"), name=f"sleeper {seconds}")))
        return tids

    def main():
        tids = yield in_group(body, group)
        statuses = [group.statuses[tid] for tid in tids]
        return (yield GetTime()), [(s.name, s.value) for s in statuses], (yield WaitTask()), len((yield Tasks()))

    assert run(main()).value == (3.0, [(f"sleeper {n}", f"slept {n}") for n in (3, 1, 2)], None, 1)


def test_an_empty_group_ends_at_once(run, in_group):
    def body(group):
        return "nothing to do"
        yield

    def main():
        return (yield in_group(body))

    assert run(main()).value == "nothing to do"


def test_coroutines_are_children_and_bodies_too(run):
    async def child(n):
        await Sleep(n)
        return n

    async def body(group):
        await group.start(child(1))
        return await group.start(child(2))

    async def main():
        group = TaskGroup()
        tid = await group.run(body)
        return group.statuses[tid].value, await gather(child(3), child(4))

    assert run(main()).value == (2, [3, 4])


def test_children_may_be_started_while_others_have_ended(run, in_group):
    def body(group):
        for _ in range(5):
            yield group.start(yields(0))
            yield Sleep(1)

    def main():
        yield in_group(body)
        return (yield WaitTask()), len((yield Tasks()))

    assert run(main()).value == (None, 1)


def test_a_child_that_the_body_waits_for_itself_is_no_matter(run, in_group):
    def body(group):
        tid = yield group.start(sleeps(1, "x"))
        return (yield WaitTask(tid)).value

    def main():
        return (yield in_group(body))

    assert run(main()).value == "x"


def test_a_child_that_the_body_kills_is_no_failure(run, in_group):
    def body(group):
        tid = yield group.start(forever())
        yield
        yield KillTask(tid)
        return "fine"

    def main():
        return (yield in_group(body))

    assert run(main()).value == "fine"


# --- failures of children


def test_a_failure_kills_the_siblings_and_is_raised_as_a_group_of_it(run, in_group, log):
    events = []
    error = ValueError("boo")

    def body(group):
        yield group.start(lasts(events, "one", clean_up=0.1))
        yield group.start(fails_at(1, error))
        yield group.start(lasts(events, "two"))

    def main():
        group = yield outcome(in_group(body))
        return group, (yield GetTime()), len((yield Tasks()))

    group, now, tasks = run(main()).value
    assert type(group) is ExceptionGroup
    assert group.exceptions == (error,)
    assert (now, tasks) == (1.1, 1)
    assert events == [("two", TERM, "its group has ended"), ("one", TERM, "its group has ended")]
    assert log == []


def test_the_failure_interrupts_the_body(run, in_block):
    events = []

    def body(group):
        yield group.start(fails_at(1, ValueError()))
        try:
            yield from forever()
        finally:
            events.append((yield GetTime()))

    def main():
        return type((yield outcome(in_block(body))))

    assert run(main()).value is ExceptionGroup
    assert events == [1.0]


def test_a_failure_that_the_body_has_swallowed_is_raised_in_the_end(run, in_block):
    error = ValueError("boo")

    def body(group):
        yield group.start(fails_at(1, error))
        with contextlib.suppress(LinkedTaskFailed):
            yield from forever()
        yield Sleep(1)

    def main():
        return (yield outcome(in_block(body))).exceptions

    assert run(main()).value == (error,)


@pytest.mark.parametrize("n", [2, 3, 10])
def test_children_that_fail_in_the_same_round_are_all_in_the_group(run, in_group, n):
    def body(group):
        for i in range(n):
            yield group.start(fails_at(1, KeyError(i)))

    def main():
        error = yield outcome(in_group(body))
        yield Sleep(5)  # none of them comes later
        return [e.args[0] for e in error.exceptions], (yield WaitTask())

    assert run(main()).value == (list(range(n)), None)


def test_errors_of_siblings_in_their_clean_up_are_in_the_group_in_order_of_death(run, in_group):
    def bad_loser(name, seconds):
        try:
            yield from forever()
        finally:
            yield Sleep(seconds)
            raise KeyError(name)

    def body(group):
        yield group.start(bad_loser("slow", 0.2))
        yield group.start(bad_loser("quick", 0.1))
        yield group.start(fails_at(1, ValueError()))

    def main():
        error = yield outcome(in_group(body))
        yield Sleep(5)
        return [repr(e) for e in error.exceptions]

    assert run(main()).value == ["ValueError()", "KeyError('quick')", "KeyError('slow')"]


def test_a_sibling_that_does_not_listen_is_killed_after_its_grace(run, in_group, log):
    def stubborn():
        while True:
            with contextlib.suppress(TaskKilled):
                yield Sleep(99)

    def body(group):
        yield group.start(stubborn())
        yield group.start(fails_at(1, ValueError()))

    def main():
        kind = type((yield outcome(in_group(body))))
        return kind, (yield GetTime()), len((yield Tasks()))

    assert run(main()).value == (ExceptionGroup, 1.5, 1)
    assert len(log) == 1


@pytest.mark.parametrize("signal", [INT, TERM, KILL])
def test_a_child_killed_by_a_stranger_is_a_failure(run, in_group, signal):
    def stranger(tid):
        yield Sleep(1)
        yield KillTask(tid, signal)

    def body(group):
        tid = yield group.start(forever(), name="victim")
        yield NewTask(stranger(tid))

    def main():
        error = yield outcome(in_group(body))
        return [(type(e), e.status.signal) for e in error.exceptions]

    assert run(main()).value == [(LinkedTaskFailed, signal)]


def test_a_base_exception_of_a_child_makes_a_base_exception_group(run, in_group):
    def body(group):
        yield group.start(fails(KeyboardInterrupt()))

    def main():
        try:
            yield in_group(body)
        except BaseException as error:
            return type(error), type(error.exceptions[0])

    assert run(main()).value == (BaseExceptionGroup, KeyboardInterrupt)


def test_except_star_picks_out_errors(run):
    def main():
        caught = []
        try:
            yield gather(fails(ValueError(1)), fails(KeyError(2)))
        except* ValueError as group:
            caught.append(group.exceptions[0].args)
        except* KeyError as group:
            caught.append(group.exceptions[0].args)
        return caught

    assert run(main()).value == [(1,), (2,)]


# --- errors of the body


def test_an_error_of_the_body_kills_the_children_and_is_raised_as_it_is(run, in_block):
    events = []
    error = ValueError("mine")

    def body(group):
        yield group.start(lasts(events, clean_up=0.2))
        yield Sleep(1)
        raise error

    def main():
        caught = yield outcome(in_block(body))
        return caught is error, caught.__cause__, (yield GetTime()), len((yield Tasks()))

    assert run(main()).value == (True, None, 1.2, 1)
    assert len(events) == 1


def test_what_children_raise_after_an_error_of_the_body_is_its_cause(run, in_block):
    def bad_loser():
        try:
            yield from forever()
        finally:
            raise KeyError("in clean-up")

    def body(group):
        yield group.start(bad_loser())
        yield Sleep(1)
        raise ValueError("mine") from OSError("why")

    def main():
        error = yield outcome(in_block(body))
        return repr(error), repr(error.__cause__), repr(error.__cause__.__cause__.exceptions[0])

    assert run(main()).value == ("ValueError('mine')", "OSError('why')", "KeyError('in clean-up')")


def test_a_body_that_is_no_subroutine_is_refused(run):
    def main():
        return type((yield outcome(TaskGroup().run(lambda group: 42))))

    assert run(main()).value is BadTrap


def test_exit_in_the_body_ends_the_task_and_its_children(run, in_block):
    events = []

    def body(group):
        yield group.start(lasts(events))
        yield Sleep(1)
        yield Exit("over")

    def child():
        yield in_block(body)

    def main():
        status = yield WaitTask((yield NewTask(child())))
        return status.value, len((yield Tasks()))

    assert run(main()).value == ("over", 1)
    assert len(events) == 1


def test_the_failure_of_a_linked_task_outside_the_group_goes_through_it(run, in_block):
    events = []

    def body(group):
        yield group.start(lasts(events))
        yield Sleep(9)

    def main():
        tid = yield NewTask(fails_at(1, ValueError()), linked=True)
        error = yield outcome(in_block(body))
        return type(error), error.status.tid == tid, len(events)

    assert run(main()).value == (LinkedTaskFailed, True, 1)


# --- nested


def test_a_failure_in_an_inner_group_ends_the_outer_one(run, in_block):
    events = []

    def inner(group):
        yield group.start(lasts(events, "inner"))
        yield group.start(fails_at(1, ValueError()))

    def outer(group):
        yield group.start(lasts(events, "outer"))
        yield in_block(inner)

    def main():
        error = yield outcome(in_block(outer))
        return type(error), repr(error.exceptions[0]), len((yield Tasks()))

    assert run(main()).value == (ExceptionGroup, "ValueError()", 1)
    assert [name for name, *_ in events] == ["inner", "outer"]


def test_a_failure_in_the_outer_group_ends_the_inner_one_first(run, in_block):
    events = []

    def inner(group):
        yield group.start(lasts(events, "inner", clean_up=0.1))
        yield from forever()

    def outer(group):
        yield group.start(lasts(events, "outer"))
        yield group.start(fails_at(1, ValueError("outer's child")))
        yield in_block(inner)

    def main():
        error = yield outcome(in_block(outer))
        return type(error), [repr(e) for e in error.exceptions], len((yield Tasks()))

    assert run(main()).value == (ExceptionGroup, ['ValueError("outer\'s child")'], 1)
    assert [name for name, *_ in events] == ["inner", "outer"]


def test_a_group_in_a_child_fails_as_that_childs_error(run):
    def child():
        return (yield gather(fails(ValueError("deep")), forever()))

    def main():
        error = yield outcome(gather(child(), forever()))
        (inner,) = error.exceptions
        return type(inner), inner.exceptions[0].args

    assert run(main()).value == (ExceptionGroup, ("deep",))


# --- kills and time-outs


@pytest.mark.parametrize("signal", [INT, TERM])
@pytest.mark.parametrize("when", ["in the body", "while joining"])
def test_a_signal_to_the_parent_kills_the_children_and_is_not_swallowed(run, in_block, signal, when):
    events = []

    def body(group):
        yield group.start(lasts(events, clean_up=0.2))
        if when == "in the body":
            yield from forever()

    def main():
        tid = yield NewTask(in_block(body))
        yield Sleep(1)
        yield KillTask(tid, signal)
        status = yield WaitTask(tid)
        return status.signal, (yield GetTime()), len((yield Tasks()))

    assert run(main()).value == (signal, 1.2, 1)
    assert len(events) == 1


@pytest.mark.parametrize("signal", [INT, TERM])
def test_a_signal_that_comes_while_siblings_are_being_killed_is_not_swallowed(run, in_group, signal):
    events = []

    def body(group):
        yield group.start(lasts(events, clean_up=0.4))
        yield group.start(fails_at(1, ValueError("boo")))

    def child():
        try:
            yield in_group(body)
        except BaseException as error:
            causes.append(error.__cause__)
            raise

    causes = []

    def main():
        tid = yield NewTask(child())
        yield Sleep(1.2)
        yield KillTask(tid, signal)
        return (yield WaitTask(tid)).signal, (yield GetTime()), len((yield Tasks()))

    assert run(main()).value == (signal, 1.4, 1)
    assert len(events) == 1
    assert repr(causes[0].exceptions[0]) == "ValueError('boo')"


def test_a_kill_ends_the_children_with_their_parent(run, in_group, log):
    events = []

    def body(group):
        yield group.start(lasts(events))
        yield from forever()

    def main():
        tid = yield NewTask(in_group(body))
        yield Sleep(1)
        yield KillTask(tid, KILL)
        status = yield WaitTask(tid)
        yield Sleep(0.1)
        return status.signal, len((yield Tasks()))

    assert run(main()).value == (KILL, 1)
    assert len(events) == 1
    assert log == []


@pytest.mark.parametrize("when", ["in the body", "while joining"])
@pytest.mark.parametrize("listens", [True, False])
def test_a_timeout_around_a_group_ends_it_and_is_raised_as_it_is(run, in_block, when, listens, log):
    events = []

    def stubborn():
        while True:
            with contextlib.suppress(TaskKilled):
                yield Sleep(99)

    def body(group):
        yield group.start(lasts(events, clean_up=0.2) if listens else stubborn())
        if when == "in the body":
            yield from forever()

    def main():
        error = yield outcome(Timeout(1, in_block(body)))
        return type(error), (yield GetTime()), len((yield Tasks()))

    assert run(main()).value == (TaskTimeout, 1.2 if listens else 1.5, 1)
    assert len(log) == (0 if listens else 1)


def test_a_timeout_inside_a_child_is_that_childs(run):
    def child():
        yield Timeout(1, forever())

    def main():
        error = yield outcome(gather(child(), forever()))
        return [type(e) for e in error.exceptions]

    assert run(main()).value == [TaskTimeout]


def test_a_group_that_is_closed_with_its_timeout_kills_its_children(run, log):
    """The body does not listen to the Timeout; a second later it is closed, and cannot wait for the children."""
    events = []

    def body(group):
        yield group.start(lasts(events))
        while True:
            with contextlib.suppress(TaskTimeout):
                yield Sleep(99)

    def main():
        error = yield outcome(Timeout(1, TaskGroup().run(body)))
        yield Sleep(1)
        return type(error), len([info for info in (yield Tasks()) if info.state != "zombie"])

    assert run(main()).value == (TaskTimeout, 1)
    assert len(events) == 1


# --- gather


def test_gather_answers_values_in_the_order_of_its_targets(run):
    def main():
        return (yield gather(sleeps(3, "a"), sleeps(1, "b"), yields(0, "c"))), (yield GetTime())

    assert run(main()).value == (["a", "b", "c"], 3.0)


def test_gathering_nothing_answers_nothing(run):
    def main():
        return (yield gather())

    assert run(main()).value == []


@pytest.mark.parametrize("bad", [42, yields, None])
def test_gather_refuses_what_cannot_be_a_task_and_closes_the_others(run, bad):
    async def never():
        raise AssertionError

    events = []

    def main():
        kind = type((yield outcome(gather(lasts(events), bad, never(), forever()))))
        return kind, len((yield Tasks()))

    assert run(main()).value == (TypeError, 1)


def test_gather_past_a_limit_starts_nothing_that_goes_on(run):
    def main():
        kind = type((yield outcome(gather(*(forever() for _ in range(9))))))
        return kind, len((yield Tasks()))

    assert run(main(), limits=Limits(max_tasks=5)).value == (LimitExceeded, 1)


def test_a_group_belongs_to_the_task_that_first_started_a_child(run):
    def intruder(group):
        yield group.start(forever())

    def body(group):
        tid = yield group.start(sleeps(1))
        other = yield NewTask(outcome(intruder(group)))
        return tid, (yield WaitTask(other)).value

    def main():
        return (yield TaskGroup().run(body))[1]

    error = run(main()).value
    assert type(error) is RuntimeError
    assert str(error) == "task 3 cannot start children in a group of task 1"


def test_limits_and_names_are_passed_on(run):
    def child():
        return type((yield outcome(NewTask(forever()))))

    def body(group):
        tid = yield group.start(child(), name="limited", limits=Limits(max_tasks=1))
        return (yield Tasks())[-1].name, (yield WaitTask(tid)).value

    def main():
        return (yield TaskGroup().run(body))

    assert run(main()).value == ("limited", LimitExceeded)


def test_the_traceback_of_a_failure_shows_the_childs_frames(run):
    def inner():
        yield
        raise ValueError("boo")

    def child():
        yield inner()

    def main():
        try:
            yield gather(child())
        except ExceptionGroup as group:
            return [frame.name for frame in traceback.extract_tb(group.exceptions[0].__traceback__)]

    assert run(main()).value == ["child", "inner"]


def test_a_group_leaves_no_cycles(make_kernel):
    def main():
        for body in (well, fails_body, child_fails):
            for _ in range(10):
                yield outcome(TaskGroup().run(body))
                yield outcome(in_async(body))
        yield outcome(gather(forever(), raises()))

    async def in_async(body):
        async with TaskGroup() as group:
            await Timeout(9, body(group))

    def well(group):
        yield group.start(yields(0))

    def fails_body(group):
        yield group.start(forever())
        raise ValueError

    def child_fails(group):
        yield group.start(raises())
        yield group.start(forever())

    def raises():
        raise ValueError  # `fails(error)` would keep its error in a local: a cycle of its own
        yield

    kernel = make_kernel()
    kernel.spawn(main())
    gc.collect()
    gc.disable()
    try:
        kernel.run()
        assert gc.collect() == 0
    finally:
        gc.enable()
