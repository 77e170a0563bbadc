"""Lives and deaths: how a task is started, ends, is killed, and who is told.

Rules kept here:
- a death is told to everyone who waits for it; the parent's wait reaps it, otherwise it stays a zombie;
- an uncaught error is logged once, at death, unless somebody is already waiting for the task;
- TERM is raised once and escalates to KILL after its grace; KILL closes every frame at once;
- when init ends, the system shuts down.
"""

from __future__ import annotations

import math
import traceback
from types import CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any

from pyos.errors import LimitExceeded, TaskExit, TaskKilled
from pyos.kernel import trampoline
from pyos.kernel.clock import Alarm
from pyos.kernel.tasks import ZOMBIE_WARNING, Task
from pyos.kernel.trampoline import BLOCKED
from pyos.signals import KILL, Signal
from pyos.status import ExitStatus

if TYPE_CHECKING:
    from pyos.kernel.kernel import Kernel


new_tuple = tuple.__new__


class Exits:
    """The wait object of tasks waiting for others to end. `task.ticket`: the Task waited for; None for any child."""

    def add(self, task: Task, target: Task | None) -> None:
        """Enter the task as waiting; the caller blocks it."""
        task.ticket = target
        if target is not None:
            if target.waiters is None:
                target.waiters = {}
            target.waiters[task] = None

    def leave(self, task: Task) -> None:
        target, task.ticket = task.ticket, None
        if target is not None:
            del target.waiters[task]

    def describe(self, task: Task) -> str:
        return "wait for any child" if task.ticket is None else f"wait task {task.ticket.tid}"

    def holds(self, task: Task) -> bool:
        return task.ticket is None or task in (task.ticket.waiters or ())


