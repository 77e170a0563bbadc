"""dining_philosophers_fixed: all take the fork with the lower number first, so no cycle of waits can form."""

from pyos import Lock, Program


def philosopher(first: Lock, second: Lock) -> Program:
    yield first.acquire()
    yield second.acquire()
    yield second.release()
    yield first.release()


def main() -> list[Program]:
    forks = tuple(Lock(f"fork {i}") for i in range(3))
    return [philosopher(forks[0], forks[1]), philosopher(forks[1], forks[2]), philosopher(forks[0], forks[2])]
