"""Which schedules are run: a strategy hands out choosers, one a run, until it has no more.

A chooser answers `choose(kind, options) -> index`; what it answered is kept in `chosen`, which reproduces the run.
Index 0 is what production does; any other is a deviation.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any, Protocol

STRATEGIES = ("portfolio", "dfs", "dpor", "random", "pct", "delay", "production")
SHARED_CHOICES = 8  # first choices that tell the shares of several processes apart


class Strategy(Protocol):
    """A way through the space of schedules."""

    name: str
    complete: bool  # it has been everywhere

    @property
    def bound(self) -> str:
        """What it leaves out, in words; "" for nothing."""

    def next(self) -> bool:
        """Get ready for another run; False if there is none."""

    def choose(self, kind: str, options: Sequence[Any]) -> int:
        """The index of the option to take."""

    @property
    def chosen(self) -> tuple[int, ...]:
        """The choices of the run that has just ended."""


class Replay:
    """The given choices, then production's."""

    name = "replay"

    def __init__(self, choices: Sequence[int]) -> None:
        self.choices = choices
        self.depth = 0
        self.out_of_range = ""

    def choose(self, kind: str, options: Sequence[Any]) -> int:
        if len(options) == 1:
            return 0
        depth, self.depth = self.depth, self.depth + 1
        index = self.choices[depth] if depth < len(self.choices) else 0
        if index < len(options):
            return index
        if not self.out_of_range:
            self.out_of_range = f"choice {depth + 1} is {index}, and there are only {len(options)} options"
        return 0

    def diverged(self, exact: bool) -> str:
        """Why the run was not the one that was asked for, in words; `exact`: each choice must have been made."""
        if exact and not self.out_of_range and self.depth < len(self.choices):
            return f"the schedule has {len(self.choices)} choices, and the run came to its end after {self.depth}"
        return self.out_of_range


class Elsewhere(Exception):
    """The run belongs to another process's share."""


class Dfs:
    """Every schedule, depth first, without any reduction. `most`: at most so many deviations from production order.

    `share`: (i, n) takes the i-th of n parts, which are told apart by the first choices.
    """

    def __init__(self, most: int | None = None, share: tuple[int, int] = (0, 1)) -> None:
        self.name = "dfs" if most is None else f"delay {most}"
        self.complete = False
        self.diverged = ""  # how the same choices led to another run: the program depends on what is not chosen
        self.most = most
        self.pruned = False
        self.share, self.shares = share
        self.unsure = False  # whether this run is in the share
        self.path: list[int] = []  # the choices of this run
        self.counts: list[int] = []  # how many options there were
        self.depth = 0
        self.started = False

    @property
    def bound(self) -> str:
        """What it leaves out, in words."""
        if self.most is None or self.complete:
            return ""
        return f"at most {self.most} deviation{'s' * (self.most != 1)} from production order"

    def next(self) -> bool:
        if not self.started:
            self.started = True
            return True
        path, counts = self.path, self.counts
        del path[self.depth :], counts[self.depth :]
        spent = sum(map(bool, path)) if self.most is not None else 0
        while path:
            last = path[-1]
            if last + 1 < counts[-1]:
                if self.most is None or last > 0 or spent < self.most:
                    path[-1] = last + 1
                    self.depth = 0
                    return True
                self.pruned = True
            spent -= last > 0
            path.pop()
            counts.pop()
        self.complete = not self.pruned
        return False

    def choose(self, kind: str, options: Sequence[Any]) -> int:
        count = len(options)
        if count == 1:
            return 0
        depth = self.depth
        self.depth = depth + 1
        path = self.path
        if self.shares > 1:
            self._check_share(kind, depth)
        if depth < len(path):
            if count != self.counts[depth]:
                self.diverged = f"choice {depth + 1} has {count} options, and had {self.counts[depth]} before"
                return 0
            return path[depth]
        path.append(0)
        self.counts.append(count)
        return 0

    def _check_share(self, kind: str, depth: int) -> None:
        """Give up a run that is another process's; not within a task's step, which would have the error itself."""
        if depth < SHARED_CHOICES:
            self.unsure = True
        elif self.unsure and kind == "step":
            self.unsure = False
            if self.is_elsewhere():
                self.depth = depth
                raise Elsewhere

    def is_elsewhere(self) -> bool:
        """True if another process has the runs that begin with these choices."""
        place = 0
        for index, count in zip(self.path[: min(self.depth, SHARED_CHOICES)], self.counts):
            place = place * count + index
        return place % self.shares != self.share

    @property
    def chosen(self) -> tuple[int, ...]:
        return tuple(self.path[: self.depth])


