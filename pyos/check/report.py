"""What a check has found: `Report`, and a `Failure` for each bad schedule."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Failure:
    """One bad end of a run.

    `kind`: deadlock, error, assertion, invariant, eventually, livelock, leak or nondeterminism. `choices`: what
    reproduces it; `replay`: the same as a string for `--replay`; `story`: the run, told for a person.
    """

    kind: str
    message: str
    tid: int | None = None
    error: BaseException | None = None
    choices: tuple[int, ...] = ()
    replay: str = ""
    found_by: str = ""
    found_after: int = 0
    story: str = ""

    @classmethod
    def of_error(cls, kind: str, tid: int, name: str, error: BaseException) -> Failure:
        """The failure of a task that died of an error."""
        text = f": {error}" if str(error) else ""
        return cls(kind, f"task {tid} ({name}) raised {type(error).__name__}{text}", tid, error)

    @property
    def signature(self) -> tuple[Any, ...]:
        """What must be the same for two failures to count as the same."""
        return self.kind, type(self.error), self.message if self.error is None and self.kind != "deadlock" else None

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


@dataclass
class Report:
    """What a check has seen.

    `schedules`: how many were run; `complete`: whether that was every one that matters; `bound`: how it was bounded,
    in words, if it was not complete; `outcomes`: how often each outcome came; `failures`: the first bad schedule, or
    one of each kind with `keep_going`.
    """

    strategy: str
    schedules: int = 0
    complete: bool = False
    bound: str = ""
    outcomes: Counter[Any] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    seed: int | str | None = None
    notes: list[str] = field(default_factory=list)
    blocked: int = 0  # runs that dpor gave up half-way, as they would have repeated another one

    @property
    def ok(self) -> bool:
        """True if nothing was found."""
        return not self.failures

    def count(self, outcome: Any) -> None:
        """Enter one run's outcome."""
        self.schedules += 1
        try:
            self.outcomes[outcome] += 1
        except TypeError:  # not hashable
            self.outcomes[repr(outcome)] += 1

    def __str__(self) -> str:
        how = "every schedule" if self.complete else f"not complete: {self.bound}"
        head = f"{self.schedules} schedules by {self.strategy}, {how}"
        if self.ok:
            return f"{head}; nothing found"
        return f"{head}; {len(self.failures)} found\n" + "\n".join(f.story or str(f) for f in self.failures)
