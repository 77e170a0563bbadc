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
from types import CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any

from pyos.errors import BadTrap, TaskTimeout
from pyos.kernel import closing, trampoline
from pyos.kernel.clock import Alarm
from pyos.kernel.tasks import Task
from pyos.kernel.trampoline import BLOCKED
from pyos.traps import Timeout

if TYPE_CHECKING:
    from pyos.kernel.kernel import Kernel

CLOSE_AFTER = 1.0  # seconds from a missed deadline to the closing of a target that still runs


class Deadline:
    """One Timeout in force: stands in for the caller (`gen`); `outer` is the Timeout around it, if there is one."""

    __slots__ = ("owner", "task", "gen", "outer", "trap", "alarm", "error", "overruled", "depth")

    def __init__(self, owner: Timeouts, task: Task, trap: Timeout[Any], depth: int | None) -> None:
        self.owner = owner
        self.task = task
        self.gen = task.gen
        self.outer: Deadline | None = task.deadline
        self.trap = trap
        self.depth = depth  # how many callers the task has with this one; None if the target is a trap
        self.alarm: Alarm | None = None
        self.error: TaskTimeout | None = None  # set once the time is up
        self.overruled: TaskTimeout | None = None  # a Timeout further out has passed as well
        task.deadline = self

    def send(self, answer: Any) -> Any:
        """The target has come to its end, with this value."""
        task = self.task
        overruled = self.overruled
        self.leave()
        if overruled is None or (task.pending is not None and overruled in task.pending.errors):
            return self.gen.send(answer)
        return self.gen.throw(overruled.with_traceback(None))

    def throw(self, error: BaseException) -> Any:
        """The target let an error out."""
        self.leave()
        return self.gen.throw(error)

    def leave(self) -> None:
        """The target is over: step aside."""
        task = self.task
        task.gen = self.gen
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
        """Call the target of a Timeout, a subroutine or a trap, under a deadline. Raises TypeError, ValueError."""
        target = trap.target
        seconds = trap.seconds
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise TypeError(f"seconds are a number, not {type(seconds).__name__}")
        seconds = float(seconds)
        if not seconds >= 0:
            raise ValueError(f"a time cannot be {seconds} seconds long")
        if type(target) in (GeneratorType, CoroutineType):
            return self._call(task, trap, seconds)
        if type(target) is Timeout:
            return self._nest(task, trap, target, seconds)
        handler = self.kernel.handlers.get(type(target))
        if handler is None or target is None:
            raise BadTrap(f"the target of a Timeout is a subroutine or a trap, not {trampoline.describe(target)}")
        answer = handler(self.kernel, task, target)
        if answer is not BLOCKED or task.status is not None:
            return answer
        deadline = task.gen = Deadline(self, task, trap, None)
        self._set(deadline, seconds)
        return BLOCKED

    def _call(self, task: Task, trap: Timeout[Any], seconds: float) -> Any:
        target: Any = trap.target
        if task.pending is not None:
            target.close()
            trampoline.raise_pending(task)
            return None
        (trampoline.call_generator if type(target) is GeneratorType else trampoline.call_coroutine)(None, task, target)
        assert task.callers is not None
        task.gen = task.callers.pop()
        deadline = Deadline(self, task, trap, len(task.callers) + 1)
        task.callers.append(deadline)
        task.gen = target
        self._set(deadline, seconds)
        return None

    def _nest(self, task: Task, trap: Timeout[Any], inner: Timeout[Any], seconds: float) -> Any:
        """A Timeout of a Timeout: the outer deadline is met after the inner one, in the place of the same caller."""
        innermost: Any = inner
        while type(innermost) is Timeout:
            innermost = innermost.target
        calls = type(innermost) in (GeneratorType, CoroutineType)
        deadline = task.gen = Deadline(self, task, trap, len(task.callers or ()) + 1 if calls else None)
        try:
            answer = self.start(task, inner)
        except BaseException:
            deadline.leave()
            raise
        if task.deadline is deadline:  # answered at once
            deadline.leave()
        else:
            self._set(deadline, seconds)
        return answer

    def _set(self, deadline: Deadline, seconds: float) -> None:
        if seconds != math.inf:
            deadline.alarm = self.kernel.timers.set_alarm(seconds, lambda: self._passed(deadline))

    def _passed(self, deadline: Deadline) -> None:
        """The time is up, and the target has not come to its end."""
        task = deadline.task
        if deadline.depth is None and task.wait is None:
            return  # the trap has been answered in the same round
        error = deadline.error = TaskTimeout(deadline.trap)
        inner = task.deadline
        while inner is not deadline:
            inner.overruled = error
            inner = inner.outer
        if deadline.depth is not None:
            deadline.alarm = self.kernel.timers.set_alarm(CLOSE_AFTER, lambda: self._close(deadline))
        self.kernel.signals.deliver(task, error)

    def _close(self, deadline: Deadline) -> None:
        """The target still runs: close its frames, and raise TaskTimeout at the caller."""
        task, error, depth = deadline.task, deadline.error, deadline.depth
        assert error is not None
        assert depth is not None
        assert task.callers is not None
        if task.stopped is not None:
            deadline.alarm = self.kernel.timers.set_alarm(CLOSE_AFTER, lambda: self._close(deadline))
            return
        self.kernel.log(
            f"{self.kernel.signals.late(task)} did not end within {CLOSE_AFTER:g} s of its deadline: closed"
        )
        ready = task.wait is None
        self.kernel.signals.take_off(task)
        while task.deadline is not deadline:
            task.deadline.leave()
        frames = list(trampoline.frames(task, above=depth))
        del task.callers[depth - 1 :]
        task.held = task.answer = None
        task.gen = deadline
        closing.close(frames, self.kernel.signals.answer_now(task), self.kernel.signals.complain(task, "closing"))
        if task.status is not None:
            return  # its clean-up killed it
        while task.deadline is not deadline:
            task.deadline.leave()  # clean-up had started it
        task.gen = deadline
        trampoline.throw_later(task, error.with_traceback(None))
        if task.pending is not None:
            task.pending.gen = task.gen
            task.gen = task.pending
        if not ready:
            self.kernel.scheduler.runq.append(task)

    def cancel_all(self, task: Task) -> None:
        """The task is being killed: none of its deadlines matters any more."""
        while task.deadline is not None:
            deadline, task.deadline = task.deadline, task.deadline.outer
            if deadline.alarm is not None:
                self.kernel.timers.cancel(deadline.alarm)
