"""Linked children: they end with their parent, and their failure is raised there."""

import contextlib
import math

import pytest

from pyos import (
    CONT,
    INT,
    KILL,
    STOP,
    TERM,
    Channel,
    Exec,
    Exit,
    GetTime,
    KillTask,
    LinkedTaskFailed,
    Lock,
    NewTask,
    Sleep,
    TaskKilled,
    Tasks,
    Timeout,
    WaitTask,
)
from tests.kernel.programs import fails, forever, outcome, sleeps, stubborn, yields


def fails_later(seconds, error=None):
    yield Sleep(seconds)
    raise error or ValueError("boo")


def notes_its_end(events, name="child"):
    try:
        yield from forever()
    except TaskKilled as killed:
        events.append((name, killed.signal, killed.sender, killed.reason))
        raise


# --- a child's failure


@pytest.mark.parametrize("wait", [lambda tid: Sleep(9), WaitTask, lambda tid: WaitTask(), lambda tid: Channel().get()])
def test_a_linked_childs_failure_is_raised_in_its_parent_at_once_whatever_it_waits_for(run, log, wait):
    error = ValueError("boo")

    def main():
        tid = yield NewTask(fails_later(1, error), name="bad", linked=True)
        try:
            yield wait(tid)
        except LinkedTaskFailed as failure:
            return failure, (yield GetTime())

    failure, now = run(main()).value
    assert now == 1.0
    assert failure.__cause__ is error
    assert (failure.status.tid, failure.status.error) == (2, error)
    assert str(failure) == "task 2 (bad) ended by ValueError: boo"
    assert log == []


class Unprintable(Exception):
    def __str__(self):
        raise ValueError("no text")


def test_a_failure_that_cannot_be_printed_is_raised_all_the_same(run):
    def main():
        failure = yield outcome(WaitTask((yield NewTask(fails(Unprintable()), name="odd", linked=True))))
        return str(failure), type(failure.__cause__)

    assert run(main()).value == ("task 2 (odd) ended by Unprintable, which cannot be printed", Unprintable)


def test_a_failure_raised_instead_of_the_status_leaves_no_zombie(run):
    def main():
        tid = yield NewTask(fails_later(1), linked=True)
        with contextlib.suppress(LinkedTaskFailed):
            yield WaitTask(tid)
        return (yield WaitTask(tid)), len((yield Tasks()))

    assert run(main()).value == (None, 1)


def test_a_failure_that_reached_the_parent_elsewhere_leaves_the_status_to_be_waited_for(run):
    def main():
        tid = yield NewTask(fails_later(1), linked=True)
        with contextlib.suppress(LinkedTaskFailed):
            yield Sleep(9)
        return type((yield WaitTask(tid)).error), (yield WaitTask())

    assert run(main()).value == (ValueError, None)


def test_a_failure_still_on_its_way_is_raised_by_the_wait_for_that_child_once(run):
    """Two children fail while the parent is told of the first."""

    def main():
        one = yield NewTask(fails(ValueError()), linked=True)
        two = yield NewTask(fails(KeyError()), linked=True)
        seen = []
        for trap in (Sleep(9), WaitTask(two), WaitTask(one), Sleep(1)):
            try:
                yield trap
            except LinkedTaskFailed as failure:
                seen.append(type(failure.__cause__))
        return seen, (yield WaitTask())

    assert run(main()).value == ([ValueError, KeyError], None)


def test_an_uncaught_failure_of_a_child_is_its_parents_failure(run, log):
    def parent():
        yield NewTask(fails_later(1), linked=True)
        yield from forever()

    def main():
        status = yield WaitTask((yield NewTask(parent())))
        return type(status.error), type(status.error.__cause__)

    assert run(main()).value == (LinkedTaskFailed, ValueError)
    assert log == []


def test_failures_travel_up_a_chain_of_links(run):
    def level(n):
        yield NewTask(level(n - 1) if n else fails_later(1), linked=True)
        yield from forever()

    def main():
        error = (yield WaitTask((yield NewTask(level(5))))).error
        depth = 0
        while isinstance(error, LinkedTaskFailed):
            error = error.__cause__
            depth += 1
        return depth, type(error)

    assert run(main()).value == (6, ValueError)


@pytest.mark.parametrize("end", [lambda: yields(1), lambda: outcome(Exit(3)), lambda: sleeps(1)])
def test_a_child_that_ends_well_is_no_failure(run, end):
    def main():
        yield NewTask(end(), linked=True)
        yield Sleep(5)
        return (yield WaitTask()).ok

    assert run(main()).value is True


