"""Stage 8: subroutines that wait, and sockets made of them.

A generator that a task yields is called as a subroutine: the task keeps a stack of callers, and the caller is resumed
with what the subroutine returns. Comments name what became of each idea in pyos; defects.py shows what is wrong here.
"""

import argparse
import itertools
import select
import socket
import sys
from collections import defaultdict, deque, namedtuple
from types import GeneratorType

GetTid = namedtuple("GetTid", "")  # the caller's own tid (all six: pyos/traps.py)
NewTask = namedtuple("NewTask", "gen")  # start a program as a task; its tid
KillTask = namedtuple("KillTask", "tid")  # end a task; True if there is one
WaitTask = namedtuple("WaitTask", "tid")  # wait for a task to end; True if there is one
ReadWait = namedtuple("ReadWait", "file")  # wait until a file has something to read
WriteWait = namedtuple("WriteWait", "file")  # wait until a file has room to write


class Task:  # pyos/kernel/tasks.py
    """A program that is resumed from one yield to the next."""

    def __init__(self, tid, gen):
        self.tid, self.gen = tid, gen
        self.answer = None  # what the next resume delivers
        self.callers = []  # suspended until `gen` returns, outermost first


class Kernel:  # pyos/kernel/kernel.py
    """The tasks, whose turn it is, and who waits for what."""

    def __init__(self):
        self.tids = itertools.count(1)
        self.tasks = {}  # by tid
        self.ready = deque()
        self.waiters = defaultdict(list)  # tid: the tasks that wait for its end
        self.reading, self.writing = {}, {}  # file: the task that waits for it

    def spawn(self, gen):
        task = Task(next(self.tids), gen)
        self.tasks[task.tid] = task
        self.ready.append(task)
        return task.tid

    def step(self):  # pyos/kernel/scheduler.py
        """Resume the task whose turn it is, and carry out the trap it yields."""
        task = self.ready.popleft()
        try:
            trap = task.gen.send(task.answer)
        except StopIteration as end:
            if not task.callers:  # the end of a task: pyos/kernel/lifecycle.py
                del self.tasks[task.tid]
                self.ready.extend(self.waiters.pop(task.tid, ()))
                return
            trap, task.gen, task.answer = None, task.callers.pop(), end.value  # the end of a subroutine
        match trap:
            case GeneratorType():  # the call of a subroutine: pyos/kernel/trampoline.py
                task.callers.append(task.gen)
                task.gen, task.answer = trap, None
            case GetTid():  # what each trap does: pyos/kernel/syscalls/
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
            case ReadWait(file):
                self.reading[file] = task
                return
            case WriteWait(file):
                self.writing[file] = task
                return
        self.ready.append(task)

    def poll(self):  # pyos/kernel/poller.py
        """A task: make those ready whose files are; if nobody is, wait for files (not for ever: a host may want us)."""
        while True:
            readable, writable, _ = select.select(self.reading, self.writing, [], 0 if self.ready else 0.01)
            self.ready.extend(self.reading.pop(file) for file in readable)
            self.ready.extend(self.writing.pop(file) for file in writable)
            yield


class Socket:  # a socket whose methods are subroutines: pyos/lib/sockets.py
    def __init__(self, raw):
        raw.setblocking(False)
        self.raw = raw

    def accept(self):
        yield ReadWait(self.raw)
        conn, address = self.raw.accept()
        return Socket(conn), address

    def recv(self, size):
        yield ReadWait(self.raw)
        return self.raw.recv(size)

    def sendall(self, data):
        while data:
            yield WriteWait(self.raw)
            data = data[self.raw.send(data) :]


def server(listener):
    while True:
        conn, _ = yield listener.accept()
        yield NewTask(echo(conn))


def echo(conn):
    with conn.raw:
        while data := (yield conn.recv(65536)):
            yield conn.sendall(data)


def client(address):
    with socket.create_connection(address) as raw:
        yield Socket(raw).sendall(b"hello")
        print("a client of our own got", (yield Socket(raw).recv(100)))


def main(*argv):
    parser = argparse.ArgumentParser("stage8_sockets", argparse.SUPPRESS, __doc__)
    parser.add_argument("--self-test", action="store_true", help="end once our own client is served")
    ends = parser.parse_args(argv).self_test or (select.select([0], [], [], 0)[0] and not sys.stdin.buffer.peek(1))
    kernel = Kernel()
    kernel.spawn(kernel.poll())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print("listening on {}:{}".format(*listener.getsockname()), flush=True)
        kernel.spawn(server(Socket(listener)))
        visitor = kernel.spawn(client(listener.getsockname()))
        while visitor in kernel.tasks or not ends:
            kernel.step()
            yield  # pyos, if it is our host, has a turn


if __name__ == "__main__":
    for _ in main(*sys.argv[1:]):
        pass
