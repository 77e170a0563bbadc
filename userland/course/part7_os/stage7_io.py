"""Stage 7: tasks wait for files, and an echo server works.

ReadWait and WriteWait block a task until a file is ready. One more task, `poll`, asks the operating system below which
are. It is what waits when nobody is ready, so that no other task ever has to. With --blocking the server waits for its
clients by itself, in `accept`: one line less, and everybody stands still.
"""

import argparse
import itertools
import select
import socket
import sys
from collections import defaultdict, deque, namedtuple

GetTid = namedtuple("GetTid", "")  # the caller's own tid
NewTask = namedtuple("NewTask", "gen")  # start a program as a task; its tid
KillTask = namedtuple("KillTask", "tid")  # end a task; True if there is one
WaitTask = namedtuple("WaitTask", "tid")  # wait for a task to end; True if there is one
ReadWait = namedtuple("ReadWait", "file")  # wait until a file has something to read
WriteWait = namedtuple("WriteWait", "file")  # wait until a file has room to write


class Task:
    """A program that is resumed from one yield to the next."""

    def __init__(self, tid, gen):
        self.tid, self.gen = tid, gen
        self.answer = None  # what the next resume delivers


class Kernel:
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
            case ReadWait(file):
                self.reading[file] = task
                return
            case WriteWait(file):
                self.writing[file] = task
                return
        self.ready.append(task)

    def poll(self):
        """A task: make those ready whose files are; if nobody is, wait for files (not for ever: a host may want us)."""
        while True:
            readable, writable, _ = select.select(self.reading, self.writing, [], 0 if self.ready else 0.01)
            self.ready.extend(self.reading.pop(file) for file in readable)
            self.ready.extend(self.writing.pop(file) for file in writable)
            yield


def server(listener, blocking):
    while True:
        if not blocking:
            yield ReadWait(listener)
        conn, _ = listener.accept()
        conn.setblocking(False)
        yield NewTask(echo(conn))


def echo(conn):
    with conn:
        yield ReadWait(conn)
        while data := conn.recv(65536):
            while data:
                yield WriteWait(conn)
                data = data[conn.send(data) :]
            yield ReadWait(conn)


def client(address):
    with socket.create_connection(address) as conn:
        conn.sendall(b"hello")
        yield ReadWait(conn)
        print("a client of our own got", conn.recv(100))


def main(*argv):
    parser = argparse.ArgumentParser("stage7_io", argparse.SUPPRESS, __doc__)
    parser.add_argument("--self-test", action="store_true", help="end once our own client is served")
    parser.add_argument("--blocking", action="store_true", help="the server that blocks everybody, as a lesson")
    options = parser.parse_args(argv)
    ends = options.self_test or (select.select([0], [], [], 0)[0] and not sys.stdin.buffer.peek(1))
    kernel = Kernel()
    kernel.spawn(kernel.poll())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print("listening on {}:{}".format(*listener.getsockname()), flush=True)
        listener.settimeout(1 if ends else None)  # seconds, so that the lesson has an end
        kernel.spawn(server(listener, options.blocking))
        visitor = kernel.spawn(client(listener.getsockname()))
        try:
            while visitor in kernel.tasks or not ends:
                kernel.step()
                yield  # pyos, if it is our host, has a turn
        except TimeoutError:
            print("the server waited a second for a client, and nobody could run, not even that client")


if __name__ == "__main__":
    for _ in main(*sys.argv[1:]):
        pass