@pytest.mark.parametrize("signal", [INT, TERM, KILL])
def test_a_child_killed_by_its_parent_is_no_failure(run, signal):
    def main():
        tid = yield NewTask(forever(), linked=True)
        yield
        yield KillTask(tid, signal)
        status = yield WaitTask(tid)
        yield Sleep(5)
        return status.signal

    assert run(main()).value is signal


@pytest.mark.parametrize("signal", [INT, TERM, KILL])
def test_a_child_killed_by_another_task_is_a_failure(run, signal, log):
    def killer(tid):
        yield Sleep(1)
        yield KillTask(tid, signal)

    def main():
        tid = yield NewTask(forever(), name="kid", linked=True)
        yield NewTask(killer(tid))
        try:
            yield WaitTask(tid)
        except LinkedTaskFailed as failure:
            return str(failure), failure.status.signal, failure.__cause__

    assert run(main()).value == (f"task 2 (kid) ended by {signal.name}", signal, None)


def test_a_child_that_dies_of_its_parents_signal_by_an_error_of_its_own_is_a_failure(run):
    def child():
        try:
            yield from forever()
        finally:
            raise ValueError("in clean-up")

    def main():
        tid = yield NewTask(child(), linked=True)
        yield
        yield KillTask(tid)
        return type((yield outcome(WaitTask(tid))))

    assert run(main()).value is LinkedTaskFailed


def test_a_detached_child_can_be_linked_too(run):
    def main():
        tid = yield NewTask(fails_later(1), linked=True, detached=True)
        error = yield outcome(WaitTask(tid))
        return type(error), (yield WaitTask(tid)), (yield WaitTask())

    assert run(main()).value == (LinkedTaskFailed, None, None)


def test_other_waiters_get_the_status_of_a_failed_linked_child(run):
    def main():
        tid = yield NewTask(fails_later(1), linked=True)
        other = yield NewTask(outcome(WaitTask(tid)))
        with contextlib.suppress(LinkedTaskFailed):
            yield Sleep(5)
        return type((yield WaitTask(other)).value.error)

    assert run(main()).value is ValueError


def test_a_failure_does_not_drop_the_answer_that_the_parent_already_has(run):
    def main():
        channel = Channel()
        yield NewTask(puts_then_fails(channel), linked=True)
        item = yield channel.get()
        try:
            yield Sleep(5)
        except LinkedTaskFailed:
            return item

    def puts_then_fails(channel):
        yield channel.put("item")
        raise ValueError

    assert run(main()).value == "item"


def test_a_stopped_parent_is_told_when_it_goes_on(run):
    def parent():
        tid = yield NewTask(fails_later(1), linked=True)
        yield NewTask(sleeps(2, "another child"))
        try:
            yield WaitTask(tid)
        except LinkedTaskFailed:
            return (yield GetTime())

    def main():
        tid = yield NewTask(parent())
        yield Sleep(0.5)
        yield KillTask(tid, STOP)
        yield Sleep(5)
        yield KillTask(tid, CONT)
        return (yield WaitTask(tid)).value

    assert run(main()).value == 5.5


@pytest.mark.parametrize("how", ["it ends", KILL, "the kill of a blocked one"])
def test_a_failure_that_the_parent_has_not_lived_to_see_is_logged(run, log, how):
    def parent(channel):
        yield NewTask(fails_when_told(channel), name="bad", linked=True)
        yield channel.get()

    def fails_when_told(channel):
        yield Sleep(1)
        if how == "it ends":
            yield channel.put("so that it goes on")
        raise ValueError("boo")

    def main():
        channel = Channel()
        tid = yield NewTask(parent(channel))
        yield Sleep(0.5)
        if how != "it ends":
            yield KillTask(tid, STOP)
            yield Sleep(1)
            yield KillTask(tid, KILL)
        return (yield WaitTask(tid)).signal

    assert run(main()).value is (None if how == "it ends" else KILL)
    assert len(log) == 1
    assert log[0].startswith("task 3 (bad) died of an uncaught ValueError\n")


def test_a_failure_in_a_parent_that_is_already_dying_is_logged_and_does_not_disturb_its_clean_up(run, log):
    def parent():
        yield NewTask(fails_later(1), linked=True)
        try:
            yield from forever()
        finally:
            yield Sleep(0.9)
            cleaned.append(True)

    cleaned = []

    def main():
        tid = yield NewTask(parent())
        yield Sleep(0.5)
        yield KillTask(tid)
        return (yield WaitTask(tid)).signal

    assert run(main()).value is TERM
    assert cleaned == [True]
    assert len(log) == 1


