"""The run queue's turn: slices and budgets, fairness, single steps, dead entries, errors, and signals held back."""

import contextlib
import math
import os
import socket
import threading

import pytest

import pyos
from pyos import (
    KILL,
    TERM,
    BadTrap,
    Choose,
    Exit,
    GetTid,
    GetTime,
    KillTask,
    NewTask,
    ReadWait,
    Sleep,
    TaskKilled,
    WaitTask,
)
from pyos.kernel import clock
from pyos.kernel.clock import Breather
from pyos.kernel.scheduler import BUDGET, SHORTEST_TURN
from tests.conftest import drive
from tests.kernel.programs import awaits, fails, forever, holding_an_answer, outcome, sleeps, yields

# --- slices


def goes_on_by_traps(name, order, count):
    for _ in range(count):
        yield GetTid()
        order.append(name)


def goes_on_by_errors(name, order, count):
    for _ in range(count):
        with contextlib.suppress(ValueError):
            yield Sleep(-1)
        order.append(name)


def goes_on_by_bad_traps(name, order, count):
    for _ in range(count):
        with contextlib.suppress(BadTrap):
            yield "bad"
        order.append(name)


async def goes_on_by_awaits(name, order, count):
    for _ in range(count):
        await GetTid()
        order.append(name)


GOING_ON = [goes_on_by_traps, goes_on_by_errors, goes_on_by_bad_traps, goes_on_by_awaits]


def runs(order):
    """A list as (name, how many in a row)."""
    found = []
    for name in order:
        if found and found[-1][0] == name:
            found[-1][1] += 1
        else:
            found.append([name, 1])
    return [tuple(run) for run in found]


def test_the_budget_is_64():
    assert (BUDGET, SHORTEST_TURN) == (64, 64)


@pytest.mark.parametrize("program", GOING_ON)
def test_a_task_goes_on_after_traps_answered_at_once_for_a_budget_of_64(run, program):
    order = []

    def main():
        tids = []
        for name in "ab":
            tids.append((yield NewTask(program(name, order, 150))))
        for tid in tids:
            yield WaitTask(tid)

    run(main())
    # the answer to a slice's last trap comes at the start of the next slice
    assert runs(order) == [("a", 63), ("b", 63), ("a", 64), ("b", 64), ("a", 23), ("b", 23)]


def test_calls_and_returns_count_against_the_budget(run):
    order = []

    def calls(name):
        for _ in range(64):
            yield yields(0)
            order.append(name)

    def main():
        for name in "ab":
            yield NewTask(calls(name))
        yield Sleep(1)

    run(main())
    assert runs(order) == [("a", 31), ("b", 31), ("a", 32), ("b", 32), ("a", 1), ("b", 1)]


@pytest.mark.parametrize("rest", [lambda: None, lambda: Sleep(0), lambda: Sleep(1)], ids=["yield", "Sleep(0)", "Sleep"])
def test_a_slice_ends_with_a_bare_yield_or_a_wait_and_the_next_has_a_full_budget(run, rest):
    order = []

    def child(name):
        for _ in range(3):
            for _ in range(50):
                yield GetTid()
                order.append(name)
            yield rest()

    def main():
        for name in "ab":
            yield NewTask(child(name))
        yield Sleep(9)

    run(main())
    assert runs(order) == [("a", 50), ("b", 50)] * 3


def test_an_answer_that_came_at_the_end_of_the_budget_is_delivered(run):
    def main():
        answers = []
        for n in range(200):
            answers.append((yield Choose([n])))
        return answers

    assert run(main()).value == list(range(200))


def test_a_value_returned_at_the_end_of_the_budget_is_delivered(run):
    def main():
        answers = []
        for n in range(200):
            answers.append((yield yields(0, n)))
            if n % 7 == 0:
                yield GetTid()
        return answers

    assert run(main()).value == list(range(200))


# --- order


def test_ready_tasks_take_turns_first_come_first_served(run):
    order = []

    def child(name):
        for _ in range(3):
            order.append(name)
            yield

    def main():
        for name in "abc":
            yield NewTask(child(name))
        yield Sleep(1)

    run(main())
    assert order == list("abcabcabc")


