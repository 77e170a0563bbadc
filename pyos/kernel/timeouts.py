"""Timeout: a deadline around a subroutine or another trap.

A `Deadline` stands in for the caller while the target runs, so it is met by whatever comes back: a value, an error, a
kill. When its time is up, TaskTimeout is raised at the target's current yield; a target that is still running
CLOSE_AFTER seconds later is closed. Rules kept here:
- a value that has come is given, however late; only the target's own end counts;
- TaskTimeout carries the Timeout it belongs to. A target inside another Timeout that catches it and returns does not
  stop it: it is raised again at the caller of that other Timeout;
- no frame of this module is seen in a traceback or in a task's stack.
"""

from __future__ import annotations

import math
from functools import partial
from types import CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any

from pyos.errors import BadTrap, TaskTimeout
from pyos.kernel import tracebacks, trampoline
from pyos.kernel.clock import Alarm
from pyos.kernel.signalling import is_waiting
from pyos.kernel.tasks import Task
from pyos.kernel.trampoline import BLOCKED, Thrower
from pyos.traps import Timeout

if TYPE_CHECKING:
    from pyos.kernel.kernel import Kernel

DEEPEST = 100  # Timeouts whose target is another
CLOSE_AFTER = 1.0  # seconds from a missed deadline to the closing of a target that still runs


def a_duration(seconds: Any) -> float:
    """The seconds of a Timeout; TypeError or ValueError unless they are a number that is not negative."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(f"seconds are a number, not {type(seconds).__name__}")
    seconds = float(seconds)  # of a subclass too: it goes into the heap of timers
    if not seconds >= 0:
        raise ValueError(f"a time cannot be {seconds} seconds long")
    return float(seconds)


class Deadline:
    """One Timeout in force: stands in for the caller (`gen`); `outer` is the Timeout around it, if there is one."""

    __slots__ = ("owner", "task", "gen", "outer", "trap", "seconds", "alarm", "error", "overruled", "depth")

    def __init__(self, owner: Timeouts, task: Task, trap: Timeout[Any], seconds: float, depth: int | None) -> None:
        self.owner = owner
        self.task = task
        self.gen = task.gen
        self.outer: Deadline | None = task.deadline
        self.trap = trap
        self.seconds = seconds  # as they were checked: the trap is the user's
        self.depth = depth  # how many callers the task has with this one; None if the target is a trap
        self.alarm: Alarm | None = None
        self.error: TaskTimeout | None = None  # set once the time is up
        self.overruled: TaskTimeout | None = None  # a Timeout further out has passed as well
        task.deadline = self

    def send(self, answer: Any) -> Any:
        """The target has come to its end, with this value."""
        overruled = self.leave()
        if overruled is not None:
            self.error = self.overruled = None
            try:
                return self.gen.throw(overruled)
            finally:
                del overruled
        return self.gen.send(answer)

    def throw(self, error: BaseException) -> Any:
        """The target let an error out."""
        overruled = self.leave()
        if overruled is not None and error is self.error:
            error = overruled
        self.error = self.overruled = None
        try:
            return self.gen.throw(error)
        finally:
            del error, overruled

    def leave(self) -> TaskTimeout | None:
        """The target is over: step aside. An outer Timeout's error, if the target has seen it, goes on from here."""
        task, overruled = self.task, self.overruled
        task.gen = self.gen
        self.retire()
        if overruled is None or (task.pending is not None and overruled in task.pending.errors):
            return None
        return overruled.with_traceback(None)

    def retire(self) -> None:
        """This Timeout, the innermost one, is not in force any more; its error, if on its way, is not raised."""
        task = self.task
        task.deadline = self.outer
        if self.alarm is not None:
            self.owner.kernel.timers.cancel(self.alarm)
        if self.error is not None and task.pending is not None:
            task.pending.forget(self.error)


