"""What checking costs: schedules per second, a step beside a production step, and production beside itself.

    python -m bench.check_costs [ROUNDS]

- schedules: dfs on the racy counter (two tasks, one addition each), per CPU second, in a kernel that is reset;
- step: one under dfs against one in production, of bare yields and of a trap answered at once;
- production: the same steps in a process that has run a check, against one that has not loaded the checker.

The rounds (9) are interleaved; shown are medians, and of ratios the median of the rounds' own.
"""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from statistics import median
from time import process_time
from typing import Any

import pyos
from pyos import Cell, NewTask, Program, WaitTask

YIELDS = 50_000  # of each of two tasks
SCHEDULES = 20_000


def lets_others_run() -> list[Program]:
    def worker() -> Program:
        for _ in range(YIELDS):
            yield

    return [worker(), worker()]


def loads() -> list[Program]:
    cell = Cell(0)

    def worker() -> Program:
        load = cell.load()
        for _ in range(YIELDS):
            yield load

    return [worker(), worker()]


def racy_counter() -> list[Program]:
    value = 0

    def increment() -> Program:
        nonlocal value
        read = value
        yield
        value = read + 1

    return [increment(), increment()]


PROGRAMS: dict[str, Callable[[], list[Program]]] = {"bare yield": lets_others_run, "trap": loads}


def production_step(make: Callable[[], list[Program]]) -> float:
    """Seconds of a step under `pyos.run`."""

    def init() -> Program:
        for task in make():
            yield NewTask(task)
        yield WaitTask()
        yield WaitTask()

    start = process_time()
    pyos.run(init())
    return (process_time() - start) / (2 * YIELDS)


def checked_step(make: Callable[[], list[Program]]) -> float:
    """Seconds of a step under dfs, in the first schedule of a long program."""
    from pyos.check.harness import Harness
    from pyos.check.strategies import Dfs

    harness, strategy = Harness(make, max_steps=10 * YIELDS), Dfs()
    strategy.next()
    start = process_time()
    harness.run(strategy.choose)
    took = process_time() - start
    assert harness.failure is None, harness.failure
    harness.kernel.close()
    return took / (2 * YIELDS)


def schedules_a_second() -> float:
    """Complete schedules of the racy counter, per CPU second; every search is begun again at its end."""
    from pyos.check.harness import Harness
    from pyos.check.strategies import Dfs

    harness, ran = Harness(racy_counter), 0
    start = process_time()
    while ran < SCHEDULES:
        strategy = Dfs()
        while strategy.next():
            harness.run(strategy.choose)
            ran += 1
    rate = ran / (process_time() - start)
    harness.kernel.close()
    return rate


def child(what: str, name: str) -> None:
    """A production step, measured in a process of its own: `after` a check of the same program, or `before` any."""
    if what == "after":
        report = pyos.check(racy_counter, strategy="dfs", budget=None)
        assert report.complete
    production_step(PROGRAMS[name])
    print(min(production_step(PROGRAMS[name]) for _ in range(3)))


def measured(what: str, name: str) -> float:
    command = [sys.executable, "-m", "bench.check_costs", what, name]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def compare(rounds: int, one: Callable[[], float], other: Callable[[], float]) -> tuple[float, float, float]:
    """Medians of both, interleaved and each first in turn, and the median of other / one."""
    pairs: list[tuple[float, float]] = []
    for number in range(rounds):
        if number % 2:
            second, first = other(), one()
        else:
            first, second = one(), other()
        pairs.append((first, second))
    return median(a for a, _ in pairs), median(b for _, b in pairs), median(b / a for a, b in pairs)


def main(rounds: int = 9) -> None:
    print(f"pyos {pyos.__version__}, Python {platform.python_version()}; medians of {rounds} rounds, interleaved")
    rate = median(schedules_a_second() for _ in range(rounds))
    print(f"schedules    racy counter  {rate:9,.0f} a second under dfs (promised: 40,000)")
    for name, make in PROGRAMS.items():
        plain, checked, ratio = compare(rounds, partial(production_step, make), partial(checked_step, make))
        told = f"{plain * 1e9:5.0f} ns in production, {checked * 1e9:6.0f} ns under dfs"
        print(f"step         {name:12}  {told}: {ratio:.1f} x (promised: at most 15)")
    for name in PROGRAMS:
        before, after, ratio = compare(rounds, partial(measured, "before", name), partial(measured, "after", name))
        told = f"{before * 1e9:5.0f} ns without the checker, {after * 1e9:4.0f} ns after a check"
        print(f"production   {name:12}  {told}: {ratio:.3f} x (promised: no slower)")


if __name__ == "__main__":
    arguments: list[Any] = sys.argv[1:]
    if arguments[:1] in (["before"], ["after"]):
        child(*arguments)
    else:
        main(*map(int, arguments))
