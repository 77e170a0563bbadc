"""Signals: what KillTask does to a task, wherever it is.

Rules kept here:
- TERM is raised once, and becomes KILL after its grace; INT is raised each time, and may be survived;
- KILL closes every frame at once, with the victim as the running task, and gives back what it had been granted;
- STOP puts a gate in front of the task's generator: its entry in the run queue, or its wait, goes on as it is, and
  the gate parks the task when it comes up. CONT opens the gate. Errors for a stopped task are kept until then; TERM
  and KILL are not;
- an error for a task that already holds an answer waits until the answer has been used (trampoline.Pending).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pyos.errors import TaskKilled
from pyos.kernel import closing, trampoline
from pyos.kernel.clock import Alarm
from pyos.kernel.tasks import Skip, Task, WaitObject
from pyos.kernel.trampoline import BLOCKED
from pyos.signals import CONT, KILL, STOP, TERM, Signal
from pyos.status import ExitStatus

if TYPE_CHECKING:
    from pyos.kernel.kernel import Kernel


class Parked(WaitObject):
    """The wait object of a stopped task that would be ready."""

    __slots__ = ()

    def leave(self, task: Task) -> None:
        pass

    def describe(self, task: Task) -> str:
        return "CONT (it is stopped)"

    def holds(self, task: Task) -> bool:
        return task.stopped is not None


PARKED = Parked()
SKIP = Skip()


class Gate:
    """Stands in for a stopped task's generator, and parks the task when it comes up. Open, it steps aside."""

    __slots__ = ("task", "gen", "errors", "open")

    def __init__(self, task: Task) -> None:
        self.task = task
        self.gen = task.gen
        self.errors: list[BaseException] = []  # to be raised once the task goes on
        self.open = False

    def send(self, answer: Any) -> Any:
        task = self.task
        task.gen = self.gen
        if self.open:
            return task.gen.send(answer)
        task.hold(answer, task.grant)
        task.wait = PARKED
        return SKIP

    def throw(self, error: BaseException) -> Any:
        task = self.task
        task.gen = self.gen
        if self.open:
            return task.gen.throw(error)
        trampoline.throw_later(task, error)
        task.wait = PARKED
        return SKIP


class Signalling:
    """Sending signals, on the parts of one kernel."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.graces: dict[int, Alarm] = {}  # tid of a task that was sent TERM: when it gets KILL
        self.abandoned: list[str] = []  # what was said of frames that could not be closed
        self.insists = False  # clean-up that would wait is cut short, instead of abandoning its frame

    def send(
        self, target: Task | None, signal: Signal, *, sender: Task | None, reason: str | None, grace: float
    ) -> Any:
        """Send a signal; True if the target was alive. Raises TaskKilled when a task sends itself TERM or INT."""
        if target is None or target.status is not None:
            return False
        error = TaskKilled(signal, sender.tid if sender else 0, reason)
        if signal is KILL:
            self.kill_now(target, error)
            return True if sender is None or sender.status is None else BLOCKED  # it may have hit its sender
        if signal is STOP:
            return self._stop(target, running=target is sender)
        if signal is CONT:
            self._go_on(target)
            return True
        if target.dying is not None:
            return True
        if not target.callers and not trampoline.has_started(trampoline.innermost(target)):
            self._close_unstarted(target, error)
            return True
        if signal is TERM:
            target.dying = error
            self._go_on(target)
            if grace != math.inf:
                alarm = self.kernel.timers.set_alarm(grace, lambda: self._grace_over(target, grace))
                self.graces[target.tid] = alarm
        if target is sender:
            raise error
        self.deliver(target, error)
        return True

    def deliver(self, task: Task, error: BaseException) -> None:
        """Have an error raised in a task other than the running one, promptly, wherever it is."""
        if task.stopped is not None:
            task.stopped.errors.append(error)
        elif task.wait is not None:
            self.kernel.scheduler.interrupt(task, error)
        else:
            trampoline.hold_back(task, error)

    def forget(self, task: Task) -> None:
        """The task is dead: its grace is of no use any more."""
        if alarm := self.graces.pop(task.tid, None):
            self.kernel.timers.cancel(alarm)

    # --- INT and TERM

    def _close_unstarted(self, task: Task, error: TaskKilled) -> None:
        if task.wait is not None:
            self.kernel.scheduler.unblock(task)  # parked by a STOP
        trampoline.innermost(task).close()
        status = ExitStatus(task.tid, task.name, signal=error.signal)
        self.kernel.lifecycle.bury(task, status, error.sender)

    def _grace_over(self, task: Task, grace: float) -> None:
        if task.status is None:
            self.graces.pop(task.tid, None)
            self.kernel.log(f"{self.late(task)} did not end within {grace:g} s of TERM: KILL")
            self.kill_now(task, TaskKilled(KILL))

    def late(self, task: Task) -> str:
        """A task and its innermost line, for the log."""
        stack = trampoline.stack_of(task)
        return f"task {task.tid} ({task.name})" + (f" at {stack[-1]}" if stack else "")

    # --- STOP and CONT

    def _stop(self, task: Task, running: bool) -> Any:
        if task.stopped is not None:
            return True
        task.stopped = task.gen = Gate(task)
        if not running:
            return True
        task.hold(True)
        self.kernel.scheduler.runq.append(task)
        return BLOCKED

    def _go_on(self, task: Task) -> None:
        gate: Gate | None = task.stopped
        if gate is None:
            return
        task.stopped = None
        gate.open = True
        if task.wait is PARKED:
            task.wait = None
            self.kernel.scheduler.runq.append(task)
        for error in gate.errors:
            self.deliver(task, error)

    # --- KILL

    def kill_now(self, task: Task, error: TaskKilled) -> None:
        """KILL: close every frame, with the victim as the running task."""
        if task.dying is not None and task.dying.signal is KILL:
            return  # its own clean-up sent it
        task.dying = error
        self.take_off(task)
        closing.close(trampoline.frames(task), self.answer_now(task), self.complain(task, "killing"))
        self.kernel.timeouts.cancel_all(task)
        self.kernel.lifecycle.bury(task, ExitStatus(task.tid, task.name, signal=KILL), error.sender)

    def take_off(self, task: Task) -> None:
        """Take a task out of its wait, and give back an answer that it has not had yet."""
        if task.wait is not None:
            self.kernel.scheduler.unblock(task)
        if task.held is not None and task.grant is not None:
            grantor, task.grant = task.grant, None
            grantor.take_back(task, task.answer)

    def answer_now(self, task: Task) -> closing.AnswerNow:
        """How a trap of a frame that is being closed is carried out; BLOCKED if it cannot be answered at once."""
        kernel = self.kernel

        def answer(yielded: Any) -> Any:
            if yielded is None:
                return wait()
            handler = kernel.handlers.get(type(yielded))
            if handler is None:
                raise kernel.bad_trap(yielded)
            result = handler(kernel, task, yielded)
            if result is not BLOCKED:
                return result
            if task.wait is not None:
                kernel.scheduler.unblock(task)
            return wait()

        def wait() -> Any:
            if self.insists:
                raise GeneratorExit
            return BLOCKED

        return answer

    def complain(self, task: Task, doing: str) -> closing.Complain:
        """How a frame that could not be closed is reported."""

        def complain(gen: Any, why: str) -> None:
            line = f"{doing} task {task.tid} ({task.name}), in {gen.__qualname__}: {why}"
            self.abandoned.append(line)
            self.kernel.log(line)

        return complain
