"""racy_counter: two tasks add one to a counter. BUG: both may load it before either stores."""

from typing import Any

from pyos import Cell, NewTask, Program, WaitTask


def increment(counter: Cell[int]) -> Program:
    value = yield counter.load()
    yield counter.store(value + 1)


def main() -> Program:
    counter: Cell[Any] = Cell(0, "counter")
    first = yield NewTask(increment(counter))
    second = yield NewTask(increment(counter))
    yield WaitTask(first)
    yield WaitTask(second)
    total = yield counter.load()
    assert total == 2, f"two were added, and the counter says {total}"