class Lifecycle:
    """Starting, ending and killing tasks, on the parts of one kernel."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.graces: dict[int, Alarm] = {}  # tid of a task that was sent TERM: when it gets KILL
        self.abandoned: list[str] = []  # what was said of frames that could not be closed

    # --- birth

    def spawn(self, target: Any, *, name: str | None, detached: bool, parent: Task | None, program: str | None) -> Task:
        """Check a target and make it a ready task. Raises as NewTask does."""
        kernel = self.kernel
        if type(target) is not GeneratorType and type(target) is not CoroutineType:
            raise not_a_target(target)
        if name is not None:
            if not isinstance(name, str):
                raise TypeError(f"a name is a string, not {type(name).__name__}")
            name = str.__str__(name)  # not a subclass's: it goes into the log
        if trampoline.has_started(target):
            raise ValueError(f"{target.__name__} has started already: call the function again for a fresh one")
        if program is None:
            program = parent.program if parent else ""
        try:
            task = kernel.table.add(parent, target, name or target.__name__, program, bool(detached))
        except LimitExceeded:
            target.close()
            raise
        kernel.scheduler.runq.append(task)
        return task

    # --- death

    def end(self, task: Task, value: Any = None, error: BaseException | None = None) -> None:
        """The task's outermost frame returned or raised: record it and tell who waits."""
        signal = None
        if error is not None:
            raised: Any = error
            kind = type(error)  # isinstance would ask the object, which is the user's
            if issubclass(kind, TaskExit):
                value, error = raised.value, None
            elif issubclass(kind, SystemExit):
                value, error = raised.code, None
            elif issubclass(kind, TaskKilled):
                signal, error = raised.signal, None
        # a named tuple's own constructor costs 0.17 µs more, of the 1.2 that a task without a yield takes
        self._bury(task, new_tuple(ExitStatus, (task.tid, task.name, value, error, signal)))

    def _bury(self, task: Task, status: ExitStatus) -> None:
        kernel = self.kernel
        if task.dying is not None and (alarm := self.graces.pop(task.tid, None)):
            kernel.timers.cancel(alarm)
        waiters = task.waiters
        parent = kernel.table.bury(task, status)
        wake = kernel.scheduler.wake
        told = False
        if waiters:
            for waiter in waiters:
                told = True
                if waiter is parent:
                    kernel.table.reap(parent, task)
                wake(waiter, status)
        if parent is not None and parent.wait is kernel.exits and parent.ticket is None:
            told = True
            kernel.table.reap(parent, task)
            wake(parent, status)
        if status.error is not None and not told:
            self._report(status)
        if task.tid == 1:
            kernel.init_ended(status)
        elif parent is not None and parent.zombies and len(parent.zombies) >= ZOMBIE_WARNING and not parent.warned:
            parent.warned = True
            kernel.log(
                f"task {parent.tid} ({parent.name}) has {len(parent.zombies)} dead children it has not waited for; "
                "wait for them, or start them with detached=True"
            )

    def _report(self, status: ExitStatus) -> None:
        if status.tid == 1 and self.kernel.host_takes_error:
            return
        assert status.error is not None
        lines = "".join(format_error(status.error)).rstrip()
        kind = trampoline.class_name(type(status.error))
        self.kernel.log(f"task {status.tid} ({status.name}) died of an uncaught {kind}\n{lines}")

    # --- killing

    def kill(
        self, target: Task | None, signal: Signal, *, sender: Task | None, reason: str | None, grace: float
    ) -> bool:
        """Send a signal; True if the target was alive. Raises TaskKilled when a task sends itself TERM."""
        if target is None or target.status is not None:
            return False
        error = TaskKilled(signal, sender.tid if sender else 0, reason)
        if signal is KILL:
            self.kill_now(target, error)
            return True if sender is None or sender.status is None else BLOCKED  # it may have hit its sender
        if target.dying is not None:
            return True
        target.dying = error
        if not target.callers and not trampoline.has_started(trampoline.innermost(target)):
            trampoline.innermost(target).close()
            self._bury(target, ExitStatus(target.tid, target.name, signal=signal))
            return True
        if grace != math.inf:
            self.graces[target.tid] = self.kernel.timers.set_alarm(grace, lambda: self._grace_over(target, grace))
        if target is sender:
            raise error
        if target.wait is not None:
            self.kernel.scheduler.interrupt(target, error)
        else:
            self.kernel.scheduler.kill_ready(target, error)
        return True

    def _grace_over(self, task: Task, grace: float) -> None:
        if task.status is None:
            self.graces.pop(task.tid, None)
            self.kernel.log(f"{self.late(task)} did not end within {grace:g} s of TERM: KILL")
            self.kill_now(task, TaskKilled(KILL))

    def late(self, task: Task) -> str:
        """A task and its innermost line, for the log."""
        stack = trampoline.stack_of(task)
        return f"task {task.tid} ({task.name})" + (f" at {stack[-1]}" if stack else "")

    def kill_now(self, task: Task, error: TaskKilled) -> None:
        """KILL: close every frame, with the victim as the running task."""
        if isinstance(task.dying, TaskKilled) and task.dying.signal is KILL:
            return  # its own clean-up sent it
        task.dying = error
        if task.wait is not None:
            self.kernel.scheduler.unblock(task)
        trampoline.close(
            task, lambda trap: self._answer_now(task, trap), lambda gen, why: self._abandon(task, gen, why)
        )
        self._bury(task, ExitStatus(task.tid, task.name, signal=KILL))

    def _answer_now(self, task: Task, yielded: Any) -> Any:
        """Carry out a trap of a frame that is being closed; BLOCKED if it cannot be answered at once."""
        if yielded is None:
            return BLOCKED
        handler = self.kernel.handlers.get(type(yielded))
        if handler is None:
            raise self.kernel.bad_trap(yielded)
        answer = handler(self.kernel, task, yielded)
        if answer is BLOCKED and task.wait is not None:
            self.kernel.scheduler.unblock(task)
        return answer

    def _abandon(self, task: Task, gen: Any, why: str) -> None:
        line = f"killing task {task.tid} ({task.name}), in {gen.__qualname__}: {why}"
        self.abandoned.append(line)
        self.kernel.log(line)


def not_a_target(target: Any) -> TypeError:
    """The error for what cannot become a task."""
    name = getattr(target, "__name__", type(target).__name__)
    if callable(target):
        return TypeError(f"{name} is a function: call it, and pass the generator it returns ({name}(...))")
    return TypeError(f"a task is a generator or coroutine object, not {type(target).__name__}")


def format_error(error: BaseException) -> list[str]:
    """A traceback as Python prints it, without the kernel's frames. It cannot fail: the exception is the user's."""
    try:
        return traceback.format_exception(type(error), error, trampoline.traceback_of(error))
    except Exception as failure:
        what, why = trampoline.class_name(type(error)), trampoline.class_name(type(failure))
        return [f"{what}, which cannot be printed: that raised {why}"]
