"""Each kind of failure: what is one, what is none, and what the message says."""

from __future__ import annotations

import datetime
import logging
import math
import os
import random
import socket
import subprocess
import sys
import threading
import time
from time import monotonic

import pytest

import pyos
from pyos import (
    CONT,
    STOP,
    Cell,
    Channel,
    Choose,
    Event,
    KillTask,
    Lock,
    NewTask,
    Random,
    ReadWait,
    Sleep,
    TaskTimeout,
    Timeout,
    WaitTask,
    always,
    eventually,
)
from pyos.check.explorer import Explorer
from pyos.check.jobs import check_in_processes
from pyos.check.settings import Settings
from tests.check.cases import crossed, family, ordered, racy, sleeper
from tests.kernel.programs import fails, forever, yields


def found(program, **options):
    """The one failure of a program; options as in pyos.check."""
    report = pyos.check(program, **{"budget": 500, **options})
    assert len(report.failures) == 1, report
    return report.failures[0]


def ok(program, **options):
    """A program's report, in which nothing was found."""
    report = pyos.check(program, **{"budget": 500, **options})
    assert report.ok, report
    return report


# --- deadlock


def test_a_deadlock_names_the_cycle_of_waits():
    failure = found(crossed)
    assert failure.kind == "deadlock"
    assert failure.message.splitlines()[0] in (
        "a cycle of waits: 1 (work) -> 2 (work) -> 1 (work)",
        "a cycle of waits: 2 (work) -> 1 (work) -> 2 (work)",
    )
    assert 'task 1 (work) waits: lock "b" held by 2 (work), at ' in failure.message


def test_a_deadlock_without_a_cycle_names_what_everybody_waits_for():
    def program():
        channel, event = Channel(name="news"), Event("start")

        def get():
            yield channel.get()

        def wait():
            yield event.wait()

        return [get(), wait()]

    failure = found(program)
    assert failure.kind == "deadlock"
    assert failure.message.startswith("nothing can ever run again\n")
    assert 'task 1 (get) waits: channel "news", to get' in failure.message
    assert 'task 2 (wait) waits: event "start"' in failure.message


def test_a_stopped_task_that_nobody_continues_is_a_deadlock_and_one_that_is_continued_is_not():
    def program(goes_on):
        child = yield NewTask(yields(2))
        yield KillTask(child, STOP)
        if goes_on:
            yield
            yield KillTask(child, CONT)
        yield WaitTask(child)

    assert found(program, args=[False]).kind == "deadlock"
    assert ok(program, args=[True], strategy="dfs", budget=None).complete


def test_sleeping_until_killed_is_no_deadlock():
    ok(lambda: [forever(), yields(1)])


def test_programs_without_a_fault_pass():
    assert ok(ordered, strategy="dfs", budget=None).complete
    assert ok(family, strategy="dfs", budget=None).complete


# --- errors and assertions


def test_an_uncaught_error_is_a_failure_of_its_task():
    failure = found(lambda: [yields(1), fails(ValueError("boom"))])
    assert (failure.kind, failure.tid) == ("error", 2)
    assert failure.message == "task 2 (fails) raised ValueError: boom"
    assert isinstance(failure.error, ValueError)


def test_an_error_that_its_parent_waits_for_is_none():
    def program():
        child = yield NewTask(fails(ValueError("boom")))
        status = yield WaitTask(child)
        return type(status.error).__name__

    report = ok(program, strategy="production")
    assert report.outcomes == {"ValueError": 1}


def test_a_failed_assertion_is_one_also_where_its_parent_waits_for_the_task():
    def program():
        child = yield NewTask(fails(AssertionError("too many")))
        yield WaitTask(child)

    failure = found(program)
    assert failure.kind == "assertion"
    assert failure.message == "task 2 (fails) raised AssertionError: too many"


