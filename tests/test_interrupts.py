"""SIGINT and SIGTERM while a kernel runs: who gets them, what a second one does, and that none ever does harm."""

import gc
import math
import random
import signal
import sys
import weakref

import pytest

import pyos
from pyos import (
    INT,
    KILL,
    TERM,
    Channel,
    Foreground,
    GetTid,
    KillTask,
    Lock,
    NewTask,
    Program,
    ReadWait,
    Sleep,
    TaskKilled,
    Tasks,
    TaskTimeout,
    Timeout,
    WaitTask,
)
from pyos.host import signals_handled
from pyos.kernel import running
from pyos.kernel.clock import RealClock
from pyos.kernel.kernel import current_kernel
from tests.kernel.programs import forever, outcome, yields
from tests.system import pyos as command


@pytest.fixture
def run_signalled(make_kernel):
    """Run a program as init of a kernel that has the process's signals; answers the kernel, and what was caught."""

    def run(target, **options):
        kernel = make_kernel(**options)
        kernel.spawn(target)
        with signals_handled(kernel) as caught:
            kernel.run()
        return kernel, caught

    return run


def interrupts(*numbers):
    """Have this process sent signals, from inside a task."""
    for number in numbers or (signal.SIGINT,):
        signal.raise_signal(number)


def survivor(seen) -> Program:
    """A task that takes interrupts for a while, and writes down from whom."""
    for _ in range(2):
        try:
            yield Sleep(10)
        except TaskKilled as killed:
            seen.append((killed.signal, killed.sender, killed.reason))


# --- one signal


@pytest.mark.parametrize("job", ["none", "one", "two", "dead"])
def test_sigint_is_int_for_the_foreground_job_or_for_init_if_there_is_none(run_signalled, job):
    hits = []

    def target(name):
        try:
            yield Sleep(10)
        except TaskKilled as killed:
            hits.append((name, killed.signal, killed.sender))
        return name

    def main():
        tids = []
        for name in "ab":
            tids.append((yield NewTask(target(name))))
        dead = yield NewTask(yields(0))
        yield WaitTask(dead)
        yield Foreground(*{"none": [], "one": tids[:1], "two": tids, "dead": [dead]}[job])
        yield
        interrupts()
        try:
            yield Sleep(1)
        except TaskKilled as killed:
            hits.append(("init", killed.signal, killed.sender))
        for tid in tids:
            yield WaitTask(tid)
        return "survived"

    kernel, _ = run_signalled(main())
    names = {"none": ["init"], "one": ["a"], "two": ["a", "b"], "dead": ["init"]}[job]
    assert hits == [(name, INT, 0) for name in names]
    assert kernel.init_status.value == "survived"


def test_an_init_that_ends_by_it_ends_the_system(run_signalled):
    closed = []

    def service():
        try:
            yield Sleep(math.inf)
        except TaskKilled as killed:
            closed.append(killed.signal)
            raise

    def main():
        yield NewTask(service())
        yield
        interrupts()
        yield Sleep(math.inf)

    kernel, _ = run_signalled(main())
    assert kernel.init_status.signal is INT
    assert closed == [TERM]

    with pytest.raises(KeyboardInterrupt):
        pyos.run(main())


def test_whom_an_interrupt_is_for_is_settled_when_it_comes(run_signalled):
    """The job is dead by the time it is delivered, and that is not init's fault."""

    def job():
        yield
        interrupts()

    def main():
        tid = yield NewTask(job())
        yield Foreground(tid)
        yield WaitTask(tid)
        yield Sleep(1)
        return "unharmed"

    kernel, _ = run_signalled(main())
    assert kernel.init_status.value == "unharmed"


# --- a second one

SECOND = [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGTERM), (signal.SIGTERM, signal.SIGINT)]


@pytest.mark.parametrize("numbers", SECOND)
def test_a_task_that_has_not_yielded_when_a_second_signal_comes_is_killed(run_signalled, log, numbers):
    closed = []

    def sub():
        try:
            interrupts(*numbers)
            closed.append("went on")
            yield
        finally:
            closed.append("sub")

    def hog():
        try:
            yield
            yield sub()
        except TaskKilled as killed:
            closed.append((killed.signal, killed.sender, killed.reason))
            raise

    def main():
        job = yield NewTask(hog())
        yield Foreground(job)
        try:
            return (yield WaitTask(job)).signal
        except TaskKilled as killed:
            return killed.signal

    kernel, caught = run_signalled(main())
    assert closed == ["sub", (KILL, 0, "it did not yield to a signal")]
    assert kernel.init_status.value is KILL
    assert caught.terminated == (signal.SIGTERM in numbers)
    (line,) = log
    assert line.startswith("task 2 (hog) at ")
    assert line.endswith("did not yield to a signal: KILL")


