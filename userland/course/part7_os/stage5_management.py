"""Stage 5: tasks start and kill other tasks.

NewTask starts a program and answers its tid. KillTask closes the generator of the task it names, so that its `finally`
blocks run; the next resume finds it closed, which is an end like any other.
"""

import argparse
import itertools
import sys
from collections import deque, namedtuple

GetTid = namedtuple("GetTid", "")  # the caller's own tid
NewTask = namedtuple("NewTask", "gen")  # start a program as a task; its tid
KillTask = namedtuple("KillTask", "tid")  # end a task; True if there is one


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
            case NewTask(gen):
                task.answer = self.spawn(gen)
            case KillTask(tid):
                task.answer = tid in self.tasks
                if task.answer:
                    self.tasks[tid].gen.close()
        self.ready.append(task)


def child():
    tid = yield GetTid()
    try:
        while True:
            print(f"child: task {tid} runs")
            yield
    finally:
        print("child: cleaning up")


def parent():
    tid = yield NewTask(child())
    yield
    yield
    print("parent: killed:", (yield KillTask(tid)))
    yield
    print("parent: once more:", (yield KillTask(tid)))


def main(*argv):
    argparse.ArgumentParser("stage5_management", argparse.SUPPRESS, __doc__).parse_args(argv)
    kernel = Kernel()
    kernel.spawn(parent())
    while kernel.tasks:
        kernel.step()
        yield  # pyos, if it is our host, has a turn


if __name__ == "__main__":
    for _ in main(*sys.argv[1:]):
        pass