def test_a_woken_task_goes_to_the_end_of_the_run_queue(run):
    order = []

    def waiter(tid):
        yield WaitTask(tid)
        order.append("woken")

    def busy(name):
        for _ in range(2):
            order.append(name)
            yield

    def main():
        target = yield NewTask(yields(1))
        yield NewTask(waiter(target))
        for name in "ab":
            yield NewTask(busy(name))
        yield Sleep(1)

    run(main())
    assert order == ["a", "b", "a", "b", "woken"]


def test_waiters_of_one_task_wake_in_the_order_in_which_they_came(run):
    order = []

    def waiter(tid, name):
        yield WaitTask(tid)
        order.append(name)

    def main():
        target = yield NewTask(sleeps(1))
        for name in range(20):
            yield NewTask(waiter(target, name))
        yield Sleep(2)

    run(main())
    assert order == list(range(20))


@pytest.mark.parametrize("seconds", [0, 0.0, -0.0, False + 0])
def test_sleeping_for_no_time_is_a_bare_yield(run, seconds):
    order = []

    def child(name, rest):
        for _ in range(3):
            order.append((name, (yield rest())))

    def main():
        for name, rest in (("a", lambda: Sleep(seconds)), ("b", lambda: None), ("c", lambda: Sleep(seconds))):
            yield NewTask(child(name, rest))
        yield from yields(5)
        return (yield GetTime())

    assert run(main()).value == 0.0
    assert order == [(name, None) for name in "abcabcabc"]


# --- nobody starves


async def spins_on_awaits(over):
    while not over():
        await GetTid()


def spins_on(make):
    """A program that yields again and again what `make` makes, and catches what comes of it."""

    def spin(over):
        while not over():
            with contextlib.suppress(BadTrap, ValueError):
                yield make()

    return spin


SPINS = {
    "bare yields": spins_on(lambda: None),
    "traps": spins_on(GetTid),
    "awaits": spins_on_awaits,
    "sleeps of no time": spins_on(lambda: Sleep(0)),
    "subroutines": spins_on(lambda: yields(0)),
    "subroutines that yield": spins_on(lambda: yields(1)),
    "subroutines that raise": spins_on(lambda: fails(ValueError())),
    "errors": spins_on(lambda: Sleep(-1)),
    "bad traps": spins_on(lambda: "bad"),
    "children": spins_on(lambda: NewTask(yields(0), detached=True)),
}


@pytest.mark.parametrize("spin", SPINS)
def test_a_spinning_task_starves_no_other_task(run, spin):
    finished = []

    def other():
        yield from yields(3)
        tid = yield NewTask(yields(3))
        yield WaitTask(tid)
        finished.append("other")

    def main():
        yield NewTask(other())
        yield SPINS[spin](lambda: finished)
        return "over"

    assert run(main()).value == "over"


@pytest.mark.parametrize("spin", SPINS)
def test_a_spinning_task_starves_no_timer_no_io_and_no_thread(spin):
    left, right = socket.socketpair()
    seen = set()
    enough = threading.Event()

    def count():
        n = 0
        while not enough.is_set():  # pure Python: it needs the interpreter lock for each turn
            n += 1
            if n == 10_000:
                seen.add("thread")

    def reader():
        yield ReadWait(left)
        seen.add("io")

    def sleeper():
        yield Sleep(0.001)
        seen.add("timer")
        os.write(right.fileno(), b"x")

    def main():
        yield NewTask(reader(), detached=True)
        yield NewTask(sleeper(), detached=True)
        yield SPINS[spin](lambda: len(seen) == 3)

    thread = threading.Thread(target=count)
    thread.start()
    try:
        with left, right:
            pyos.run(main())
    finally:
        enough.set()
        thread.join()


class FakeTime:
    """Stands in for the time module."""

    def __init__(self):
        self.now = 100.0
        self.slept = []

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append((round(self.now, 6), seconds))


def test_the_interpreter_lock_is_given_up_every_5_ms_and_not_more_often(monkeypatch):
    time = FakeTime()
    monkeypatch.setattr(clock, "time", time)
    breather = Breather()
    for _ in range(20):
        breather.breathe()
        time.now += 0.001
    assert time.slept == [(100.0, 0), (100.005, 0), (100.01, 0), (100.015, 0)]


