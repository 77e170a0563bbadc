"""One program, run again and again in one kernel, each time under the choices it is given.

The kernel is the production kernel with another run queue, a virtual clock and a chooser; it is reset between two runs.
A run ends when nothing is ready and no deadline is left, at its first failure, or when it has taken too many steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import CoroutineType, GeneratorType
from typing import Any

from pyos.check.queue import ExploringQueue
from pyos.check.report import Failure
from pyos.kernel.choice import Chooser, first
from pyos.kernel.clock import VirtualClock
from pyos.kernel.kernel import Kernel, running_in_this_thread
from pyos.kernel.scheduler import Handler
from pyos.kernel.tasks import Task
from pyos.kernel.trampoline import describe, stack_of
from pyos.kernel.waitgraph import cycle_from, explain
from pyos.limits import Limits
from pyos.status import ExitStatus
from pyos.traps import ReadWait, WriteWait

MAX_STEPS = 10_000  # of one run; more is a livelock


class Harness:
    """A program and the kernel it is run in."""

    def __init__(
        self,
        program: Any,
        *,
        max_steps: int = MAX_STEPS,
        leaks: bool = True,
        limits: Limits | None = None,
        wrappers: Sequence[Any] = (),
        queue: ExploringQueue | None = None,
    ) -> None:
        self.program = program
        self.max_steps = max_steps
        self.leaks = leaks
        self.clock = VirtualClock()
        self.queue = ExploringQueue(self._choose) if queue is None else queue
        self.failure: Failure | None = None
        self.running = False
        self.steps = 0
        self.invariants: list[Callable[[], Any]] = []
        self.at_end: list[Callable[[], Any]] = []
        self.outcome: Callable[[], Any] | None = None
        self.log: list[str] = []
        self.kernel = kernel = Kernel(
            clock=self.clock,
            runq=self.queue,
            choose=self._choose,
            wrappers=[self._refuse_descriptors, *wrappers],
            log=self.log.append,
            limits=limits,
            seed=0,  # what Random answers is the same in every run
        )
        kernel.check = self
        kernel.host_takes_error = True
        self._bury = kernel.lifecycle.bury
        self._init_ended = kernel.init_ended
        setattr(kernel.lifecycle, "bury", self._bury_seen)
        setattr(kernel.lifecycle, "_report", self._uncaught)
        setattr(kernel, "init_ended", self._end_of_init)
        self.is_list = False
        self.chooser: Chooser = lambda kind, options: 0
        self.time_passes: Callable[[], None] = lambda: None

    # --- one run

    def run(self, chooser: Chooser) -> Any:
        """Run the program once under `chooser`; its outcome. `failure` is set if it failed."""
        self._begin(chooser)
        kernel = self.kernel
        queue, timers, step, handlers = self.queue, kernel.timers, kernel.scheduler.step, kernel.stepwise
        invariants = self.invariants
        steps, most = 0, self.max_steps
        with running_in_this_thread(kernel):
            self.running = True
            try:
                outcome = self._start()
                while True:
                    while queue:
                        step(handlers)
                        steps += 1
                        if self.failure is not None or steps > most:
                            break
                        if timers.heap:
                            kernel.ring_due()
                        if invariants:
                            self._check_invariants()
                    if self.failure is not None or steps > most or not self._advance():
                        break
                self.steps = steps
                if self.failure is None:
                    self._judge(steps)
                if self.failure is None and self.outcome is not None:
                    outcome = self.outcome()
                elif kernel.init_status is not None:
                    outcome = kernel.init_status.value
            finally:
                self.running = False
        return outcome

    def _begin(self, chooser: Chooser) -> None:
        self.kernel.choose = first  # the clean-up of what the last run has left belongs to no run
        self.kernel.reset()
        self.chooser = self.queue.choose = self.kernel.choose = chooser
        self.queue.clear()
        self.queue.stale = False
        self.clock.time = 0.0
        self.failure = None
        self.log.clear()
        self.invariants.clear()
        self.at_end.clear()

    def _choose(self, kind: str, options: Sequence[Any]) -> int:
        return self.chooser(kind, options)

    def _start(self) -> Any:
        """Make the program's tasks; all of them exist before the first choice."""
        made = self.program()
        self.outcome = None
        if type(made) in (GeneratorType, CoroutineType):
            self.is_list = False
            self.kernel.spawn(made)
            return None
        self.is_list = True
        if isinstance(made, tuple) and len(made) == 2 and callable(made[1]):
            made, self.outcome = made
        if not isinstance(made, list | tuple):
            raise TypeError(
                f"a program is a generator, or a function that returns a list of them, not {describe(made)}"
            )
        for target in made:
            self.kernel.spawn(target)
        return None

    def _advance(self) -> bool:
        """Nothing is ready: let the time come for the next deadline. False if there is none."""
        deadline = self.kernel.timers.next_deadline()
        if deadline is None:
            return False
        self.clock.time = max(self.clock.time, deadline)
        self.time_passes()
        self.kernel.ring_due()
        return True

    def _refuse_descriptors(self, kernel: Kernel, kind: type, handler: Handler) -> Handler:
        """A real descriptor is ready when it likes: a run that waits for one cannot be repeated."""
        if kind not in (ReadWait, WriteWait):
            return handler

        def refused(kernel: Kernel, task: Task, trap: Any) -> Any:
            where = stack_of(task)[-1].partition(" ")[0]
            what = f"{where}: {describe(trap)} waits for a real descriptor, which is not under the checker's control"
            self.failure = self.failure or Failure("nondeterminism", what, task.tid)
            return handler(kernel, task, trap)

        return refused

    # --- what is seen in passing

    def _bury_seen(self, task: Task, status: ExitStatus, sender: int = 0) -> None:
        self.queue.stale = True
        if type(status.error) is AssertionError:
            self._fail("assertion", task, status.error)
        self._bury(task, status, sender)

    def _uncaught(self, status: ExitStatus) -> None:
        if self.failure is None:
            assert status.error is not None
            self.failure = Failure.of_error("error", status.tid, status.name, status.error)

    def _end_of_init(self, status: ExitStatus) -> None:
        if self.is_list:
            return
        if self.leaks:
            left = [task for task in self.kernel.table if task.wait is not None and not task.detached]
            if left and self.failure is None and status.error is None:
                names = ", ".join(f"task {task.tid} ({task.name})" for task in left)
                self.failure = Failure("leak", f"init has ended, and left {names}", left[0].tid)
        self._init_ended(status)

    def _fail(self, kind: str, task: Task, error: BaseException) -> None:
        if self.failure is None:
            self.failure = Failure.of_error(kind, task.tid, task.name, error)

    def _check_invariants(self) -> None:
        for invariant in self.invariants:
            if self._broken(invariant):
                self.failure = self.failure or Failure("invariant", f"{name_of(invariant)} does not hold")
                return

    def _broken(self, condition: Callable[[], Any]) -> bool:
        """False if the condition holds; an AssertionError says that it does not, any other error is a failure."""
        try:
            return condition() is False
        except AssertionError as error:
            self.failure = Failure("invariant", f"{name_of(condition)} does not hold: {error}".rstrip(": "))
            return True

    # --- the end

    def _judge(self, steps: int) -> None:
        """The run is over without a failure so far: is what is left as it should be?"""
        kernel = self.kernel
        if steps > self.max_steps:
            self.failure = Failure("livelock", f"not at its end after {self.max_steps} steps")
            return
        stuck = [task for task in kernel.table if task.wait is not None and not self._sleeps_for_ever(task)]
        if stuck:
            self.failure = deadlock_of(stuck)
            return
        for condition in self.at_end:
            if self._broken(condition):
                self.failure = self.failure or Failure("eventually", f"{name_of(condition)} does not hold at the end")
                return
        if self.leaks:
            self._find_leaks()

    def _sleeps_for_ever(self, task: Task) -> bool:
        return task.wait is self.kernel.timers

    def _find_leaks(self) -> None:
        died_holding = [line for line in self.log if " died holding " in line]
        if died_holding:
            self.failure = Failure("leak", died_holding[0])


def deadlock_of(stuck: list[Task]) -> Failure:
    """Nothing can ever run again: name the cycle if there is one, and what everybody waits for."""
    lines = []
    for task in stuck:
        if chain := cycle_from(task):
            lines.append("a cycle of waits: " + " -> ".join(f"{t.tid} ({t.name})" for t in [*chain, task]))
            break
    lines += [explain(task).strip() for task in stuck]
    return Failure("deadlock", "\n".join(lines), stuck[0].tid)


def name_of(condition: Callable[[], Any]) -> str:
    """A condition as a person would point at it."""
    code = getattr(condition, "__code__", None)
    where = f" ({code.co_filename}:{code.co_firstlineno})" if code is not None else ""
    return f"{getattr(condition, '__name__', repr(condition))}{where}"
