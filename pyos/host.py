"""Running a kernel from an ordinary Python program: `pyos.run(main())`, and the process's signals.

SIGINT becomes INT for the foreground job or init; SIGTERM shuts the system down in order. Either is done once the
running task yields; if it has not by the time the next signal comes, it is killed. In a thread other than the main one
there are no signal handlers.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

from pyos.errors import TaskKilled
from pyos.signals import INT

if TYPE_CHECKING:
    from pyos.kernel.clock import Clock
    from pyos.kernel.kernel import Kernel
    from pyos.limits import Limits


HANDLED_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Caught:
    """The handlers of the process's signals, and which has come.

    `signal` is SIGTERM, which ends the system; or SIGINT, which is for init to make something of.
    """

    def __init__(self, kernel: Kernel) -> None:
        from pyos.kernel.running import Insistence

        self.kernel = kernel
        self.signal: signal.Signals | None = None
        self.insistence = Insistence(kernel)

    def on_interrupt(self, number: int, frame: FrameType | None) -> None:
        """SIGINT. Whom it is for is settled now: the foreground job may be dead by the time it is delivered."""
        self.signal = self.signal or signal.SIGINT
        job = self.kernel.foreground_job()
        self.kernel.post(lambda: self.kernel.interrupt(job))
        self.insistence.signalled(frame)

    def on_terminate(self, number: int, frame: FrameType | None) -> None:
        """SIGTERM."""
        self.signal = signal.SIGTERM
        self.kernel.ending = True
        self.kernel.post(lambda: self.kernel.shut_down("SIGTERM"))
        self.insistence.signalled(frame)

    @property
    def terminated(self) -> bool:
        """True if SIGTERM has come."""
        return self.signal is signal.SIGTERM


@contextmanager
def signals_handled(kernel: Kernel) -> Iterator[Caught]:
    """While inside, SIGINT and SIGTERM are the kernel's. Does nothing outside the main thread.

    Any signal rings the kernel's wake-up descriptor, also one that comes when the kernel is just about to wait, or to
    another thread: Python's handlers run in the main thread, and it has to be up for that.
    """
    caught = Caught(kernel)
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return
    wake_up = kernel.readiness.wake_up.writer.fileno()
    before_wake_up = signal.set_wakeup_fd(wake_up, warn_on_full_buffer=False)
    handlers = dict(zip(HANDLED_SIGNALS, (caught.on_interrupt, caught.on_terminate)))
    ours = [number for number in handlers if signal.getsignal(number) is not None]  # None: set in C, for good
    before = {number: signal.signal(number, handlers[number]) for number in ours}
    try:
        yield caught
    finally:
        signal.set_wakeup_fd(before_wake_up)
        for number, handler in before.items():
            signal.signal(number, handler)


def close(target: Any) -> None:
    """Close what cannot be run, if it is something that can be closed."""
    if hasattr(target, "close"):
        target.close()


def run(
    target: Any,
    *,
    seed: int | str | None = None,
    clock: Clock | None = None,
    poller: str | None = None,
    limits: Limits | None = None,
) -> Any:
    """Boot a kernel with `target` (a generator or coroutine object) as init; returns init's value, raises its error.

    With `limits.max_slice` a watchdog is on, and takes SIGALRM. A task that swallows SliceExceeded again and again ends
    the process, with exit code 1.

    Raises Deadlock when nothing can ever run again, TaskKilled when init was killed, KeyboardInterrupt or
    SystemExit(143) after SIGINT or SIGTERM, RuntimeError when a kernel already runs in this thread, and TypeError or
    ValueError for a target that cannot become a task.
    """
    from pyos.kernel import kernel as kernels  # here: userland imports this package, and must not need the kernel
    from pyos.kernel.watchdog import watching

    if kernels.current_kernel() is not None:
        close(target)
        raise RuntimeError("a kernel is already running in this thread: use NewTask, or run it in another thread")
    try:
        kernel = kernels.Kernel(seed=seed, clock=clock, poller=poller, limits=limits)
    except BaseException:
        close(target)  # else a coroutine would complain that it was never awaited
        raise
    with kernel:
        kernel.host_takes_error = kernels.all_of_it
        kernel.spawn(target)
        with ExitStack() as stack:
            caught = stack.enter_context(signals_handled(kernel))
            if limits is not None and limits.max_slice is not None:
                stack.enter_context(watching(kernel))
            status = kernel.run()
    assert status is not None
    try:
        if caught.terminated:
            raise SystemExit(128 + signal.SIGTERM)
        if status.error is not None:
            raise status.error
        if status.signal is INT and caught.signal is signal.SIGINT:
            raise KeyboardInterrupt
        if status.signal is not None:
            raise TaskKilled(status.signal, 0, "init was killed")
        return status.value
    finally:
        # an error's traceback shows this frame: if the frame, or its kernel, kept the error, a cycle would keep both
        kernel.init_status = status = None
