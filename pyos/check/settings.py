"""How to check: the options of a check, and its budget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from pyos.check.harness import MAX_STEPS
from pyos.check.report import Report
from pyos.check.strategies import STRATEGIES
from pyos.limits import Limits

Progress = Callable[[Report, float], None]


@dataclass
class Settings:
    """How to check; `pyos.check` explains them. Raises TypeError or ValueError for what makes no sense.

    `share`: (i, n), this is the i-th of n processes; `variables`: a failure's recording has the variables of each
    step; `passes`: errors of a task that end the check; `command`: how to type a replay string.
    """

    strategy: str = "portfolio"
    budget: float | None = 60.0
    isolated: bool = False
    seed: int | str | None = None
    depth: int = 3
    delays: int = 2
    max_steps: int = MAX_STEPS
    leaks: bool = True
    keep_going: bool = False
    limits: Limits | None = None
    progress: Progress | None = None
    home: str | None = None
    share: tuple[int, int] = (0, 1)
    variables: bool = False
    passes: tuple[type[BaseException], ...] = ()
    command: Callable[[str], str] = str

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            raise ValueError(f"no strategy {self.strategy!r}: there are {', '.join(STRATEGIES)}")
        for name, least in (("depth", 1), ("delays", 0), ("max_steps", 1)):
            value = getattr(self, name)
            if type(value) is not int:
                raise TypeError(f"{name} is an int, not {type(value).__name__}")
            if value < least:
                raise ValueError(f"{name} is at least {least}, not {value}")
        Budget(self.budget)


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
