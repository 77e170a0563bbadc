"""A target in a thread of its own, behind the interface of any other: `threaded(target)`.

- `send` queues an item and goes on; it waits only while the queue is full. Items arrive in order, one at a time, so
  several threads may send: the queue is what keeps them from meeting inside the coroutine.
- What the coroutine raises comes up at the next `send`, `throw` or `close`, once; after that, and when it has returned,
  `send` raises StopIteration, as a generator does.
- `throw` and `close` take effect after everything sent before, and wait for it.
- `room` and `settle` are for tasks: they wait with a trap where `send` and `close` would stop the whole system.

A handle that is dropped, or still open when Python exits, is closed.
"""

from __future__ import annotations

import socket
import threading
import weakref
from collections import deque
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any

from pyos.lib.dataflow.core import Target
from pyos.traps import ReadWait

Waiting = Generator[Any, Any, None]
Order = tuple[Callable[[Any], Any] | None, Any]
CLOSE: Order = (None, None)


def threaded(target: Target, *, size: int = 1024) -> Threaded:
    """Run a primed coroutine in a new thread; `size` items may wait for it."""
    return Threaded(target, size)


class Threaded:
    """The handle of a target in a thread."""

    def __init__(self, target: Target, size: int) -> None:
        name = getattr(target, "__name__", type(target).__name__)
        self._queue = Queue(target, size)
        self._thread = threading.Thread(target=work, args=(self._queue,), name=name, daemon=True)
        self._thread.start()
        self._closer = weakref.finalize(self, shut, self._queue, self._thread)

    def send(self, item: Any, /) -> None:
        """Queue an item. Raises what the coroutine has raised, StopIteration if it has ended."""
        self._queue.put((self._queue.target.send, item))

    def throw(self, error: BaseException, /) -> Any:
        """Raise an error in the coroutine; answers what it yields next, raises what it raises."""
        queue = self._queue
        queue.put((queue.throw, error))
        with queue.changed:
            queue.changed.wait_for(lambda: queue.answers or queue.ended)
            if queue.answers:
                return queue.answers.popleft()
        queue.check()

    def close(self) -> None:
        """End the coroutine and its thread. Raises what the coroutine has raised and nobody has seen."""
        if self._closer.detach() is not None:
            shut(self._queue, self._thread)

    def room(self) -> Waiting:
        """As a subroutine: wait until at least half of the queue is free."""
        return self._queue.wait(self._queue.size // 2)

    def settle(self) -> Waiting:
        """As a subroutine: wait until everything sent has been handled."""
        return self._queue.wait(0)


class Queue:
    """What handle and thread share. `changed` guards everything in it."""

    def __init__(self, target: Target, size: int) -> None:
        self.target = target
        self.size = size
        self.orders: deque[Order] = deque()
        self.unfinished = 0  # orders given and not yet carried out
        self.answers: deque[Any] = deque()  # of throws
        self.ended = False
        self.error: BaseException | None = None  # how the coroutine ended, until someone has seen it
        self.changed = threading.Condition()
        self.bells: list[Bell] = []  # of tasks that wait

    # --- the sender's side

    def put(self, order: Order) -> None:
        with self.changed:
            self.changed.wait_for(lambda: self.unfinished < self.size or self.ended)
            self.check()
            self.orders.append(order)
            self.unfinished += 1
            self.changed.notify_all()

    def check(self) -> None:
        """Raise how the coroutine has ended, if it has."""
        if self.ended:
            error, self.error = self.error, None
            raise StopIteration if error is None else error

    def wait(self, level: int) -> Waiting:
        """Wait until there are no more unfinished orders than `level`, or none will be carried out any more."""
        with self.changed:
            if self.unfinished <= level or self.ended:
                return
            bell = Bell(level)
            self.bells.append(bell)
        try:
            yield ReadWait(bell.readable)
        finally:
            with self.changed:
                self.bells.remove(bell)
            bell.close()

    # --- the thread's side

    def take(self) -> Order:
        with self.changed:
            self.changed.wait_for(lambda: self.orders)
            return self.orders.popleft()

    def throw(self, error: BaseException) -> None:
        answer = self.target.throw(error)
        self.answers.append(answer)

    def done(self) -> None:
        """An order has been carried out."""
        with self.changed:
            self.unfinished -= 1
            self.changed.notify_all()
            self.ring()

    def end(self, error: BaseException | None) -> None:
        with self.changed:
            self.ended, self.error = True, error
            self.changed.notify_all()
            self.ring()

    def ring(self) -> None:
        for bell in self.bells:
            if self.unfinished <= bell.level or self.ended:
                bell.ring()


class Bell:
    """Wakes one task from a thread: a socket that becomes readable when so few orders are unfinished."""

    def __init__(self, level: int) -> None:
        self.level = level
        self.rung = False
        self.readable, self.writable = socket.socketpair()

    def ring(self) -> None:
        if not self.rung:
            self.rung = True
            self.writable.send(b"!")

    def close(self) -> None:
        self.readable.close()
        self.writable.close()


def work(queue: Queue) -> None:
    """The thread: carry out orders until the coroutine has ended."""
    error: BaseException | None = None
    try:
        while (order := queue.take()) is not CLOSE:
            carry_out, value = order
            assert carry_out is not None
            carry_out(value)
            del carry_out, value, order  # the thread keeps no item alive while it waits
            queue.done()
        queue.target.close()
    except StopIteration:
        pass
    except BaseException as raised:
        error = raised
    queue.end(error)
    del error


def shut(queue: Queue, thread: threading.Thread) -> None:
    """Close the coroutine after all that was sent, wait for it, and raise what it raised if nobody has seen it."""
    with queue.changed:
        queue.orders.append(CLOSE)
        queue.changed.notify_all()
    if thread is not threading.current_thread():  # else the last reference was dropped in it
        thread.join()
        with suppress(StopIteration):
            queue.check()
