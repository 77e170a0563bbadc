"""What userland holds of the objects that tasks share. Every method builds a trap: `yield lock.acquire()`.

A handle is plain: its name, its parameters, and `kernel_object`, which is the kernel's (see pyos/kernel/sync.py) and
made when the handle is first used. So a handle can be made anywhere, also before there is a kernel; used in another
kernel, it stands for a new object.
"""

from __future__ import annotations

import math
from typing import Any, Generic, TypeVar

from pyos.traps import (
    Acquire,
    ClearEvent,
    CloseChannel,
    Get,
    Load,
    Notify,
    Put,
    Release,
    SetEvent,
    Store,
    WaitCondition,
    WaitEvent,
)

T = TypeVar("T")
new = object.__new__
"""Makes a trap for the busiest methods, which then set its arguments: `Put(self, item)` takes 0.1 µs more, a fifth of a
put. `--debug` replaces it, to see each trap."""


class Handle:
    """What all handles have; `name` is shown where a task waits for the object."""

    __slots__ = ("name", "kernel_object", "__weakref__")

    def __init__(self, name: str | None = None) -> None:
        if name is not None and not isinstance(name, str):
            raise TypeError(f"a name is a string, not {type(name).__name__}")
        self.name = name
        self.kernel_object: Any = None

    def __repr__(self) -> str:
        name = "" if self.name is None else f" {self.name!r}"
        return f"<{type(self).__name__}{name}>"


class Lock(Handle):
    """A lock that one task holds at a time. Not reentrant; released with a log line if its holder dies."""

    __slots__ = ()

    def acquire(self) -> Acquire:
        """Trap: take the lock, in order of asking. ValueError if the caller holds it already."""
        trap = new(Acquire)
        trap.lock = self
        return trap

    def release(self) -> Release:
        """Trap: give the lock to the next. PermissionError if the caller does not hold it."""
        trap = new(Release)
        trap.lock = self
        return trap


class Semaphore(Handle):
    """A number of permits (int >= 0), handed out in order of asking."""

    __slots__ = ("value",)

    def __init__(self, value: int, name: str | None = None) -> None:
        super().__init__(name)
        if type(value) is not int:
            raise TypeError(f"a semaphore's value is an int, not {type(value).__name__}")
        if value < 0:
            raise ValueError(f"a semaphore has at least 0 permits, not {value}")
        self.value = value

    def acquire(self) -> Acquire:
        """Trap: take a permit, waiting for one in order of asking."""
        return Acquire(self)

    def release(self) -> Release:
        """Trap: give back a permit. Anybody may."""
        return Release(self)


class Event(Handle):
    """Something that happens: whoever waits for it goes on, and nobody waits while it is set."""

    __slots__ = ()

    def wait(self) -> WaitEvent:
        """Trap: wait until it is set."""
        return WaitEvent(self)

    def set(self) -> SetEvent:
        """Trap: set it, and wake all who wait."""
        return SetEvent(self)

    def clear(self) -> ClearEvent:
        """Trap: unset it."""
        return ClearEvent(self)


class Condition(Handle):
    """A condition on what `lock` guards: wait for it with the lock held, and have it again when the wait ends."""

    __slots__ = ("lock",)

    def __init__(self, lock: Lock, name: str | None = None) -> None:
        super().__init__(name)
        if not isinstance(lock, Lock):
            raise TypeError(f"a condition has a Lock, not {type(lock).__name__}")
        self.lock = lock

    def wait(self) -> WaitCondition:
        """Trap: release the lock, wait to be notified, take the lock again. PermissionError without the lock."""
        return WaitCondition(self)

    def notify(self, n: int = 1) -> Notify:
        """Trap: let up to `n` waiters go on; answers how many."""
        return Notify(self, n)

    def notify_all(self) -> Notify:
        """Trap: let every waiter go on; answers how many."""
        return Notify(self, None)


class Channel(Handle, Generic[T]):
    """Items from those who put to those who get, in order. Capacity 0: they meet; math.inf: put never waits."""

    __slots__ = ("capacity",)

    def __init__(self, capacity: float = 0, name: str | None = None) -> None:
        super().__init__(name)
        if type(capacity) is not int and capacity != math.inf:
            raise TypeError(f"a capacity is an int or math.inf, not {capacity!r}")
        if capacity < 0:
            raise ValueError(f"a capacity is at least 0, not {capacity}")
        self.capacity = capacity

    def put(self, item: T) -> Put:
        """Trap: pass an item on, waiting while there is no room. ChannelClosed once it is closed."""
        trap = new(Put)
        trap.channel = self
        trap.item = item
        return trap

    def get(self) -> Get[T]:
        """Trap: the next item, waiting for one. ChannelClosed once it is closed and empty."""
        trap: Get[T] = new(Get)
        trap.channel = self
        return trap

    def close(self) -> CloseChannel:
        """Trap: say that no more will be put; twice is harmless."""
        return CloseChannel(self)


class Cell(Handle, Generic[T]):
    """One value that tasks share, visible to tracing and checking."""

    __slots__ = ("value",)

    def __init__(self, value: T, name: str | None = None) -> None:
        super().__init__(name)
        self.value = value

    def load(self) -> Load[T]:
        """Trap: the value."""
        return Load(self)

    def store(self, value: T) -> Store:
        """Trap: replace the value."""
        return Store(self, value)
