"""From a failing schedule to one with the fewest deviations from production order that still fails the same way."""

from __future__ import annotations

from collections.abc import Iterator

from pyos.check.harness import Harness
from pyos.check.report import Failure
from pyos.check.strategies import Dfs, Replay

MOST_RUNS = 2000  # of each of the two phases


class Shrinker:
    """Looks for a simpler schedule of the same failure; `failure.choices` must reproduce it in this harness."""

    def __init__(self, harness: Harness, failure: Failure, most_runs: int = MOST_RUNS) -> None:
        self.harness = harness
        self.best = failure
        self.signature = failure.signature
        self.runs_left = most_runs
        self.most_runs = most_runs

    def shrink(self) -> Failure:
        """The simplest that was found: first by taking deviations away, then by looking among all with few."""
        while self.runs_left > 0 and self._take_away():
            pass
        self._fewest()
        return self.best

    def _take_away(self) -> bool:
        """Make runs of choices production's, long ones first; True if that has helped."""
        helped = False
        for size in halves(len(self.best.choices)):
            start = 0
            while start < len(self.best.choices) and self.runs_left > 0:
                choices = self.best.choices
                if any(choices[start : start + size]):
                    left = choices[:start] + (0,) * len(choices[start : start + size]) + choices[start + size :]
                    helped |= self._try(trimmed(left))
                start += size
        return helped

    def _try(self, choices: tuple[int, ...]) -> bool:
        self.runs_left -= 1
        self.harness.run(Replay(choices).choose)
        return self._found(choices)

    def _found(self, choices: tuple[int, ...]) -> bool:
        found = self.harness.failure
        if found is None or found.signature != self.signature:
            return False
        found.choices = choices
        self.best = found
        return True

    def _fewest(self) -> None:
        """Try every schedule with 0, 1, 2 … deviations, fewer than the best has."""
        runs = self.most_runs
        for most in range(deviations(self.best.choices)):
            strategy = Dfs(most)
            while runs > 0 and strategy.next():
                runs -= 1
                self.harness.run(strategy.choose)
                if self._found(trimmed(strategy.chosen)):
                    return


def halves(length: int) -> Iterator[int]:
    """length, length / 2, … 1."""
    while length > 0:
        yield length
        length //= 2


def trimmed(choices: tuple[int, ...]) -> tuple[int, ...]:
    """Without the zeros at the end, which change nothing."""
    end = len(choices)
    while end and choices[end - 1] == 0:
        end -= 1
    return choices[:end]


def deviations(choices: tuple[int, ...]) -> int:
    """How many choices are not production's."""
    return sum(map(bool, choices))
