"""How much a system, or a task with all its descendants, may take: `Limits`, given at boot or to NewTask."""

from __future__ import annotations

import math
from typing import NamedTuple


class Limits(NamedTuple):
    """Bounds for a system or a subtree of tasks; None leaves a bound as it is above.

    `max_tasks`: how many tasks of any state may exist at once (a subtree counts the task it was given to and all that
    descend from it). `max_mailbox`: messages that wait for a task before Send blocks. `max_slice`: seconds a task may
    keep the machine before SliceExceeded is raised in it.
    """

    max_tasks: int | None = None
    max_mailbox: int | None = None
    max_slice: float | None = None

    def checked(self) -> Limits:
        """These limits; TypeError or ValueError if one makes no sense."""
        for name in ("max_tasks", "max_mailbox"):
            value = getattr(self, name)
            if value is not None and type(value) is not int:
                raise TypeError(f"{name} is a whole number, not {type(value).__name__}")
            if value is not None and value < 1:
                raise ValueError(f"{name} is at least 1, not {value}")
        seconds = self.max_slice
        if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, int | float)):
            raise TypeError(f"max_slice is a number of seconds, not {type(seconds).__name__}")
        if seconds is not None and not 0 < seconds < math.inf:
            raise ValueError(f"max_slice is a number of seconds above 0, not {seconds}")
        return self

    def within(self, outer: Limits) -> Limits:
        """These limits, where one is None the outer one, and never more than that for mailbox and slice."""

        def least(mine: float | None, theirs: float | None) -> float | None:
            return theirs if mine is None else mine if theirs is None else min(mine, theirs)

        mailbox, seconds = least(self.max_mailbox, outer.max_mailbox), least(self.max_slice, outer.max_slice)
        return Limits(self.max_tasks, None if mailbox is None else int(mailbox), seconds)
