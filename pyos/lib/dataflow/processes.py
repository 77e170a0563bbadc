"""A target in a process of its own, behind the interface of any other: `process(function, *args)`.

`function` makes the coroutine, over there: items, arguments and errors travel pickled, and the coroutine shares nothing
with us. Otherwise it is as in threads.py: `send` goes on at once unless too much is under way, errors come up once, at
the next `send`, `throw` or `close`, and `room` and `settle` are for tasks. A process that dies is an error, WorkerDied,
and never a hang. A parent that dies is an error in the coroutine.
"""

from __future__ import annotations

import inspect
import os
import pickle
import select
import signal
import socket
import subprocess
import sys
import weakref
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any

from pyos.lib.dataflow import worker
from pyos.lib.dataflow.worker import described, packed, travels, unpacked
from pyos.traps import ReadWait, WriteWait

__all__ = ["Process", "RemoteError", "WorkerDied", "process"]

Waiting = Generator[Any, Any, None]
LIMIT = 1 << 20  # bytes that may wait to be written


class RemoteError(RuntimeError):
    """An error that could not travel between processes: its type and text are the message, its traceback is a note."""


class WorkerDied(RuntimeError):
    """The process of a target is gone, and so is what it had not yet handled."""


def process(function: Callable[..., Any], *args: Any, limit: int = LIMIT) -> Process:
    """Run the coroutine `function(*args)` in a new Python process; `limit` bytes of items may wait to be written.

    The function is found there by its name, at the top level of a module or a program file. Errors: ValueError for one
    that is elsewhere (a lambda, a function in a function), what pickle raises for the arguments.
    """
    return Process(function, args, limit)


class Process:
    """The handle of a target in a process; `pid` is that process."""

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], limit: int) -> None:
        self._link = Link(function, args, limit)
        self.pid = self._link.process.pid
        self._closer = weakref.finalize(self, self._link.close)

    def send(self, item: Any, /) -> None:
        """Send an item. Raises what the coroutine has raised, StopIteration if it ended, WorkerDied, or pickle's."""
        self._link.send(item)

    def throw(self, error: BaseException, /) -> Any:
        """Raise an error in the coroutine; answers what it yields next, raises what it raises."""
        return self._link.throw(error)

    def close(self) -> None:
        """End coroutine and process. Raises what the coroutine has raised and nobody has seen, or WorkerDied."""
        self._closer()

    def room(self) -> Waiting:
        """As a subroutine: wait until no more than half of `limit` waits to be written."""
        return self._link.room()

    def settle(self) -> Waiting:
        """As a subroutine: wait until everything sent has been handled."""
        return self._link.settle()


class Link:
    """The connection to a process: orders go out, reports come in."""

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], limit: int) -> None:
        where, self.name = whereabouts(function)
        self.limit = limit
        self.outgoing = bytearray(packed("make", (sys.path, where, self.name, args)))
        self.incoming = bytearray()
        self.answers: list[Any] = []  # of throws
        self.pings = 0  # not yet answered
        self.thrown: BaseException | None = None  # the last; it may come back
        self.ended = False
        self.error: BaseException | None = None  # how the coroutine ended, until someone has seen it
        self.socket, theirs = socket.socketpair()
        self.socket.setblocking(False)
        with theirs:
            fd = theirs.fileno()
            # a process group of its own: an interrupt from the terminal is the parent's affair
            self.process = subprocess.Popen(
                [sys.executable, "-P", worker.__file__, str(fd)],
                stdin=subprocess.DEVNULL,
                pass_fds=[fd],
                process_group=0,
            )

    # --- what a handle can do

    def send(self, item: Any) -> None:
        self.order("send", item)
        while len(self.outgoing) > self.limit and not self.ended:
            self.wait()
        self.check()

    def throw(self, error: BaseException) -> Any:
        self.thrown = error
        self.order("throw", error if travels(error) else RemoteError(described(error)))
        while not self.answers:
            self.check()
            self.wait()
        return self.answers.pop()

    def close(self) -> None:
        """Once: the socket and the process are gone after it, whatever it raises."""
        try:
            with suppress(StopIteration):
                self.order("close", None)
                while True:
                    self.check()
                    self.wait()
        finally:
            self.socket.close()
            self.process.wait()

    def room(self) -> Waiting:
        while len(self.outgoing) * 2 > self.limit and not self.ended:
            yield WriteWait(self.socket)
            self.exchange()

    def settle(self) -> Waiting:
        if self.ended:
            return
        self.pings += 1
        self.outgoing += packed("ping", None)
        self.exchange()
        while self.outgoing and not self.ended:
            yield WriteWait(self.socket)
            self.exchange()
        while self.pings and not self.ended:
            yield ReadWait(self.socket)
            self.exchange()

    # --- orders out, reports in

    def order(self, kind: str, value: Any) -> None:
        """Give an order; raises how the coroutine has ended, if it has."""
        self.check()
        self.outgoing += packed(kind, value)
        self.exchange()
        self.check()

    def check(self) -> None:
        if self.ended:
            error, self.error = self.error, None
            raise StopIteration if error is None else error

    def wait(self) -> None:
        """Stop until something can be read or written; for callers without a kernel."""
        poll = select.poll()
        poll.register(self.socket, select.POLLIN | (select.POLLOUT if self.outgoing else 0))
        poll.poll()
        self.exchange()

    def exchange(self) -> None:
        """Read and write what can be without waiting."""
        self.receive()
        if self.outgoing and not self.ended:
            try:
                sent = self.socket.send(self.outgoing)
                del self.outgoing[:sent]
            except BlockingIOError:
                pass
            except ConnectionError:
                self.receive()  # it has ended: that says how

    def receive(self) -> None:
        over = False
        try:
            while not over and not self.ended:
                data = self.socket.recv(65536)
                self.incoming += data
                over = not data
        except BlockingIOError:
            pass
        except ConnectionError:
            over = True
        for data in unpacked(self.incoming):
            self.report(data)
        if over and not self.ended:
            self.ended, self.error = True, self.obituary()

    def report(self, data: bytes) -> None:
        try:
            kind, value = pickle.loads(data)
        except Exception as error:
            kind, value = "failed", (f"{self.name} sent what cannot be read here: {error}", "")
        if kind == "ended":
            self.ended, self.error = True, value
        elif kind == "back":
            self.ended, self.error = True, self.thrown
        elif kind == "failed":
            self.ended, self.error = True, RemoteError(value[0])
            self.error.add_note(value[1])
        elif kind == "answer":
            self.answers.append(value)
        else:
            self.pings -= 1

    def obituary(self) -> WorkerDied:
        code = self.process.wait()
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"it exited with status {code}"
        return WorkerDied(f"the process of {self.name} ({self.process.pid}) died: {how}")


def whereabouts(function: Callable[..., Any]) -> tuple[str, str]:
    """Where another process finds a function: a module's name or a file's path, and the function's name there."""
    module, name = function.__module__, function.__qualname__
    if "<" in name:
        raise ValueError(f"{name} cannot be found by another process: it is not at the top level of a file")
    if module != "__main__" and getattr(sys.modules.get(module), name, None) is function:
        return module, name
    return os.path.abspath(inspect.unwrap(function).__code__.co_filename), name
