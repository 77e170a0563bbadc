"""Limits: of the system and of a subtree, and the arithmetic of quotas."""

import math

import pytest

from pyos import (
    KILL,
    Exec,
    GetTid,
    KillTask,
    LimitExceeded,
    Limits,
    NewTask,
    Receive,
    Send,
    Sleep,
    Tasks,
    TaskTimeout,
    Timeout,
    WaitTask,
)
from tests.kernel.programs import forever, outcome, sleeps, yields


def spawns(n, target=forever, **options):
    """As a subroutine: start up to n tasks; how many could be started, and the error of the first that could not."""
    for count in range(n):
        try:
            yield NewTask(target(), **options)
        except LimitExceeded as error:
            return count, str(error)
    return n, None


# --- what a limit may be


@pytest.mark.parametrize(
    ("limits", "error"),
    [
        ({"max_tasks": 0}, ValueError),
        ({"max_tasks": -1}, ValueError),
        ({"max_tasks": 1.5}, TypeError),
        ({"max_tasks": True}, TypeError),
        ({"max_tasks": "3"}, TypeError),
        ({"max_mailbox": 0}, ValueError),
        ({"max_mailbox": math.inf}, TypeError),
        ({"max_slice": 0}, ValueError),
        ({"max_slice": -0.1}, ValueError),
        ({"max_slice": math.inf}, ValueError),
        ({"max_slice": math.nan}, ValueError),
        ({"max_slice": "1"}, TypeError),
        ({"max_slice": True}, TypeError),
    ],
)
def test_limits_that_make_no_sense_are_refused_at_boot_and_by_newtask(make_kernel, run, limits, error):
    with pytest.raises(error):
        make_kernel(limits=Limits(**limits))

    def main():
        return type((yield outcome(NewTask(yields(0), limits=Limits(**limits))))), len((yield Tasks()))

    assert run(main()).value == (error, 1)


@pytest.mark.parametrize("limits", [5, {"max_tasks": 3}, (3, None, None), "max_tasks=3"])
def test_limits_are_limits(run, limits):
    def main():
        return type((yield outcome(NewTask(yields(0), limits=limits)))), len((yield Tasks()))

    assert run(main()).value == (TypeError, 1)


# --- max_tasks


@pytest.mark.parametrize("most", [1, 2, 5])
def test_a_subtree_counts_the_task_that_was_limited_and_its_descendants(run, most):
    def child():
        return (yield spawns(10))

    def main():
        return (yield WaitTask((yield NewTask(child(), limits=Limits(max_tasks=most))))).value

    count, message = run(main()).value
    assert count == most - 1
    assert message == f"there are {most} tasks under this limit already (max_tasks={most})"


def test_a_target_that_is_refused_is_closed(run):
    def child():
        target = forever()
        yield outcome(NewTask(target))
        return target.gi_frame

    def main():
        return (yield WaitTask((yield NewTask(child(), limits=Limits(max_tasks=1))))).value

    assert run(main()).value is None


def test_grandchildren_count_wherever_they_are_started(run):
    def level(n):
        if n:
            yield NewTask(level(n - 1))
        else:
            results.append((yield spawns(10)))
        yield from forever()

    results = []

    def main():
        yield NewTask(level(3), limits=Limits(max_tasks=6))
        yield Sleep(1)
        outside = yield spawns(10)
        return outside

    assert run(main()).value == (10, None)
    assert results[0][0] == 2  # four levels and two more


def test_a_place_is_free_again_when_a_task_has_ended_and_been_reaped(run):
    def child():
        results = []
        for reap in (False, True):
            tid = yield NewTask(yields(0))
            yield Sleep(1)
            if reap:
                yield WaitTask(tid)
            results.append((yield spawns(5, lambda: yields(0)))[0])
            yield Sleep(1)
            while (yield WaitTask()) is not None:
                pass
        return results

    def main():
        return (yield WaitTask((yield NewTask(child(), limits=Limits(max_tasks=4))))).value

    assert run(main()).value == [2, 3]


def test_detached_tasks_count_until_they_end(run):
    def child():
        first = yield spawns(5, lambda: sleeps(1), detached=True)
        yield Sleep(2)
        second = yield spawns(5, lambda: sleeps(1), detached=True)
        return first[0], second[0]

    def main():
        return (yield WaitTask((yield NewTask(child(), limits=Limits(max_tasks=4))))).value

    assert run(main()).value == (3, 3)


def test_orphans_go_on_counting_where_they_were_started(run):
    def parent():
        for _ in range(2):
            yield NewTask(forever())
        yield

    def child():
        yield WaitTask((yield NewTask(parent())))
        return (yield spawns(10))[0]

    def main():
        return (yield WaitTask((yield NewTask(child(), limits=Limits(max_tasks=5))))).value

    assert run(main()).value == 2


