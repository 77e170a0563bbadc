"""A failing schedule is made simpler before it is told: the fewest deviations that still fail the same way."""

from __future__ import annotations

import pytest

import pyos
from pyos import Cell, Channel, Choose, Lock, NewTask, WaitTask
from pyos.check.harness import Harness
from pyos.check.shrink import Shrinker, deviations, trimmed
from pyos.check.strategies import Random, Replay
from tests.check.cases import crossed, late, lost_update


@pytest.fixture
def harness_of():
    """A harness of a program, closed at the end."""
    made = []

    def make(program):
        made.append(Harness(program))
        return made[-1]

    yield make
    for harness in made:
        harness.kernel.close()


def some_failures(harness, n, kind=None):
    """Up to n failing schedules, found at random: with many deviations that have nothing to do with the failure."""
    strategy = Random(1)
    found = []
    while len(found) < n and strategy.next():
        harness.run(strategy.choose)
        failure = harness.failure
        if failure is not None and kind in (None, failure.kind):
            failure.choices = trimmed(strategy.chosen)
            found.append(failure)
    return found


@pytest.mark.parametrize(("program", "fewest"), [(crossed, 1), (late, 2), (lost_update, 0)])
def test_every_failing_schedule_becomes_one_with_the_fewest_deviations(harness_of, program, fewest):
    harness = harness_of(program)
    failures = some_failures(harness, 20)
    assert max(deviations(failure.choices) for failure in failures) > fewest
    for failure in failures:
        assert deviations(Shrinker(harness, failure).shrink().choices) == fewest


def test_what_is_left_still_fails_the_same_way(harness_of):
    harness = harness_of(crossed)
    for failure in some_failures(harness, 10):
        small = Shrinker(harness, failure).shrink()
        harness.run(Replay(small.choices).choose)
        assert harness.failure.signature == failure.signature
        assert small.choices == trimmed(small.choices)


def two_faults():
    """An order that raises ValueError, with one deviation, and one that deadlocks, with two."""
    order = []

    def work(name):
        yield
        order.append(name)
        yield

    def outcome():
        if order[0] == "b":
            raise ValueError(order)
        assert order != ["a", "c", "b"]

    return [work(name) for name in "abc"], outcome


@pytest.mark.parametrize(("kind", "error"), [("error", ValueError), ("assertion", AssertionError)])
def test_a_failure_does_not_turn_into_another_one(harness_of, kind, error):
    harness = harness_of(two_faults)
    for failure in some_failures(harness, 10, kind):
        small = Shrinker(harness, failure).shrink()
        assert small.kind == kind
        assert type(small.error) is error
        assert deviations(small.choices) == 1


def test_errors_of_two_lines_are_two_failures(harness_of):
    def program():
        which = yield Choose("abc")
        if which == "b":
            raise ValueError("one")
        if which == "c":
            raise ValueError("two")

    harness = harness_of(program)
    (one,) = [failure for failure in some_failures(harness, 8) if "two" in failure.message][:1]
    assert "two" in Shrinker(harness, one).shrink().message


def two_deadlocks():
    """One of two locks, with one deviation, and one of a reader that nobody writes to, with another."""
    one, two, flag, news = Lock("one"), Lock("two"), Cell(False), Channel(0, "news")

    def takes(first, second):
        yield first.acquire()
        yield second.acquire()
        yield second.release()
        yield first.release()

    def reads():
        if not (yield flag.load()):
            yield news.get()

    def writes():
        yield flag.store(True)

    return [writes(), reads(), takes(one, two), takes(two, one)]


def test_a_deadlock_does_not_turn_into_another_one(harness_of):
    harness = harness_of(two_deadlocks)
    kinds = set()
    for failure in some_failures(harness, 40):
        small = Shrinker(harness, failure).shrink()
        kinds.add(small.message.partition(":")[0].partition(chr(10))[0])
        assert ("a cycle of waits" in small.message) == ("a cycle of waits" in failure.message)
        assert deviations(small.choices) == 1
    assert kinds == {"a cycle of waits", "nothing can ever run again"}


@pytest.mark.parametrize("options", [{"strategy": "dpor", "isolated": True}, {"strategy": "random", "budget": 300}])
def test_two_deadlocks_are_two_failures_and_the_same_one_among_others_is_one(options):
    report = pyos.check(two_deadlocks, keep_going=True, **options)
    assert sorted(failure.message.partition(" ")[0] for failure in report.failures) == ["a", "nothing"]


def test_tasks_of_other_numbers_are_in_the_same_deadlock():
    def program():
        def waits():
            yield Channel(0).get()

        def starts():
            yield WaitTask((yield NewTask(waits())))

        return [starts(), starts()]

    report = pyos.check(program, strategy="dfs", budget=None, keep_going=True)
    assert report.complete
    assert len(report.failures) == 1


def test_the_work_is_bounded(harness_of):
    runs = []

    def program():
        runs.append(1)

        def work():
            for _ in range(8):
                yield

        def outcome():
            raise ValueError

        return [work() for _ in range(5)], outcome

    harness = harness_of(program)
    (failure,) = some_failures(harness, 1)
    runs.clear()
    Shrinker(harness, failure, most_runs=30).shrink()
    assert len(runs) <= 2 * 30


def test_a_check_reports_the_simplest_schedule():
    for strategy in ("random", "pct"):
        (failure,) = pyos.check(crossed, strategy=strategy, budget=500).failures
        assert deviations(failure.choices) == 1
        assert [row.deviates for row in failure.rows].count(True) == 1


@pytest.mark.parametrize(("choices", "left"), [((), ()), ((0, 0), ()), ((0, 2, 0), (0, 2)), ((1,), (1,))])
def test_zeros_at_the_end_are_cut(choices, left):
    assert trimmed(choices) == left
