"""What may be raised in a task, and the two errors that reach only the host.

Rule: `Exception` subclasses are failures a task may handle; `BaseException` subclasses end a task, and a
bare `except Exception` in userland must not stop them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyos.signals import Signal

if TYPE_CHECKING:
    from pyos.status import ExitStatus


class BadTrap(TypeError):
    """A task yielded something the kernel does not understand; the message says what to do instead."""


class ProgramError(ImportError):
    """A program file cannot be run: no `main`, a `main` of the wrong kind, or a forbidden import."""


class LimitExceeded(RuntimeError):
    """The system, or the task's own limits, allow no more of what was asked for."""


class TaskTimeout(TimeoutError):
    """The time of a Timeout is up; `timeout` is the trap it belongs to."""

    def __init__(self, timeout: Any, seconds: float | None = None) -> None:
        """`seconds`: what the trap said when it was yielded, if it may say something else by now."""
        super().__init__(f"not done within {timeout.seconds if seconds is None else seconds:g} s")
        self.timeout = timeout


class ChannelClosed(Exception):
    """Nothing more can be put into this channel, or got from it."""


class LinkedTaskFailed(Exception):
    """Raised in a parent whose linked child failed; `status` is the child's ExitStatus, `__cause__` its error."""

    def __init__(self, status: ExitStatus) -> None:
        how = _in_words(status.error) if status.error is not None else status.signal.name if status.signal else "itself"
        super().__init__(f"task {status.tid} ({status.name}) ended by {how}")
        self.status = status


def _in_words(error: BaseException) -> str:
    """An error's class and text. It cannot fail: the exception is the user's, and so is its class."""
    kind: str = type.__dict__["__name__"].__get__(type(error))
    try:
        return f"{kind}: {error}"
    except BaseException:
        return f"{kind}, which cannot be printed"


class TaskKilled(BaseException):
    """Raised once in a task that was sent a signal it may clean up after.

    `signal` is a `Signal`, `sender` the tid of the killer (0 is the kernel or the host), `reason` any text or None.
    """

    def __init__(self, signal: Signal, sender: int = 0, reason: str | None = None) -> None:
        super().__init__(signal, sender, reason)
        self.signal = signal
        self.sender = sender
        self.reason = reason

    def __str__(self) -> str:
        by = f"task {self.sender}" if self.sender else "the kernel"
        return f"{self.signal.name} from {by}" + (f": {self.reason}" if self.reason else "")


class TaskExit(BaseException):
    """Raised by `Exit(value)`: unwinds the task, which then ends with `value`."""

    def __init__(self, value: Any = None) -> None:
        super().__init__(value)
        self.value = value


class SliceExceeded(BaseException):
    """Raised in a task that kept the machine for longer than its `max_slice`; `seconds` is that limit."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the task did not let others run for {seconds:g} s")
        self.seconds = seconds


class Deadlock(RuntimeError):
    """Nothing can ever run again: nothing is ready, and no deadline, I/O or call is outstanding."""


class KernelPanic(RuntimeError):
    """A bug in the kernel itself, never the fault of a task."""
