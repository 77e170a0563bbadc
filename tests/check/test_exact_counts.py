"""How many schedules there are, exactly: the step of the design, counted. Every number is one that can be derived.

n tasks of bare yields have as many schedules as their steps have interleavings: a task with k yields takes k + 1.
"""

from __future__ import annotations

import math

import pytest

import pyos
from pyos import Cell, Lock, NewTask, WaitTask
from tests.kernel.programs import yields


def yielders(*counts):
    return lambda: [yields(n) for n in counts]


def racy_variable(tasks=2):
    value = 0

    def increment():
        nonlocal value
        read = value
        yield
        value = read + 1

    return [increment() for _ in range(tasks)], lambda: value


def racy_cell():
    cell = Cell(0)

    def increment():
        yield cell.store((yield cell.load()) + 1)

    return [increment(), increment()], lambda: cell.kernel_object.value


def locked_variable():
    value, lock = 0, Lock()

    def increment():
        nonlocal value
        yield lock.acquire()
        read = value
        yield
        value = read + 1
        yield lock.release()

    return [increment(), increment()], lambda: value


def locked_cell():
    """The same with a step of its own between lock and unlock, and nothing shared but the lock."""
    lock = Lock()

    def locks():
        yield lock.acquire()
        yield
        yield lock.release()

    return [locks(), locks()]


def init_with_two_workers():
    first = yield NewTask(yields(0))
    second = yield NewTask(yields(0))
    yield WaitTask(first)
    yield WaitTask(second)


def writers(n):
    def program():
        cell = Cell(0)

        def write(value):
            yield cell.store(value)

        return [write(i) for i in range(n)]

    return program


def writer_and_readers(n):
    def program():
        cells = tuple(Cell(0) for _ in range(n))

        def write():
            for cell in cells:
                yield cell.store(1)

        def read(cell):
            yield cell.load()

        return [write(), *(read(cell) for cell in cells)]

    return program


def philosophers(n):
    def program():
        forks = tuple(Lock(f"fork {i}") for i in range(n))

        def dines(left, right):
            yield left.acquire()
            yield right.acquire()
            yield right.release()
            yield left.release()

        return [dines(forks[i], forks[(i + 1) % n]) for i in range(n)]

    return program


def explored(program, strategy, **options):
    report = pyos.check(program, strategy=strategy, budget=None, **options)
    assert report.complete or report.failures
    return report


def multinomial(*counts):
    return math.factorial(sum(counts)) // math.prod(map(math.factorial, counts))


YIELDS = {(1, 1): 6, (2, 2): 20, (4, 4): 252, (1, 1, 1): 90, (1, 2, 3): 1260}


@pytest.mark.parametrize(("counts", "schedules"), YIELDS.items())
def test_bare_yields_have_as_many_schedules_as_interleavings(counts, schedules):
    assert schedules == multinomial(*(n + 1 for n in counts))
    assert explored(yielders(*counts), "dfs").schedules == schedules


@pytest.mark.parametrize("counts", YIELDS)
def test_tasks_that_share_nothing_have_one_trace(counts):
    assert explored(yielders(*counts), "dpor", isolated=True).schedules == 1


@pytest.mark.parametrize(("counts", "schedules"), YIELDS.items())
def test_without_isolation_nothing_is_reduced(counts, schedules):
    report = explored(yielders(*counts), "dpor")
    assert report.schedules == schedules
    assert "isolated=True" in report.notes[0]


def test_a_racy_variable_loses_an_update_in_four_schedules_of_six():
    report = explored(racy_variable, "dfs")
    assert (report.schedules, report.outcomes) == (6, {1: 4, 2: 2})


def test_a_racy_cell_has_20_schedules_of_4_traces():
    assert explored(racy_cell, "dfs").schedules == 20
    report = explored(racy_cell, "dpor", isolated=True)
    assert (report.schedules, report.outcomes) == (4, {1: 2, 2: 2})


def test_a_lock_leaves_26_schedules_and_every_one_is_right():
    report = explored(locked_variable, "dfs")
    assert (report.schedules, report.outcomes) == (26, {2: 26})


def test_a_lock_has_26_schedules_of_4_traces():
    assert explored(locked_cell, "dfs").schedules == 26
    assert explored(locked_cell, "dpor", isolated=True).schedules == 4


def test_init_with_two_workers_has_11_schedules():
    assert explored(init_with_two_workers, "dfs").schedules == 11


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_n_writers_of_one_cell_have_n_factorial_traces(n):
    assert explored(writers(n), "dpor", isolated=True).schedules == math.factorial(n)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8])
def test_one_writer_and_n_readers_of_n_cells_have_two_to_the_n_traces(n):
    assert explored(writer_and_readers(n), "dpor", isolated=True).schedules == 2**n


@pytest.mark.parametrize(("n", "schedules"), [(3, 49), (4, 225)])
def test_philosophers_take_few_runs_although_their_schedules_are_millions(n, schedules):
    report = explored(philosophers(n), "dpor", isolated=True, keep_going=True)
    assert report.complete
    assert report.schedules == schedules
    assert [failure.kind for failure in report.failures] == ["deadlock"]
    assert report.outcomes["deadlock"] == 1