def test_the_kernel_breathes_and_polls_once_a_turn_while_tasks_are_ready(make_kernel):
    kernel = make_kernel()
    calls = []
    fetch = kernel.readiness.fetch
    kernel.breather.breathe = lambda: calls.append("breathe")
    kernel.readiness.fetch = lambda timeout: calls.append("poll") or fetch(timeout)
    kernel.spawn(yields(10 * SHORTEST_TURN - 1))
    kernel.run()
    assert calls == ["breathe", "poll"] * 9


# --- turns


def resumes_between_polls(kernel, tasks, count, trap=None):
    """Run `tasks` tasks of `count` yields each; answers after how many resumes each poll came."""
    resumed = [0]
    polls = []
    fetch = kernel.readiness.fetch

    def spy(timeout):
        if resumed[0]:
            polls.append(resumed[0])
        resumed[0] = 0
        return fetch(timeout)

    def child():
        for _ in range(count):
            resumed[0] += 1
            yield trap
        resumed[0] += 1

    for _ in range(tasks):
        kernel.spawn(child())
    kernel.readiness.fetch = spy
    return polls


@pytest.mark.parametrize("way", ["run", "step"])
@pytest.mark.parametrize(
    ("tasks", "turns"), [(1, [64, 64, 64, 9]), (2, [64] * 6 + [18]), (64, [64] * 201), (100, [100] * 201)]
)
def test_a_turn_is_64_resumes_or_one_for_each_ready_task(make_kernel, way, tasks, turns):
    """All tasks but the first are detached children that outlive nobody: each yields 200 times."""
    kernel = make_kernel()
    polls = resumes_between_polls(kernel, tasks, 200)
    kernel.init_ended = lambda status: None
    kernel.run() if way == "run" else drive(kernel)
    assert polls == turns[: len(polls)]
    assert sum(polls) >= tasks * 201 - turns[0]


@pytest.mark.parametrize("way", ["run", "step"])
def test_a_slice_is_one_resume_of_a_turn_however_many_traps_it_makes(make_kernel, way):
    kernel = make_kernel()
    polls = resumes_between_polls(kernel, 1, 64 * 64 * 2, GetTid())
    kernel.run() if way == "run" else drive(kernel)
    assert polls[0] == 64 * 64


# --- steps


def three_sleeps():
    for _ in range(3):
        yield Sleep(1)


def three_errors():
    for _ in range(3):
        with contextlib.suppress(ValueError, BadTrap):
            yield Sleep(-1)


def three_bad_traps():
    for _ in range(3):
        with contextlib.suppress(BadTrap):
            yield "bad"


def three_in_subroutines():
    yield yields(1)
    yield from yields(1)
    yield awaits(GetTid())


def three_in_an_exit():
    try:
        yield
        yield
        yield Exit(1)
    finally:
        return  # noqa: B012


@pytest.mark.parametrize(
    "program",
    [
        lambda: yields(3), lambda: goes_on_by_traps("a", [], 3), lambda: goes_on_by_awaits("a", [], 3), three_sleeps,
        three_errors, three_bad_traps, three_in_subroutines, three_in_an_exit,
    ],
)  # fmt: skip
def test_a_task_with_n_yields_has_n_plus_1_steps(make_kernel, program):
    kernel = make_kernel()
    kernel.spawn(program())
    assert drive(kernel) == 4


def test_each_task_has_its_own_steps(make_kernel):
    def main():
        yield NewTask(yields(4))  # 5 steps
        yield NewTask(three_in_subroutines())  # 4 steps
        yield WaitTask()
        yield WaitTask()

    kernel = make_kernel()
    kernel.spawn(main())
    assert drive(kernel) == 5 + 5 + 4


def test_calling_a_subroutine_and_returning_from_one_happen_inside_a_step(make_kernel):
    journal = []

    def sub():
        journal.append("in sub")
        yield GetTid()
        journal.append("in sub again")

    def main():
        journal.append("before")
        yield yields(0)
        yield sub()
        journal.append("after")
        yield
        journal.append("end")

    kernel = make_kernel()
    kernel.spawn(main())
    steps = []
    while kernel.step():
        steps.append(list(journal))
        journal.clear()
    assert steps == [["before", "in sub"], ["in sub again", "after"], ["end"]]


