"""Python's cyclic garbage collector while the number of tasks grows."""

from __future__ import annotations

import gc
import weakref

import pytest

import pyos
from pyos import Event, LimitExceeded, Limits, NewTask, Sleep, WaitTask
from pyos.kernel import collector, tasks


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch):
    monkeypatch.setattr(collector, "SMALLEST", 20)
    monkeypatch.setattr(collector, "STEP", 10)
    gc.unfreeze()  # test tools freeze what they have loaded
    yield
    gc.unfreeze()


def waits(event):
    yield event.wait()


def crowd(number, then):
    """An init that starts so many tasks, and then asks."""
    opens = Event()
    for _ in range(number):
        yield NewTask(waits(opens), detached=True)
    seen = then()  # while all are alive
    yield opens.set()
    return seen


def test_what_is_alive_while_the_tasks_grow_in_number_is_out_of_the_collectors_sight(run):
    assert run(crowd(100, gc.get_freeze_count)).value > 100


def test_few_tasks_are_not_worth_it(run):
    assert run(crowd(15, gc.get_freeze_count)).value == 0


def test_the_collector_sees_everything_again_as_soon_as_nothing_is_ready(run):
    def main():
        grown = yield crowd(100, gc.get_freeze_count)
        yield Sleep(1)
        return grown > 0, gc.get_freeze_count()

    assert run(main()).value == (True, 0)


def test_after_a_run_the_collector_sees_everything():
    assert pyos.run(crowd(100, gc.get_freeze_count)) > 100
    assert gc.get_freeze_count() == 0


def test_once_a_kernel_is_closed_the_collector_sees_everything(make_kernel):
    kernel = make_kernel()
    kernel.spawn(crowd(100, lambda: None))
    for _ in range(150):
        kernel.step()
    assert gc.get_freeze_count() > 100
    kernel.close()
    assert gc.get_freeze_count() == 0


def test_as_many_tasks_as_there_have_been_before_are_no_growth(run):
    def main():
        yield crowd(100, gc.get_freeze_count)
        yield Sleep(1)
        return (yield crowd(90, gc.get_freeze_count))

    assert run(main()).value == 0


class Knot:
    """An object that only the collector can free."""

    def __init__(self):
        self.me = self


def test_garbage_of_the_tasks_that_are_started_is_collected_as_ever(run):
    knots = []

    def main():
        opens = Event()
        for _ in range(100):
            knots.append(weakref.ref(Knot()))
            yield NewTask(waits(opens), detached=True)
        yield opens.set()

    run(main())
    alive = sum(knot() is not None for knot in knots)
    gc.collect()
    assert alive <= 10  # what came up since the last step
    assert not any(knot() is not None for knot in knots)


def test_who_has_frozen_objects_of_their_own_is_left_alone(run):
    gc.freeze()
    frozen = gc.get_freeze_count()
    try:
        assert run(crowd(100, gc.get_freeze_count)).value == frozen
        assert gc.get_freeze_count() == frozen
    finally:
        gc.unfreeze()


def test_who_has_switched_the_collector_off_is_left_alone(run):
    gc.disable()
    try:
        assert run(crowd(100, gc.get_freeze_count)).value == 0
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_the_most_tasks_there_may_be_are_as_many_as_the_limit_says(run):
    def main():
        started = 0
        opens = Event()
        try:
            while True:
                yield NewTask(waits(opens))
                started += 1
        except LimitExceeded:
            yield opens.set()
            return started

    for most in (5, 20, 21, 33):
        assert run(main(), limits=Limits(max_tasks=most)).value == most - 1
    assert tasks.TaskTable(5).peak == 5


def test_the_first_to_die_is_waited_for_first_whoever_else_has_been_waited_for(run):
    def sleeps(seconds):
        yield Sleep(seconds)

    def main():
        tids = []
        for n in range(6):
            tids.append((yield NewTask(sleeps(6 - n))))
        yield Sleep(4.5)  # the last four are dead, the last first
        seen = [(yield WaitTask()).tid - tids[0]]
        yield WaitTask(tids[4])
        yield Sleep(10)
        while (status := (yield WaitTask())) is not None:
            seen.append(status.tid - tids[0])
        return seen

    assert run(main()).value == [5, 3, 2, 1, 0]
