"""An exception that a signal handler raises hits the task whose code is running, and nobody else, at whatever moment.

The moments are random: a number of bytecodes (the kernel's and the tasks'), or microseconds of a real timer.
"""

import gc
import random
import signal
import sys

import pytest

from pyos import INT, KILL, Channel, KillTask, NewTask, Sleep, TaskTimeout, Timeout, WaitTask
from pyos.kernel.clock import RealClock
from pyos.kernel.running import running
from tests.kernel.programs import yields


class Boom(Exception):
    """What a handler raises; its argument is the tid that it was meant for."""


class Busy:
    """Tasks that do what tasks do until a Boom ends them; another takes the place of each that has ended."""

    def __init__(self, kernel, goal):
        self.kernel = kernel
        self.goal = goal
        self.raised = 0
        self.channel = Channel(2)

    def handle(self, frame):
        """In a signal handler: raise in the running task, unless it is init, if that is allowed at this moment."""
        found = running(self.kernel, frame)
        if found is not None and found.outer is not None and found.task.tid != 1:
            self.raised += 1
            self.kernel.post(self.kernel.audit)
            raise Boom(found.task.tid)

    def main(self):
        works = [self.calls, self.times_out, self.spawns] * 2
        for work in works:
            yield NewTask(self.worker(work))
        while self.raised < self.goal:
            yield self.check((yield WaitTask()))
            yield NewTask(self.worker(random.choice(works)))
        return "done"

    def check(self, status):
        assert type(status.error) in (Boom, type(None)), status
        assert status.error is None or status.error.args == (status.tid,)
        yield

    def worker(self, work):
        while True:
            yield work()

    def calls(self, depth=5):
        try:
            if depth:
                yield self.calls(depth - 1)
            else:
                yield from yields(3)
        finally:
            yield
        return sum(range(depth))

    def times_out(self):
        for target in (self.naps(), self.channel.get(), self.channel.put(1)):
            try:
                yield Timeout(0.0001, target)
            except TaskTimeout:
                yield

    def naps(self):
        while True:
            yield Sleep(0.00001)

    def spawns(self):
        tids = []
        for _ in range(3):
            tids.append((yield NewTask(self.worker(self.calls))))
        yield
        yield KillTask(tids[0], INT)
        yield KillTask(tids[1], KILL)
        yield KillTask(tids[2])
        for tid in tids:
            yield self.check((yield WaitTask(tid)))


GOALS = [100, pytest.param(5000, marks=pytest.mark.slow)]


@pytest.fixture(autouse=True)
def _no_collector():
    """What it finalises is not the task's, and an exception raised in a finaliser is lost."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def busy(make_kernel):
    """Run a busy system to its goal; `begin` has signals raised, which `Busy.handle` deals with."""

    def run(goal, begin):
        kernel = make_kernel(clock=RealClock())
        system = Busy(kernel, goal)
        kernel.spawn(system.main())
        begin(system)
        kernel.run()
        assert kernel.init_status.value == "done"
        assert system.raised >= goal

    return run


@pytest.mark.parametrize("goal", GOALS)
def test_at_any_bytecode(busy, goal):
    def begin(system):
        def trace(frame, event, arg):
            frame.f_trace_opcodes = True
            left[0] -= 1
            if left[0] <= 0:
                left[0] = random.randrange(1, 300)
                system.handle(frame)
            return trace

        left = [1000]
        sys.settrace(trace)
        system.kernel.posted_before = system.kernel.post

        def post(action):
            system.kernel.posted_before(lambda: (sys.settrace(trace), action()))  # an exception has ended it

        system.kernel.post = post

    before = sys.gettrace()
    try:
        busy(goal, begin)
    finally:
        sys.settrace(before)


@pytest.mark.parametrize("goal", GOALS)
def test_at_any_time(busy, goal):
    def begin(system):
        def handler(number, frame):
            signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-5, 3e-4))
            system.handle(frame)

        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.001)

    try:
        busy(goal, begin)
    finally:
        signal.signal(signal.SIGALRM, signal.SIG_IGN)  # first: the handler sets the timer again
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