def test_a_task_that_catches_it_dies_all_the_same(run_signalled):
    went_on = []

    def hog():
        yield
        try:
            interrupts(signal.SIGINT, signal.SIGINT)
        except TaskKilled:
            went_on.append("for a while")
        while True:
            yield

    def main():
        job = yield NewTask(hog())
        yield Foreground(job)
        return (yield WaitTask(job)).signal

    kernel, _ = run_signalled(main())
    assert went_on == ["for a while"]
    assert kernel.init_status.value is KILL


@pytest.mark.parametrize("trap", [None, GetTid()], ids=["bare yield", "trap"])
def test_signals_between_which_it_yields_are_two_interrupts(run_signalled, trap):
    """Even if nobody else has run in between, as after a trap that is answered at once."""
    hits = []

    def job():
        interrupts()
        yield trap
        interrupts()
        for _ in range(2):
            try:
                yield Sleep(10)
            except TaskKilled as killed:
                hits.append(killed.signal)

    def main():
        tid = yield NewTask(job())
        yield Foreground(tid)
        return (yield WaitTask(tid)).ok

    kernel, _ = run_signalled(main())
    assert kernel.init_status.value is True
    assert hits == [INT, INT]


def test_two_signals_in_two_tasks_are_no_second_one(run_signalled):
    def job():
        interrupts()
        yield Sleep(1)

    def main():
        tids = []
        for _ in range(2):
            tids.append((yield NewTask(job())))
        yield Foreground(*tids)
        signals = []
        for tid in tids:
            signals.append((yield WaitTask(tid)).signal)
        return signals

    kernel, _ = run_signalled(main())
    assert kernel.init_status.value == [INT, INT]


def test_the_kernel_at_work_for_a_task_is_not_hit(run_signalled):
    class File:
        def fileno(self):
            interrupts(signal.SIGINT, signal.SIGINT, signal.SIGINT)
            return -1

    def main():
        error = yield outcome(ReadWait(File()))
        try:
            while True:
                yield
        except TaskKilled as killed:
            return type(error), killed.signal

    kernel, _ = run_signalled(main())
    assert kernel.init_status.value == (OSError, INT)


def test_clean_up_that_hogs_while_its_task_is_killed_is_hit(run_signalled, log):
    def victim():
        try:
            yield Sleep(10)
        finally:
            interrupts(signal.SIGINT, signal.SIGINT)

    def main():
        tid = yield NewTask(victim())
        yield Foreground(tid)
        yield
        yield KillTask(tid, KILL)
        return (yield WaitTask(tid)).signal

    kernel, _ = run_signalled(main())
    assert kernel.init_status.value is KILL
    assert log[0].endswith("did not yield to a signal: KILL")
    assert "victim: its clean-up raised TaskKilled(" in log[1]


def test_the_kill_is_freed_once_it_has_been_caught(run_signalled):
    """The handler that raised it is in its traceback, and must not keep it."""
    freed = []

    def main():
        yield
        try:
            interrupts(signal.SIGINT, signal.SIGINT)
        except TaskKilled as killed:
            ref = weakref.ref(killed)
        freed.append(ref() is None)

    gc.disable()
    try:
        run_signalled(main())
    finally:
        gc.enable()
    assert freed == [True]


def test_after_sigterm_the_system_is_ending_even_before_a_hog_yields(run_signalled):
    """The watchdog goes by this."""
    seen = []

    def main():
        yield
        kernel = current_kernel()
        seen.append(kernel.ending)
        interrupts(signal.SIGTERM)
        seen.append(kernel.ending)

    run_signalled(main())
    assert seen == [False, True]


class Ended(BaseException):
    """In the place of the end of the process."""