def test_a_step_carries_out_its_trap_at_once(make_kernel):
    def main():
        yield NewTask(forever(), name="child")
        yield Sleep(5)

    kernel = make_kernel()
    kernel.spawn(main())
    kernel.step()
    assert [info.name for info in kernel.tasks()] == ["main", "child"]
    assert kernel.tasks()[0].state == "ready"
    kernel.step()
    assert kernel.tasks()[0].waiting_on == "sleep 5s"


def test_between_its_steps_a_running_task_stays_at_the_head_of_the_run_queue(make_kernel):
    order = []

    def main():
        yield NewTask(goes_on_by_traps("child", order, 2))
        yield from goes_on_by_traps("main", order, 2)
        yield Sleep(1)

    kernel = make_kernel()
    kernel.spawn(main())
    drive(kernel)
    assert order == ["main", "main", "child", "child"]


def test_stepping_answers_false_when_all_is_over_or_nothing_can_run(make_kernel):
    def stuck():
        yield WaitTask((yield NewTask(waits_for(1))))

    def waits_for(tid):
        yield WaitTask(tid)

    kernel = make_kernel()
    assert not kernel.step()
    kernel.spawn(yields(0))
    assert [kernel.step(), kernel.step(), kernel.step()] == [True, False, False]
    kernel = make_kernel()
    kernel.spawn(stuck())
    assert [kernel.step() for _ in range(5)] == [True, True, True, False, False]
    assert kernel.table.alive == 2


# --- dead tasks in the run queue


@pytest.mark.parametrize("signal", [TERM, KILL])
def test_a_ready_task_that_is_killed_does_not_run_and_the_others_keep_their_order(run, signal):
    order = []

    def child(name):
        while len(order) < 20:
            order.append(name)
            yield

    def main():
        tids = []
        for name in "abcde":
            tids.append((yield NewTask(child(name))))
        yield
        yield
        for tid in (tids[0], tids[2], tids[4]):
            yield KillTask(tid, signal)
        order.append("killed")
        yield Sleep(1)
        return (yield WaitTask(tids[0])).signal

    assert run(main()).value is signal
    assert order[: order.index("killed") + 5] == [*"abcdeabcde", "killed", *"bdbd"]


def test_a_tombstone_is_no_step(make_kernel):
    def main():
        tids = []
        for _ in range(5):
            tids.append((yield NewTask(yields(9))))
        for tid in tids:
            yield KillTask(tid, KILL)
        yield

    kernel = make_kernel()
    kernel.spawn(main())
    assert drive(kernel) == 12


def test_stepping_over_the_last_tombstones_waits_for_what_is_due(make_kernel):
    def main():
        yield NewTask(yields(9))
        yield KillTask(2, KILL)
        yield Sleep(1)

    kernel = make_kernel()
    kernel.spawn(main())
    assert drive(kernel) == 4
    assert kernel.clock.now() == 1.0


def test_stepping_over_the_last_tombstone_of_a_system_that_stands_still_answers_false(make_kernel):
    def main():
        yield NewTask(yields(9))
        yield NewTask(stuck())
        yield KillTask(2, KILL)
        yield WaitTask(3)

    def stuck():
        yield WaitTask(1)

    kernel = make_kernel()
    kernel.spawn(main())
    steps = 0
    while kernel.step():
        steps += 1
    assert (steps, kernel.table.alive) == (5, 2)


def test_a_task_killed_while_ready_with_an_answer_leaves_nothing_behind(run, log):
    def victim(tid):
        yield WaitTask(tid)

    def main():
        box = {}

        def target():
            yield Sleep(1)
            yield NewTask(killer())

        def killer():
            yield KillTask(box["victim"], KILL)

        tid = yield NewTask(target())
        box["victim"] = yield NewTask(victim(tid))
        status = yield WaitTask(box["victim"])
        yield from yields(3)
        return status.signal, status.value

    assert run(main()).value == (KILL, None)
    assert log == []


# --- errors of handlers


