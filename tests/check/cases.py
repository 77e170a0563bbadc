"""Small programs with a known fault, or none, that many tests check."""

from __future__ import annotations

from typing import Any

from pyos import Cell, Channel, Lock, NewTask, Program, Sleep, WaitTask, eventually


def racy() -> Any:
    """Two tasks count up a Python variable: 6 schedules, the final value is 1 in 4 of them and 2 in 2."""
    total = [0]

    def count() -> Program:
        seen = total[0]
        yield
        total[0] = seen + 1

    return [count(), count()], lambda: total[0]


def lost_update() -> Any:
    """The same as a failure, which production's order has as well."""
    tasks, total = racy()
    eventually(lambda: total() == 2)
    return tasks


def cells() -> Any:
    """The same with a Cell, so that the checker sees it: 20 schedules, 4 that matter."""
    cell = Cell(0, "total")

    def count() -> Program:
        value = yield cell.load()
        yield cell.store(value + 1)

    return [count(), count()]


def crossed() -> Any:
    """Two tasks take two locks in opposite orders; production's order is not the one that deadlocks."""
    a, b = Lock("a"), Lock("b")

    def work(first: Lock, second: Lock) -> Program:
        yield first.acquire()
        yield second.acquire()
        yield second.release()
        yield first.release()

    return [work(a, b), work(b, a)]


def ordered() -> Any:
    """The same in one order: nothing to find."""
    a, b = Lock("a"), Lock("b")

    def work() -> Program:
        yield a.acquire()
        yield b.acquire()
        yield b.release()
        yield a.release()

    return [work(), work()]


def family() -> Program:
    """init with two children that yield nothing: 11 schedules."""

    def child() -> Program:
        return
        yield

    first = yield NewTask(child())
    second = yield NewTask(child())
    yield WaitTask(first)
    yield WaitTask(second)


def late() -> Any:
    """One task must come first, and does in production's order only: an order of depth 1."""
    channel = Channel(1, "results")
    ready = Cell(False, "ready")

    def prepare() -> Program:
        yield ready.store(True)

    def use() -> Program:
        yield
        assert (yield ready.load()), "not ready"
        yield channel.put(1)

    return [prepare(), use()]


def sleeper() -> Program:
    """init forgets a child that sleeps."""

    def child() -> Program:
        yield Sleep(100)

    yield NewTask(child())
    yield
