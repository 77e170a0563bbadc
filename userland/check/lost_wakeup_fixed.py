"""lost_wakeup_fixed: the flag is looked at with the lock held, which the wait gives up and begins in one step."""

from pyos import Cell, Condition, Lock, Program


def waiter(ready: Cell[bool], changed: Condition) -> Program:
    yield changed.lock.acquire()
    while not (yield ready.load()):
        yield changed.wait()
    yield changed.lock.release()


def setter(ready: Cell[bool], changed: Condition) -> Program:
    yield changed.lock.acquire()
    yield ready.store(True)
    yield changed.notify()
    yield changed.lock.release()


def main() -> list[Program]:
    ready, changed = Cell(False, "ready"), Condition(Lock("ready"), "changed")
    return [waiter(ready, changed), setter(ready, changed)]
