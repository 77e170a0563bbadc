"""Time: the real and the virtual clock, and the timers. The only module that calls `time`.

All times are seconds as floats on the clock's own monotonic scale. Timers are a heap of `(deadline, number, owner)`;
the number makes equal deadlines fire in the order they were set. Cancelling marks nothing in the heap: an entry counts
only while its owner says so, and the heap is rebuilt when more than half of it is dead.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Any, Protocol

from pyos.kernel.tasks import Task, WaitObject

LONGEST_NAP = 3600.0  # seconds; poll() overflows on huge timeouts, and waking once an hour costs nothing
Poll = Callable[[float], bool]  # wait for I/O so many seconds; True if any came


class Clock(Protocol):
    """Where a kernel gets its time from."""

    def now(self) -> float:
        """Monotonic seconds."""

    def wall(self) -> float:
        """Seconds since the epoch."""

    def wait(self, poll: Poll, until: float | None) -> None:
        """Nothing is ready: poll until I/O comes or the time is `until` (None: I/O only)."""


class RealClock:
    """The machine's clock."""

    now = staticmethod(time.monotonic)
    wall = staticmethod(time.time)

    def wait(self, poll: Poll, until: float | None) -> None:
        timeout = LONGEST_NAP if until is None else min(max(0.0, until - time.monotonic()), LONGEST_NAP)
        poll(timeout)


def usage() -> tuple[float, float]:
    """Seconds of processor time that this thread has used, and that it was ready and did not get.

    Only Linux tells the second.
    """
    try:
        fd = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
        try:
            starved = int(os.read(fd, 100).split()[1]) / 1e9
        finally:
            os.close(fd)
    except (OSError, LookupError, ValueError):
        starved = 0.0
    return time.thread_time(), starved


class VirtualClock:
    """A clock that jumps to the next deadline as soon as nothing is ready and no I/O has come."""

    def __init__(self, start: float = 0.0, epoch: float = 1_000_000_000.0) -> None:
        self.time = start
        self.epoch = epoch

    def now(self) -> float:
        return self.time

    def wall(self) -> float:
        return self.epoch + self.time

    def wait(self, poll: Poll, until: float | None) -> None:
        if until is None:
            poll(LONGEST_NAP)
        elif not poll(0.0):
            self.time = max(self.time, until)


class Breather:
    """Gives up the interpreter lock for certain every 5 ms while tasks stay ready.

    The polls in between are too short for another thread to take the lock: it starves for seconds (measured).
    """

    def __init__(self, interval: float = 0.005) -> None:
        self.interval = interval
        self.next = 0.0

    def breathe(self) -> None:
        """Call once a turn."""
        now = time.monotonic()
        if now >= self.next:
            time.sleep(0)
            self.next = now + self.interval


class Alarm:
    """A deadline of the kernel's own: calls `action()` when due, unless cancelled."""

    __slots__ = ("action",)  # and not its entry in the heap, which would be a cycle

    def __init__(self, action: Callable[[], None]) -> None:
        self.action: Callable[[], None] | None = action


Entry = tuple[float, int, Any]


class Timers(WaitObject):
    """Every deadline of the system, and the wait object of every sleeping task (`task.ticket` is its heap entry)."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.heap: list[Entry] = []
        self.dead = 0  # entries in the heap whose owner no longer waits
        self.eternal = 0  # tasks in Sleep(inf), which are not in the heap
        self.numbers = count()

    def sleep(self, task: Task, seconds: float) -> None:
        """Enter the task as due in `seconds`; the caller has checked them, and blocks it."""
        if seconds == math.inf:
            self.eternal += 1
            task.ticket = None
            return
        entry = (self.clock.now() + seconds, next(self.numbers), task)
        task.ticket = entry
        heappush(self.heap, entry)

    def set_alarm(self, seconds: float, action: Callable[[], None]) -> Alarm:
        """Call `action` in `seconds`, between two steps."""
        alarm = Alarm(action)
        heappush(self.heap, (self.clock.now() + seconds, next(self.numbers), alarm))
        return alarm

    def clear(self) -> None:
        """Forget every deadline."""
        self.heap.clear()
        self.dead = self.eternal = 0

    def cancel(self, alarm: Alarm) -> None:
        """Forget an alarm; harmless if it has gone off."""
        if alarm.action is not None:
            alarm.action = None
            self._bury_one()

    def next_deadline(self) -> float | None:
        """When the first living entry is due, or None."""
        heap = self.heap
        while heap and not self._lives(heap[0]):
            heappop(heap)
            self.dead -= 1
        return heap[0][0] if heap else None

    def due(self) -> bool:
        """True if something is due by now."""
        deadline = self.next_deadline()
        return deadline is not None and deadline <= self.clock.now()

    def pop_due(self) -> Iterator[Task | Alarm]:
        """Take out what is due by now, in order of deadline, then of setting.

        One at a time, because what an alarm does may end the wait of a task that was due after it.
        """
        now = self.clock.now()
        while self.heap and self.heap[0][0] <= now:
            entry = heappop(self.heap)
            owner = entry[2]
            # to ask `_lives` and `next_deadline` each time would cost 0.14 µs of a due timer's 0.8
            if owner.ticket is entry if type(owner) is Task else owner.action is not None:
                yield owner
            else:
                self.dead -= 1
        self.next_deadline()  # takes out the dead that have come to the front

    @staticmethod
    def _lives(entry: Entry) -> bool:
        owner = entry[2]
        if type(owner) is Task:
            return owner.ticket is entry
        return owner.action is not None

    def _bury_one(self) -> None:
        self.dead += 1
        if self.dead > 64 and self.dead * 2 > len(self.heap):
            self.heap = [entry for entry in self.heap if self._lives(entry)]
            heapify(self.heap)
            self.dead = 0

    # --- as a wait object

    def leave(self, task: Task) -> None:
        entry, task.ticket = task.ticket, None
        if entry is None:
            self.eternal -= 1
        else:
            self._bury_one()

    def describe(self, task: Task) -> str:
        if task.ticket is None:
            return "sleep for ever"
        return f"sleep {max(0.0, task.ticket[0] - self.clock.now()):.3g}s"

    def holds(self, task: Task) -> bool:
        return task.ticket is None or any(entry is task.ticket for entry in self.heap)
