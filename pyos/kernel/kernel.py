"""The parts wired together, in boot order; the round they run in; standstill and shutdown.

    table -> clock, timers -> run queue, scheduler -> readiness -> sync -> lifecycle -> signals, timeouts
          -> async generators -> loader -> handlers

A round is one turn of the run queue, then what has become due: I/O first, then timers. When nothing is ready the clock
waits; when nothing ever can be, that is a standstill. Shutdown sends TERM to every task, newest first, and KILL after
a grace period; the kernel runs on until the last task is gone.
"""

from __future__ import annotations

import contextlib
import functools
import math
import random
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from pyos.errors import Deadlock, KernelPanic, TaskKilled
from pyos.kernel import choice, scheduler
from pyos.kernel.asyncgens import AsyncGens
from pyos.kernel.audit import audit
from pyos.kernel.clock import Alarm, Breather, Clock, RealClock, Timers
from pyos.kernel.lifecycle import Exits, Lifecycle
from pyos.kernel.loader import Loader
from pyos.kernel.poller import BACKENDS
from pyos.kernel.readiness import Readiness
from pyos.kernel.scheduler import Dispatch, Handler, Scheduler
from pyos.kernel.signalling import Signalling
from pyos.kernel.sync import Sync
from pyos.kernel.syscalls import CALLS, GRANTORS, bind, grantor_of
from pyos.kernel.tasks import MAX_TASKS, Task, TaskTable
from pyos.kernel.timeouts import Timeouts
from pyos.kernel.trampoline import stack_of
from pyos.kernel.waitgraph import WaitGraph, standstill
from pyos.limits import Limits
from pyos.signals import INT, KILL, TERM, Signal
from pyos.status import ExitStatus, TaskInfo

SHUTDOWN_GRACE = 5.0  # seconds between TERM and KILL

Wrapper = Callable[["Kernel", type, Handler], Handler]
_this_thread = threading.local()  # .kernel: the kernel that runs in this thread


def log_to_stderr(line: str) -> None:
    """The default log: one line (or a traceback) on standard error. Nobody is told when that cannot be written."""
    with contextlib.suppress(Exception):  # a task may have closed the stream, or put another in its place
        print(f"pyos: {line}", file=sys.stderr, flush=True)


def nothing_of_it(error: BaseException) -> bool:
    """A host that does nothing about init's error. One that raises it itself takes it with `all_of_it`."""
    return False


def all_of_it(error: BaseException) -> bool:
    """A host that raises init's error itself."""
    return True


