"""One program, run again and again in one kernel, each time under the choices it is given.

The kernel is the production kernel with another run queue, a virtual clock and a chooser; it is reset between two runs.
A run ends when nothing is ready and no deadline is left, at its first failure, or when it has taken too many steps.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from types import CoroutineType, GeneratorType
from typing import Any

from pyos.check.queue import ExploringQueue
from pyos.check.report import Failure, in_short
from pyos.kernel.choice import Chooser, first
from pyos.kernel.clock import VirtualClock
from pyos.kernel.kernel import Kernel, RunningInThisThread, all_of_it
from pyos.kernel.lifecycle import Exits
from pyos.kernel.scheduler import Handler
from pyos.kernel.tasks import Task
from pyos.kernel.tracebacks import describe
from pyos.kernel.trampoline import stack_of
from pyos.kernel.waitgraph import cycle_from, explain
from pyos.limits import Limits
from pyos.status import ExitStatus
from pyos.traps import Random, ReadWait, WriteWait

NUMBER = re.compile(r"\b\d+ (?=\()|#\d+")  # before a task's name; also the number of what has no name
MAX_STEPS = 10_000  # of one run; more is a livelock


class Harness:
    """A program and the kernel it is run in.

    `seed` is that of the Random trap, `passes` are errors of a task that end the check instead of being found by it.
    """

    def __init__(
        self,
        program: Any,
        *,
        max_steps: int = MAX_STEPS,
        leaks: bool = True,
        limits: Limits | None = None,
        seed: int | str | None = 0,
        home: str | None = None,
        passes: tuple[type[BaseException], ...] = (),
        wrappers: Sequence[Any] = (),
        queue: ExploringQueue | None = None,
    ) -> None:
        self.program = program
        self.max_steps = max_steps
        self.leaks = leaks
        self.passes: tuple[type[BaseException], ...] = (KeyboardInterrupt, *passes)
        self.clock = VirtualClock()
        self.queue = ExploringQueue(first) if queue is None else queue
        self.queue.between_steps = self._between_steps
        self.failure: Failure | None = None
        self.passing: BaseException | None = None
        self.running = False
        self.rolled = False  # Random was asked for
        self.seeded = False  # the program has given Python's random a seed
        self.invariants: list[Callable[[], Any]] = []
        self.at_end: list[Callable[[], Any]] = []
        self.outcome: Callable[[], Any] | None = None
        self.log: list[str] = []
        self.kernel = kernel = Kernel(
            clock=self.clock,
            runq=self.queue,
            choose=first,
            seed=0 if seed is None else seed,
            wrappers=[self._refuse_descriptors, self._see_dice, *wrappers],
            log=self.log.append,
            limits=limits,
            home=home,
        )
        kernel.check = self
        kernel.host_takes_error = all_of_it
        self.queue.scheduler = kernel.scheduler
        self._bury = kernel.lifecycle.bury
        self._init_ended = kernel.init_ended
        setattr(kernel.lifecycle, "bury", self._bury_seen)
        setattr(kernel.lifecycle, "_report", self._uncaught)
        setattr(kernel, "init_ended", self._end_of_init)
        self.is_list = False
        self.began: Callable[[], None] = nothing
        self.time_passes: Callable[[], None] = nothing

    @property
    def steps(self) -> int:
        """How many steps this run has taken."""
        return self.queue.steps

    # --- one run

    def run(self, chooser: Chooser) -> Any:
        """Run the program once under `chooser`; its outcome. `failure` is set if it failed."""
        self.begin(chooser)
        kernel, queue = self.kernel, self.queue
        turn, handlers, rest = kernel.scheduler.turn, kernel.stepwise, kernel.scheduler.slice
        with RunningInThisThread(kernel):
            self.running = True
            try:
                self._start()
                while True:
                    turn(self.max_steps - queue.steps, handlers, rest)
                    if queue or self.failure is not None or not (kernel.async_gens.adopt() or self._advance()):
                        break
                if self.failure is None:
                    self._judge()
                outcome = self._outcome()
            finally:
                self.running = False
        if self.passing is not None:
            raise self.passing
        return outcome

    def begin(self, chooser: Chooser) -> None:
        """Kill what the last run has left, which belongs to no run, and wind everything back."""
        self.queue.choose = self.kernel.choose = first
        self.kernel.reset()
        self.queue.choose = self.kernel.choose = chooser
        if self.rolled:
            self.kernel.random.seed(self.kernel.seed)
            self.rolled = False
        self.seeded = False
        self.queue.restart()
        self.clock.time = 0.0
        self.failure = self.passing = None
        self.log.clear()
        self.invariants.clear()
        self.at_end.clear()
        self.began()

    def _start(self) -> None:
        """Make the program's tasks; all of them exist before the first choice."""
        made = self.program()
        spawn = self.kernel.lifecycle.spawn
        self.outcome = None
        self.is_list = False
        if type(made) is GeneratorType or type(made) is CoroutineType:
            spawn(made)
            return
        self.is_list = True
        targets, self.outcome = unpacked(made)
        for target in targets:
            spawn(target)

    def _between_steps(self) -> None:
        """What is due before the next task is chosen. Raises IndexError if the run is over."""
        if self.failure is not None:
            raise IndexError
        kernel = self.kernel
        if kernel.timers.heap:
            kernel.ring_due()
        if kernel.async_gens.dropped:
            kernel.async_gens.adopt()  # production does so between two turns: whoever is ready may come first
        if self.invariants and self.queue.steps:
            self._check_invariants()

    def _advance(self) -> bool:
        """Nothing is ready: let the time come for the next deadline. False if there is none."""
        deadline = self.kernel.timers.next_deadline()
        if deadline is None:
            return False
        self.clock.time = max(self.clock.time, deadline)
        self.time_passes()
        self.kernel.ring_due()
        return True

    def _outcome(self) -> Any:
        """The label of this run: what the program's own function says, or else init's value."""
        if self.outcome is None or self.failure is not None:
            status = self.kernel.init_status
            return status.value if status is not None else None
        try:
            return self.outcome()
        except Exception as error:
            kind = "assertion" if isinstance(error, AssertionError) else "error"
            message = f"the outcome function raised {in_short(error)}"
            self.failure = Failure(kind, message, error=without_our_frame(error))
            return None

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

    def _see_dice(self, kernel: Kernel, kind: type, handler: Handler) -> Handler:
        """Winding the dice back takes longer than a short run: it is done only if they were used."""
        if kind is not Random:
            return handler

        def rolled(kernel: Kernel, task: Task, trap: Any) -> Any:
            self.rolled = True
            return handler(kernel, task, trap)

        return rolled

    # --- what is seen in passing

    def _bury_seen(self, task: Task, status: ExitStatus, sender: int = 0) -> None:
        if status.signal is not None:
            self.queue.stale = True
        elif isinstance(status.error, AssertionError):
            self._fail("assertion", status)
        self._bury(task, status, sender)

    def _uncaught(self, status: ExitStatus) -> None:
        if isinstance(status.error, self.passes):
            self.passing = self.passing or status.error
        self._fail("error", status)

    def _fail(self, kind: str, status: ExitStatus) -> None:
        if self.failure is None and status.error is not None:
            self.failure = Failure.of_error(kind, status.tid, status.name, status.error)

    def _end_of_init(self, status: ExitStatus) -> None:
        if self.is_list:
            return
        left = [task for task in self.kernel.table if task.wait is not None and not task.detached]
        if self.leaks and left and self.failure is None and status.error is None:
            names = ", ".join(f"task {task.tid} ({task.name})" for task in left)
            self.failure = Failure("leak", f"init has ended, and left {names}", left[0].tid)
        self._init_ended(status)

    def _check_invariants(self) -> None:
        for invariant in self.invariants:
            if self._broken("invariant", invariant, "does not hold"):
                raise IndexError

    def _broken(self, kind: str, condition: Callable[[], Any], says: str) -> bool:
        """False if the condition holds: it is not False, and raises nothing."""
        error: BaseException | None = None
        try:
            if condition() is not False:
                return False
        except Exception as raised:
            error = without_our_frame(raised)
        name = name_of(condition)
        because = "" if error is None else f": {error}" if type(error) is AssertionError else f": {in_short(error)}"
        self.failure = self.failure or Failure(kind, f"{name} {says}{because}".rstrip(": "), error=error, about=name)
        return True

    # --- the end

    def _judge(self) -> None:
        """The run is over without a failure so far: is what is left as it should be?"""
        kernel = self.kernel
        if self.queue:
            assert self.steps >= self.max_steps, "the run came to no end"
            self.failure = Failure("livelock", f"not at its end after {self.max_steps} steps")
            return
        if kernel.table.tasks:
            stuck = [task for task in kernel.table if task.wait is not None and task.wait is not kernel.timers]
            if stuck:
                self.failure = deadlock_of(stuck)
                return
        for condition in self.at_end:
            if self._broken("eventually", condition, "does not hold at the end"):
                return
        if self.leaks and self.log:
            self._find_leaks()

    def _find_leaks(self) -> None:
        died_holding = [line for line in self.log if " died holding " in line]
        if died_holding:
            self.failure = Failure("leak", died_holding[0])


