"""The design that pyos descends from: David Beazley's "A Curious Course on Coroutines and Concurrency" (2009).

Written anew, with that design's parts and costs: a queue.Queue of ready tasks, traps that carry themselves out, a
trampoline in the task, subroutines that return by yielding a value, and select in a task of its own. Two things are
added so that it can be measured: it ends when its first task does, and a peer that goes away ends only its own task.
"""

import platform
import queue
import select
from types import GeneratorType

from bench.workloads.echo import ECHO

TITLE = "the course's design"
MOST_CONNECTIONS = 1000  # select takes descriptors up to 1023


def version():
    return platform.python_version()


def run(program, *args, **params):
    system = System()
    system.start(program(*args, **params))
    system.run()


class Trap:
    """A request; the system fills in who asks, and calls `carry_out`."""

    def carry_out(self):
        raise NotImplementedError


class Task:
    """A stack of generators, and the value to resume the innermost with."""

    last_tid = 0

    def __init__(self, target):
        Task.last_tid += 1
        self.tid = Task.last_tid
        self.target = target
        self.value = None
        self.stack = []

    def run(self):
        """Resume until there is something for the system to do: a trap, or a bare yield."""
        while True:
            try:
                result = self.target.send(self.value)
                if isinstance(result, Trap):
                    return result
                if isinstance(result, GeneratorType):
                    self.stack.append(self.target)
                    self.value = None
                    self.target = result
                else:
                    if not self.stack:
                        return None
                    self.value = result
                    self.target = self.stack.pop()
            except StopIteration:
                if not self.stack:
                    raise
                self.value = None
                self.target = self.stack.pop()


class System:
    """The ready queue, who waits for what, and the loop."""

    def __init__(self):
        self.ready = queue.Queue()
        self.tasks = {}
        self.waiting_for_exit = {}
        self.waiting_to_read = {}
        self.waiting_to_write = {}

    def start(self, target):
        task = Task(target)
        self.tasks[task.tid] = task
        self.schedule(task)
        return task.tid

    def schedule(self, task):
        self.ready.put(task)

    def end(self, task):
        del self.tasks[task.tid]
        for waiter in self.waiting_for_exit.pop(task.tid, []):
            self.schedule(waiter)

    def poll(self, timeout):
        if self.waiting_to_read or self.waiting_to_write:
            readable, writable, _ = select.select(self.waiting_to_read, self.waiting_to_write, [], timeout)
            for fd in readable:
                self.schedule(self.waiting_to_read.pop(fd))
            for fd in writable:
                self.schedule(self.waiting_to_write.pop(fd))

    def io_task(self):
        while True:
            self.poll(None if self.ready.empty() else 0)
            yield

    def run(self):
        first = next(iter(self.tasks.values()))
        self.start(self.io_task())
        while first.tid in self.tasks:
            task = self.ready.get()
            try:
                result = task.run()
                if isinstance(result, Trap):
                    result.task = task
                    result.system = self
                    result.carry_out()
                    continue
            except (StopIteration, ConnectionError):
                self.end(task)
                continue
            self.schedule(task)


class GetTid(Trap):
    def carry_out(self):
        self.task.value = self.task.tid
        self.system.schedule(self.task)


class NewTask(Trap):
    def __init__(self, target):
        self.target = target

    def carry_out(self):
        self.task.value = self.system.start(self.target)
        self.system.schedule(self.task)


class WaitTask(Trap):
    def __init__(self, tid):
        self.tid = tid

    def carry_out(self):
        waits = self.tid in self.system.tasks
        self.task.value = waits
        if waits:
            self.system.waiting_for_exit.setdefault(self.tid, []).append(self.task)
        else:
            self.system.schedule(self.task)


class ReadWait(Trap):
    def __init__(self, file):
        self.file = file

    def carry_out(self):
        self.system.waiting_to_read[self.file.fileno()] = self.task


class WriteWait(Trap):
    def __init__(self, file):
        self.file = file

    def carry_out(self):
        self.system.waiting_to_write[self.file.fileno()] = self.task


# --- sockets


def accept(sock):
    yield ReadWait(sock)
    yield sock.accept()


def receive(sock, size):
    yield ReadWait(sock)
    yield sock.recv(size)


def send(sock, data):
    while data:
        yield WriteWait(sock)
        data = data[sock.send(data) :]


@ECHO.on("ancestor")
def echo(listener):
    def serve(conn):
        while True:
            data = yield receive(conn, 65536)
            if not data:
                break
            yield send(conn, data)
        conn.close()

    while True:
        conn, _ = yield accept(listener)
        yield NewTask(serve(conn))