def test_an_assertion_in_the_outcome_function_is_a_failure():
    def program():
        tasks, total = racy()

        def outcome():
            assert total() == 2

        return tasks, outcome

    failure = found(program, strategy="dfs")
    assert failure.kind == "assertion"
    assert "the outcome function raised AssertionError" in failure.message


def test_errors_of_two_lines_are_two_failures_and_those_of_one_line_are_one():
    def program():
        which = yield Choose("abcd")
        if which in "bc":
            raise ValueError(which)
        if which == "d":
            raise ValueError(which)

    report = pyos.check(program, strategy="dfs", keep_going=True)
    assert [failure.message[-1] for failure in report.failures] == ["b", "d"]


def test_an_error_of_the_program_function_itself_is_the_callers():
    def program():
        raise LookupError("no tasks")

    with pytest.raises(LookupError, match="no tasks"):
        pyos.check(program)


@pytest.mark.parametrize("made", [None, 5, "ab"])
def test_a_program_that_gives_no_tasks_is_refused(made):
    with pytest.raises(TypeError, match="returns a list of them"):
        pyos.check(lambda: made)


def test_a_program_that_was_called_is_refused():
    target = yields(1)
    with pytest.raises(TypeError, match="pass it without calling it"):
        pyos.check(target)
    target.close()


def test_a_keyboard_interrupt_ends_the_check():
    def program():
        yield
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pyos.check(program)


# --- invariants


def test_an_invariant_is_checked_after_every_step():
    def program():
        steps = []
        always(lambda: len(steps) < 3)

        def work():
            for n in range(2):
                steps.append(n)
                yield

        return [work(), work()]

    failure = found(program)
    assert failure.kind == "invariant"
    assert failure.message.startswith("<lambda> (")
    assert failure.message.endswith(") does not hold")
    assert len(failure.rows) == 3


def test_an_invariant_is_not_asked_before_the_first_step():
    def program():
        state = []
        always(lambda: bool(state))

        def work():
            state.append(1)
            yield

        return [work(), work()]

    assert ok(program, strategy="dfs").complete


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (lambda: False, "does not hold"),
        (lambda: fail_with(AssertionError("7 of 5")), "does not hold: 7 of 5"),
        (lambda: fail_with(KeyError("x")), "does not hold: KeyError: 'x'"),
    ],
)
@pytest.mark.parametrize("when", [always, eventually])
def test_a_condition_fails_by_false_or_by_any_error(when, condition, message):
    def program():
        when(condition)
        yield

    failure = found(program)
    assert failure.kind == ("invariant" if when is always else "eventually")
    assert failure.message.replace(" at the end", "").endswith(message)


def fail_with(error):
    raise error


@pytest.mark.parametrize("value", [None, 0, "", True])
def test_a_condition_that_is_not_false_holds(value):
    def program():
        always(lambda: value)
        eventually(lambda: value)
        yield

    ok(program)


def test_what_must_hold_eventually_is_asked_at_the_end_of_each_run():
    def program():
        tasks, total = racy()
        eventually(lambda: total() == 1)
        return tasks

    failure = found(program, strategy="dfs")
    assert failure.kind == "eventually"
    assert "does not hold at the end" in failure.message


def test_conditions_outside_a_check_do_nothing():
    def program():
        always(lambda: False)
        eventually(lambda: False)
        yield
        return 5

    assert pyos.run(program()) == 5


# --- livelock


def test_a_run_that_takes_too_many_steps_is_a_livelock():
    def program():
        while True:
            yield

    failure = found(program, max_steps=50)
    assert failure.kind == "livelock"
    assert failure.message == "not at its end after 50 steps"
    assert len(failure.rows) == 50


@pytest.mark.parametrize("steps", [4, 5])
def test_the_bound_counts_steps(steps):
    report = pyos.check(lambda: [yields(4)], max_steps=steps)
    assert report.ok == (steps == 5)  # four yields are five steps


