"""One kernel for many runs: what is left of a run is gone before the next, and each begins like the first."""

from __future__ import annotations

import contextlib
import gc
import math
import threading
import traceback
import weakref

import pytest

import pyos
from pyos import KILL, Cell, Channel, GetTid, GetTime, KillTask, Lock, NewTask, Random, Send, Sleep, Timeout, WaitTask
from pyos.check.harness import Harness
from pyos.kernel.choice import first
from tests.check.cases import crossed, family
from tests.kernel.programs import forever, yields


@pytest.fixture
def harness_of():
    """A harness of a program, closed at the end."""
    made = []

    def make(program, **options):
        made.append(Harness(program, **options))
        return made[-1]

    yield make
    for harness in made:
        harness.kernel.close()


LOCK, CELL, CHANNEL = Lock("of the module"), Cell(0, "of the module"), Channel(1, "of the module")


def busy():
    """Leaves something of everything behind."""
    yield LOCK.acquire()
    yield CELL.store((yield CELL.load()) + 1)
    yield CHANNEL.put(1)
    yield NewTask(forever())
    child = yield NewTask(yields(3))
    yield Send(child, "hello")
    yield Timeout(50, Sleep(1))
    tid, now, dice = (yield GetTid()), (yield GetTime()), (yield Random())
    return tid, child, now, dice, (yield CELL.load())


def test_every_run_is_like_the_first(harness_of):
    harness = harness_of(busy, leaks=False)
    outcomes = [harness.run(first) for _ in range(5)]
    assert outcomes == [outcomes[0]] * 5
    assert outcomes[0][:3] == (1, 3, 1.0)
    assert outcomes[0][4] == 1
    assert harness.failure is None


def test_the_kernel_is_sound_after_each_run_and_holds_nothing_after_a_reset(harness_of):
    for program in (busy, crossed, family):
        harness = harness_of(program, leaks=False)
        for _ in range(3):
            harness.run(first)
            harness.kernel.audit()
        harness.begin(first)
        kernel = harness.kernel
        kernel.audit()
        assert (len(kernel.table), kernel.table.last_tid, kernel.table.closed) == (0, 0, None)
        assert (kernel.timers.heap, kernel.timers.eternal, kernel.signals.graces) == ([], 0, {})
        assert (list(harness.queue), kernel.init_status, kernel.shutting_down) == ([], None, None)


def test_what_is_left_of_a_run_is_closed_before_the_next(harness_of):
    closed = []

    def left():
        try:
            yield Sleep(math.inf)
        finally:
            closed.append(1)

    harness = harness_of(lambda: [left(), yields(1)])
    harness.run(first)
    assert closed == []
    harness.run(first)
    assert closed == [1]


def stubborn():
    """Its clean-up waits."""
    try:
        yield Sleep(math.inf)
    finally:
        yield Sleep(5)


def very_stubborn():
    """It does not end at all."""
    while True:
        with contextlib.suppress(GeneratorExit):
            yield Sleep(math.inf)


@pytest.mark.filterwarnings("error")
def test_a_frame_whose_clean_up_waits_is_freed_all_the_same(harness_of):
    made = []

    def program():
        target = stubborn()
        made.append(weakref.ref(target))
        return [target]

    harness = harness_of(program)
    for _ in range(20):
        harness.run(first)
    harness.begin(first)
    gc.collect()
    assert [reference() for reference in made] == [None] * 20


def test_a_task_that_ignores_its_closing_does_not_stop_the_next_run(harness_of):
    harness = harness_of(lambda: [very_stubborn(), yields(1)])
    for _ in range(3):
        harness.run(first)
        assert harness.failure is None
        assert harness.steps == 3


def test_a_kill_in_a_run_still_abandons_a_frame_whose_clean_up_waits(harness_of):
    def program():
        child = yield NewTask(stubborn())
        yield
        yield KillTask(child, KILL)
        return (yield WaitTask(child)).signal

    harness = harness_of(program)
    assert harness.run(first) is KILL
    assert any("the frame is abandoned" in line for line in harness.log)


def test_the_dice_are_wound_back(harness_of):
    def program():
        return (yield Random()), (yield Random())

    harness = harness_of(program, seed=3)
    one, two = harness.run(first), harness.run(first)
    assert one == two
    assert one[0] != one[1]


def test_steps_are_counted(harness_of):
    harness = harness_of(lambda: [yields(3), yields(0)])
    harness.run(first)
    assert harness.steps == 5


def test_a_long_slice_ends_where_it_does_in_production(harness_of):
    """After 64 syscalls a task is behind the others, step by step as in the loop."""
    order = []

    def work(name, n):
        for _ in range(n):
            yield GetTid()
        order.append(name)

    harness = harness_of(lambda: [work("long", 150), work("short", 70), yields(1)])
    harness.run(first)
    stepwise, order[:] = list(order), []
    with pyos.kernel.kernel.Kernel(clock=pyos.kernel.clock.VirtualClock()) as kernel:
        for target in (work("long", 150), work("short", 70), yields(1)):
            kernel.spawn(target)
        kernel.run()
    assert stepwise == order == ["short", "long"]


@pytest.mark.parametrize("strategy", ["dfs", "delay"])
def test_a_run_that_is_cut_in_a_slice_does_not_shorten_the_next_ones(strategy):
    def spins(cell):
        while not (yield cell.load()):
            pass

    def ends_it(cell):
        yield cell.store(1)

    def program():
        cell = Cell(0)
        return [spins(cell), ends_it(cell), yields(1)]

    report = pyos.check(program, strategy=strategy, budget=1000, keep_going=True, max_steps=30)
    assert [failure.kind for failure in report.failures] == ["livelock"]


def test_an_invariant_that_breaks_in_a_slice_is_told_as_that():
    def stores(cell, times):
        for value in (*range(times), -1, 5):
            yield cell.store(value)

    for times in (1, 40, 62, 63):

        def program(times=times):
            cell = Cell(0)
            pyos.always(lambda: cell.kernel_object is None or cell.kernel_object.value != -1)
            return [stores(cell, times), yields(1)]

        report = pyos.check(program, budget=50)
        assert [failure.kind for failure in report.failures] == ["invariant"]


def test_a_check_in_another_thread_waits_for_its_turn():
    seen = []

    def check():
        seen.append(pyos.check(family, strategy="dfs", budget=None).schedules)

    threads = [threading.Thread(target=check) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [11, 11, 11]


def test_a_check_inside_a_checked_task_is_its_error():
    def program():
        yield
        pyos.check(family)

    (failure,) = pyos.check(program, budget=3).failures
    assert failure.kind == "error"
    assert "a kernel is already running in this thread" in failure.message


def test_a_traceback_shows_the_programs_lines_alone():
    def program():
        yield WaitTask("seven")

    (failure,) = pyos.check(program, budget=1).failures
    error = failure.error
    assert [line.name for line in traceback.extract_tb(error.__traceback__)] == ["program"]
