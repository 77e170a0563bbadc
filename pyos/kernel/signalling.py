"""Signals: what KillTask does to a task, wherever it is.

Rules kept here:
- TERM is raised once, and becomes KILL after its grace, but not before it could be raised; INT is raised each time,
  and may be survived;
- KILL closes every frame at once, with the victim as the running task, and gives back what it had been granted;
- STOP puts a gate in front of the task's generator: its entry in the run queue, or its wait, goes on as it is, and
  the gate parks the task when it comes up. CONT opens the gate. An error for a stopped task ends its wait at once, and
  is raised when it goes on; TERM makes it go on, KILL does not wait for that;
- what closes an async generator that was left sends its signals as the kernel: who left it gets no LinkedTaskFailed;
- an error for a task that already holds an answer waits until the answer has been used (trampoline.Pending).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from gc import get_referents
from typing import TYPE_CHECKING, Any

from pyos.errors import TaskKilled
from pyos.kernel import asyncgens, closing, trampoline
from pyos.kernel.clock import Alarm
from pyos.kernel.tasks import Skip, Task, WaitObject
from pyos.kernel.trampoline import BLOCKED, Thrower
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
        return True  # there is no list of them


PARKED = Parked()
SKIP = Skip()
NO_ANSWER: Any = object()  # the `grant` of a task that was stopped without an answer, until it gets one


class Gate:
    """Stands in for a stopped task's generator, and parks the task when it comes up. Open, it steps aside."""

    __slots__ = ("task", "gen", "open")

    def __init__(self, task: Task) -> None:
        self.task = task
        self.gen = task.gen
        self.open = False
        if task.held is None:
            task.grant = NO_ANSWER

    def send(self, answer: Any) -> Any:
        task = self.task
        task.gen = self.gen
        if self.open:
            return task.gen.send(answer)
        if task.grant is not NO_ANSWER:
            if task.held is None:
                task.hold(answer, task.grant)  # it came while the task was stopped
        elif answer is not None:
            task.hold(answer)  # the task was running: a clean-up that it caused has stopped it
        task.wait = PARKED
        return SKIP

    def throw(self, error: BaseException) -> Any:
        task = self.task
        task.gen = self.gen
        if self.open:
            try:
                return task.gen.throw(error)
            finally:
                del error
        trampoline.throw_later(task, error)
        task.wait = PARKED
        return SKIP


