"""Checked tests: `@pytest.mark.pyos(check=True)` runs a test under many schedules instead of one.

    @pytest.mark.pyos(check=True, strategy="dfs", budget=None)
    def test_two_tasks_count_to_two():
        ...

A generator or async test is init; a plain function returns a list of generators, or (list, outcome function). Keywords
are those of `pyos.check`; the budget is 1000 schedules unless the mark says more, so that a test does not depend on
the machine's speed. Fixtures are set up once, for all schedules. `--pyos-replay=STRING` runs one schedule again.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import pytest

import pyos
from pyos.check.explorer import Explorer
from pyos.check.isolation import NotIsolated
from pyos.check.replay import ReplayError, identity_of
from pyos.check.report import Report
from pyos.check.settings import Settings
from pyos.status import TaskInfo

BUDGET = 1000  # schedules
KEYWORDS = frozenset(inspect.signature(pyos.check).parameters) - {"program", "args", "replay", "progress"}
PROPERTY = "pyos check"  # of a test's report: what its check has seen


class Checking:
    """A check in the list of running kernels: it can be asked to end, and what its tasks are doing."""

    def __init__(self, explorer: Explorer) -> None:
        self.explorer = explorer
        self.actions: list[Callable[[], None]] = []

    def post(self, action: Callable[[], None]) -> None:
        """End the check after this schedule, and call `action` then."""
        self.actions.append(action)
        self.explorer.interrupted = True

    def tasks(self) -> list[TaskInfo]:
        """The tasks of the running schedule."""
        return self.explorer.plain.kernel.tasks()


def settings_of(keywords: dict[str, Any], command: Callable[[str], str]) -> Settings:
    """The mark's keywords as settings. One that there is not fails the test, in one line."""
    unknown = keywords.keys() - KEYWORDS
    if unknown:
        there = ", ".join(sorted(KEYWORDS))
        pytest.fail(f"the pyos mark of a checked test has no {sorted(unknown)[0]}: there are {there}", pytrace=False)
    passes = (pytest.skip.Exception, pytest.xfail.Exception, pytest.exit.Exception)
    return Settings(**{"budget": BUDGET, **keywords}, passes=passes, command=command)


def checked(function: Any, keywords: dict[str, Any], item: pytest.Function, running: list[Any]) -> Any:
    """The test as a plain function with the same arguments, which checks it; it is in `running` for that time."""

    @functools.wraps(function)
    def test(*args: Any, **kwargs: Any) -> None:
        try:
            report = run_checked(functools.partial(function, *args, **kwargs), function, keywords, item, running)
        except (ReplayError, NotIsolated) as error:
            pytest.fail(str(error), pytrace=False)
        if report.failures:
            pytest.fail("\n\n".join(failure.story for failure in report.failures), pytrace=False)

    return test


def run_checked(
    program: Callable[[], Any], function: Any, keywords: dict[str, Any], item: pytest.Function, running: list[Any]
) -> Report:
    """Check a test's program, or replay one schedule of it; ended by a time limit, it raises what that says."""
    __tracebackhide__ = True
    settings = settings_of(keywords, functools.partial(replay_command, item))
    parameters = getattr(item, "callspec", None)
    identity = identity_of(function, argv=[parameters.id] if parameters is not None else [], seed=settings.seed)
    replay = item.config.getoption("pyos_replay")
    with Explorer(program, identity, settings) as explorer:
        checking = Checking(explorer)
        running.append(checking)
        try:
            report = explorer.check() if replay is None else explorer.replay(replay)
        finally:
            running.remove(checking)
    item.user_properties.append((PROPERTY, f"{report.summary}; seed {report.seed}"))
    for action in checking.actions:
        action()
    return report


def replay_command(item: Any, text: str) -> str:
    """What to type to see a schedule again."""
    return f"python -m pytest '{item.nodeid}' --pyos-replay='{text}'"


def summarize(terminal: Any) -> None:
    """List what the checks of this session have seen."""
    tests = [report for reports in terminal.stats.values() for report in reports if hasattr(report, "user_properties")]
    seen = {test.nodeid: value for test in tests for name, value in test.user_properties if name == PROPERTY}
    if seen:
        terminal.section(PROPERTY)
        for nodeid, line in seen.items():
            terminal.write_line(f"{nodeid}: {line}")
