"""Stage 2: a scheduler resumes tasks in turn.

The kernel keeps a table of all tasks and a queue of those that are ready. A step takes the first of them, resumes it up
to its next yield, and puts it last: round-robin. Nobody is interrupted, so all depends on everyone's yielding.
"""

import argparse
import itertools
import sys
from collections import deque


class Task:
    """A program that is resumed from one yield to the next."""

    def __init__(self, tid, gen):
        self.tid, self.gen = tid, gen


class Kernel:
    """The tasks, and whose turn it is."""

    def __init__(self):
        self.tids = itertools.count(1)
        self.tasks = {}  # by tid
        self.ready = deque()

    def spawn(self, gen):
        task = Task(next(self.tids), gen)
        self.tasks[task.tid] = task
        self.ready.append(task)
        return task.tid

    def step(self):
        """Resume the task whose turn it is."""
        task = self.ready.popleft()
        next(task.gen)
        self.ready.append(task)


def count(name, turns):
    for n in range(1, turns + 1):
        print(f"{name}: {n}")
        yield


def main(*argv):
    argparse.ArgumentParser("stage2_scheduler", argparse.SUPPRESS, __doc__).parse_args(argv)
    kernel = Kernel()
    kernel.spawn(count("hare", 2))
    kernel.spawn(count("tortoise", 4))
    try:
        while kernel.tasks:
            kernel.step()
            yield  # pyos, if it is our host, has a turn
    except StopIteration:
        print("the hare has come to its end, and with it the whole system")


if __name__ == "__main__":
    for _ in main(*sys.argv[1:]):
        pass
