"""What runs at this moment: for signal handlers, which interrupt the main thread at any line.

Nobody notes which task runs, as a note a step would cost as much as the step: it is read off the stack. The locals of
`Scheduler.turn` tell the task, and by how far its loops are, also whether it has yielded since, or let others run.

A handler may raise an exception only where a task's own code is running and could have raised it itself. So the first
of the kernel's frames, going outwards, must be one that resumes a task's generator, closes one, or loads a program.
Anywhere else the exception would hit the kernel in the middle of its work, or a task that is suspended.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from operator import length_hint
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple

from pyos.errors import TaskKilled
from pyos.kernel import closing, tracebacks, trampoline
from pyos.kernel.loader import Loader
from pyos.kernel.scheduler import Scheduler
from pyos.kernel.signalling import Signalling
from pyos.kernel.tasks import Task
from pyos.signals import INT, KILL

if TYPE_CHECKING:
    from pyos.kernel.kernel import Kernel

TURN = Scheduler.turn.__code__
CLOSING = Signalling.close_frames.__code__  # with `task` as the running task
CLOSE = closing._close_frame.__code__
LOAD = Loader.main_of.__code__
SWALLOWED = 5  # exceptions a slice may swallow

Slice = tuple[Any, ...]


class Running(NamedTuple):
    """Who runs. `slice` is equal until the task lets others run, and `step` until it yields.

    `frame` is the innermost one of the stack. `outer` is the task's own code, as the kernel has resumed it: the only
    place where an exception may be raised; None if the kernel works for the task.
    """

    task: Task
    slice: Slice
    step: Slice
    frame: FrameType
    outer: FrameType | None

    def where(self) -> str:
        """The task with its line, and with the line of what that has called."""
        outer = self.outer
        if outer is None:
            stack = trampoline.stack_of(self.task)
            return f"task {self.task.tid} ({self.task.name})" + (f" at {stack[-1]}" if stack else "")
        inner = "" if outer is self.frame else f", in {line_of(self.frame)}"
        return f"task {self.task.tid} ({self.task.name}) at {line_of(outer)}{inner}"


def line_of(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_qualname}"


def running(kernel: Kernel, interrupted: FrameType | None) -> Running | None:
    """The task of this kernel that runs, seen from the frame that a signal has interrupted; None if none does."""
    frame, outer = interrupted, None
    while frame is not None and not tracebacks.in_kernel(frame):
        frame, outer = frame.f_back, frame
    resumer = frame
    seat = None
    while frame is not None and (seat := _seat(kernel, frame)) is None:
        frame = frame.f_back
    if seat is None or interrupted is None:
        return None
    theirs = outer is not None and resumer is not None and _is_theirs(seat[0], resumer, outer)
    return Running(*seat, interrupted, outer if theirs else None)


def _is_theirs(task: Task, resumer: FrameType, outer: FrameType) -> bool:
    """True if the kernel called `outer` as task code: to resume it, to close it, or to load it.

    What else may be on top of the kernel's frames: another signal's handler, a finaliser, a method of an argument.
    """
    if resumer.f_code is LOAD:
        return outer.f_code.co_name == "<module>"
    if resumer.f_code is CLOSE:
        (stack,) = _locals_of(resumer, "stack")
        return bool(stack) and trampoline.frame_of(stack[-1]) is outer
    return task.status is None and trampoline.frame_of(trampoline.innermost(task)) is outer


def _seat(kernel: Kernel, frame: FrameType) -> tuple[Task, Slice, Slice] | None:
    """The task with its slice and step, if this is a frame in which the kernel has a running task."""
    if frame.f_code is not TURN and frame.f_code is not CLOSING:
        return None
    owner, task, slices, step = _locals_of(frame, "self", "task", "slices", "step")
    if owner is None or task is None or owner.kernel is not kernel:
        return None
    cut = kernel.scheduler.cut
    left = None if slices is None else cut[1] if cut is not None and cut[0] is slices else length_hint(slices)
    now = (task.tid, slices, left)
    pending = task.pending  # goes through several steps in one
    return task, now, (*now, step, None if pending is None else (len(pending.errors), pending.patience))


def _locals_of(frame: FrameType, *names: str) -> list[Any]:
    """Locals of a kernel frame; None for what has no value (nothing has, if another handler interrupts this here)."""
    values = frame.f_locals
    found = [values.get(name) for name in names]
    if type(values) is dict and sys.gettrace() is None and sys.getprofile() is None:
        values.clear()  # a copy that stays with the frame, with all that was in it (and that tracing would write back)
    return found


def killed_running(kernel: Kernel, task: Task, reason: str) -> TaskKilled:
    """KILL for the task whose code is running: the error to raise there. A task that catches it dies all the same."""
    kernel.post(lambda: kernel.kill(task, KILL, sender=None, reason=reason, grace=0))
    return TaskKilled(KILL, 0, reason)


class Insistence:
    """A signal finds the task still running that ran when the one before it came, without having yielded: KILL."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.step: Slice | None = None
        self.strikes = Strikes(kernel, 128 + INT)

    def signalled(self, frame: FrameType | None) -> None:
        """A signal has come. Raises TaskKilled in the task that has to die."""
        error = self._verdict(frame)
        if error is not None:
            try:
                raise error
            finally:
                del error, frame  # their frame would be in the error's traceback

    def _verdict(self, frame: FrameType | None) -> TaskKilled | None:
        found = running(self.kernel, frame)
        before, self.step = self.step, found.step if found is not None else None
        if found is None or found.outer is None or found.step != before:
            return None
        self.strikes.another(found, "KILL")
        log_now(self.kernel, f"{found.where()} did not yield to a signal: KILL")
        return killed_running(self.kernel, found.task, "it did not yield to a signal")


class Strikes:
    """Counts the exceptions that handlers raise in one slice, and ends a process in which they come to nothing."""

    def __init__(self, kernel: Kernel, code: int) -> None:
        self.kernel = kernel
        self.code = code  # the process's exit code then
        self.slice: Slice | None = None
        self.count = 0

    def another(self, found: Running, what: str) -> None:
        """One more is about to be raised. Does not return if the slice has swallowed SWALLOWED of them."""
        if found.slice != self.slice:
            self.slice, self.count = found.slice, 0
        if self.count == SWALLOWED:
            log_now(
                self.kernel,
                f"{found.where()} has swallowed {what} {SWALLOWED} times and cannot be stopped: "
                "the other tasks are killed, and the process ends without this one's clean-up",
            )
            kill_others(self.kernel, found.task)
            end_process(self.code)
        self.count += 1


def kill_others(kernel: Kernel, task: Task) -> None:
    """KILL for every other task, newest first. A task's own code is running, so the kernel is between two traps."""
    kernel.table.closed = "the system is shutting down"
    for other in reversed(list(kernel.table)):
        if other is not task and other.status is None:
            kernel.signals.kill_now(other, TaskKilled(KILL))


def end_process(code: int) -> None:
    """There is no way back out of a handler but through the task's own code: write out what is buffered, and leave."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # the task may be in the middle of a write
            stream.flush()
    os._exit(code)


def log_now(kernel: Kernel, line: str) -> None:
    """Log from within a handler, which may have interrupted a write to the very stream that the log goes to."""
    try:
        kernel.log(line)
    except Exception:
        with suppress(OSError):
            os.write(2, f"pyos: {line}\n".encode(errors="replace"))
