"""The signals a task can be sent, numbered as POSIX numbers them (a system's exit code is 128 + number)."""

from __future__ import annotations

from enum import IntEnum


class Signal(IntEnum):
    """What `KillTask` can send. TERM asks the task to clean up and die; KILL cannot be caught."""

    KILL = 9
    TERM = 15


KILL = Signal.KILL
TERM = Signal.TERM
