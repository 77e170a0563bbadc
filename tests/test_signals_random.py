"""SIGINT at a random moment, 100 times: between any two bytecodes of a busy kernel and its tasks. It ends in order."""

import os
import random
import signal
import socket
import sys
import time

import pytest

from pyos import KILL, TERM, GetTid, KillTask, NewTask, Sleep, WaitTask
from pyos.host import signals_shut_down
from pyos.kernel.clock import RealClock
from pyos.lib.sockets import Socket
from tests.system import booted

MOMENTS = range(100)
LATEST = 40_000  # bytecodes into the run: by then every task has been through its loop many times


class Busy:
    """A system that never rests, and a book of whose `finally` blocks have yet to run."""

    def __init__(self):
        self.open = set()
        self.opened = 0

    def guarded(self, work, last_trap):
        """A task that does some work, and cleans up with a trap."""
        tid = yield GetTid()
        try:
            self.open.add(tid)
            self.opened += 1
            yield work
        finally:
            yield last_trap()
            self.open.remove(tid)

    def spin(self):
        while True:
            yield

    def nap(self):
        while True:
            yield Sleep(0.0001)

    def recurse(self, depth=20):
        if depth:
            yield self.recurse(depth - 1)
        else:
            yield
        return depth

    def call(self):
        while True:
            yield self.recurse()

    def talk(self, conn):
        with conn:
            while True:
                yield conn.sendall(b"x" * 100)
                yield conn.recv()

    def spawn(self):
        """Children that end, that are killed softly, and hard."""
        while True:
            tids = []
            for work in (self.recurse(3), self.spin(), self.nap()):
                tids.append((yield NewTask(self.guarded(work, GetTid))))
            yield
            yield KillTask(tids[1], TERM)
            yield KillTask(tids[2], KILL)
            for tid in tids:
                yield WaitTask(tid)

    def main(self):
        left, right = map(Socket, socket.socketpair())
        for work in (self.spin(), self.nap(), self.call(), self.talk(left), self.talk(right), self.spawn()):
            yield NewTask(self.guarded(work, lambda: Sleep(0)))
        yield self.guarded(self.spin(), lambda: Sleep(0.001))


def raise_signal_after(bytecodes, numbers):
    """Trace this thread from the next call on, and raise the signals at the n-th bytecode, and the 2n-th."""
    left = [bytecodes]

    def trace(frame, event, arg):
        frame.f_trace_opcodes = True
        left[0] -= 1
        if left[0] == 0:
            signal.raise_signal(numbers.pop())
            left[0] = bytecodes
            if not numbers:
                sys.settrace(None)
        return trace

    sys.settrace(trace)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_busy_kernel_ends_in_order_whenever_the_signal_comes(make_kernel, log, moment):
    busy = Busy()
    kernel = make_kernel(clock=RealClock())
    kernel.spawn(busy.main())
    traced = sys.gettrace()
    with signals_shut_down(kernel) as caught:
        raise_signal_after(random.Random(moment).randrange(1, LATEST), [signal.SIGTERM, signal.SIGINT])
        try:
            status = kernel.run()
        finally:
            sys.settrace(traced)
    kernel.audit()
    assert (status.signal, caught.signal) == (TERM, signal.SIGINT)
    assert list(kernel.table) == []
    assert busy.open == set()
    assert (log, kernel.lifecycle.abandoned) == ([], [])


def test_the_moments_are_spread_over_a_busy_system(make_kernel):
    """By the latest moment much has happened: else these would all be tests of how a system starts."""
    busy = Busy()
    kernel = make_kernel(clock=RealClock())
    kernel.spawn(busy.main())
    with signals_shut_down(kernel):
        raise_signal_after(LATEST, [signal.SIGINT])
        kernel.run()
    assert busy.opened > 10
    assert busy.open == set()


PROGRAM = """
from pyos import *

def child(n):
    try:
        while True:
            yield
            yield Sleep(0.0001 * n)
    finally:
        yield
        print("closed")

def main():
    for n in range(10):
        yield NewTask(child(n))
    print("up")
    yield child(0)
"""


@pytest.mark.slow
def test_a_busy_process_ends_in_order_whenever_the_signal_comes(tmp_path):
    (tmp_path / "busy.py").write_text(PROGRAM)
    for moment in MOMENTS:
        with booted(tmp_path / "busy.py") as system:
            system.until("up")
            time.sleep(random.Random(moment).random() * 0.02)  # the moment is what is tested; nothing waits for it
            os.kill(system.process.pid, signal.SIGINT)
            assert system.end() == (130, "closed\n" * 11, "")