def fails_beside(killers, error):
    """Start the killers, which are ahead of whoever is woken by this one's death, and raise an error."""
    yield Sleep(1)
    for killer in killers:
        yield NewTask(killer)
    raise error


def kills(tids, signal=KILL, **options):
    for tid in tids:
        yield KillTask(tid, signal, **options)


@pytest.mark.parametrize("wait", [WaitTask, lambda tid: WaitTask(), lambda tid: Timeout(9, WaitTask(tid))])
def test_an_error_whose_only_waiter_is_killed_with_the_status_in_its_hands_is_logged(run, log, wait):
    def waiter():
        yield wait((yield NewTask(fails_beside([kills([2])], ValueError("boo")), name="bad")))

    def main():
        return (yield WaitTask((yield NewTask(waiter())))).signal

    assert run(main()).value is KILL
    assert len(log) == 1
    assert log[0].startswith("task 3 (bad) died of an uncaught ValueError\n")


@pytest.mark.parametrize(("killed", "lines"), [([3], 0), ([3, 4], 1)])
def test_an_error_is_logged_once_if_none_of_its_waiters_has_seen_it(run, log, killed, lines):
    def main():
        tid = yield NewTask(fails_beside([kills(killed)], ValueError("boo")), detached=True)
        for _ in range(2):
            yield NewTask(outcome(WaitTask(tid)))
        yield Sleep(2)

    run(main())
    assert len(log) == lines


def test_a_status_that_was_passed_on_is_not_reported_again(run, log):
    def main():
        status = yield WaitTask((yield NewTask(fails(ValueError()))))
        channel = Channel()
        tid = yield NewTask(outcome(channel.get()))
        yield
        yield channel.put(status)
        yield KillTask(tid, KILL)

    run(main())
    assert log == []


# --- the kernel's own signals, and a mother who survives TERM


@pytest.mark.parametrize("state", ["not started", "asleep", "stubborn"])
def test_children_that_end_by_the_shutdown_are_no_failure(run, log, state):
    seen = []

    def mother():
        yield NewTask({"not started": yields, "asleep": forever, "stubborn": stubborn}[state](), linked=True)
        while True:
            try:
                yield
                if state != "not started":
                    yield Sleep(50)
            except BaseException as error:
                seen.append(error)
                if state != "stubborn" or isinstance(error, GeneratorExit):
                    raise

    def main():
        yield NewTask(mother())
        yield
        if state != "not started":
            yield Sleep(1)

    run(main())
    assert not any(isinstance(error, LinkedTaskFailed) for error in seen)
    assert seen


def survives_term(linked, events):
    yield NewTask(linked, name="bad", linked=True)
    while True:
        try:
            yield Sleep(50)
            return
        except (TaskKilled, LinkedTaskFailed) as error:
            events.append(error)
            if type(error) is LinkedTaskFailed:
                return


def test_a_parent_that_has_survived_term_is_told_of_a_failure(run, log):
    events = []

    def main():
        tid = yield NewTask(survives_term(fails_later(2), events))
        yield Sleep(1)
        yield KillTask(tid, grace=math.inf)
        yield WaitTask(tid)
        return (yield GetTime())

    assert run(main()).value == 2.0
    assert [type(error) for error in events] == [TaskKilled, LinkedTaskFailed]
    assert log == []


def test_a_parent_in_its_clean_up_is_not_disturbed_however_long_that_takes(run, log):
    cleaned = []

    def clean_up():
        yield Sleep(2)
        cleaned.append(True)

    def parent():
        yield NewTask(fails_later(2), linked=True)
        try:
            yield from forever()
        finally:
            with contextlib.suppress(ValueError):
                try:
                    raise ValueError
                finally:
                    yield clean_up()

    def main():
        tid = yield NewTask(parent())
        yield Sleep(1)
        yield KillTask(tid, grace=math.inf)
        return (yield WaitTask(tid)).signal

    assert run(main()).value is TERM
    assert cleaned == [True]
    assert len(log) == 1


def test_a_failure_that_meets_term_on_its_way_is_logged(run, log):
    """The parent is ready to be told of TERM when the child fails."""

    def child():
        yield Sleep(1)
        yield KillTask(2, grace=math.inf)
        raise ValueError("boo")

    def parent():
        yield NewTask(child(), linked=True)
        try:
            yield from forever()
        finally:
            yield Sleep(1)
            cleaned.append(True)

    def main():
        return (yield WaitTask((yield NewTask(parent())))).signal

    cleaned = []
    assert run(main()).value is TERM
    assert cleaned == [True]
    assert len(log) == 1


