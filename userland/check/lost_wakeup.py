"""lost_wakeup: one task waits until another is ready. BUG: the flag is looked at before the lock is taken.

Between the look and the wait the other may set the flag and notify nobody; the waiter then waits for ever.
"""

from pyos import Cell, Condition, Lock, Program


def waiter(ready: Cell[bool], changed: Condition) -> Program:
    if not (yield ready.load()):
        yield changed.lock.acquire()
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