@pytest.mark.parametrize(
    "error", [KeyError("a key"), ValueError("x"), OSError(9, "bad"), AttributeError(), TypeError()]
)
@pytest.mark.parametrize("nth", [1, 2, 63, 64, 65])
def test_what_a_handler_raises_is_raised_in_the_task_at_its_yield(run, error, nth):
    """At any place in a slice: its first trap, its last, and in between."""

    def raising(kernel, kind, handler):
        def handle(kernel, task, trap):
            raise error

        return handle if kind is Choose else handler

    def main():
        for _ in range(nth - 1):
            yield GetTid()
        caught = yield from outcome(Choose("ab"))
        return caught is error, (yield GetTid())

    assert run(main(), wrappers=[raising]).value == (True, 1)


def test_a_handlers_error_that_is_not_caught_ends_that_task_alone(run, log):
    def main():
        tid = yield NewTask(outcome(Sleep("no time")))
        dead = yield NewTask(sleeps("no time"))
        return (yield WaitTask(tid)).ok, type((yield WaitTask(dead)).error), (yield GetTid())

    assert run(main()).value == (True, TypeError, 1)


@pytest.mark.breaks_kernels
@pytest.mark.parametrize("way", ["run", "step"])
def test_a_kernel_panic_in_a_handler_reaches_the_host(make_kernel, way):
    module = {"__name__": "pyos.kernel.buggy", "KernelPanic": pyos.KernelPanic}
    exec("def handle(kernel, task, trap): raise KernelPanic('a bug')", module)

    def panicking(kernel, kind, handler):
        return module["handle"] if kind is GetTid else handler

    def main():
        try:
            yield GetTid()
        except RuntimeError:
            return "caught"

    kernel = make_kernel(wrappers=[panicking])
    kernel.spawn(main())
    with pytest.raises(pyos.KernelPanic, match="a bug"):
        getattr(kernel, way)()


# --- signals for a task that holds an answer (more of them in test_lifecycle.py)


def waiting_then(act, seen):
    """A program for `holding_an_answer`: wait, note the answer, do `act`, and note the signal if it comes."""

    def program(tid):
        seen.append((yield WaitTask(tid)).value)
        try:
            yield from act(seen)
        except TaskKilled as killed:
            seen.append(killed.reason)
            raise

    return program


def sixty_traps(seen):
    yield from goes_on_by_traps("trap", seen, 1000)


def errors_of_subroutines(seen):
    for _ in range(1000):
        with contextlib.suppress(ValueError):
            yield fails(ValueError())
        seen.append("trap")


def errors_of_traps(seen):
    yield from goes_on_by_errors("trap", seen, 1000)


def subroutines_and_traps(seen):
    for _ in range(1000):
        yield yields(0)
        yield awaits(GetTid())
        seen.append("trap")


@pytest.mark.parametrize("act", [sixty_traps, errors_of_subroutines, errors_of_traps, subroutines_and_traps])
def test_a_signal_is_held_back_no_longer_than_a_budget(run, act):
    seen = []

    def main():
        return (yield holding_an_answer(waiting_then(act, seen))).signal

    assert run(main()).value is TERM
    assert seen[0] == "answer"
    assert seen[-1] == "held back"
    assert 10 < len(seen) < BUDGET + 2


@pytest.mark.parametrize("rest", [lambda: None, lambda: Sleep(0), lambda: Sleep(1), forever, lambda: awaits(Sleep(1))])
def test_a_signal_held_back_comes_at_the_first_trap_that_would_block_however_deep(run, rest):
    seen = []

    def level(n):
        try:
            seen.append((yield GetTid()))
            yield level(n - 1) if n else rest()
            seen.append("went on")
        finally:
            seen.append(f"closed {n}")

    def act(seen):
        yield level(2)

    def main():
        status = yield holding_an_answer(waiting_then(act, seen))
        return status.signal, (yield GetTime())

    assert run(main()).value == (TERM, 1.0)
    tid = seen[1]
    assert seen == ["answer", tid, tid, tid, "closed 0", "closed 1", "closed 2", "held back"]


def test_a_wait_in_which_a_signal_came_has_forgotten_the_task(run):
    def act(seen):
        yield WaitTask(1)

    def main():
        status = yield holding_an_answer(waiting_then(act, []))
        yield Sleep(5)
        return status.signal

    assert run(main()).value is TERM


def exits(seen):
    yield yields(0)
    yield NewTask(yields(0), detached=True)
    yield Exit("exited")


