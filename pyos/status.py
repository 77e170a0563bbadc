"""What the kernel tells userland about tasks: how one ended, and what each is doing."""

from __future__ import annotations

from typing import Any, NamedTuple

from pyos.signals import Signal


class ExitStatus(NamedTuple):
    """How a task ended: with a `value`, by an uncaught `error`, or by a `signal` (exactly one of the three)."""

    tid: int
    name: str
    value: Any = None
    error: BaseException | None = None
    signal: Signal | None = None

    @property
    def ok(self) -> bool:
        """True if the task ended by itself and without an error."""
        return self.error is None and self.signal is None


class TaskInfo(NamedTuple):
    """One task in a snapshot. `parent` is 1 once the real parent is dead, and 0 for init.

    `state` is "running", "ready", "blocked", "stopped" or "zombie"; `waiting_on` a readable reason, "" unless blocked;
    `stack` the lines "file:line function", outermost first; `program` the path of the program file it belongs to, or
    ""; `cpu` the seconds of processor time that the watchdog has charged to it (0.0 where that is off).
    """

    tid: int
    parent: int
    name: str
    state: str
    waiting_on: str
    stack: tuple[str, ...]
    program: str
    cpu: float = 0.0
