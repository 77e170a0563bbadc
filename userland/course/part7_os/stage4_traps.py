"""Stage 4: a task asks the kernel for something, by yielding a trap.

A task holds no reference to the kernel. What it yields is a request, and the answer becomes the value of the `yield`:
this is a system call, and `yield` is its only door. The first one asks: who am I?
"""

import argparse
import itertools
import sys
from collections import deque, namedtuple

GetTid = namedtuple("GetTid", "")  # the caller's own tid


class Task:
    """A program that is resumed from one yield to the next."""

    def __init__(self, tid, gen):
        self.tid, self.gen = tid, gen
        self.answer = None  # what the next resume delivers


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
        """Resume the task whose turn it is, and carry out the trap it yields."""
        task = self.ready.popleft()
        try:
            trap = task.gen.send(task.answer)
        except StopIteration:
            print(f"task {task.tid} has ended")
            del self.tasks[task.tid]
            return
        match trap:
            case GetTid():
                task.answer = task.tid
        self.ready.append(task)


def introduce(name, turns):
    tid = yield GetTid()
    for _ in range(turns):
        print(f"{name}: I am task {tid}")
        yield


def main(*argv):
    argparse.ArgumentParser("stage4_traps", argparse.SUPPRESS, __doc__).parse_args(argv)
    kernel = Kernel()
    kernel.spawn(introduce("hare", 1))
    kernel.spawn(introduce("tortoise", 2))
    while kernel.tasks:
        kernel.step()
        yield  # pyos, if it is our host, has a turn


if __name__ == "__main__":
    for _ in main(*sys.argv[1:]):
        pass
