"""What a check has found: `Report`, and a `Failure` for each bad schedule."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pyos.kernel.tracebacks import class_name

if TYPE_CHECKING:
    from pyos.check.race import Race
    from pyos.check.recorder import Row
    from pyos.status import TaskInfo

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tab and new line
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
LONGEST = 60  # characters of a value
LONGEST_MESSAGE = 1000  # characters of an error's
MOST_OUTCOMES = 10  # that are listed


@dataclass
class Failure:
    """One bad end of a run.

    `kind`: deadlock, error, assertion, invariant, eventually, livelock, leak or nondeterminism. `choices`: what
    reproduces it; `replay`: the same as a string; `command`: what to type to see it again; `story`: the run, told
    for a person. `rows` are its steps, `tasks` those that were left at the end, `race` the two steps whose order
    made the difference, where they are known.
    """

    kind: str
    message: str
    tid: int | None = None
    error: BaseException | None = None
    about: str = ""  # the condition that does not hold
    waits: tuple[tuple[str, ...], ...] = ()  # of a deadlock's cycle, or of all: task, what it waits for, line
    choices: tuple[int, ...] = ()
    replay: str = ""
    command: str = ""
    found_by: str = ""
    found_after: int = 0
    rows: list[Row] = field(default_factory=list)
    tasks: list[TaskInfo] = field(default_factory=list)
    race: Race | None = None

    @classmethod
    def of_error(cls, kind: str, tid: int, name: str, error: BaseException) -> Failure:
        """The failure of a task that died of an error."""
        return cls(kind, f"task {tid} ({name}) raised {in_short(error)}", tid, error)

    @property
    def signature(self) -> tuple[Any, ...]:
        """What must be the same for two failures to count as the same."""
        if self.about or self.kind == "deadlock":
            return self.kind, self.about, self.waits
        if self.error is not None:
            # by name: a program file's own class is another one in each run
            return self.kind, class_name(type(self.error)), innermost_line(self.error)
        return self.kind, self.message

    @property
    def story(self) -> str:
        """The run, told for a person, in at most 100 columns."""
        from pyos.check.story import tell

        return tell(self)

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


def in_short(error: BaseException) -> str:
    """An error's type and message; the error is the user's, and its `__str__` may fail."""
    try:
        text = str(error)
    except Exception as another:
        text = f"(its __str__ raised {type(another).__name__})"
    if len(text) > LONGEST_MESSAGE:
        text = f"{text[:LONGEST_MESSAGE]}... ({len(text):,} characters)"
    text = printable(text)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def printable(text: str) -> str:
    """A text of the program's, in which nothing is left that a terminal would obey."""
    return CONTROL.sub(lambda found: repr(found[0])[1:-1], text)


def shown(value: Any) -> str:
    """A short repr without addresses, so that it is the same in every run; the object is the user's, and may fail."""
    if type(value) in (str, bytes):
        value = value[: 2 * LONGEST]
    try:
        text = ADDRESS.sub("", repr(value))
    except Exception as error:
        return f"a {type(value).__name__} (its repr raised {type(error).__name__})"
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def innermost_line(error: BaseException) -> tuple[str, int] | None:
    """The program's line that an error came from: file and line."""
    trace, where = error.__traceback__, None
    while trace is not None:
        module = trace.tb_frame.f_globals.get("__name__") or ""
        if where is None or not module.startswith("pyos.") or module.startswith("pyos.lib."):
            where = trace.tb_frame.f_code.co_filename, trace.tb_lineno
        trace = trace.tb_next
    return where


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
    cut: int = 0  # runs that were not at their end after `max_steps`
    blocked: int = 0  # runs that dpor gave up half-way, as they would have repeated another one

    @property
    def ok(self) -> bool:
        """True if nothing was found."""
        return not self.failures

    def count(self, outcome: Any) -> None:
        """Enter one run's outcome; a failure's is its kind."""
        self.schedules += 1
        try:
            hashed: Any = type(outcome).__hash__
            if hashed is object.__hash__ and outcome is not None:  # each run has another one
                outcome = shown(outcome)
            self.outcomes[outcome] += 1
        except Exception:  # not hashable, or with a hash or an equality of its own that fails
            self.outcomes[shown(outcome)] += 1

    @property
    def summary(self) -> str:
        """How many schedules were run and what that proves, in one line."""
        how = "complete: every schedule that matters" if self.complete else f"not complete: {self.bound}"
        found = "nothing found" if self.ok else f"{len(self.failures)} failure{'s' * (len(self.failures) > 1)} found"
        return f"{self.schedules} schedule{'s' * (self.schedules != 1)} by {self.strategy}, {how}; {found}"

    @property
    def outcome_lines(self) -> list[str]:
        """How often each outcome came, if there is more than one."""
        named: Counter[str] = Counter()
        for outcome, n in self.outcomes.items():
            named[outcome if type(outcome) is str else shown(outcome)] += n  # a program file's classes are made anew
        if len(named) < 2:
            return []
        counted = sorted((-n, name) for name, n in named.items())
        width = len(str(-counted[0][0]))
        more = len(counted) - MOST_OUTCOMES
        lines = [f"  {-n:{width}} x {outcome}" for n, outcome in counted[:MOST_OUTCOMES]]
        return lines + [f"  and {more} more"] * (more > 0)

    @property
    def note_lines(self) -> list[str]:
        """What else there is to say, if nothing was found."""
        return [textwrap.fill(f"note: {note}", 100, subsequent_indent="  ") for note in self.notes if self.ok]

    def __str__(self) -> str:
        outcomes = ["outcomes:", *self.outcome_lines] if self.outcome_lines else []
        stories = [line for failure in self.failures for line in ("", failure.story)]
        summary = textwrap.fill(self.summary, 100, subsequent_indent="  ")
        return "\n".join([summary, *self.note_lines, *outcomes, *stories])
