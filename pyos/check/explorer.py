"""A check from beginning to end: strategies share the budget, a failure is confirmed, shrunk, and told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from time import monotonic
from typing import Any

from pyos.check.dpor import Asleep, Dpor
from pyos.check.footprint import Footprints
from pyos.check.guards import guarded
from pyos.check.harness import MAX_STEPS, Harness
from pyos.check.isolation import check_isolation
from pyos.check.queue import PickingQueue
from pyos.check.recorder import Recorder, Row
from pyos.check.replay import ReplayError, encode
from pyos.check.report import Failure, Report
from pyos.check.shrink import Shrinker, trimmed
from pyos.check.story import tell
from pyos.check.strategies import Dfs, Diverged, Pct, Production, Random, Replay
from pyos.limits import Limits

STRATEGIES = ("portfolio", "dfs", "dpor", "random", "pct", "delay", "production")
BATCH = 32  # runs of one strategy of a portfolio before the next has its turn
SHARE_OF_DELAYS = 0.25  # of the budget, at most, for schedules with few deviations
Progress = Callable[[Report, float], None]


class Budget:
    """How long a check may go on: seconds (float), schedules (int), or without end (None)."""

    def __init__(self, amount: float | None) -> None:
        if amount is not None and (isinstance(amount, bool) or not isinstance(amount, int | float)):
            raise TypeError(f"a budget is seconds (float), schedules (int) or None, not {type(amount).__name__}")
        if amount is not None and not amount > 0:
            raise ValueError(f"a budget is more than 0, not {amount}")
        self.amount = amount
        self.in_schedules = isinstance(amount, int)
        self.start = monotonic()

    def spent(self, schedules: int) -> float:
        """The part that is used up: 0 at the start, 1 and more at the end."""
        if self.amount is None:
            return 0.0
        return schedules / self.amount if self.in_schedules else (monotonic() - self.start) / self.amount

    def __str__(self) -> str:
        if self.amount is None:
            return "no budget"
        return f"{self.amount} schedules" if self.in_schedules else f"{self.amount:g} s"


class Explorer:
    """Checks one program."""

    def __init__(
        self,
        program: Callable[[], Any],
        identity: str,
        *,
        budget: float | None = 60.0,
        isolated: bool = False,
        seed: int | str | None = None,
        depth: int = 3,
        delays: int = 2,
        max_steps: int = MAX_STEPS,
        leaks: bool = True,
        keep_going: bool = False,
        limits: Limits | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.program = program
        self.identity = identity
        self.budget = Budget(budget)
        self.isolated = isolated
        self.seed = 0 if seed is None else seed
        self.depth = depth
        self.delays = delays
        self.options: dict[str, Any] = {"max_steps": max_steps, "leaks": leaks, "limits": limits}
        self.keep_going = keep_going
        self.progress = progress
        self.stack = ExitStack()
        self.report = Report("")
        self.plain = self._harness()
        self.recorder = Recorder(lambda kind, options: 0)
        self.recorded = self._harness(wrappers=[self.recorder.wrap], queue=self.recorder.queue)
        self.recorder.bind(self.recorded.kernel)

    def _harness(self, **more: Any) -> Harness:
        harness = Harness(self.program, **self.options, **more)
        self.stack.callback(harness.kernel.close)
        return harness

    # --- the whole check

    def check(self, strategy: str) -> Report:
        """Explore by one strategy, or the portfolio of all."""
        report = self.report = Report(strategy, seed=self.seed)
        with self.stack, guarded([self.plain, self.recorded]) as guards:
            self.guards = guards
            if self.isolated:
                check_isolation(self.program)
            self._compare_twice(())
            if not report.failures:
                self._explore(strategy)
        return report

    def _explore(self, strategy: str) -> None:
        if strategy == "portfolio":
            self._portfolio()
            return
        one = {
            "dfs": Dfs,
            "dpor": self._dpor,
            "random": lambda: Random(self.seed),
            "pct": lambda: Pct(self.depth, self.seed),
            "delay": lambda: Dfs(self.delays),
            "production": Production,
        }.get(strategy)
        if one is None:
            raise ValueError(f"no strategy {strategy!r}: there are {', '.join(STRATEGIES)}")
        chosen = one()
        for _ in self._runs(chosen):
            if self._over():
                self.report.bound = f"{self.budget} used up, {chosen.bound}".rstrip(", ")
                return
        self.report.complete = chosen.complete and not self._stopped()
        self.report.bound = "" if self.report.complete else chosen.bound or "stopped at the first failure"

    def _portfolio(self) -> None:
        """Production's order, then few deviations from it, then the others in turns."""
        for strategy in (Production(), Dfs(1), Dfs(2)):
            if self._over():
                break
            for _ in self._runs(strategy):
                if self._over() or (strategy.name == "delay 2" and self._spent() > SHARE_OF_DELAYS):
                    break
        thorough = self._dpor()
        turns = [self._runs(s) for s in (Random(self.seed), Pct(2, self.seed), Pct(3, self.seed), thorough)]
        while not self._stopped() and not self._over():
            for turn in turns:
                for _ in range(BATCH):
                    if self._over() or next(turn, None) is None:
                        break
                if thorough.complete:
                    self.report.complete = not self._stopped()
                    return
        self.report.bound = f"{self.budget} used up" if not self._stopped() else "stopped at the first failure"

    def _stopped(self) -> bool:
        return bool(self.report.failures) and not self.keep_going

    def _spent(self) -> float:
        return self.budget.spent(self.report.schedules)

    def _over(self) -> bool:
        return self._spent() >= 1

    # --- one strategy

    def _dpor(self) -> Any:
        """Every schedule that matters: by dpor if tasks share nothing but kernel objects, else by dfs."""
        if not self.isolated:
            self._note_gain()
            return Dfs()
        footprints = Footprints(isolated=True)
        strategy = Dpor(footprints)
        strategy.harness = self._watched(footprints, strategy)
        return strategy

    def _watched(self, footprints: Footprints, strategy: Dpor) -> Harness:
        queue = PickingQueue(strategy.choose, strategy.pick)
        harness = self._harness(wrappers=[footprints.wrap], queue=queue)
        harness.time_passes = strategy.time_passes
        footprints.bind(harness.kernel)
        self.stack.enter_context(footprints.naming_handles())
        self.guards.append(harness)
        return harness

    def _note_gain(self) -> None:
        """Say how many pairs of production's steps would not have to be tried in both orders."""
        footprints = Footprints(isolated=True)
        strategy = Dpor(footprints)
        harness = self._watched(footprints, strategy)
        strategy.next()
        harness.run(strategy.choose)
        steps = strategy.steps
        pairs = [(a, b) for i, a in enumerate(steps) for b in steps[:i] if a.task != b.task]
        apart = sum(1 for a, b in pairs if not a.depends_on(b))
        if apart:
            self.report.notes.append(
                f"every pair of steps was taken as dependent; with isolated=True {apart} of {len(pairs)} pairs in "
                "production's run are not, and need not be tried both ways"
            )

    def _runs(self, strategy: Any) -> Iterator[None]:
        """Run a strategy's schedules, one a turn, until it has no more or a failure ends the check."""
        harness = getattr(strategy, "harness", None) or self.plain
        report, sampled = self.report, 1
        while not self._stopped() and strategy.next():
            try:
                outcome = harness.run(strategy.choose)
            except Asleep:
                report.blocked += 1
                continue
            except Diverged as error:
                self._found(Failure("nondeterminism", str(error)), trimmed(strategy.chosen), strategy.name)
                return
            report.count(harness.failure.kind if harness.failure is not None else outcome)
            if harness.failure is not None:
                self._found(harness.failure, trimmed(strategy.chosen), strategy.name)
            elif report.schedules == sampled:
                sampled *= 4
                self._compare_twice(trimmed(strategy.chosen))
            if self.progress is not None and report.schedules % 256 == 0:
                self.progress(report, self._spent())
            yield

    # --- a failure

    def _found(self, failure: Failure, choices: tuple[int, ...], found_by: str) -> None:
        """Confirm, shrink and tell a failure; enter it unless one like it is there."""
        if any(known.signature == failure.signature for known in self.report.failures):
            return
        failure.choices = choices
        failure.found_by, failure.found_after = found_by, self.report.schedules
        if failure.kind != "nondeterminism" and self._compare_twice(choices):
            failure = Shrinker(self.plain, failure).shrink()
        elif failure.kind != "nondeterminism":
            return  # it has been entered as nondeterminism
        failure.replay = encode(self.identity, failure.choices)
        rows = self.record(failure.choices)
        failure.story = tell(failure, rows, color=False)
        self.report.failures.append(failure)

    def record(self, choices: tuple[int, ...], variables: bool = False) -> list[Row]:
        """One run of these choices, step by step."""
        self.recorder.variables = variables
        self.recorder.begin_run()
        replay = Replay(choices)
        self.recorded.run(replay.choose)
        self.recorder.end_run()
        if replay.ran_out is not None:
            raise ReplayError(f"the program has diverged from the schedule: {replay.ran_out}")
        return self.recorder.rows

    def _compare_twice(self, choices: tuple[int, ...]) -> bool:
        """Run the same choices twice; a difference is a failure, reported at its line. True if there is none."""
        first = self.record(choices)
        failed = self.recorded.failure
        if failed is not None and failed.kind == "nondeterminism":
            self._found(failed, choices, "the first run")
            return False
        second = self.record(choices)
        for a, b in zip(first, second):
            if a.label != b.label:
                message = f"step {a.number} was {in_words(a)}, and with the same choices again {in_words(b)}"
                self._found(Failure("nondeterminism", message, a.tid), choices, "running twice")
                return False
        if len(first) != len(second):
            message = f"a run had {len(first)} steps, and with the same choices again {len(second)}"
            self._found(Failure("nondeterminism", message), choices, "running twice")
            return False
        return True

    def replay(self, choices: tuple[int, ...]) -> Report:
        """Run one schedule again and report it alone."""
        report = self.report = Report("replay", bound="one schedule, the one that was asked for")
        with self.stack, guarded([self.plain, self.recorded]) as self.guards:
            if self._compare_twice(choices):
                rows = self.record(choices)
                failure = self.recorded.failure
                report.count(None if failure is None else failure.kind)
                if failure is not None:
                    failure.choices, failure.replay = choices, encode(self.identity, choices)
                    failure.found_by, failure.found_after = "replay", 1
                    failure.story = tell(failure, rows, color=False)
                    report.failures.append(failure)
        return report


def in_words(row: Row) -> str:
    """A step, for a person."""
    return f"task {row.tid} ({row.name}) at {row.where or '?'} {row.trap or 'yield'}"
