"""racy_counter_fixed: the counter is loaded and stored under a lock, so that nobody comes between the two."""

from typing import Any

from pyos import Cell, Lock, NewTask, Program, WaitTask


def increment(counter: Cell[int], lock: Lock) -> Program:
    yield lock.acquire()
    value = yield counter.load()
    yield counter.store(value + 1)
    yield lock.release()


def main() -> Program:
    counter: Cell[Any] = Cell(0, "counter")
    lock = Lock("counter")
    first = yield NewTask(increment(counter, lock))
    second = yield NewTask(increment(counter, lock))
    yield WaitTask(first)
    yield WaitTask(second)
    total = yield counter.load()
    assert total == 2, f"two were added, and the counter says {total}"
