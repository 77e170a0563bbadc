"""late_timer: a lease that a timer ends. BUG: the timer looks, and acts a step later.

Where the lease is given back and taken again in between, the late timer ends the next holder's.
"""

from pyos import Event, NewTask, Program, Sleep

TERM_OF_LEASE = 10.0  # seconds


class Lease:
    def __init__(self) -> None:
        self.holder: str | None = None
        self.number = 0  # which lease it is
        self.free = Event("free")

    def take(self, who: str) -> Program:
        """Wait until nobody holds the lease, and hold it; a timer ends it after its term."""
        while self.holder is not None:
            yield self.free.wait()
        self.holder = who
        self.number += 1
        yield self.free.clear()
        yield NewTask(self.timer(self.number), detached=True)

    def give_back(self) -> Program:
        self.holder = None
        yield self.free.set()

    def timer(self, number: int) -> Program:
        yield Sleep(TERM_OF_LEASE)
        if self.number == number and self.holder is not None:
            yield  # a line for the log; others run meanwhile
            yield self.give_back()


def works_long(lease: Lease) -> Program:
    yield lease.take("long")
    yield Sleep(TERM_OF_LEASE)  # to the last moment
    if lease.holder == "long":
        yield lease.give_back()


def works_after(lease: Lease) -> Program:
    yield Sleep(1)
    yield lease.take("after")
    yield Sleep(1)
    assert lease.holder == "after", "the lease was ended by the timer of the one before"
    yield lease.give_back()


def main() -> list[Program]:
    lease = Lease()
    return [works_long(lease), works_after(lease)]
