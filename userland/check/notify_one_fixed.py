"""notify_one_fixed: all are notified, so that whoever can go on is among them."""

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
    yield buffer.changed.notify_all()
    yield buffer.lock.release()


def producer(buffer: Buffer) -> Program:
    yield from move(buffer, True)


def consumer(buffer: Buffer) -> Program:
    yield from move(buffer, False)


def main() -> list[Program]:
    lock = Lock("buffer")
    buffer = Buffer(lock, Condition(lock, "changed"), Cell(False, "full"))
    return [consumer(buffer), consumer(buffer), producer(buffer), producer(buffer)]
