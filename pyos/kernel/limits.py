"""Quotas: the limits that a task was started with, shared with all that descend from it.

A quota counts the tasks of its subtree; each of them counts in the quotas above as well. Without limits there is none,
and nothing is counted.
"""

from __future__ import annotations

from pyos.errors import LimitExceeded
from pyos.limits import Limits


class Quota:
    """One subtree's limits; `outer` is the quota it was started in."""

    __slots__ = ("limits", "outer", "count")

    def __init__(self, limits: Limits, outer: Quota | None) -> None:
        self.limits = limits
        self.outer = outer
        self.count = 0

    def enter(self) -> None:
        """Count one more task, here and above. Raises LimitExceeded, counting nowhere, if one of them is full."""
        quota: Quota | None = self
        while quota is not None:
            most = quota.limits.max_tasks
            if most is not None and quota.count >= most:
                raise LimitExceeded(f"there are {quota.count} tasks under this limit already (max_tasks={most})")
            quota = quota.outer
        self._add(1)

    def leave(self) -> None:
        """One task fewer."""
        self._add(-1)

    def _add(self, number: int) -> None:
        quota: Quota | None = self
        while quota is not None:
            quota.count += number
            quota = quota.outer