class Timeouts:
    """The deadlines of one kernel's tasks."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel

    def start(self, task: Task, trap: Timeout[Any]) -> Any:
        """Call the target of a Timeout, a subroutine or a trap, under a deadline (of Timeouts nested, under each)."""
        traps = [trap]
        while type(traps[-1].target) is Timeout:
            traps.append(traps[-1].target)
            if len(traps) > DEEPEST:
                raise BadTrap(f"there are more than {DEEPEST} Timeouts in each other")
        durations = [a_duration(each.seconds) for each in traps]
        target: Any = traps[-1].target
        if type(target) in (GeneratorType, CoroutineType):
            depth = self._call(task, target)
        else:
            answer = self._carry_out(task, target)
            if answer is not BLOCKED or task.wait is None:
                return answer  # nothing to wait for (it may be that an error which was held back is raised instead)
            depth = None
        for each, seconds in zip(traps, durations):
            deadline = task.gen = Deadline(self, task, each, seconds, depth)
            if seconds != math.inf:
                deadline.alarm = self.kernel.timers.set_alarm(seconds, partial(self._passed, deadline))
        if depth is None:
            return BLOCKED
        assert task.callers is not None
        task.callers.append(task.gen)
        task.gen = target
        if task.pending is not None:
            task.pending.gen = target
            task.gen = task.pending
        return None

    def _call(self, task: Task, target: Any) -> int:
        """Check a subroutine, and have `task.gen` be its caller; how many callers there will be."""
        (trampoline.call_generator if type(target) is GeneratorType else trampoline.call_coroutine)(None, task, target)
        assert task.callers is not None
        task.gen = task.callers.pop()
        if task.pending is not None:
            task.gen = task.pending.gen  # it stays in front of whatever runs
        return len(task.callers) + 1

    def _carry_out(self, task: Task, target: Any) -> Any:
        handler = self.kernel.handlers.get(type(target))
        if handler is None:
            raise BadTrap(f"the target of a Timeout is a subroutine or a trap, not {tracebacks.describe(target)}")
        return handler(self.kernel, task, target)

    def _passed(self, deadline: Deadline) -> None:
        """The time is up, and the target has not come to its end."""
        task = deadline.task
        if deadline.depth is None and not is_waiting(task):
            return  # the trap has been answered in the same round
        error = deadline.error = TaskTimeout(deadline.trap, deadline.seconds)
        inner = task.deadline
        while inner is not deadline:
            inner.overruled = error
            inner = inner.outer
        if deadline.depth is not None:
            deadline.alarm = self.kernel.timers.set_alarm(CLOSE_AFTER, partial(self._close, deadline))
        self.kernel.signals.deliver(task, error)

    def _close(self, deadline: Deadline) -> None:
        """The target still runs: close its frames, and raise TaskTimeout at the caller."""
        task, error, depth = deadline.task, deadline.error, deadline.depth
        kernel = self.kernel
        assert error is not None
        assert depth is not None
        assert task.callers is not None
        if task.stopped is not None:
            deadline.alarm = kernel.timers.set_alarm(CLOSE_AFTER, partial(self._close, deadline))
            return
        kernel.log(f"{kernel.signals.late(task)} did not end within {CLOSE_AFTER:g} s of its deadline: closed")
        was_ready = task.wait is None
        kernel.signals.take_off(task)
        frames = list(trampoline.units(task, above=depth))
        while task.deadline is not deadline:
            task.deadline.retire()
        del task.callers[depth - 1 :]
        task.held = task.answer = None
        task.gen = Thrower(task, deadline, error.with_traceback(None))
        if task.pending is not None:
            task.pending.gen = task.gen
            task.gen = task.pending
        killed = kernel.signals.close_frames(task, frames, "closing")
        if not was_ready:
            kernel.scheduler.runq.append(task)
        if killed is not None:
            kernel.signals.kill_now(task, killed)

    def cancel_all(self, task: Task) -> None:
        """The task is being killed: none of its deadlines matters any more."""
        while task.deadline is not None:
            deadline, task.deadline = task.deadline, task.deadline.outer
            if deadline.alarm is not None:
                self.kernel.timers.cancel(deadline.alarm)
