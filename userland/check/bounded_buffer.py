"""bounded_buffer: a producer and two consumers. BUG: `if` where `while` is needed.

A consumer that is notified must have the lock again; another may get it first, and the item is gone.
"""

from typing import NamedTuple

from pyos import Cell, Condition, Lock, Program


class Buffer(NamedTuple):
    lock: Lock
    not_empty: Condition
    items: Cell[int]  # how many there are


def producer(buffer: Buffer) -> Program:
    for _ in range(2):
        yield buffer.lock.acquire()
        yield buffer.items.store((yield buffer.items.load()) + 1)
        yield buffer.not_empty.notify()
        yield buffer.lock.release()


def consumer(buffer: Buffer) -> Program:
    yield buffer.lock.acquire()
    if (yield buffer.items.load()) == 0:
        yield buffer.not_empty.wait()
    items = yield buffer.items.load()
    assert items > 0, "an item was taken out of an empty buffer"
    yield buffer.items.store(items - 1)
    yield buffer.lock.release()


def main() -> list[Program]:
    lock = Lock("buffer")
    buffer = Buffer(lock, Condition(lock, "not empty"), Cell(0, "items"))
    return [producer(buffer), consumer(buffer), consumer(buffer)]
