"""The solution of exercise 7: messages."""

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
        self.mailbox = deque()
        self.receiving = False  # blocked until a message comes


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
            case Send(tid, message):
                task.answer = tid in self.tasks
                if task.answer:
                    self.deliver(self.tasks[tid], (task.tid, message))
            case Receive():
                if not task.mailbox:
                    task.receiving = True
                    return
                task.answer = task.mailbox.popleft()
        self.ready.append(task)

    def deliver(self, receiver, letter):
        if receiver.receiving:
            receiver.receiving = False
            receiver.answer = letter
            self.ready.append(receiver)
        else:
            receiver.mailbox.append(letter)


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
