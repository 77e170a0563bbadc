"""Stage 6: a task waits for another.

WaitTask takes its caller out of the turns: it is in no queue, only on a list of those that wait for that tid. It costs
nothing until the other task ends, and the kernel makes it ready again. Every wait of a task will be made like this.
"""

import argparse
import itertools
import sys
from collections import defaultdict, deque, namedtuple

GetTid = namedtuple("GetTid", "")  # the caller's own tid
NewTask = namedtuple("NewTask", "gen")  # start a program as a task; its tid
KillTask = namedtuple("KillTask", "tid")  # end a task; True if there is one
WaitTask = namedtuple("WaitTask", "tid")  # wait for a task to end; True if there is one


class Task:
    """A program that is resumed from one yield to the next."""

    def __init__(self, tid, gen):
        self.tid, self.gen = tid, gen
        self.answer = None  # what the next resume delivers


class Kernel:
    """The tasks, whose turn it is, and who waits for whom."""

    def __init__(self):
        self.tids = itertools.count(1)
        self.tasks = {}  # by tid
        self.ready = deque()
        self.waiters = defaultdict(list)  # tid: the tasks that wait for its end

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
            self.ready.extend(self.waiters.pop(task.tid, ()))
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
            case WaitTask(tid):
                task.answer = tid in self.tasks
                if task.answer:
                    self.waiters[tid].append(task)
                    return  # blocked: it has no turn until it is ready again
        self.ready.append(task)


def child(turns):
    tid = yield GetTid()
    for n in range(1, turns + 1):
        print(f"child: task {tid}, turn {n}")
        yield


def parent():
    tid = yield NewTask(child(3))
    print("parent: waiting for task", tid)
    print("parent: waited:", (yield WaitTask(tid)))
    print("parent: once more:", (yield WaitTask(tid)))


def main(*argv):
    argparse.ArgumentParser("stage6_waiting", argparse.SUPPRESS, __doc__).parse_args(argv)
    kernel = Kernel()
    kernel.spawn(parent())
    while kernel.tasks:
        kernel.step()
        yield  # pyos, if it is our host, has a turn


if __name__ == "__main__":
    for _ in main(*sys.argv[1:]):
        pass
