"""The signals a task can be sent, numbered as POSIX numbers them (a system's exit code is 128 + number)."""

from __future__ import annotations

from enum import IntEnum


class Signal(IntEnum):
    """What `KillTask` can send.

    TERM asks the task to clean up and die; INT interrupts it, which it may survive; KILL cannot be caught; STOP holds
    it back until CONT.
    """

    INT = 2
    KILL = 9
    TERM = 15
    CONT = 18
    STOP = 19


INT = Signal.INT
KILL = Signal.KILL
TERM = Signal.TERM
CONT = Signal.CONT
STOP = Signal.STOP
