"""Asking the system which descriptors are ready: epoll, poll and select behind one small interface.

No other module calls `select`, but for lib/dataflow/processes.py, which also serves callers without a kernel. Who waits
for which descriptor is readiness.py's.
"""

from __future__ import annotations

import errno
import fcntl
import math
import select
from collections.abc import Callable
from typing import Protocol

READ = select.POLLIN  # 1, also in epoll
WRITE = select.POLLOUT  # 4
BROKEN = select.POLLHUP | select.POLLERR  # always reported, asked for or not; wakes readers and writers
CLOSED = select.POLLNVAL  # the number is not open

Event = tuple[int, int]


class Backend(Protocol):
    """One way to ask the system. Masks are READ and WRITE, in events also BROKEN and CLOSED.

    `fileno` is the backend's own descriptor, -1 if it has none.
    """

    name: str

    def register(self, fd: int, mask: int) -> None: ...
    def modify(self, fd: int, mask: int) -> None: ...
    def unregister(self, fd: int) -> None: ...
    def poll(self, timeout: float) -> list[Event]: ...
    def fileno(self) -> int: ...
    def close(self) -> None: ...


class EpollBackend:
    """Linux's epoll: the cost of a poll does not depend on how many descriptors are registered."""

    name = "epoll"

    def __init__(self) -> None:
        self.epoll = select.epoll()
        self.register = self.epoll.register
        self.modify = self.epoll.modify
        self.unregister = self.epoll.unregister
        self.poll = self.epoll.poll
        self.fileno = self.epoll.fileno
        self.close = self.epoll.close


class PollBackend:
    """POSIX poll: any number of descriptors, and each poll costs time in proportion to them."""

    name = "poll"

    def __init__(self) -> None:
        self.poller = select.poll()
        self.unregister = self.poller.unregister

    def register(self, fd: int, mask: int) -> None:
        fcntl.fcntl(fd, fcntl.F_GETFD)  # EBADF now, rather than CLOSED at the next poll
        self.poller.register(fd, mask)

    modify = register

    def poll(self, timeout: float) -> list[Event]:
        return self.poller.poll(math.ceil(timeout * 1000))

    def fileno(self) -> int:
        return -1

    def close(self) -> None:
        pass


class SelectBackend:
    """The original select: everywhere, and at most descriptor 1023."""

    name = "select"
    HIGHEST = 1023

    def __init__(self) -> None:
        self.masks: dict[int, int] = {}

    def register(self, fd: int, mask: int) -> None:
        if fd > self.HIGHEST:
            raise ValueError(f"fd {fd} is above {self.HIGHEST}, the highest that select can watch (try --poller epoll)")
        fcntl.fcntl(fd, fcntl.F_GETFD)
        self.masks[fd] = mask

    modify = register

    def unregister(self, fd: int) -> None:
        del self.masks[fd]

    def poll(self, timeout: float) -> list[Event]:
        reading = [fd for fd, mask in self.masks.items() if mask & READ]
        writing = [fd for fd, mask in self.masks.items() if mask & WRITE]
        try:
            readable, writable, _ = select.select(reading, writing, [], timeout)
        except OSError as error:
            if error.errno != errno.EBADF:
                raise
            return [(fd, CLOSED) for fd in self.masks if not is_open(fd)]
        events = dict.fromkeys(readable, READ)
        for fd in writable:
            events[fd] = events.get(fd, 0) | WRITE
        return list(events.items())

    def fileno(self) -> int:
        return -1

    def close(self) -> None:
        self.masks.clear()


BACKENDS: dict[str, Callable[[], Backend]] = {"poll": PollBackend, "select": SelectBackend}
if hasattr(select, "epoll"):
    BACKENDS = {"epoll": EpollBackend, **BACKENDS}


def is_open(fd: int) -> bool:
    """True if this descriptor number is open in this process."""
    try:
        fcntl.fcntl(fd, fcntl.F_GETFD)
    except OSError:
        return False
    return True


class OneFile:
    """Asks about one file alone, whatever else is registered."""

    def __init__(self) -> None:
        self.poller = select.poll()

    def is_ready(self, fd: int, mask: int) -> bool:
        self.poller.register(fd, mask)
        try:
            return bool(self.poller.poll(0))
        finally:
            self.poller.unregister(fd)


def has_no_reader(fd: int) -> bool:
    """True if `fd` is a pipe or a socket to which it is no use writing, as nobody will ever read it."""
    poll = select.poll()
    poll.register(fd, 0)
    return bool(dict(poll.poll(0)).get(fd, 0) & select.POLLERR)