class Signalling:
    """Sending signals, on the parts of one kernel."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.graces: dict[int, Alarm] = {}  # tid of a task that was sent TERM: when it gets KILL
        self.closing: dict[Task, TaskKilled | None] = {}  # whose frames are being closed: a KILL that came meanwhile
        self.abandoned: list[str] = []  # what was said of frames that could not be closed
        self.insists = False  # clean-up that would wait is cut short, instead of abandoning its frame

    def send(
        self, target: Task | None, signal: Signal, *, sender: Task | None, reason: str | None, grace: float
    ) -> Any:
        """Send a signal; True if the target was alive. Raises TaskKilled when a task sends itself TERM or INT."""
        if target is None or target.status is not None:
            return False
        whose = 0 if sender is None or asyncgens.is_closer(sender) else sender.tid
        error = TaskKilled(signal, whose, reason)
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
        if is_waiting(task):
            self.kernel.scheduler.interrupt(task, error)
            return
        gate = task.stopped
        if gate is None or task.gen is not gate:
            trampoline.hold_back(task, error)
            return
        task.gen = gate.gen  # the error is what the gate will hold back
        trampoline.hold_back(task, error)
        gate.gen = task.gen
        task.gen = gate

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
        error = task.dying
        if error is None:
            return
        self.graces.pop(task.tid, None)
        if task.wait is None and task.stopped is None and any(other is error for other in undelivered(task)):
            # it is in the run queue, and has not come up since: looked at again after the next turn
            self.kernel.post(lambda: self._grace_over(task, grace))
            return
        self.kernel.log(f"{self.late(task)} did not end within {grace:g} s of TERM: KILL")
        kill = TaskKilled(KILL, error.sender, error.reason)
        del error  # the task is still handling it, and its frames will refer to this one
        self.kill_now(task, kill)

    def is_unwinding(self, task: Task) -> bool:
        """True for a task whose TERM or KILL is on its way, or is what it cleans up after."""
        error = task.dying
        if error is None:
            return False
        if error.signal is KILL or any(other is error for other in undelivered(task)):
            return True
        # a generator refers to the exceptions that it is handling; one that has survived TERM has let go of it
        return any(thing is error for gen in trampoline.frames(task) for thing in get_referents(gen))

    def late(self, task: Task) -> str:
        """A task and its innermost line, for the log."""
        stack = trampoline.stack_of(task)
        return f"task {task.tid} ({task.name})" + (f" at {stack[-1]}" if stack else "")

    # --- STOP and CONT

    def _stop(self, task: Task, running: bool) -> Any:
        if task.stopped is not None:
            return True
        if running and task in self.closing:
            return BLOCKED  # clean-up that would have to wait
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
        if task.gen is gate:
            task.gen = gate.gen
        if task.wait is PARKED:
            task.wait = None
            self.kernel.scheduler.runq.append(task)

    # --- KILL

    def kill_now(self, task: Task, error: TaskKilled) -> None:
        """KILL: close every frame, with the victim as the running task."""
        if task in self.closing:
            self.closing[task] = error  # its own clean-up sent it
            return
        task.dying = error
        self.kernel.lifecycle.report_lost(undelivered(task))
        self.take_off(task)
        self.close_frames(task, trampoline.units(task), "killing")
        self.kernel.timeouts.cancel_all(task)
        self.kernel.lifecycle.bury(task, ExitStatus(task.tid, task.name, signal=KILL), error.sender)

    def take_off(self, task: Task) -> None:
        """Take a task out of its wait, and give back an answer that it has not had yet."""
        if task.wait is not None:
            self.kernel.scheduler.unblock(task)
        if task.held is not None and task.grant is not None:
            grantor, task.grant = task.grant, None
            grantor.take_back(task, task.answer)

    def close_frames(self, task: Task, frames: Iterable[Any], doing: str) -> TaskKilled | None:
        """Close frames with the task as the running one; the KILL that it was sent meanwhile, if there was one."""

        def answer_now(yielded: Any) -> Any:
            return self._answer_now(task, yielded)

        def complain(gen: Any, why: str) -> None:
            name = closing.name_of(gen)
            line = f"{doing} task {task.tid} ({task.name}), in {name}: {why}"
            self.abandoned.append(line)
            self.kernel.log(line)

        self.closing[task] = None
        stack = list(frames)
        async_gens = asyncgens.ids_in(stack)
        closing.close(stack, answer_now, complain)
        if async_gens:
            stack.clear()  # they may be dropped now
            self.kernel.async_gens.close_with(async_gens, answer_now, complain)
        return self.closing.pop(task)

    def _answer_now(self, task: Task, yielded: Any) -> Any:
        """Carry out a trap of a frame that is being closed; BLOCKED if it cannot be answered at once."""
        result: Any = BLOCKED
        if yielded is not None:
            handler = self.kernel.handlers.get(type(yielded))
            if handler is None:
                raise self.kernel.bad_trap(yielded)
            result = handler(self.kernel, task, yielded)
        if result is BLOCKED:
            if task.wait is not None:
                self.kernel.scheduler.unblock(task)
            if self.insists:
                raise GeneratorExit
        return result


def is_waiting(task: Task) -> bool:
    """True for a task whose wait has not ended; a parked one waits only for CONT."""
    return task.wait is not None and task.wait is not PARKED


def undelivered(task: Task) -> list[BaseException]:
    """The errors on their way to a task."""
    found = list(task.pending.errors) if task.pending is not None else []
    if task.wait is not None:
        found += task.wait.undelivered(task)
    found += [gen.error for gen in trampoline.stand_ins(task) if type(gen) is Thrower and gen.error is not None]
    return found