class Kernel:
    """One operating system. `spawn` its first task, then `run`, or `step` through it; `close` it in the end."""

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        poller: str | None = None,
        runq: choice.RunQueue | None = None,
        choose: choice.Chooser | None = None,
        seed: int | str | None = None,
        limits: Limits | None = None,
        wrappers: Sequence[Wrapper] = (),
        log: Callable[[str], None] = log_to_stderr,
        home: str | None = None,
    ) -> None:
        """`poller` names a backend (epoll, poll, select); `wrappers` go around every handler; `home` is for Exec."""
        self.log = log
        self.limits = (limits or Limits()).checked()
        self.table = TaskTable(self.limits.max_tasks or MAX_TASKS)
        self.clock: Clock = clock or RealClock()
        self.timers = Timers(self.clock)
        self.seed = seed
        self.random = random.Random(seed)
        self.choose = choose or (choice.first if seed is None else choice.seeded(self.random))
        self.scheduler = Scheduler(self, choice.Fifo() if runq is None else runq)
        if poller is not None and poller not in BACKENDS:
            raise ValueError(f"no poller {poller!r} here: {', '.join(BACKENDS)}")
        backend = BACKENDS[poller] if poller else next(iter(BACKENDS.values()))
        self.readiness = Readiness(backend, self.scheduler.wake, self.scheduler.wake_error)
        self.readiness.on_wake_up = self._take_posted
        self.waits = WaitGraph(self.log)
        self.sync = Sync(self)
        self.exits = Exits()
        self.lifecycle = Lifecycle(self)
        self.end = self.lifecycle.end
        self.signals = Signalling(self)
        self.kill = self.signals.send
        self.timeouts = Timeouts(self)
        self.async_gens = AsyncGens(self)
        self.foreground: tuple[int, ...] = ()
        self.loader = Loader(self.log, home)
        bound = bind()
        self.handlers: Dispatch = {**bound, **CALLS}
        for wrap in wrappers:
            self.handlers |= {kind: wrap(self, kind, self.handlers[kind]) for kind in bound}
        self.stepwise = self.scheduler.stepwise(self.handlers, GRANTORS)
        self.posted: deque[Callable[[], object]] = deque()
        self.breather = Breather()
        self.bad_trap = scheduler.bad_trap
        self.grantor_of = functools.partial(grantor_of, self)
        self.init_status: ExitStatus | None = None
        self.init_called_sys_exit = False  # where that was the end of it, so that its value is sys.exit's argument
        self.host_takes_error: Callable[[BaseException], bool] = nothing_of_it  # of init's end: then it is not logged
        self.shutting_down: Alarm | None = None
        self.ending = False  # it is shutting down, or has been asked to
        self.deadlock: Deadlock | None = None
        self.check: Any = None  # the checker, while it runs this kernel

    # --- for the host

    def spawn(self, target: Any, **options: Any) -> Task:
        """Make a generator or coroutine object a ready task; the first one is init. As `Lifecycle.spawn`."""
        return self.lifecycle.spawn(target, **options)

    def run(self) -> ExitStatus | None:
        """Run until every task is gone; answers how init ended. Raises Deadlock at a standstill, once all is closed.

        An exception of the kernel's own code is a KernelPanic, here and in `step`.
        """
        runq, turn, handlers = self.scheduler.runq, self.scheduler.turn, self.handlers
        with RunningInThisThread(self), BUGS_PANIC:
            while self.table.alive or self._adopts():
                if runq:
                    turn(max(scheduler.SHORTEST_TURN, len(runq)), handlers)
                    if runq:
                        self.breather.breathe()
                        self._deliver(0.0)
                else:
                    self.idle()
        self.table.collector.thaw()
        if self.deadlock is not None:
            raise self.deadlock
        return self.init_status

    def step(self) -> bool:
        """Exactly one step, the one that `run` would take next; False if all is over or nothing can ever run.

        As in `run`, what is due is delivered between two turns, and waited for if nothing is ready.
        """
        with RunningInThisThread(self), BUGS_PANIC:
            while self.scheduler.in_turn() or self._next_turn():
                if self.scheduler.step(self.stepwise):
                    return True
            return False

    def post(self, action: Callable[[], object]) -> None:
        """Have the kernel call `action` between two steps, soon. For signal handlers and other threads."""
        self.posted.append(action)
        self.readiness.wake_up.ring()

    def foreground_job(self) -> list[Task]:
        """Whom an interrupt is for: what lives of the foreground job, or init if nothing does."""
        job = [task for tid in self.foreground if (task := self.table.get(tid)) is not None and task.status is None]
        return job or [task for task in (self.table.get(1),) if task is not None]

    def interrupt(self, job: Sequence[Task] | None = None) -> None:
        """SIGINT: INT for the foreground job, as it was when the signal came if that is given."""
        for task in self.foreground_job() if job is None else job:
            self.kill(task, INT, sender=None, reason="SIGINT", grace=math.inf)

    def shut_down(self, reason: str, grace: float = SHUTDOWN_GRACE) -> None:
        """Send every task TERM, newest first; after `grace` seconds KILL. Harmless when it has begun."""
        if self.shutting_down is not None:
            return
        self.ending = True
        self.table.closed = "the system is shutting down"
        self.shutting_down = self.timers.set_alarm(grace, lambda: self._kill_the_late(grace))
        for task in reversed(list(self.table)):
            self.kill(task, TERM, sender=None, reason=reason, grace=math.inf)

    def tasks(self, running: Task | None = None) -> list[TaskInfo]:
        """A snapshot of every task, in order of tid."""
        return [self._info(task, running) for task in self.table]

    def audit(self) -> None:
        """Verify what must be true between two steps; KernelPanic if it is not."""
        audit(self)

    def close(self) -> None:
        """Kill what is left, without grace, and release descriptors."""
        self.table.closed = "the system has been closed"
        self._kill_all()
        self.async_gens.over = True
        self.table.collector.thaw()
        self.readiness.close()

    def reset(self) -> None:
        """Kill what is left and start anew, as after boot: for those who run many short systems one after the other.

        The clock, the run queue and the dice are the caller's to wind back.
        """
        if self.table.tasks or self.async_gens.dropped:
            self.signals.insists = True  # nobody is left to see it, and an abandoned frame is never freed
            self._kill_all()
            self.signals.insists = False
        self.posted.clear()
        self.table.clear()
        self.timers.clear()
        self.sync = Sync(self)  # so that a handle stands for a new object
        self.signals.abandoned.clear()
        self.foreground = ()
        self.init_status = self.shutting_down = self.deadlock = None
        self.init_called_sys_exit = False

    def _kill_all(self) -> None:
        before = self.async_gens.hook()
        for task in reversed(list(self.table)):
            if task.status is None:
                self.signals.kill_now(task, TaskKilled(KILL))
        self.async_gens.close_all()
        self.async_gens.unhook(before)

    def __enter__(self) -> Kernel:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # --- the round

    def _deliver(self, timeout: float) -> bool:
        """Wake whom I/O or a timer is due for, I/O first. True if any I/O came."""
        events = self.readiness.fetch(timeout)
        if events:
            if self.timers.due() and self.choose("event", ("io", "timer")):
                self.ring_due()
            self.readiness.deliver(events)
        if self.timers.heap:
            self.ring_due()
        return bool(events)

    def ring_due(self) -> None:
        """Wake or call whatever is due by now."""
        for owner in self.timers.pop_due():
            if isinstance(owner, Task):
                self.scheduler.wake(owner)
            elif (action := owner.action) is not None:
                owner.action = None
                action()

    def idle(self) -> None:
        """Nothing is ready: wait until something is due, or see that nothing ever will be."""
        self.table.collector.thaw()
        if self._at_standstill():
            self._standstill()
        else:
            self.clock.wait(self._deliver, self.timers.next_deadline())
            if self.timers.heap:  # a virtual clock has jumped; polling again would see what was just delivered, unread
                self.ring_due()

    def _next_turn(self) -> bool:
        """Step by step: what `run` does between two turns. False if there is no next one."""
        runq = self.scheduler.runq
        if runq:
            self._deliver(0.0)
        while (self.table.alive or self._adopts()) and not runq:
            if self._at_standstill():
                return False
            self.idle()
        self.scheduler.left = max(scheduler.SHORTEST_TURN, len(runq))
        return self.table.alive > 0

    def _adopts(self) -> bool:
        """Nobody is left: is there an async generator to close?"""
        if not self.async_gens.adopt():
            return False
        self._deliver(0.0)  # each may leave another, without end: shutdown's last KILL comes all the same
        return True

    def _take_posted(self) -> None:
        for _ in range(len(self.posted)):  # what is posted meanwhile has rung again: the tasks have their turn first
            self.posted.popleft()()

    # --- the end

    def _at_standstill(self) -> bool:
        """Nothing is ready: can anything ever be?"""
        return not (
            self.readiness.waiting or self.timers.eternal or self.posted or self.timers.next_deadline() is not None
        )

    def _standstill(self) -> None:
        self.deadlock = standstill(self.table)
        self.shut_down("deadlock")

    def init_ended(self, status: ExitStatus) -> None:
        """Init is dead: so is the system."""
        self.init_status = status
        self.shut_down("init has ended")

    def grace_is_over(self) -> bool:
        """Shutdown has sent its last KILL."""
        return self.shutting_down is not None and self.shutting_down.action is None

    def _kill_the_late(self, grace: float) -> None:
        for task in reversed(list(self.table)):
            if task.status is None:
                self.log(f"{self.signals.late(task)} did not end within {grace:g} s of shutdown: KILL")
                self.signals.kill_now(task, TaskKilled(KILL))

    def _info(self, task: Task, running: Task | None) -> TaskInfo:
        parent = self.table.get(task.parent)
        adopted = task.parent != 0 and (parent is None or parent.status is not None)
        return TaskInfo(
            task.tid,
            1 if adopted else task.parent,
            task.name,
            "running" if task is running else "stopped" if task.stopped is not None else task.state,
            task.wait.describe(task) if task.wait else "",
            stack_of(task),
            task.program,
            task.cpu,
        )