@pytest.mark.parametrize("strategy", ["dfs", "dpor", "delay", "portfolio"])
@pytest.mark.parametrize("isolated", [False, True])
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_check_is_not_complete_where_runs_were_cut(strategy, isolated, jobs):
    def spins(cell):
        while not (yield cell.load()):
            pass

    def ends_it(cell):
        yield cell.store(1)

    def program():
        cell = Cell(0)
        return [spins(cell), ends_it(cell)]

    settings = Settings(strategy, budget=200, isolated=isolated, keep_going=True, max_steps=12)
    with Explorer(program, "0" * 12, settings) as explorer:
        report = explorer.check() if jobs == 1 else check_in_processes(explorer, jobs)
    assert [failure.kind for failure in report.failures] == ["livelock"]
    assert report.cut == report.outcomes["livelock"] > 0
    assert not report.complete
    assert report.bound.count("runs were cut at 12 steps") == 1


# --- leaks


def test_a_task_that_is_left_waiting_is_a_leak():
    failure = found(sleeper)
    assert failure.kind == "leak"
    assert failure.message == "init has ended, and left task 2 (child)"


def test_a_detached_task_may_be_left():
    def program():
        yield NewTask(forever(), detached=True)
        yield

    ok(program)


def test_a_lock_that_died_with_its_holder_is_a_leak():
    def program():
        lock = Lock("door")

        def work():
            yield lock.acquire()

        return [work()]

    failure = found(program)
    assert failure.kind == "leak"
    assert 'died holding lock "door"' in failure.message


def test_a_file_that_each_run_leaves_open_is_a_leak():
    files = []

    def program():
        files.append(open(os.devnull))  # noqa: SIM115
        yield

    failure = found(program)
    for file in files:
        file.close()
    assert failure.kind == "leak"
    assert failure.message == f"left open by each run: {os.devnull}"


def test_a_file_that_is_opened_once_for_all_runs_is_none():
    files = []

    def program():
        if not files:
            files.append(open(os.devnull))  # noqa: SIM115
        yield

    ok(program)
    files[0].close()


@pytest.mark.parametrize("program", [sleeper, lambda: [holds_a_lock(Lock())]])
def test_leaks_may_be_allowed(program):
    ok(program, leaks=False)


def holds_a_lock(lock):
    yield lock.acquire()


# --- nondeterminism


def real_time():
    time.time()


def real_time_by_name():
    monotonic()


def a_date():
    datetime.datetime.now()


def a_nap():
    time.sleep(0)


def chance():
    random.random()


def a_shuffle():
    random.shuffle([1, 2])


def unseeded():
    random.Random()


def entropy():
    os.urandom(1)


def a_thread():
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()


def a_process():
    subprocess.run([sys.executable, "--version"], stdout=subprocess.DEVNULL, check=True)


def a_socket():
    socket.socket().close()


@pytest.mark.parametrize(
    "act",
    [
        real_time,
        real_time_by_name,
        a_date,
        a_nap,
        chance,
        a_shuffle,
        unseeded,
        entropy,
        a_thread,
        a_process,
        a_socket,
    ],
)
def test_what_cannot_be_repeated_is_reported_at_its_line(act):
    def program():
        yield
        act()

    failure = found(program)
    assert failure.kind == "nondeterminism"
    line = act.__code__.co_firstlineno + (2 if act is a_thread else 1)
    assert failure.message.startswith(f"{__file__}:{line}: ")
    assert "is not under the checker's control; use " in failure.message


def test_a_real_descriptor_is_reported_at_its_line():
    reader, writer = os.pipe()

    def program():
        yield ReadWait(reader)

    failure = found(program)
    os.close(reader)
    os.close(writer)
    assert failure.kind == "nondeterminism"
    assert failure.message.startswith(f"{__file__}:{program.__code__.co_firstlineno + 1}: ")


