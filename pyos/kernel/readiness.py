"""Who waits for which descriptor, and what is known of the file behind it.

`Readiness` owns who waits for which descriptor. A descriptor stays registered, level-triggered, after its waiter was
woken: the next wait on it costs no system call. An event nobody waits for takes its part of the registration away.

A descriptor's number says little about the file behind it, so:
- the object waited with (by weak reference) tells a reused number; where there is none (an int, a class of the user's,
  a file opened with `closefd=False`, as the standard streams are), or it is a new one, the system is asked again:
  epoll's ENOENT proves that the number was reused, and for the other backends the file's device and inode do;
- whoever still waits for the old file then gets EBADF, as does whoever waits when the system reports a closed number;
- after `dup` and `close`, epoll goes on reporting a number that cannot be unregistered any more: it is rebuilt.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import socket
import weakref
from collections.abc import Callable
from typing import Any

from pyos.kernel.poller import BROKEN, CLOSED, READ, WRITE, Backend, Event, OneFile, is_open
from pyos.kernel.tasks import Task, WaitObject


def identity_of(fd: int) -> tuple[int, int]:
    """Which file is behind an open descriptor: its device and inode."""
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


def bad_descriptor(fd: int) -> OSError:
    """The error of a task that waits for a descriptor which is closed."""
    return OSError(errno.EBADF, f"{os.strerror(errno.EBADF)} (fd {fd})")


def descriptor_of(file: Any) -> int:
    """The descriptor behind an int or an object with `fileno()`; OSError(EBADF) if closed, TypeError if neither."""
    fd: int = file
    if type(file) is not int:
        if isinstance(file, bool) or not hasattr(type(file), "fileno"):
            raise TypeError(f"expected a descriptor or an object with fileno(), not {type(file).__name__}")
        try:
            fd = file.fileno()
        except ValueError:  # what io objects raise once closed
            raise bad_descriptor(-1) from None
        except StopIteration as stop:
            raise RuntimeError(f"{type(file).__name__}.fileno() raised StopIteration") from stop
        if type(fd) is not int:
            raise TypeError(f"{type(file).__name__}.fileno() returned {type(fd).__name__}, not an int")
    if not 0 <= fd <= 0x7FFFFFFF:
        raise bad_descriptor(fd)
    return fd


def owns_its_descriptor(file: Any) -> bool:
    """True for an object that says -1 or raises once its descriptor is closed, as nobody else is to close it."""
    if isinstance(file, socket.socket):
        return True
    if type(file) is io.TextIOWrapper:
        file = file.buffer
    if type(file) in (io.BufferedReader, io.BufferedWriter, io.BufferedRandom):
        file = file.raw
    return type(file) is socket.SocketIO or (type(file) is io.FileIO and file.closefd)


class WakeUp:
    """The one descriptor through which signals and other threads wake a kernel that is waiting."""

    def __init__(self) -> None:
        self.reader, self.writer = socket.socketpair()
        self.reader.setblocking(False)
        self.writer.setblocking(False)
        self.filenos = (self.reader.fileno(), self.writer.fileno())

    def ring(self) -> None:
        """Wake the kernel; may be called from any thread and from signal handlers."""
        with contextlib.suppress(OSError):  # full: it will wake anyway; closed: it has ended
            self.writer.send(b"!")

    def drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self.reader.recv(4096):
                pass

    def close(self) -> None:
        self.reader.close()
        self.writer.close()


class Watched(WaitObject):
    """One registered descriptor, and the wait object of the tasks that wait for it (`task.ticket`: READ or WRITE)."""

    __slots__ = ("owner", "fd", "file", "identity", "mask", "reused", "reader", "writer", "others")

    def __init__(self, owner: Readiness, fd: int, mask: int) -> None:
        self.owner = owner
        self.fd = fd
        self.file: weakref.ref[Any] | None = None
        self.identity: tuple[int, int] | None = None  # device and inode, where epoll does not know better
        self.mask = mask
        self.reused = False
        # nearly always one reader and one writer: a dict for each would cost 40 % of an idle connection's memory
        self.reader: Task | None = None
        self.writer: Task | None = None
        self.others: dict[Task, int] | None = None

    def add(self, task: Task, mask: int) -> None:
        """Enter the task; the caller blocks it."""
        if mask == READ and self.reader is None:
            self.reader = task
        elif mask == WRITE and self.writer is None:
            self.writer = task
        else:
            if self.others is None:
                self.others = {}
            self.others[task] = mask
        task.ticket = mask
        self.owner.waiting += 1

    def waiters(self, mask: int = READ | WRITE) -> list[Task]:
        """The tasks waiting for any part of `mask`."""
        tasks = []
        if self.reader is not None and mask & READ:
            tasks.append(self.reader)
        if self.writer is not None and mask & WRITE:
            tasks.append(self.writer)
        if self.others:
            tasks += [task for task, wanted in self.others.items() if wanted & mask]
        return tasks

    def wanted(self) -> int:
        """What is waited for at this moment."""
        mask = (READ if self.reader else 0) | (WRITE if self.writer else 0)
        for other in (self.others or {}).values():
            mask |= other
        return mask

    # --- as a wait object

    def leave(self, task: Task) -> None:
        if self.reader is task:
            self.reader = None
        elif self.writer is task:
            self.writer = None
        else:
            assert self.others is not None
            del self.others[task]
        task.ticket = None
        self.owner.waiting -= 1

    def describe(self, task: Task) -> str:
        return f"{'read' if task.ticket == READ else 'write'} fd {self.fd}"

    def holds(self, task: Task) -> bool:
        return self.owner.watched.get(self.fd) is self and task in self.waiters(task.ticket)


class Readiness:
    """Who waits for which descriptor. `wake(task)` and `wake_error(task, error)` are the scheduler's."""

    def __init__(
        self,
        backend: Callable[[], Backend],
        wake: Callable[[Task], None],
        wake_error: Callable[[Task, BaseException], None],
    ) -> None:
        self.make_backend = backend
        self.backend = backend()
        self.wake = wake
        self.wake_error = wake_error
        self.watched: dict[int, Watched] = {}
        self.waiting = 0
        self.wake_up = WakeUp()
        self.on_wake_up: Callable[[], None] = lambda: None
        try:
            self.backend.register(self.wake_up.reader.fileno(), READ)
        except ValueError:  # select, in a process that has used up the numbers it takes
            self.close()
            raise
        self.one_file = OneFile()

    def watch(self, task: Task, file: Any, mask: int) -> Watched | None:
        """Enter the task as waiting for `file`; None if it is always ready. Raises OSError, TypeError, ValueError."""
        # a socket's number without a call of ours: 0.14 µs of an echoed message's 1.25 in user space
        fd = file.fileno() if type(file) is socket.socket else descriptor_of(file)
        entry = self.watched.get(fd)
        if entry is None or entry.file is None or entry.file() is not file or not entry.mask & mask:
            if fd < 0:
                raise bad_descriptor(fd)
            entry = self._register(fd, file, mask, entry)
            if entry is None:
                return None
        entry.add(task, mask)
        return entry

    def fetch(self, timeout: float) -> list[Event]:
        """Wait so many seconds for events."""
        return self.backend.poll(timeout)

    def deliver(self, events: list[Event]) -> None:
        """Wake who waits for these events."""
        watched, wake = self.watched, self.wake
        for fd, mask in events:
            entry = watched.get(fd)
            if mask == READ and entry is not None and entry.reader is not None and not (entry.others or entry.reused):
                # by far most events; `_wake` would do the same, and costs 0.15 µs more
                task, entry.reader = entry.reader, None
                self.waiting -= 1
                wake(task)
            elif entry is None:
                self._unknown(fd)
            elif mask & CLOSED:
                self._expel(entry)
            elif not entry.reused or self._confirmed(entry):
                self._wake(entry, READ | WRITE if mask & BROKEN else mask)

    def close(self) -> None:
        self.backend.close()
        self.wake_up.close()

    def _wake(self, entry: Watched, mask: int) -> None:
        """Wake the waiters for `mask`, and stop asking for what nobody waits for."""
        idle = mask & entry.mask
        wake = self.wake
        if mask & READ and entry.reader is not None:
            idle &= ~READ
            task, entry.reader = entry.reader, None
            self.waiting -= 1
            wake(task)
        if mask & WRITE and entry.writer is not None:
            idle &= ~WRITE
            task, entry.writer = entry.writer, None
            self.waiting -= 1
            wake(task)
        if entry.others:
            for task in entry.waiters(mask):
                idle &= ~task.ticket
                entry.leave(task)
                wake(task)
        if idle:
            self._narrow(entry, entry.mask & ~idle | entry.wanted())

    def _narrow(self, entry: Watched, mask: int) -> None:
        """Nobody waits for part of what is registered: register less, or nothing."""
        try:
            if mask:
                self.backend.modify(entry.fd, mask)
                entry.mask = mask
            else:
                del self.watched[entry.fd]
                self.backend.unregister(entry.fd)
        except OSError:  # closed, and kept alive by a duplicate
            self._rebuild()

    def _register(self, fd: int, file: Any, mask: int, entry: Watched | None) -> Watched | None:
        """Have the system watch this descriptor for `mask` too; None if the file is always ready."""
        reused = False
        if entry is not None:
            same = self._same_file(entry, file)
            try:
                if not same:
                    raise FileNotFoundError(errno.ENOENT, "another file")
                self.backend.modify(fd, entry.mask | mask)
            except OSError as error:
                self._expel(entry)
                if error.errno == errno.EBADF:
                    raise bad_descriptor(fd) from None
                entry, reused = None, True
        if entry is None:
            if fd in (self.backend.fileno(), *self.wake_up.filenos):
                raise OSError(errno.EBADF, f"{os.strerror(errno.EBADF)} (fd {fd} is the kernel's own)")
            if not self._try_register(fd, mask):
                return None
            entry = self.watched[fd] = Watched(self, fd, mask)
            entry.reused = reused
            if self.backend.name != "epoll":
                entry.identity = identity_of(fd)
        entry.mask |= mask
        entry.file = weakref.ref(file) if owns_its_descriptor(file) else None  # else the system is asked at every wait
        return entry

    def _same_file(self, entry: Watched, file: Any) -> bool:
        """False if the object waited with before shows that it no longer owns the number. (True proves nothing.)"""
        if self.backend.name == "epoll":
            return True  # epoll knows better
        before = entry.file() if entry.file is not None else None
        try:
            if before is not None and before is not file and before.fileno() != entry.fd:
                return False
        except ValueError:
            return False
        return is_open(entry.fd) and identity_of(entry.fd) == entry.identity

    def _try_register(self, fd: int, mask: int) -> bool:
        try:
            self.backend.register(fd, mask)
        except PermissionError:  # epoll does not take regular files and the like: they are always ready
            return False
        except FileExistsError:
            self.backend.modify(fd, mask)
        except OSError as error:
            raise (bad_descriptor(fd) if error.errno == errno.EBADF else error) from None
        return True

    def _expel(self, entry: Watched) -> None:
        """The descriptor was closed, or its number means another file now: its waiters get EBADF."""
        for task in entry.waiters():
            entry.leave(task)
            self.wake_error(task, bad_descriptor(entry.fd))
        del self.watched[entry.fd]
        with contextlib.suppress(OSError, KeyError):
            self.backend.unregister(entry.fd)

    def _confirmed(self, entry: Watched) -> bool:
        """A reused number may still be reported for a file that a duplicate keeps alive: ask about this one file."""
        if self.one_file.is_ready(entry.fd, entry.mask):
            return True
        self._rebuild()
        return False

    def _unknown(self, fd: int) -> None:
        """An event of a descriptor nobody has ever waited for, or no longer does."""
        if fd == self.wake_up.reader.fileno():
            self.wake_up.drain()
            self.on_wake_up()
            return
        try:
            self.backend.unregister(fd)
        except OSError:
            self._rebuild()

    def _rebuild(self) -> None:
        """Start a new backend with what is really waited for; the old one reports what it should not."""
        self.backend.close()
        self.backend = self.make_backend()
        self.backend.register(self.wake_up.reader.fileno(), READ)
        for entry in list(self.watched.values()):
            try:
                self.backend.register(entry.fd, entry.mask)
                entry.reused = False
            except OSError:
                self._expel(entry)
