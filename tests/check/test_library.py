"""The programs of userland/check: each has the bug that its first line names, and its twin has none.

What is found, and after how many schedules; and, where every schedule can be run, how many there are.
"""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import pyos
from pyos.check.isolation import NotIsolated

LIBRARY = Path(__file__).parents[2] / "userland" / "check"
MANY = 20_000  # schedules, where it cannot be all


class Space(NamedTuple):
    """How many schedules a program has (None: more than are run here), and how many traces (None: not isolated)."""

    dfs: int | None
    dpor: int | None


class Bug(NamedTuple):
    kind: str
    message: str  # a part of it
    by_portfolio: int | None  # the schedule that shows it; None where chance finds it
    by_dpor: int | None


BUGS = {
    "aba": Bug("eventually", "what_is_in_use_is_not_in_the_stack", None, None),
    "bounded_buffer": Bug("assertion", "an empty buffer", 245, 124),
    "check_then_act": Bug("invariant", "no_seat_is_sold_twice", 1, None),
    "dining_philosophers": Bug("deadlock", "a cycle of waits: 1", 115, 25),
    "double_close": Bug("eventually", "the_log_is_open", 3, None),
    "late_timer": Bug("assertion", "the timer of the one before", 35, None),
    "lock_and_channel": Bug("deadlock", 'channel "items", to put', 1, 1),
    "lost_wakeup": Bug("deadlock", 'condition "changed"', 5, 3),
    "notify_one": Bug("deadlock", 'condition "changed"', 9, 6),
    "peterson": Bug("assertion", "two are inside", 63, 10),
    "peterson_without_turn": Bug("assertion", "two are inside", 37, 5),
    "racy_counter": Bug("assertion", "the counter says 1", 7, 4),
    "readers_and_writers": Bug("assertion", "the writer starves", 172, 11),
    "swallowed_kill": Bug("deadlock", "wait task 2", 3, 2),
}
SPACES = {
    "aba": Space(18, None),
    "aba_fixed": Space(18, None),
    "bounded_buffer_fixed": Space(None, 206),
    "check_then_act": Space(6, None),
    "check_then_act_fixed": Space(4, None),
    "dining_philosophers": Space(None, 49),
    "dining_philosophers_fixed": Space(None, 40),
    "double_close": Space(90, None),
    "double_close_fixed": Space(90, None),
    "late_timer": Space(3300, None),
    "late_timer_fixed": Space(3300, None),
    "lock_and_channel": Space(623, 69),
    "lock_and_channel_fixed": Space(1019, 84),
    "lost_wakeup": Space(34, 6),
    "lost_wakeup_fixed": Space(29, 5),
    "notify_one": Space(None, 1180),
    "notify_one_fixed": Space(None, 1180),
    "peterson_fixed": Space(None, 28),
    "racy_counter_fixed": Space(2217, 24),
    "swallowed_kill": Space(1015, 10),
    "swallowed_kill_fixed": Space(6680, 193),
}
TWINS = sorted(path.stem for path in LIBRARY.glob("*_fixed.py"))


def program(name: str) -> Any:
    return runpy.run_path(str(LIBRARY / f"{name}.py"))["main"]


def check(name: str, strategy: str, budget: int | None = None, **options: Any) -> Any:
    return pyos.check(program(name), strategy=strategy, budget=budget, **options)


def test_every_program_is_here_with_its_twin_and_says_what_the_bug_is():
    names = {path.stem for path in LIBRARY.glob("*.py")} - set(TWINS)
    assert names == set(BUGS)
    assert {f"{name}_fixed" for name in names - {"peterson_without_turn"}} == set(TWINS)
    for name in names:
        text = (LIBRARY / f"{name}.py").read_text()
        assert text.startswith(f'"""{name}: ')
        assert "BUG: " in text.splitlines()[0]


@pytest.mark.parametrize("name", BUGS)
def test_the_portfolio_finds_the_bug(name):
    bug = BUGS[name]
    report = check(name, "portfolio", MANY)
    (failure,) = report.failures
    assert (failure.kind, report.schedules) == (bug.kind, bug.by_portfolio or report.schedules)
    assert bug.message in failure.message


@pytest.mark.parametrize("name", [name for name, bug in BUGS.items() if bug.by_dpor])
def test_dpor_finds_the_bug_of_an_isolated_program(name):
    bug = BUGS[name]
    report = check(name, "dpor", MANY, isolated=True)
    (failure,) = report.failures
    assert (failure.kind, report.schedules) == (bug.kind, bug.by_dpor)
    assert bug.message in failure.message


@pytest.mark.parametrize("name", BUGS)
def test_the_failure_is_replayed_by_its_string(name):
    main = program(name)
    (found,) = pyos.check(main, budget=MANY).failures
    (again,) = pyos.check(main, replay=found.replay).failures
    assert (again.kind, again.message) == (found.kind, found.message)


@pytest.mark.parametrize("name", [name for name, space in SPACES.items() if space.dfs])
def test_every_schedule_is_run(name):
    report = check(name, "dfs", keep_going=True)
    assert report.complete
    assert report.schedules == SPACES[name].dfs
    assert kinds(report) == expected(name)


@pytest.mark.parametrize("name", [name for name, space in SPACES.items() if space.dpor])
def test_every_trace_of_an_isolated_program_is_run(name):
    report = check(name, "dpor", isolated=True, keep_going=True)
    assert report.complete
    assert report.schedules == SPACES[name].dpor
    assert kinds(report) == expected(name)


def test_readers_and_writers_are_too_many_for_all_and_pass_those_that_are_run():
    report = check("readers_and_writers_fixed", "portfolio", 3_000)
    assert report.ok
    assert (report.complete, report.bound) == (False, "3000 schedules used up")
    assert report.schedules == 3_000


def test_every_twin_is_proven_or_known_not_to_be():
    assert set(TWINS) - set(SPACES) == {"readers_and_writers_fixed"}


@pytest.mark.parametrize("name", ["aba", "check_then_act", "double_close", "late_timer"])
def test_programs_that_share_python_objects_are_refused_as_isolated(name):
    with pytest.raises(NotIsolated, match="is shared by tasks 1 and 2"):
        check(name, "dpor", isolated=True)


def kinds(report: Any) -> list[str]:
    return [failure.kind for failure in report.failures]


def expected(name: str) -> list[str]:
    return [BUGS[name].kind] if name in BUGS else []
