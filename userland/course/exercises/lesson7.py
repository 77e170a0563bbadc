"""Exercise 7: tasks that talk to each other.

This is the kernel of stage 6, with two more traps declared: Send and Receive. Make them work, in Kernel.step:

- Each task has a mailbox. Send(tid, message) puts (sender's tid, message) into the one of task `tid`, and answers True;
  False if there is no such task. It never blocks.
- Receive() answers the oldest (sender's tid, message) in the caller's mailbox. While that is empty it blocks the
  caller: a blocked task is in no queue, until a Send makes it ready again.

Run it: python3 THIS_FILE
Check it: python3 -m pyos lesson 7 --check THIS_FILE
"""

import itertools
import sys
from collections import defaultdict, deque, namedtuple

GetTid = namedtuple("GetTid", "")  # the caller's own tid
NewTask = namedtuple("NewTask", "gen")  # start a program as a task; its tid
KillTask = namedtuple("KillTask", "tid")  # end a task; True if there is one
WaitTask = namedtuple("WaitTask", "tid")  # wait for a task to end; True if there is one
Send = namedtuple("Send", "tid message")  # put a message into a task's mailbox; True if there is one
Receive = namedtuple("Receive", "")  # wait for a message; (sender's tid, message)


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
            case Send():
                pass  # TODO: trap.tid and trap.message say what goes where
            case Receive():
                pass  # TODO
        self.ready.append(task)


def squares():
    while True:
        sender, number = yield Receive()
        if number == 0:
            return
        yield Send(sender, number * number)


def parent():
    tid = yield GetTid()
    squarer = yield NewTask(squares())
    for number in (2, 3):
        yield Send(squarer, number)
        print(f"parent: task {tid} asked for the square of {number}, and got", (yield Receive()))
    yield Send(squarer, 0)
    yield WaitTask(squarer)


def main(*argv):
    kernel = Kernel()
    kernel.spawn(parent())
    while kernel.tasks:
        if not kernel.ready:
            print("every task is blocked:", *kernel.tasks)
            return
        kernel.step()
        yield  # pyos, if it is our host, has a turn


if __name__ == "__main__":
    for _ in main(*sys.argv[1:]):
        pass