def test_limits_within_limits_are_all_kept(run):
    def inner():
        return (yield spawns(10))[0]

    def outer():
        first = yield NewTask(inner(), limits=Limits(max_tasks=3))
        count = (yield WaitTask(first)).value  # of its three, two are orphans now
        more = yield outcome(NewTask(yields(0), limits=Limits(max_tasks=100)))
        last = (yield spawns(10))[0]
        return count, isinstance(more, int), last

    def main():
        return (yield WaitTask((yield NewTask(outer(), limits=Limits(max_tasks=5))))).value

    assert run(main()).value == (2, True, 1)


def test_a_refusal_in_an_outer_limit_counts_nowhere(run):
    def inner():
        results = []
        for _ in range(3):
            results.append((yield spawns(10))[0])
            tids = [info.tid for info in (yield Tasks()) if info.name == "forever"]
            for tid in tids:
                yield KillTask(tid, KILL)
                yield WaitTask(tid)
        return results

    def outer():
        return (yield WaitTask((yield NewTask(inner(), limits=Limits(max_tasks=9))))).value

    def main():
        return (yield WaitTask((yield NewTask(outer(), limits=Limits(max_tasks=4))))).value

    assert run(main()).value == [2, 2, 2]


def test_siblings_with_limits_of_their_own_do_not_share_them(run):
    def child():
        return (yield spawns(10))[0]

    def main():
        tids = []
        for _ in range(3):
            tids.append((yield NewTask(child(), limits=Limits(max_tasks=4))))
        values = []
        for tid in tids:
            values.append((yield WaitTask(tid)).value)
        return values

    assert run(main()).value == [3, 3, 3]


def test_a_fork_bomb_gets_errors_in_its_own_tasks_and_leaves_the_system_responsive(run, log):
    def bomb():
        while True:
            yield NewTask(bomb())
            yield Sleep(1)

    def service():
        for _ in range(20):
            yield Sleep(1)
            assert isinstance((yield NewTask(yields(0), detached=True)), int)
        return "served"

    def main():
        yield NewTask(bomb(), limits=Limits(max_tasks=50))
        tid = yield NewTask(service())
        return (yield WaitTask(tid)).value

    assert run(main()).value == "served"
    assert log
    assert all("LimitExceeded" in line for line in log)


def test_a_program_can_be_executed_under_a_limit(run, tmp_path):
    program = tmp_path / "greedy.py"
    program.write_text(
        "from pyos import NewTask, Sleep\n"
        "def idle():\n    yield Sleep(9)\n"
        "def main():\n    for _ in range(9):\n        yield NewTask(idle())\n"
    )

    def main():
        status = yield WaitTask((yield Exec(str(program), limits=Limits(max_tasks=3))))
        return type(status.error)

    assert run(main()).value is LimitExceeded


def test_every_place_is_given_back_by_whatever_death(make_kernel):
    quotas = []

    def child():
        for target in (forever, lambda: yields(2), lambda: sleeps(1)):
            yield NewTask(target())
        yield NewTask(forever(), detached=True)
        yield NewTask(forever(), linked=True)
        tid = yield NewTask(forever())
        yield KillTask(tid, KILL)
        yield Sleep(2)

    def main(kernel):
        tid = yield NewTask(child(), limits=Limits(max_tasks=9))
        quotas.append(kernel.table.get(tid).quota)
        yield Sleep(1)
        counted = quotas[0].count
        yield WaitTask(tid)
        yield Sleep(5)
        return counted, quotas[0].count

    kernel = make_kernel()
    kernel.spawn(main(kernel))
    assert kernel.run().value == (7, 2)  # two orphans sleep for ever
    assert quotas[0].count == 0


# --- inheritance, max_mailbox


def test_a_mailbox_is_as_large_as_its_owners_limit_and_never_larger_than_its_ancestors(run):
    def child():
        yield from forever()

    def fills(tid):
        count = 0
        while True:
            try:
                yield Timeout(0, Send(tid, count))
            except TaskTimeout:
                return count
            count += 1

    def parent():
        counts = []
        for limits in (None, Limits(max_mailbox=2), Limits(max_mailbox=9), Limits(max_tasks=5)):
            tid = yield NewTask(child(), limits=limits)
            counts.append((yield fills(tid)))
        return counts

    def main():
        return (yield WaitTask((yield NewTask(parent(), limits=Limits(max_mailbox=4))))).value

    assert run(main(), limits=Limits(max_mailbox=7)).value == [4, 2, 4, 4]


def test_the_systems_mailbox_limit_holds_for_init(run):
    def main():
        for n in range(3):
            yield Send((yield GetTid()), n)
        blocked = type((yield outcome(Timeout(1, Send(1, 3)))))
        return blocked, (yield Receive())

    assert run(main(), limits=Limits(max_mailbox=3)).value == (TaskTimeout, (1, 0))


def test_limits_within_others():
    outer = Limits(max_tasks=10, max_mailbox=5, max_slice=1.0)
    assert Limits().within(outer) == Limits(None, 5, 1.0)
    assert Limits(max_mailbox=9, max_slice=0.5).within(outer) == Limits(None, 5, 0.5)
    assert Limits(99, 3, 2.0).within(outer) == Limits(99, 3, 1.0)
    assert Limits(max_mailbox=9).within(Limits()) == Limits(max_mailbox=9)