class Sampler:
    """What random strategies have in common: they record, and end only where there is no choice at all."""

    name = "production"
    complete = False

    def __init__(self) -> None:
        self.record: list[int] = []
        self.runs = 0

    @property
    def bound(self) -> str:
        """What it leaves out, in words."""
        return "one schedule, production's"

    def next(self) -> bool:
        if self.runs and not self.record:
            self.complete = True  # nothing was to be chosen: the program has one schedule
            return False
        self.record = []
        self.runs += 1
        return True

    def pick(self, kind: str, options: Sequence[Any]) -> int:
        """The choice, of two options or more."""
        return 0

    def choose(self, kind: str, options: Sequence[Any]) -> int:
        if len(options) == 1:
            return 0
        index = self.pick(kind, options)
        self.record.append(index)
        return index

    @property
    def chosen(self) -> tuple[int, ...]:
        return tuple(self.record)


class Production(Sampler):
    """One run, in production's order."""

    def next(self) -> bool:
        return super().next() and self.runs == 1


class Random(Sampler):
    """Every option is as likely as any other, at each choice."""

    name = "random"

    def __init__(self, seed: int | str | None) -> None:
        super().__init__()
        self.random = random.Random(seed)

    @property
    def bound(self) -> str:
        return "a random sample"

    def pick(self, kind: str, options: Sequence[Any]) -> int:
        return int(self.random.random() * len(options))


class Pct(Sampler):
    """Probabilistic concurrency testing: random priorities, and depth - 1 steps at which the running task falls behind.

    A bug that needs `depth` ordered steps is hit by each run with a probability of at least 1/(n k^(depth-1)), for n
    tasks and k steps (Burckhardt et al., ASPLOS 2010). k comes from a dry run; after that many steps the choice is
    random.
    """

    def __init__(self, depth: int, seed: int | str | None) -> None:
        super().__init__()
        self.depth = depth
        self.name = f"pct {depth}"
        self.random = random.Random(seed)
        self.horizon = 0  # choices of a run, from the dry run
        self.tasks = 1
        self.priorities: dict[int, float] = {}
        self.changes: set[int] = set()
        self.position = 0

    @property
    def bound(self) -> str:
        odds = 1 / (self.tasks * max(1, self.horizon) ** (self.depth - 1))
        return f"a bug of depth {self.depth} is hit by a run with a probability of at least {odds:.2g}"

    def next(self) -> bool:
        self.horizon = max(self.horizon, self.position)
        self.position = 0
        self.priorities = {}
        if self.horizon > 1:
            wanted = min(self.depth - 1, self.horizon - 1)
            self.changes = set(self.random.sample(range(1, self.horizon), wanted))
        return super().next()

    def _count(self, kind: str, options: Sequence[Any]) -> None:
        """How many tasks there are: tids count up from 1."""
        if kind == "step":
            self.tasks = max(self.tasks, *(task.tid for task in options))

    def pick(self, kind: str, options: Sequence[Any]) -> int:
        if self.runs == 1:  # the dry run
            self.position += 1
            self._count(kind, options)
            return 0
        if kind != "step" or self.position >= self.horizon:
            return int(self.random.random() * len(options))
        self.position += 1
        self._count(kind, options)
        priorities = self.priorities
        for task in options:
            if task.tid not in priorities:
                priorities[task.tid] = 1 + self.random.random()
        best = max(range(len(options)), key=lambda i: priorities[options[i].tid])
        if self.position in self.changes:
            priorities[options[best].tid] = -self.position + math.ulp(1.0)
            best = max(range(len(options)), key=lambda i: priorities[options[i].tid])
        return best