@pytest.mark.parametrize(
    ("act", "value"),
    [
        (lambda seen: yields(0), "answer"),
        (exits, "exited"),
    ],
)
def test_a_task_that_ends_before_the_held_back_signal_comes_has_ended_normally(run, act, value):
    def program(tid):
        answer = (yield WaitTask(tid)).value
        yield from act([])
        return answer

    def main():
        status = yield holding_an_answer(program)
        return status.value, status.signal, status.ok

    assert run(main()).value == (value, None, True)


def test_an_error_that_was_to_be_raised_is_raised_before_the_signal_held_back(run):
    seen = []

    def spinner():
        for n in range(BUDGET):
            try:
                yield Sleep(-1)
            except ValueError:
                seen[:] = [n]
        try:
            yield
        except TaskKilled as killed:
            seen.append(killed.reason)
            raise

    def main():
        tid = yield NewTask(spinner())
        yield
        seen.append("before")  # the slice has ended with an error to be raised
        yield KillTask(tid, reason="after the error")
        return (yield WaitTask(tid)).signal

    assert run(main()).value is TERM
    assert seen == [BUDGET - 1, "after the error"]


def test_a_task_at_the_end_of_its_budget_holds_an_answer(run):
    seen = []

    def spinner():
        try:
            yield from goes_on_by_traps("trap", seen, 1000)
        except TaskKilled:
            seen.append("killed")
            raise

    def main():
        tid = yield NewTask(spinner())
        yield
        yield KillTask(tid)
        return (yield WaitTask(tid)).signal

    assert run(main()).value is TERM
    assert runs(seen) == [("trap", 2 * BUDGET - 1), ("killed", 1)]


def test_a_ready_task_that_holds_no_answer_gets_the_signal_at_once(run):
    seen = []

    def child():
        try:
            yield
            seen.append("went on")
        except TaskKilled as killed:
            seen.append(killed.reason)

    def main():
        tid = yield NewTask(child())
        yield
        yield KillTask(tid, reason="now")
        yield Sleep(1)

    run(main())
    assert seen == ["now"]


@pytest.mark.parametrize("rest", [lambda: yields(1), lambda: Sleep(0), lambda: Sleep(1), lambda: sixty_traps([])])
def test_a_signal_that_was_held_back_and_caught_is_not_raised_again(run, rest):
    seen = []

    def program(tid):
        yield WaitTask(tid)
        for _ in range(3):
            try:
                yield rest()
                seen.append("went on")
            except TaskKilled:
                seen.append("caught")
        yield Sleep(0.1)
        yield
        return "done"

    def main():
        return (yield holding_an_answer(program)).value

    assert run(main()).value == "done"
    assert seen == ["caught", "went on", "went on"]


def test_a_task_interrupted_by_an_error_gets_it_before_the_signal(make_kernel):
    seen = []

    def child():
        for _ in range(2):
            try:
                yield Sleep(5)
            except (OSError, TaskKilled) as error:
                seen.append(error)

    kernel = make_kernel()
    task = kernel.spawn(child())
    kernel.step()
    closed = OSError(9, "closed meanwhile")
    kernel.scheduler.interrupt(task, closed)
    assert kernel.kill(task, TERM, sender=None, reason="and killed", grace=1.0)
    drive(kernel)
    assert [seen[0], seen[1].reason] == [closed, "and killed"]
    assert kernel.clock.now() == 0.0


@pytest.mark.parametrize("second", [TERM, KILL])
def test_a_second_signal_meets_one_that_is_held_back(run, second):
    """TERM is ignored, as the task is dying already; KILL is not held back."""
    seen = []
    box = {}

    def program(tid):
        try:
            yield WaitTask(tid)
            seen.append("answered")
            yield Sleep(math.inf)
        except TaskKilled as killed:
            seen.append(killed.reason)
            raise

    def killer():
        answers = (yield KillTask(box["waiter"], reason="first")), (yield KillTask(box["waiter"], second))
        seen.append(answers)

    def target():
        yield Sleep(1)
        yield NewTask(killer())

    def main():
        tid = yield NewTask(target())
        box["waiter"] = yield NewTask(program(tid))
        return (yield WaitTask(box["waiter"])).signal

    assert run(main()).value is second
    assert seen == [(True, True)] + (["answered", "first"] if second is TERM else [])
