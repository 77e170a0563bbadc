"""notify_one: two producers, two consumers, room for one item, one condition. BUG: one is notified where all must be.

The one may be of the wrong sort: a producer that wakes a producer, which finds no room and waits again. Then all wait.
"""

from typing import NamedTuple

from pyos import Cell, Condition, Lock, Program


class Buffer(NamedTuple):
    lock: Lock
    changed: Condition
    full: Cell[bool]


def move(buffer: Buffer, to_full: bool) -> Program:
    """Put an item in, or take it out, once there is room, or an item."""
    yield buffer.lock.acquire()
    while (yield buffer.full.load()) is to_full:
        yield buffer.changed.wait()
    yield buffer.full.store(to_full)
    yield buffer.changed.notify()
    yield buffer.lock.release()


def producer(buffer: Buffer) -> Program:
    yield from move(buffer, True)


def consumer(buffer: Buffer) -> Program:
    yield from move(buffer, False)


def main() -> list[Program]:
    lock = Lock("buffer")
    buffer = Buffer(lock, Condition(lock, "changed"), Cell(False, "full"))
    return [consumer(buffer), consumer(buffer), producer(buffer), producer(buffer)]
