"""A check from beginning to end: strategies share the budget, a failure is confirmed, shrunk, and told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import islice
from typing import Any

from pyos.check.dpor import Asleep, Dpor
from pyos.check.footprint import Footprints
from pyos.check.guards import ONE_AT_A_TIME, guarded
from pyos.check.harness import Harness
from pyos.check.isolation import check_isolation
from pyos.check.queue import PickingQueue
from pyos.check.replay import ReplayError, decode, encode, first_that_differs, marks_in, marks_of
from pyos.check.report import Failure, Report
from pyos.check.settings import Budget, Settings
from pyos.check.shrink import Shrinker, trimmed
from pyos.check.strategies import Dfs, Elsewhere, Pct, Production, Random, Replay
from pyos.check.witness import Recording, Witness

BATCH = 32  # runs of one strategy of a portfolio before the next has its turn
SHARE_OF_DELAYS = 0.25  # of the budget, at most, for schedules with few deviations
PROGRESS_EVERY = 256  # schedules


class Explorer:
    """Checks one program; use it in a `with` block."""

    def __init__(self, program: Callable[[], Any], identity: str, settings: Settings) -> None:
        self.program = program
        self.identity = identity
        self.settings = settings
        self.seed = 0 if settings.seed is None else settings.seed
        self.options: dict[str, Any] = {
            name: getattr(settings, name) for name in ("max_steps", "leaks", "limits", "home", "passes")
        } | {"seed": self.seed}
        self.budget = Budget(settings.budget)
        self.used_up = f"{self.budget} used up"
        self.report = Report(settings.strategy, seed=self.seed)
        self.interrupted = False
        self.next_sample = 4  # production's schedule is looked at before
        self.stack = ExitStack()

    def __enter__(self) -> Explorer:
        self.stack.enter_context(ONE_AT_A_TIME)
        self.plain = self._harness()
        self.witness = Witness(self.program, self.options)
        self.stack.callback(self.witness.harness.kernel.close)
        self.guards = self.stack.enter_context(guarded([self.plain, self.witness.harness]))
        return self

    def __exit__(self, *exc: object) -> None:
        self.stack.close()

    def _harness(self, **more: Any) -> Harness:
        harness = Harness(self.program, **self.options, **more)
        self.stack.callback(harness.kernel.close)
        return harness

    # --- the whole check

    def check(self) -> Report:
        """Explore by one strategy, or the portfolio of all."""
        self.begin()
        if not self.report.failures:
            if self.settings.strategy == "portfolio":
                self._portfolio()
            else:
                self._explore(self._strategy(self.settings.strategy))
        self.finish()
        return self.report

    def begin(self) -> None:
        """What comes before the first schedule: is the program fit to be checked?"""
        if self.settings.isolated:
            check_isolation(self.program, self.options)
        self._is_repeatable((), "production")

    def finish(self) -> None:
        """Say why the end was not the program's. What comes after a cut has not been seen, so nothing is complete."""
        report = self.report
        if not report.complete:
            if self.stopped:
                report.bound = "stopped at the first failure"
            elif self.interrupted:
                report.bound = "interrupted"
            elif not report.bound:
                report.bound = "given up, as the program is not the same in each run"
        cut = f"runs were cut at {self.settings.max_steps} steps"
        if report.cut and not self.stopped and cut not in report.bound:  # another process may have said so
            report.bound = cut if report.complete else f"{report.bound}, {cut}"
            report.complete = False

    def _strategy(self, name: str) -> Any:
        settings = self.settings
        part, parts = settings.share
        seed = self.seed if parts == 1 else f"{self.seed}/{part}"
        make: dict[str, Callable[[], Any]] = {
            "dfs": lambda: Dfs(share=settings.share),
            "dpor": self._thorough,
            "random": lambda: Random(seed),
            "pct": lambda: Pct(settings.depth, seed),
            "delay": lambda: Dfs(settings.delays, settings.share),
            "production": Production,
        }
        return make[name]()

    def _explore(self, strategy: Any) -> None:
        for _ in self._runs(strategy):
            pass
        self.report.complete = strategy.complete and not self.stopped
        used_up = self.used_up if self.spent >= 1 else ""
        self.report.bound = "" if self.report.complete else ", ".join(filter(None, (used_up, strategy.bound)))

    def _portfolio(self) -> None:
        """Production's order, then few deviations from it, then the others in turns."""
        report, (part, parts) = self.report, self.settings.share
        for strategy in (Production(), Dfs(1), Dfs(2)) if part == 0 else ():
            for _ in self._runs(strategy):
                if strategy.name == "delay 2" and self.spent > SHARE_OF_DELAYS:
                    break
            if strategy.complete and parts == 1:
                report.complete = not self.stopped
                return
        if self.is_over:
            report.bound = self.used_up
            return
        seed = self.seed if parts == 1 else f"{self.seed}/{part}"
        thorough = self._thorough() if part == 0 or not self.settings.isolated else None  # dpor has no shares
        strategies = [Random(seed), Pct(2, seed), Pct(3, seed), *([thorough] if thorough is not None else [])]
        turns = [self._runs(strategy) for strategy in strategies]
        while not self.is_over:
            for turn in turns:
                for _ in islice(turn, BATCH):
                    pass
            if thorough is not None and thorough.complete:
                report.complete = not self.stopped
                return
        report.bound = self.used_up

    @property
    def stopped(self) -> bool:
        """A failure has ended the check."""
        return bool(self.report.failures) and not self.settings.keep_going

    @property
    def spent(self) -> float:
        """The part of the budget that is used up."""
        return self.budget.spent(self.report.schedules)

    @property
    def is_over(self) -> bool:
        """No further schedule is to be run."""
        return self.interrupted or self.stopped or self.spent >= 1

    # --- strategies

    def _thorough(self) -> Any:
        """Every schedule that matters: by dpor if tasks share nothing but kernel objects, else by dfs."""
        if not self.settings.isolated:
            self._note_gain()
            return Dfs(share=self.settings.share)
        footprints = Footprints(isolated=True)
        strategy = Dpor(footprints)
        queue = PickingQueue(strategy.choose, strategy.pick)
        harness = strategy.harness = self._harness(wrappers=[footprints.wrap], queue=queue)
        harness.time_passes = strategy.time_passes
        footprints.bind(harness.kernel)
        self.stack.enter_context(footprints.naming_handles())
        self.guards.append(harness)
        return strategy

    def _note_gain(self) -> None:
        """Say how many pairs of production's steps would not have to be tried in both orders."""
        steps = self.witness.repeat(()).seen.steps[:500]
        pairs = [(a, b) for i, a in enumerate(steps) for b in steps[:i] if a.task != b.task]
        apart = sum(1 for a, b in pairs if not a.depends_on(b))
        if apart:
            self.report.notes.append(
                f"every pair of steps was taken as dependent; with isolated=True {apart} of {len(pairs)} pairs in "
                "production's run are not, and need not be tried both ways"
            )

    def _runs(self, strategy: Any) -> Iterator[int]:
        """Run a strategy's schedules, one a turn, until it has no more or a failure ends the check."""
        harness: Harness = getattr(strategy, "harness", None) or self.plain
        is_shared = isinstance(strategy, Dfs) and strategy.shares > 1
        report = self.report
        while not self.stopped and strategy.next():
            if self.is_over:
                return
            try:
                outcome = harness.run(strategy.choose)
            except (Asleep, Elsewhere) as given_up:
                report.blocked += isinstance(given_up, Asleep)
                continue
            if is_shared and strategy.is_elsewhere():
                continue
            failure = harness.failure
            if isinstance(strategy, Dfs) and strategy.diverged:
                self._found(Failure("nondeterminism", strategy.diverged), (), strategy.name)
                return
            report.count(failure.kind if failure is not None else outcome)
            if failure is not None:
                report.cut += failure.kind == "livelock"
                self._found(failure, trimmed(strategy.chosen), strategy.name)
            elif report.schedules >= self.next_sample:
                self.next_sample = report.schedules * 4
                self._is_repeatable(trimmed(strategy.chosen), strategy.name)
            if self.settings.progress is not None and report.schedules % PROGRESS_EVERY == 0:
                self.settings.progress(report, self.spent)
            yield report.schedules

    # --- a failure

    def _is_repeatable(self, choices: tuple[int, ...], found_by: str) -> bool:
        """Run these choices twice; what differs is a failure. True if nothing does."""
        differs = self.witness.differs(choices)
        if differs is not None:
            self._enter(differs, self.witness.record(choices), choices, found_by)
        return differs is None

    def _found(self, failure: Failure, choices: tuple[int, ...], found_by: str) -> None:
        """Confirm, shrink and tell a failure; enter it unless one like it is there."""
        if any(known.signature == failure.signature for known in self.report.failures):
            return
        failure.choices = choices
        if failure.kind != "nondeterminism" and self.settings.share == (0, 1):
            if not self._is_repeatable(choices, found_by):
                return  # it has been entered as nondeterminism
            failure = Shrinker(self.plain, failure).shrink()
        self._enter(failure, self.witness.repeat(failure.choices), failure.choices, found_by)

    def found_elsewhere(self, choices: tuple[int, ...], found_by: str) -> None:
        """Another process has found a failing schedule."""
        self.plain.run(Replay(choices).choose)
        failure = self.plain.failure or Failure("nondeterminism", "a schedule failed in one process and not in another")
        self._found(failure, choices, found_by)

    def _enter(self, failure: Failure, seen: Recording, choices: tuple[int, ...], found_by: str) -> None:
        """Put a failure and its recording into the report."""
        again = seen.failure
        if again is not None and again.signature == failure.signature:
            failure = again
        elif failure.kind not in ("nondeterminism", "leak"):
            now = "nothing" if again is None else str(again)
            failure = Failure("nondeterminism", f"a run found {failure}; with the same choices again: {now}")
        if self.settings.variables:
            seen = self.witness.record(choices, variables=True)
        failure.choices = choices
        failure.replay = encode(self.identity, choices, marks_of([row.mark for row in seen.rows]))
        failure.command = self.settings.command(failure.replay)
        failure.found_by, failure.found_after = found_by, max(1, self.report.schedules)
        failure.rows, failure.tasks = seen.rows, seen.tasks
        failure.race = self.witness.race(seen, choices, failure.kind)
        self.report.failures.append(failure)

    def replay(self, text: str) -> Report:
        """Run one schedule again and report it alone. Raises ReplayError if it is none of the program as it is now."""
        choices, marks = decode(text, self.identity), marks_in(text)
        report = self.report = Report("replay", bound="one schedule, the one that was asked for", seed=self.seed)
        if self._is_repeatable(choices, "replay"):
            seen = self.witness.record(choices, exact=True)
            if why := divergence(seen, marks):
                raise ReplayError(f"the program has diverged from the schedule{why}")
            report.count(seen.outcome if seen.failure is None else seen.failure.kind)
            if seen.failure is not None:
                self._enter(seen.failure, seen, choices, "replay")
        return report


def divergence(seen: Recording, marks: str) -> str:
    """Where and how a run is not the one that its replay string was made from; "" if it is."""
    rows = seen.rows
    differs = first_that_differs(marks, [row.mark for row in rows])
    if differs is None:
        last = f"; the last step was {rows[-1]}" if rows else ""
        return f": {seen.diverged}{last}" if seen.diverged else ""
    first, last_step = differs
    if first > len(rows):
        return f" at step {first}: the run has come to its end, and there was a step when the string was made"
    if first == last_step:
        return f" at step {first}, which was another one when the string was made: now {rows[first - 1]}"
    return f" in the steps {first} to {last_step}, which were others when the string was made: now {rows[first - 1]} …"