class BugsPanic:
    """While inside, an exception is no task's: it comes out of the kernel's own code, and becomes a KernelPanic."""

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, KernelPanic):
            raise KernelPanic(f"a bug in the kernel: {type(error).__name__}: {error}") from error


BUGS_PANIC = BugsPanic()


def current_kernel() -> Kernel | None:
    """The kernel that runs in this thread."""
    return getattr(_this_thread, "kernel", None)


class RunningInThisThread:
    """While inside, a kernel is the one that runs in this thread. Raises RuntimeError if another one does."""

    __slots__ = ("kernel", "hooks")

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel

    def __enter__(self) -> None:
        if current_kernel() is not None:
            raise RuntimeError("a kernel is already running in this thread: run another one in another thread")
        _this_thread.kernel = self.kernel
        self.hooks = self.kernel.async_gens.hook()

    def __exit__(self, *exc: object) -> None:
        self.kernel.async_gens.unhook(self.hooks)
        _this_thread.kernel = None


def exit_code(status: ExitStatus, ended_by: Signal | int | None = None) -> int:
    """What a process reports: 128+n for a signal, 1 for an error, else init's integer value, modulo 256."""
    signal = ended_by or status.signal
    if signal:
        return 128 + int(signal)
    if status.error is not None:
        return 1
    return int.__index__(status.value) & 0xFF if issubclass(type(status.value), int) else 0