def test_pythons_random_may_be_used_once_it_has_a_seed():
    def program():
        random.seed(7)
        yield
        return random.random()

    before = random.getstate()
    report = ok(program, budget=5)
    random.setstate(before)
    assert len(report.outcomes) == 1

    def own():
        source = random.Random(7)
        yield
        return source.random()

    assert len(ok(own, budget=5).outcomes) == 1


def test_the_random_trap_is_the_same_in_every_run_of_one_seed():
    def program():
        return (yield Random())

    values = [list(ok(program, seed=seed, budget=5).outcomes) for seed in (None, 0, 1, 1)]
    assert values[0] == values[1]
    assert values[2] == values[3] != values[0]
    assert all(len(value) == 1 for value in values)


def test_a_library_may_look_at_the_clock_for_its_own_ends():
    def program():
        yield
        logging.getLogger("pyos.tests").debug("a record has a time stamp")
        logging.getLogger("pyos.tests").makeRecord("x", 10, "f", 1, "m", (), None)

    ok(program)


def for_statement(names):
    for name in names:
        yield NewTask(yields(1), name=name)


def as_a_list(names):
    yield Sleep(list(names).index("a"))


def comprehension(names):
    ages = [ord(name) for name in names]
    yield Sleep(ages[-1])


def generator_expression(names):
    yield Sleep(next(ord(name) for name in names))


def taken_out(names):
    yield Sleep(ord(names.pop()))


@pytest.mark.parametrize("program", [for_statement, as_a_list, comprehension, generator_expression, taken_out])
def test_the_order_of_a_set_is_reported_at_its_line(program):
    failure = found(lambda: program({"a", "b", "c"}))
    assert failure.kind == "nondeterminism"
    line = program.__code__.co_firstlineno + 1
    assert failure.message.startswith(f"{__file__}:{line}: the order of the set names ")


def test_sets_whose_order_does_not_matter_or_is_the_same_everywhere_are_fine():
    def program():
        names, numbers = {"a", "b"}, {1, 2, 3}
        for number in numbers:
            yield Sleep(number)
        for name in sorted(names):
            yield Sleep(ord(name))
        total = sum(len(name) for name in names)
        assert sorted(list(names)) == ["a", "b"]  # noqa: C414
        for name in names:
            total += len(name)
        for only in {"one"}:
            yield Sleep(len(only))

    ok(program)


def test_state_that_goes_from_run_to_run_is_reported_where_it_shows():
    runs = []

    def program():
        runs.append(1)
        yield
        if len(runs) % 2:
            yield
        yield Sleep(1)

    failure = found(program)
    assert failure.kind == "nondeterminism"
    assert "step 2 was task 1 (program) at " in failure.message
    assert "and with the same choices again task 1 (program) at " in failure.message


@pytest.mark.parametrize("strategy", ["dfs", "production", "portfolio"])
def test_a_check_that_gives_up_says_why(strategy):
    runs = []

    def program():
        runs.append(1)
        return [yields(len(runs)), yields(2)]

    report = pyos.check(program, strategy=strategy, keep_going=True)
    assert not report.complete
    assert "not complete: given up, as the program is not the same in each run; 1 failure found" in report.summary


def test_a_value_that_differs_between_two_runs_is_reported():
    runs = []

    def program():
        runs.append(1)
        channel = Channel(1)
        yield channel.put(len(runs))

    failure = found(program)
    assert failure.kind == "nondeterminism"
    assert ": Put(channel #1, 1), and with the same choices again " in failure.message
    assert failure.message.endswith(": Put(channel #1, 2)")


def test_the_guards_are_gone_after_the_check():
    before = (time.time, random.random, threading.Thread.start, socket.socket.__init__, random.Random.seed)
    ok(family)
    assert before == (time.time, random.random, threading.Thread.start, socket.socket.__init__, random.Random.seed)


def test_time_under_a_check_is_virtual():
    def program():
        try:
            yield Timeout(3600, Sleep(math.inf))
        except TaskTimeout:
            return (yield pyos.GetTime())

    assert ok(program).outcomes.keys() == {3600.0}
