"""The reduction is sound: what all schedules show, dpor shows with one run for each trace.

A trace is what schedules have in common that differ only in the order of independent steps; here all schedules are
run, and their traces counted.
"""

from __future__ import annotations

import contextlib
import os

import pytest
from hypothesis import HealthCheck, assume, given, settings

import pyos
from pyos import KILL, Cell, KillTask, NewTask, WaitTask, always
from tests.check.explore import TooMany, by_brute_force, by_dpor
from tests.check.random_programs import program_of, programs

EXAMPLES = os.environ.get("PYOS_DPOR_EXAMPLES")  # to look for more: so many programs, others each time
MOST = 150  # schedules of a random program
CUT_SHORT = {"error", "assertion", "leak"}  # failures that end a run before its trace is complete

SUBTLE = {  # what each program shows only in another order -> the program
    "a ready task that is killed": (False, ((("kill", 2, "KILL", 0),), (("store", 1), ("yield",)), (("load",),))),
    "a ready task that is stopped": (
        True,
        ((("up",),), (("spawn", (("finally", ("down",), ("kill", 2, "STOP", 0)),), False, False),)),
    ),
    "what comes before the step of a ready task that is killed": (
        False,
        ((("get", 2),), (("spawn", (("kill", 1, "INT", 0),), False, True),), (("get", 2),)),
    ),
    "a permit that a killed task was given": (
        False,
        ((("down",), ("up",)), (("down",),), (("kill", 2, "KILL", 0), ("timeout", 0, ("down",)))),
    ),
    "an item that a killed task was given": (
        False,
        ((("get", 1),), (("put", 1), ("kill", 1, "KILL", 0)), (("timeout", 0, ("get", 1)),)),
    ),
    "a zombie that its parent reaps": (True, ((("wait task", 2),), (("yield",),), (("wait task", 2),))),
    "a zombie that a wait for any child reaps": (True, ((("wait any",),), (("yield",),), (("wait task", 2),))),
    "a zombie whose parent ends": (False, ((("spawn", (("yield",),), False, False),), (("wait task", 3),))),
    "two failures, of which the first ends the run": (False, ((("raise",),), (("assert",),))),
    "a tid before there is such a task": (True, ((("down",),), (("send", 3),), (("receive",),))),
    "a linked child that is killed by its parent's end": (
        False,
        ((("spawn", (("load",),), True, True),), (("store", 1),)),
    ),
    "a linked child that fails": (
        False,
        ((("spawn", (("kill", 1, "TERM", 1), ("wait",)), False, True), ("store", 1)), (("load",),)),
    ),
    "a waiter that is killed before it is told of an error": (
        False,
        ((("wait task", 2),), (("yield",), ("raise",)), (("kill", 1, "KILL", 0),)),
    ),
    "a killed waiter of a condition": (
        False,
        ((("wait condition",),), (("wait condition",),), (("notify",), ("kill", 1, "KILL", 0))),
    ),
    "alarms that are due together": (
        False,
        ((("timeout", 1, ("get", 0)), ("load",)), (("timeout", 1, ("get", 0)), ("store", 1))),
    ),
    "a choice of the program's": (False, ((("choose",), ("store", 1)), (("load",),))),
}


def compare(described, most):
    program = program_of(described)
    outcomes, traces, schedules = by_brute_force(program, most)
    reduced, runs = by_dpor(program)
    assert reduced == outcomes
    if not outcomes & CUT_SHORT:
        assert runs == len(traces)
    return schedules, runs


@settings(
    max_examples=int(EXAMPLES or 150),
    derandomize=EXAMPLES is None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(programs)
def test_dpor_sees_the_outcomes_and_the_failures_of_every_schedule_of_a_random_program(described):
    try:
        compare(described, MOST)
    except TooMany:
        assume(False)


@pytest.mark.parametrize("described", SUBTLE.values(), ids=SUBTLE)
def test_dpor_sees_what_depends_on(described):
    schedules, runs = compare(described, 5_000)
    assert runs <= schedules


def test_a_condition_on_every_step_is_seen_broken_between_independent_steps():
    def program():
        first, second = Cell(0), Cell(0)

        def stores(cell):
            yield cell.store(1)

        def second_is_not_first_to_be_stored():
            made = [cell.kernel_object for cell in (first, second)]
            return not (made[1] is not None and made[1].value and not (made[0] is not None and made[0].value))

        always(second_is_not_first_to_be_stored)
        return [stores(first), stores(second)]

    report = pyos.check(program, strategy="dpor", isolated=True, budget=None)
    assert [failure.kind for failure in report.failures] == ["invariant"]


def test_what_random_answers_is_the_same_in_every_run():
    def program():
        tid = yield NewTask(draws())
        return (yield WaitTask(tid)).value

    def draws():
        return (yield pyos.Random())

    assert len(pyos.check(program, strategy="dfs", budget=None).outcomes) == 1


async def numbers(cell, n):
    try:
        while True:
            yield n
    finally:
        await cell.store(n)


async def leaves(cell, n=1):
    async for _ in numbers(cell, n):
        break


async def leaves_two(cell):
    await leaves(cell, 1)
    await cell.load()
    await leaves(cell, 2)


def looks(cell):
    return (yield cell.load())


async def looks_in_between(cell):
    async for _ in numbers(cell, 3):
        await cell.load()
        break


def kills_the_first(cell):
    with contextlib.suppress(LookupError):
        yield KillTask(1)
    return (yield cell.load())


def kills_the_closer(cell):
    with contextlib.suppress(LookupError):
        yield KillTask(3, KILL)


def waits_for_what_it_left(cell):
    tid = yield NewTask(leaves(cell))
    yield WaitTask(tid)
    return (yield cell.load())


@pytest.mark.parametrize(
    ("tasks", "outcomes"),
    [
        ([leaves], {1}),
        ([leaves, looks], {1}),
        ([leaves, leaves], {1}),
        ([leaves, leaves_two], {1, 2}),
        ([leaves_two, looks], {1, 2}),
        ([waits_for_what_it_left, looks], {1}),
        ([looks_in_between, kills_the_first], {0, 3}),
        ([looks_in_between, kills_the_closer], {3}),
    ],
)
def test_dpor_sees_every_schedule_of_who_closes_a_left_async_generator(tasks, outcomes):
    def program():
        cell = Cell(0)
        return [task(cell) for task in tasks], lambda: cell.kernel_object.value if cell.kernel_object else 0

    seen, traces, schedules = by_brute_force(program, 30_000)
    reduced, runs = by_dpor(program)
    assert reduced == seen == outcomes
    assert runs == len(traces) <= schedules


def test_a_left_async_generator_is_closed_while_others_are_at_work_as_in_production():
    def looks_late(cell):
        for _ in range(150):
            yield
        assert (yield cell.load()) != 1

    def boot():
        cell = Cell(0)
        yield NewTask(leaves(cell))
        looking = yield NewTask(looks_late(cell))
        return type((yield WaitTask(looking)).error)

    def program():
        cell = Cell(0)
        return [leaves(cell), looks_late(cell)]

    assert pyos.run(boot()) is AssertionError
    for strategy in ("production", "dfs", "dpor", "portfolio"):
        report = pyos.check(program, strategy=strategy, budget=500, isolated=strategy == "dpor")
        assert [failure.kind for failure in report.failures] == ["assertion"]
        assert report.failures[0].choices == ()
