"""Every schedule of a program, by brute force: the outcomes, the failures and the traces of all of them.

Steps are watched with the footprints that dpor uses, but nothing is left out.
"""

from __future__ import annotations

from typing import Any

from pyos.check.dpor import Asleep, Dpor
from pyos.check.footprint import Footprints
from pyos.check.harness import Harness
from pyos.check.queue import PickingQueue
from pyos.check.strategies import Dfs


class TooMany(Exception):
    """The program has more schedules than the test wants to see."""


class Watched(Dfs):
    """Every schedule, each with the steps it consists of."""

    def __init__(self, footprints: Footprints) -> None:
        super().__init__()
        self.footprints = footprints
        self.steps: list[Any] = []
        self.options: list[tuple[int, int]] = []
        self.barriers: list[int] = []

    def next(self) -> bool:
        self.steps, self.options, self.barriers = [], [], []
        self.footprints.begin_run()
        return super().next()

    def pick(self, ready: Any) -> int:
        index = self.choose("step", ready)
        self.steps.append(self.footprints.begin_step(ready[index]))
        return index

    def choose(self, kind: str, options: Any) -> int:
        index = super().choose(kind, options)
        if kind != "step":
            self.options.append((len(self.steps), index))
        return index

    def time_passes(self) -> None:
        self.barriers.append(len(self.steps))
        self.footprints.begin_nothing()

    def trace(self) -> Any:
        """What all schedules that differ only in the order of independent steps have in common."""
        seen: dict[Any, int] = {}
        names, chosen = [], dict.fromkeys(range(len(self.steps)), ())
        for position, index in self.options:
            chosen[position - 1] = (*chosen[position - 1], index)
        for i, step in enumerate(self.steps):
            seen[step.task] = seen.get(step.task, 0) + 1
            names.append((step.task, seen[step.task], chosen[i]))
        pairs = {
            (names[j], names[i])
            for i, step in enumerate(self.steps)
            for j in range(i)
            if step.depends_on(self.steps[j]) or any(j < barrier <= i for barrier in self.barriers)
        }
        return frozenset(names), frozenset(pairs)


def by_brute_force(program: Any, most: int, max_steps: int = 200) -> tuple[set[Any], set[Any], int]:
    """Outcomes, traces, and how many schedules there are. Raises TooMany if there are more than `most`."""
    footprints = Footprints(isolated=True)
    strategy = Watched(footprints)
    harness = harness_of(program, strategy, footprints, max_steps)
    outcomes, traces, schedules = set(), set(), 0
    with footprints.naming_handles():
        while strategy.next():
            schedules += 1
            if schedules > most:
                harness.kernel.close()
                raise TooMany
            outcomes.add(outcome_of(harness, harness.run(strategy.choose)))
            traces.add(strategy.trace())
    harness.kernel.close()
    return outcomes, traces, schedules


def by_dpor(program: Any, max_steps: int = 200, most: int = 100_000) -> tuple[set[Any], int]:
    """Outcomes, and how many runs were needed."""
    footprints = Footprints(isolated=True)
    strategy = Dpor(footprints)
    harness = harness_of(program, strategy, footprints, max_steps)
    outcomes, runs = set(), 0
    with footprints.naming_handles():
        while strategy.next():
            try:
                result = harness.run(strategy.choose)
            except Asleep:
                continue
            runs += 1
            if runs > most:
                harness.kernel.close()
                raise TooMany
            outcomes.add(outcome_of(harness, result))
    harness.kernel.close()
    return outcomes, runs


def harness_of(program: Any, strategy: Any, footprints: Footprints, max_steps: int) -> Harness:
    queue = PickingQueue(strategy.choose, strategy.pick)
    harness = Harness(program, wrappers=[footprints.wrap], queue=queue, max_steps=max_steps)
    harness.time_passes = strategy.time_passes
    footprints.bind(harness.kernel)
    return harness


def outcome_of(harness: Harness, outcome: Any) -> Any:
    return outcome if harness.failure is None else harness.failure.kind