def unpacked(made: Any) -> tuple[Sequence[Any], Callable[[], Any] | None]:
    """What a program that is no generator function returned: its tasks, and its outcome function. Raises TypeError."""
    outcome = None
    if isinstance(made, tuple) and len(made) == 2 and callable(made[1]):
        made, outcome = made
    if not isinstance(made, list | tuple):
        raise TypeError(f"a program is a generator, or a function that returns a list of them, not {describe(made)}")
    if len(set(map(id, made))) < len(made):
        raise ValueError("the same generator is twice in the list of tasks: call its function once for each task")
    return made, outcome


def nothing() -> None:
    pass


def without_our_frame(error: BaseException) -> BaseException:
    """An error of a function that was called here, its traceback as from there."""
    trace = error.__traceback__
    return error.with_traceback(trace.tb_next if trace is not None else None)


def deadlock_of(stuck: list[Task]) -> Failure:
    """Nothing can ever run again: name the cycle if there is one, and what everybody waits for."""
    head, blamed, core = "nothing can ever run again", stuck[0], stuck
    for task in stuck:
        if chain := cycle_from(task):
            head, blamed = "a cycle of waits: " + " -> ".join(f"{t.tid} ({t.name})" for t in [*chain, task]), task
            core = chain
            break
    message = "\n".join([head, *(explain(task).strip() for task in stuck)])
    return Failure("deadlock", message, blamed.tid, waits=tuple(sorted(set(map(wait_of, core)))))


def wait_of(task: Task) -> tuple[str, str, str]:
    """A task that is stuck, what it waits for, and its line: the same in each run, so without numbers."""
    exits = task.wait is not None and isinstance(task.wait, Exits) and task.ticket is not None
    what = f"wait task {task.ticket.name}" if exits else task.wait.describe(task) if task.wait is not None else ""
    stack = stack_of(task)
    return task.name, NUMBER.sub("", what), stack[-1] if stack else ""


def name_of(condition: Callable[[], Any]) -> str:
    """A condition as a person would point at it."""
    code = getattr(condition, "__code__", None)
    where = f" ({code.co_filename}:{code.co_firstlineno})" if code is not None else ""
    return f"{getattr(condition, '__name__', repr(condition))}{where}"
