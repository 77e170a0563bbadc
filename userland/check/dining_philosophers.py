"""dining_philosophers: three of them, a fork between each two. BUG: each takes the fork on the left first.

When all have their left fork, all wait for the right one.
"""

from pyos import Lock, Program


def philosopher(left: Lock, right: Lock) -> Program:
    yield left.acquire()
    yield right.acquire()
    yield right.release()
    yield left.release()


def main() -> list[Program]:
    forks = tuple(Lock(f"fork {i}") for i in range(3))
    return [philosopher(forks[i], forks[(i + 1) % 3]) for i in range(3)]