def test_a_task_that_swallows_kill_again_and_again_ends_the_process(run_signalled, log, monkeypatch):
    codes = []
    closed = []

    def end(code):
        codes.append(code)
        raise Ended

    def service():
        try:
            yield Sleep(math.inf)
        finally:
            closed.append("service")

    def main():
        yield NewTask(service())
        yield
        swallowed = 0
        try:
            while True:
                try:
                    interrupts()
                except TaskKilled:
                    swallowed += 1
        except Ended:
            return swallowed

    monkeypatch.setattr(running, "end_process", end)
    kernel, _ = run_signalled(main())
    assert kernel.init_status.signal is KILL or kernel.init_status.value == 5
    assert (codes, closed) == ([130], ["service"])
    assert " has swallowed KILL 5 times and cannot be stopped" in log[-1]


HOG = """
import os
def main(*numbers):
    yield
    for number in map(int, numbers):
        os.kill(os.getpid(), number)
    while True:
        pass
"""


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 128 + KILL), (signal.SIGTERM, 128 + signal.SIGTERM)], ids=["INT", "TERM"]
)
def test_a_booted_hog_is_ended_by_the_second_signal(tmp_path, number, code):
    path = tmp_path / "hog.py"
    path.write_text(HOG)
    done = command("boot", path, int(number), int(number))
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr == f"pyos: task 1 (hog) at {path}:6 main did not yield to a signal: KILL\n"


# --- at random moments


class Busy:
    """A system that never rests, in which everybody survives interrupts."""

    def __init__(self, kernel, goal):
        self.kernel = kernel
        self.goal = goal
        self.begun = False
        self.auditing = False
        self.interrupts = 0
        self.taken = 0
        self.lock = Lock()
        self.channel = Channel(1)

    def interrupt(self, job):
        """In the place of the kernel's: what an interrupt does, between two audits."""
        self.audit()
        self.interrupts += 1
        type(self.kernel).interrupt(self.kernel, job)
        self.audit()

    def audit(self):
        self.auditing = True  # which takes longer than the time between two signals
        self.kernel.audit()
        self.auditing = False

    def main(self):
        tids = []
        for work in [self.naps, self.calls, self.locks, self.puts, self.gets, self.spawns, self.times_out]:
            tids.append((yield NewTask(self.surviving(work))))
        yield  # who has not begun cannot survive
        while self.interrupts < self.goal:
            yield Foreground(random.choice(tids))
            self.begun = True
            yield
        self.begun = False
        while self.kernel.posted or self.taken < self.interrupts:  # each arrives, and once
            yield
        for tid in tids:
            assert (yield KillTask(tid))
            assert (yield WaitTask(tid)).signal is TERM
        return len((yield Tasks()))

    def surviving(self, work):
        while True:
            try:
                yield work()
            except TaskKilled as killed:
                if killed.signal is not INT:
                    raise
                self.taken += 1

    def naps(self):
        yield Sleep(0.0001)

    def calls(self, depth=5):
        if depth:
            yield self.calls(depth - 1)
        else:
            yield from yields(2)

    def locks(self):
        yield self.lock.acquire()
        try:
            yield
        finally:
            yield self.lock.release()

    def puts(self):
        yield self.channel.put(1)

    def gets(self):
        yield self.channel.get()

    def spawns(self):
        tid = yield NewTask(self.locks(), linked=True)
        yield
        yield KillTask(tid, random.choice([INT, TERM, KILL]))
        yield WaitTask(tid)

    def times_out(self):
        try:
            yield Timeout(0.0001, forever())
        except TaskTimeout:
            yield


@pytest.mark.parametrize("goal", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_sigints_at_random_moments_of_a_busy_kernel_do_no_harm(make_kernel, log, goal):
    """Each comes some bytecodes after the one before, be they the kernel's or a task's."""
    left = [1000]

    def trace(frame, event, arg):
        frame.f_trace_opcodes = True
        left[0] -= busy.begun and not busy.auditing
        if left[0] == 0:
            left[0] = random.randrange(2000, 6000)  # two in one step would be a KILL
            signal.raise_signal(signal.SIGINT)
        return trace

    kernel = make_kernel(clock=RealClock())
    busy = Busy(kernel, goal)
    kernel.interrupt = busy.interrupt
    kernel.spawn(busy.main())
    before = sys.gettrace()
    with signals_handled(kernel):
        sys.settrace(trace)
        try:
            kernel.run()
        finally:
            sys.settrace(before)
    assert kernel.init_status.value == 1
    assert busy.taken == busy.interrupts >= goal