# --- the end of the parent


@pytest.mark.parametrize("how", ["return", "error", "exit", TERM, KILL, INT])
def test_linked_children_end_with_their_parent_newest_first(run, how, log):
    events = []

    def parent():
        for n in range(3):
            yield NewTask(notes_its_end(events, n), linked=True)
        yield Sleep(1)
        if how == "error":
            raise ValueError
        if how == "exit":
            yield Exit()
        if how != "return":
            yield from forever()

    def main():
        tid = yield NewTask(parent())
        yield Sleep(0.5)
        if not isinstance(how, str):
            yield KillTask(tid, how)
        yield WaitTask(tid)
        yield Sleep(0.1)
        return len((yield Tasks()))

    assert run(main()).value == 1
    assert events == [(n, TERM, 2, "its parent has ended") for n in (2, 1, 0)]


def test_a_child_that_does_not_listen_is_killed_a_second_after_its_parent(run, log):
    def stubborn():
        while True:
            with contextlib.suppress(TaskKilled):
                yield Sleep(50)

    def parent():
        yield NewTask(stubborn(), linked=True)
        yield

    def main():
        yield WaitTask((yield NewTask(parent())))
        yield Sleep(0.9)
        before = len((yield Tasks()))
        yield Sleep(0.2)
        return before, len((yield Tasks()))

    assert run(main()).value == (2, 1)
    assert len(log) == 1


def test_a_whole_tree_of_links_ends_with_its_root(run):
    def node(depth):
        for _ in range(2 if depth else 0):
            yield NewTask(node(depth - 1), linked=True)
        yield from forever()

    def main():
        tid = yield NewTask(node(5))
        yield Sleep(1)
        before = len((yield Tasks()))
        yield KillTask(tid, KILL)
        yield WaitTask(tid)
        yield Sleep(0.1)
        return before, len((yield Tasks()))

    assert run(main()).value == (64, 1)


def test_an_unlinked_child_outlives_its_parent(run):
    def parent():
        yield NewTask(sleeps(5))

    def main():
        yield WaitTask((yield NewTask(parent())))
        yield Sleep(1)
        return len((yield Tasks()))

    assert run(main()).value == 2


def test_an_orphan_is_no_longer_linked(run, log):
    """Its death is nobody's failure: not init's, who has adopted it."""

    def grandchild():
        try:
            yield from forever()
        finally:
            raise ValueError("nobody's")

    def parent():
        yield NewTask(grandchild(), linked=True)
        yield

    def main():
        yield WaitTask((yield NewTask(parent())))
        yield Sleep(5)
        return "unharmed"

    assert run(main()).value == "unharmed"
    assert len(log) == 1


def test_a_stopped_linked_child_ends_with_its_parent(run):
    events = []

    def parent():
        tid = yield NewTask(notes_its_end(events), linked=True)
        yield
        yield KillTask(tid, STOP)
        yield

    def main():
        yield WaitTask((yield NewTask(parent())))
        yield Sleep(0.1)
        return len((yield Tasks()))

    assert run(main()).value == 1
    assert len(events) == 1


def test_a_lock_of_the_parent_is_free_before_its_children_are_told(run):
    events = []

    def child(lock):
        try:
            yield from forever()
        finally:
            yield Timeout(0.1, lock.acquire())
            events.append("has the lock")

    def parent(lock):
        yield lock.acquire()
        yield NewTask(child(lock), linked=True)
        yield

    def main():
        yield WaitTask((yield NewTask(parent(Lock()))))
        yield Sleep(1)

    run(main())
    assert events == ["has the lock"]


def test_an_executed_program_can_be_linked(run, tmp_path):
    program = tmp_path / "bad.py"
    program.write_text("def main():\n    yield\n    raise ValueError('boo')\n")

    def main():
        yield Exec(str(program), linked=True)
        return str((yield outcome(Sleep(5))))

    assert run(main()).value == "task 2 (bad) ended by ValueError: boo"


def test_a_child_and_parent_that_kill_each_other_in_clean_up(run):
    def parent(box):
        box.append((yield NewTask(child(box), linked=True)))
        try:
            yield from forever()
        finally:
            yield KillTask(box[1], KILL)

    def child(box):
        try:
            yield from forever()
        finally:
            yield KillTask(box[0], KILL)

    def main():
        box = []
        box.append((yield NewTask(parent(box))))
        yield Sleep(1)
        yield KillTask(box[1], KILL)
        return (yield WaitTask(box[0])).signal, len((yield Tasks()))

    assert run(main()).value == (KILL, 1)
