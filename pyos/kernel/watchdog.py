"""The watchdog: an interval timer that looks, 20 times a second, which task has the machine, and for how long.

At a tick it charges the processor time since the last one to the running task. A task that has not let others run for
HOG seconds is named in the log while it runs, once a slice. One past its `max_slice` gets SliceExceeded, and one that
holds up a shutdown KILL, where its own code is running (running.py). A call of C code that looks at no signals can't be
interrupted: all this happens when it returns.

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

from pyos.errors import SliceExceeded
from pyos.kernel.clock import RealClock, cpu_seconds
from pyos.kernel.kernel import Kernel
from pyos.kernel.poller import Readiness
from pyos.kernel.running import Running, Slice, Strikes, killed_running, log_now, running

INTERVAL = 0.05  # seconds between two ticks
HOG = 0.1  # seconds in one slice after which a task is named in the log
SHUTDOWN_GRACE = 5.0  # seconds that a shutdown waits for a task to yield
GAVE_UP = 1  # the exit code when a task cannot be stopped
FETCH = Readiness.fetch.__code__
IDLE = Kernel.idle.__code__


class Watchdog:
    """Watches one kernel. `due` is when the next tick is expected, `since` the first time that `slice` was seen."""

    def __init__(
        self,
        kernel: Kernel,
        now: Callable[[], float] = RealClock.now,
        cpu: Callable[[], float] = cpu_seconds,
    ) -> None:
        self.kernel = kernel
        self.now = now
        self.cpu = cpu
        self.charged = cpu()
        self.due = now() + INTERVAL
        self.slice: Slice | None = None
        self.since = 0.0
        self.end: float | None = None  # when a shutdown is no longer waited for
        self.named = False
        self.strikes = Strikes(kernel, GAVE_UP)
        self.kernels_idle = kernel.idle
        self.armed = False

    # --- the timer

    def arm(self) -> None:
        """Tick from now on."""
        self.armed = True
        self.slice = None
        self.charged = self.cpu()
        self.due = self.now() + INTERVAL
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
        late, self.due = now - self.due, now + INTERVAL
        if self.kernel.ending and self.end is None:
            self.end = now + SHUTDOWN_GRACE
        found = running(self.kernel, frame)
        self._charge(found)
        if found is None:
            self.slice = None
            if (idle := idle_of(frame)) is not None:
                self._tick_in_idle(idle)
            return None
        if found.slice != self.slice:
            self.slice, self.named = found.slice, False
            self.since = now - max(0.0, late)  # a late tick waited for one call, which has been on since then
        held = now - self.since
        if held >= HOG and not self.named:
            self.named = True
            log_now(self.kernel, complaint(found, held, late))
        error = self._verdict(found, held, now) if found.outer is not None else None
        if error is not None:
            self.strikes.another(found, type(error).__name__)
            self.since = now  # its clean-up has as long again
        return error

    def _verdict(self, found: Running, held: float, now: float) -> BaseException | None:
        task = found.task
        limit = (task.quota.limits if task.quota is not None else self.kernel.limits).max_slice
        if limit is not None and held >= limit:
            return SliceExceeded(limit)
        if self.end is not None and now >= self.end and held >= HOG:
            log_now(self.kernel, f"{found.where()} did not yield within {SHUTDOWN_GRACE:g} s of shutdown: KILL")
            return killed_running(self.kernel, task, "shutdown")
        return None

    def _charge(self, found: Running | None) -> None:
        used = self.cpu()
        if found is not None:
            found.task.cpu += used - self.charged
        self.charged = used


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
