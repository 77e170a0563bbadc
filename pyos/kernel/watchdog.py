"""The watchdog: an interval timer that looks, 20 times a second, which task has the machine, and for how long.

At a tick it charges the processor time since the last one to the running task. A task that has not let others run for
HOG seconds is named in the log while it runs, once a slice. One past its `max_slice` gets SliceExceeded, and one that
holds up a shutdown KILL, where its own code is running (running.py). A call of C code that looks at no signals can't be
interrupted: all this happens when it returns. Time in which other processes had the processor is nobody's.
A turn that has been on for a whole interval ends with the slice in which a tick finds that, so that tasks whose steps
take long do not keep I/O and timers waiting for as many steps as a turn has.

Rules kept here:
- what runs between two ticks knows nothing of this: it costs a step nothing;
- while the poller blocks there are no ticks. The first that comes then has the kernel wait in `rest`, the next one
  stops the timer, and `rest` starts it again when a task is ready; shorter waits know nothing of this either;
- the timer and the handler of SIGALRM are as they were when it is over. If they are in use it is not begun.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from pyos.errors import SliceExceeded
from pyos.kernel.clock import RealClock, usage
from pyos.kernel.kernel import Kernel
from pyos.kernel.readiness import Readiness
from pyos.kernel.running import Running, Slice, Strikes, killed_running, log_now, running

INTERVAL = 0.05  # seconds between two ticks
HOG = 0.1  # seconds in one slice after which a task is named in the log
SHUTDOWN_GRACE = 5.0  # seconds that a shutdown waits for a task to yield
GAVE_UP = 1  # the exit code when a task cannot be stopped
FETCH = Readiness.fetch.__code__
IDLE = Kernel.idle.__code__


class Watchdog:
    """Watches one kernel. `slice` is the one seen at the last tick, and `held` for how long it has been seen."""

    def __init__(
        self,
        kernel: Kernel,
        now: Callable[[], float] = RealClock.now,
        usage: Callable[[], tuple[float, float]] = usage,
    ) -> None:
        self.kernel = kernel
        self.now = now
        self.usage = usage
        self.then = now()  # when the last tick was, and what the thread had had by then
        self.used, self.starved = usage()
        self.slice: Slice | None = None
        self.turn: Iterator[Any] | None = None  # the one that was on at the last tick
        self.held = 0.0
        self.named = False
        self.end: float | None = None  # when a shutdown is no longer waited for
        self.strikes = Strikes(kernel, GAVE_UP)
        self.kernels_idle = kernel.idle
        self.armed = False

    # --- the timer

    def arm(self) -> None:
        """Tick from now on."""
        self.armed = True
        self.slice = None
        self.then = self.now()
        self.used, self.starved = self.usage()
        signal.setitimer(signal.ITIMER_REAL, INTERVAL, INTERVAL)

    def disarm(self) -> None:
        self.armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)

    def rest(self) -> None:
        """In the place of the kernel's `idle`, once a tick has found it waiting."""
        self.kernels_idle()
        if self.kernel.scheduler.runq:
            setattr(self.kernel, "idle", self.kernels_idle)
            if not self.armed:
                self.arm()

    def _tick_in_idle(self, idle: FrameType) -> None:
        if idle.f_back is not None and idle.f_back.f_code is REST:
            self.disarm()
        else:
            setattr(self.kernel, "idle", self.rest)
            self.kernel.readiness.wake_up.ring()

    # --- a tick

    def on_alarm(self, number: int, frame: FrameType | None) -> None:
        """The signal handler. It keeps no name of a frame or an error, as it gets into the error's traceback."""
        error = self.tick(frame)
        if error is not None:
            try:
                raise error
            finally:
                del error, frame

    def tick(self, frame: FrameType | None) -> BaseException | None:
        """Look at the task that this frame belongs to; answers what is to be raised there, if anything is."""
        now = self.now()
        if self.kernel.ending and self.end is None:
            self.end = now + SHUTDOWN_GRACE
        found = running(self.kernel, frame)
        passed = self._charge(now, found)
        if found is None:
            self.slice = None
            if (idle := idle_of(frame)) is not None:
                self._tick_in_idle(idle)
            return None
        self._bound_turn(found.slice[1])
        if found.slice == self.slice:
            self.held += passed
        else:
            self.slice, self.named = found.slice, False
            self.held = max(0.0, passed - INTERVAL)  # a late tick has waited for one call, which was on when it was due
        if self.held >= HOG and not self.named:
            self.named = True
            log_now(self.kernel, complaint(found, self.held, late=passed - INTERVAL))
        error = self._verdict(found, now) if found.outer is not None else None
        if error is not None:
            self.strikes.another(found, type(error).__name__)
            self.held = 0.0  # its clean-up has as long again
        return error

    def _bound_turn(self, turn: Iterator[Any] | None) -> None:
        if turn is not None and turn is self.turn:
            self.kernel.scheduler.cut_short(turn)
        self.turn = turn

    def _charge(self, now: float, found: Running | None) -> float:
        """Charge what was used since the last tick; answers how much time that was, as far as it was ours."""
        then, used, starved = self.then, self.used, self.starved
        self.then = now
        self.used, self.starved = self.usage()
        if found is not None:
            found.task.cpu += self.used - used
        return now - then - (self.starved - starved)

    def _verdict(self, found: Running, now: float) -> BaseException | None:
        task = found.task
        limit = (task.quota.limits if task.quota is not None else self.kernel.limits).max_slice
        if limit is not None and self.held >= limit:
            return SliceExceeded(limit)
        if self.end is not None and now >= self.end and self.held >= HOG:
            log_now(self.kernel, f"{found.where()} did not yield within {SHUTDOWN_GRACE:g} s of shutdown: KILL")
            return killed_running(self.kernel, task, "shutdown")
        return None


