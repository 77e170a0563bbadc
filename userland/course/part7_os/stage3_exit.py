"""Stage 3: tasks end.

A program that returns raises StopIteration where it was resumed. The kernel takes that for the task's end, and forgets
it; the others run on. When no task is left, the system has ended.
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
        try:
            next(task.gen)
        except StopIteration:
            print(f"task {task.tid} has ended")
            del self.tasks[task.tid]
            return
        self.ready.append(task)


def count(name, turns):
    for n in range(1, turns + 1):
        print(f"{name}: {n}")
        yield


def main(*argv):
    argparse.ArgumentParser("stage3_exit", argparse.SUPPRESS, __doc__).parse_args(argv)
    kernel = Kernel()
    kernel.spawn(count("hare", 2))
    kernel.spawn(count("tortoise", 4))
    while kernel.tasks:
        kernel.step()
        yield  # pyos, if it is our host, has a turn


if __name__ == "__main__":
    for _ in main(*sys.argv[1:]):
        pass