def complaint(found: Running, held: float, late: float) -> str:
    """What to say of a task that holds the machine."""
    if late >= HOG:
        return f"{found.where()} has held up all others for {held:.2g} s, in a call that cannot be interrupted"
    return f"{found.where()} has not let others run for {held:.2g} s"


def idle_of(frame: FrameType | None) -> FrameType | None:
    """The frame of the kernel's `idle` if that waits for descriptors at this moment (`fetch` alone calls backends)."""
    if frame is None or not (frame.f_code is FETCH or (frame.f_back is not None and frame.f_back.f_code is FETCH)):
        return None
    while frame is not None and frame.f_code is not IDLE:
        frame = frame.f_back
    return frame


REST = Watchdog.rest.__code__


# --- on and off


@contextmanager
def watching(kernel: Kernel) -> Iterator[Watchdog | None]:
    """While inside, the kernel is watched. If SIGALRM is taken one line says so; in another thread nothing is done."""
    if threading.current_thread() is not threading.main_thread():
        yield None
        return
    if user := user_of_the_alarm():
        kernel.log(f"no watchdog: SIGALRM is taken by {user}, so that nobody is held to a max_slice")
        yield None
        return
    dog = Watchdog(kernel)
    before = signal.signal(signal.SIGALRM, dog.on_alarm)
    dog.arm()
    try:
        yield dog
    finally:
        dog.disarm()
        signal.signal(signal.SIGALRM, before)
        setattr(kernel, "idle", dog.kernels_idle)


def user_of_the_alarm() -> str | None:
    """Who has a handler for SIGALRM or a timer that sends it, if anybody."""
    handler = signal.getsignal(signal.SIGALRM)
    if handler not in (signal.SIG_DFL, signal.SIG_IGN):
        return f"{getattr(handler, '__qualname__', 'other code')}"
    return "a timer" if signal.getitimer(signal.ITIMER_REAL)[0] else None
