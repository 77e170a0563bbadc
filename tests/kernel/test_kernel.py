"""The kernel: its round, standstills, the shutdown, what is posted to it, how it is closed, exit codes."""

import contextlib
import math
import os
import re
import signal
import socket

import pytest

import pyos
from pyos import (
    TERM,
    Choose,
    Deadlock,
    ExitStatus,
    GetTid,
    GetTime,
    KillTask,
    LimitExceeded,
    NewTask,
    ReadWait,
    Signal,
    Sleep,
    TaskKilled,
    WaitTask,
    WriteWait,
)
from pyos.kernel.kernel import Kernel, exit_code
from tests.conftest import assert_nothing_is_left, drive
from tests.kernel.programs import fails, forever, outcome, sleeps, stubborn, yields


@pytest.fixture
def pair():
    left, right = socket.socketpair()
    with left, right:
        yield left, right


@pytest.fixture(params=["run", "step"])
def finish(request):
    """Let a kernel run to its end in both ways; at a standstill it shuts down and raises Deadlock in both."""

    def run(kernel):
        if request.param == "step":
            while kernel.step():
                kernel.audit()
        return kernel.run()

    return run


def traced(events):
    """A wrapper that writes down every trap: who yielded it, and what it is."""

    def wrap(kernel, kind, handler):
        def seen(kernel, task, trap):
            events.append((task.tid, re.sub(r"0x\w+|fd=\d+", "...", repr(trap))))
            return handler(kernel, task, trap)

        return seen

    return wrap


def dies_slowly(order, name, seconds=math.inf):
    """Sleep; note what ended it."""
    try:
        yield Sleep(seconds)
        order.append((name, "slept"))
    except TaskKilled as killed:
        order.append((name, killed.reason))
        raise
    except GeneratorExit:
        order.append((name, "closed"))
        raise


def settle(kernel):
    """Step until nothing is ready."""
    while any(task.status is None for task in kernel.scheduler.runq):
        kernel.step()
        kernel.audit()


# --- the round


@pytest.mark.parametrize("others", ["busy", "idle"])
def test_io_comes_before_a_timer_that_is_due_in_the_same_round(make_kernel, finish, pair, others):
    left, right = pair
    order = []

    def waits(trap, name):
        yield trap
        order.append(name)

    def main():
        yield NewTask(waits(Sleep(1), "timer"))
        yield NewTask(waits(ReadWait(left), "io"))
        yield Sleep(0)
        yield Sleep(0)
        right.send(b"x")
        kernel.clock.time += 1
        while others == "busy" and len(order) < 2:
            yield
        yield WaitTask()
        yield WaitTask()

    kernel = make_kernel()
    kernel.spawn(main())
    finish(kernel)
    assert order == ["io", "timer"]


@pytest.mark.parametrize("first", ["io", "timer"])
def test_io_comes_before_a_timer_of_the_same_round_unless_it_is_chosen_otherwise(make_kernel, finish, pair, first):
    left, right = pair
    order, asked = [], []

    def choose(kind, options):
        asked.append((kind, tuple(options)))
        return options.index(first)

    def waits(trap, name):
        yield trap
        order.append(name)

    def main():
        yield NewTask(waits(Sleep(1), "timer"))
        yield NewTask(waits(ReadWait(left), "io"))
        yield Sleep(0)
        yield Sleep(0)
        right.send(b"x")
        kernel.clock.time += 1
        yield WaitTask()
        yield WaitTask()

    kernel = make_kernel(choose=choose)
    kernel.spawn(main())
    finish(kernel)
    assert order == sorted(["io", "timer"], key=lambda name: name != first)
    assert asked == [("event", ("io", "timer"))]


def test_nothing_is_chosen_when_only_one_kind_of_event_is_due(make_kernel, finish, pair):
    left, right = pair

    def main():
        yield Sleep(1)
        right.send(b"x")
        yield ReadWait(left)
        yield NewTask(sleeps(5))
        yield WriteWait(left)
        yield WaitTask()

    kernel = make_kernel(choose=lambda kind, options: pytest.fail(f"asked for {kind}"))
    kernel.spawn(main())
    finish(kernel)


@pytest.mark.parametrize(("tasks", "each", "turns"), [(1, 640, 10), (200, 10, 10), (64, 10, 10)])
def test_a_turn_is_64_steps_or_one_of_each_ready_task(make_kernel, tasks, each, turns):
    polls = []
    kernel = make_kernel()
    fetch = kernel.readiness.fetch
    kernel.readiness.fetch = lambda timeout: polls.append(timeout) or fetch(timeout)
    kernel.spawn(yields(each))
    for _ in range(tasks - 1):
        kernel.spawn(yields(each))
    kernel.run()
    assert turns - 1 <= len(polls) <= turns + 1
    assert set(polls) == {0.0}


def test_the_first_task_is_init_and_its_status_is_the_systems(make_kernel, finish):
    kernel = make_kernel()
    init = kernel.spawn(yields(2, "value"), name="first")
    other = kernel.spawn(yields(9))
    assert (init.tid, init.parent, other.parent) == (1, 0, 0)
    assert finish(kernel) == ExitStatus(1, "first", "value")
    assert kernel.init_status == ExitStatus(1, "first", "value")


def test_a_kernel_without_tasks_has_nothing_to_do(make_kernel):
    kernel = make_kernel()
    assert kernel.step() is False
    assert kernel.run() is None
    kernel.spawn(yields(0))
    assert kernel.run().ok
    assert kernel.step() is False
    assert kernel.run().ok


# --- the same by loop and by single steps


def busy(pair):
    """A program in which about everything happens."""
    left, right = pair

    def reader():
        yield ReadWait(left)
        return left.recv(10)

    def sub(n):
        yield Sleep(n)
        return (yield outcome(sub(n - 1))) if n else (yield Choose("xyz"))

    def failing():
        yield
        yield from fails(ValueError())

    def spinning():
        for _ in range(200):
            yield GetTid()

    def main():
        tids = []
        for target in (reader(), sub(3), failing(), spinning(), forever(), stubborn()):
            tids.append((yield NewTask(target)))
        yield NewTask(sleeps(2), detached=True)
        yield Sleep(1)
        right.send(b"hello")
        yield KillTask(tids[4])
        yield KillTask(tids[5], grace=3)
        yield outcome(KillTask(1, "nonsense"))
        yield outcome(42)
        found = []
        while status := (yield WaitTask()):
            found.append((status.tid, status.value, type(status.error), status.signal))
        yield NewTask(forever())
        return found, (yield GetTime())

    return main()


@pytest.mark.parametrize("seed", [None, 5])
def test_loop_and_single_steps_carry_out_the_same_traps_in_the_same_order(make_kernel, log, seed):
    ends, traces, logs = [], [], []
    for how in (Kernel.run, drive):
        left, right = socket.socketpair()
        with left, right:
            traces.append([])
            kernel = make_kernel(seed=seed, wrappers=[traced(traces[-1])])
            kernel.spawn(busy((left, right)))
            how(kernel)
            ends.append((kernel.init_status, kernel.clock.now()))
        logs.append(log[:])
        log.clear()
    assert ends[0] == ends[1]
    assert len(ends[0][0].value[0]) == 6
    assert traces[0] == traces[1]
    assert len(traces[0]) > 200
    assert [line.partition("\n")[0] for line in logs[0]] == [line.partition("\n")[0] for line in logs[1]]


# --- standstill


def test_a_standstill_is_a_deadlock_that_tells_who_waits_for_what_and_where(make_kernel, finish):
    def one():
        yield WaitTask(3)

    def two():
        yield inner()

    def inner():
        yield WaitTask(2)

    def main():
        yield NewTask(one(), name="left")
        yield NewTask(two(), name="right")
        yield NewTask(yields(0), name="dead")
        yield WaitTask(2)

    kernel = make_kernel()
    kernel.spawn(main(), name="boss")
    with pytest.raises(Deadlock) as caught:
        finish(kernel)
    lines = str(caught.value).splitlines()
    assert lines[0] == "nothing can ever run again:"
    here = __file__
    start = two.__code__.co_firstlineno
    path = "test_a_standstill_is_a_deadlock_that_tells_who_waits_for_what_and_where.<locals>"
    assert lines[1:] == [
        "  a cycle: 2 -> 3 -> 2",
        f"  task 1 (boss) waits: wait task 2, at {here}:{main.__code__.co_firstlineno + 4} {path}.main",
        f"  task 2 (left) waits: wait task 3, at {here}:{start - 2} {path}.one",
        f"  task 3 (right) waits: wait task 2, at {here}:{start + 4} {path}.inner",
    ]


def test_at_a_standstill_the_system_is_shut_down_before_the_host_is_told(make_kernel, finish):
    order = []

    def child():
        try:
            yield WaitTask(1)
        except TaskKilled as killed:
            order.append(killed.reason)
            yield Sleep(1)
            order.append("cleaned up")

    def main():
        tid = yield NewTask(child())
        try:
            yield WaitTask(tid)
        finally:
            order.append("init")

    kernel = make_kernel()
    kernel.spawn(main())
    with pytest.raises(Deadlock):
        finish(kernel)
    assert order == ["deadlock", "init", "cleaned up"]
    assert_nothing_is_left(kernel)
    assert kernel.init_status.signal is TERM


def test_single_steps_stop_at_a_standstill_and_leave_it_to_be_looked_at(make_kernel):
    def main():
        tid = yield NewTask(waits_for_init())
        yield WaitTask(tid)

    def waits_for_init():
        yield WaitTask(1)

    kernel = make_kernel()
    kernel.spawn(main())
    steps = 0
    while kernel.step():
        steps += 1
    assert steps == 3
    assert kernel.step() is False
    assert [info.waiting_on for info in kernel.tasks()] == ["wait task 2", "wait task 1"]
    kernel.audit()


@pytest.mark.parametrize("trap", [Sleep(math.inf), Sleep(1e9), "read"])
def test_who_waits_for_time_or_io_is_no_standstill(make_kernel, pair, trap):
    def waits():
        yield ReadWait(pair[0]) if trap == "read" else trap

    def main():
        tid = yield NewTask(waits())
        yield WaitTask(tid)

    kernel = make_kernel()
    kernel.spawn(main())
    kernel.step()
    kernel.step()
    kernel.step()
    assert not kernel.scheduler.runq
    assert not kernel._at_standstill()


def test_what_was_posted_may_end_a_standstill(make_kernel, finish):
    def waits():
        yield WaitTask(1)

    def main():
        tid = yield NewTask(waits())
        yield
        kernel.post(lambda: kernel.kill(kernel.table.get(tid), TERM, sender=None, reason=None, grace=1.0))
        return (yield WaitTask(tid)).signal

    kernel = make_kernel()
    kernel.spawn(main())
    assert finish(kernel).value is TERM


# --- shutdown


def test_a_shutdown_sends_term_newest_first_and_init_last(make_kernel, finish, pair):
    order = []

    def reader():
        try:
            yield ReadWait(pair[0])
        finally:
            order.append("reader")

    def never_started():
        order.append("it ran")
        yield

    def main():
        yield NewTask(dies_slowly(order, "sleeper", 10))
        yield NewTask(reader())
        yield NewTask(dies_slowly(order, "forever"))
        yield from dies_slowly(order, "init")

    kernel = make_kernel()
    kernel.spawn(main())
    settle(kernel)
    kernel.spawn(never_started())
    kernel.shut_down("because")
    kernel.audit()
    assert len(kernel.table) == 4
    assert finish(kernel).signal is TERM
    assert order == [("forever", "because"), "reader", ("sleeper", "because"), ("init", "because")]
    assert kernel.clock.now() == 0.0


@pytest.mark.parametrize("grace", [0.5, 5.0])
def test_the_late_are_killed_after_the_grace_newest_first_each_with_a_log_line(make_kernel, finish, log, grace):
    order = []

    def late(name):
        try:
            yield stubborn()
        finally:
            order.append(name)

    def cleans_up():
        try:
            yield Sleep(math.inf)
        finally:
            yield Sleep(grace / 2)
            order.append("in time")

    def main():
        yield NewTask(late("one"), name="one")
        yield NewTask(late("two"), name="two")
        yield NewTask(cleans_up())
        yield from dies_slowly(order, "init")

    kernel = make_kernel()
    kernel.spawn(main())
    settle(kernel)
    kernel.shut_down("over", grace)
    finish(kernel)
    assert kernel.clock.now() == grace
    assert order == [("init", "over"), "in time", "two", "one"]
    assert len(log) == 2
    for line, (tid, name) in zip(log, [(3, "two"), (2, "one")]):
        assert line.startswith(f"task {tid} ({name}) at {stubborn.__code__.co_filename}:")
        assert line.endswith(f"stubborn did not end within {grace:g} s of shutdown: KILL")


def test_who_ends_in_time_does_not_make_the_system_wait_for_the_rest_of_the_grace(make_kernel, finish, log):
    def cleans_up():
        try:
            yield Sleep(math.inf)
        finally:
            yield Sleep(2)

    def main():
        yield NewTask(cleans_up())
        yield

    kernel = make_kernel()
    kernel.spawn(main())
    finish(kernel)
    assert kernel.clock.now() == 2.0
    assert log == []


def test_no_task_is_taken_while_the_system_shuts_down(make_kernel, finish, tmp_path):
    program = tmp_path / "program.py"
    program.write_text("def main():\n    yield\n")
    refused = []

    def child():
        try:
            yield Sleep(math.inf)
        finally:
            target = yields(1)
            refused.append((yield outcome(NewTask(target))))
            refused.append((yield outcome(pyos.Exec(str(program)))))
            refused.append(target.gi_frame)

    def main():
        yield NewTask(child())
        yield

    kernel = make_kernel()
    kernel.spawn(main())
    finish(kernel)
    assert [type(error) for error in refused] == [LimitExceeded, LimitExceeded, type(None)]
    assert str(refused[0]) == "no new tasks: the system is shutting down"
    target = yields(1)
    with pytest.raises(LimitExceeded):
        kernel.spawn(target)
    assert target.gi_frame is None


# --- posting


def test_what_is_posted_is_done_once_and_in_order(make_kernel, finish):
    done = []

    def main():
        for n in range(5):
            kernel.post(lambda n=n: done.append(n))
        assert done == [-1]
        while len(done) < 6:
            yield
        kernel.post(lambda: kernel.post(lambda: done.append("posted by a post")))
        yield Sleep(1)

    kernel = make_kernel()
    kernel.post(lambda: done.append(-1))
    kernel._deliver(0.0)
    kernel.spawn(main())
    finish(kernel)
    assert done == [-1, 0, 1, 2, 3, 4, "posted by a post"]


def test_a_post_to_a_kernel_that_has_ended_is_harmless(make_kernel):
    kernel = make_kernel()
    kernel.spawn(yields(0))
    kernel.run()
    kernel.post(lambda: pytest.fail("nobody is there to do it"))
    kernel.close()
    kernel.post(lambda: pytest.fail("nobody is there to do it"))


# --- closing


def test_closing_kills_newest_first_and_leaves_nothing(make_kernel, pair):
    order = []

    def reader():
        try:
            yield ReadWait(pair[0])
        finally:
            order.append("reader")

    def waiter():
        try:
            yield WaitTask(2)
        finally:
            order.append("waiter")

    def main():
        yield NewTask(dies_slowly(order, "sleeper", 10))
        yield NewTask(dies_slowly(order, "forever"))
        yield NewTask(reader())
        yield NewTask(waiter())
        yield NewTask(yields(0))
        yield KillTask((yield NewTask(stubborn())))
        try:
            yield Sleep(100)
        finally:
            order.append("init")

    kernel = make_kernel()
    kernel.spawn(main())
    settle(kernel)
    assert len(kernel.table) == 7
    kernel.close()
    kernel.audit()
    assert order == ["waiter", "reader", ("forever", "closed"), ("sleeper", "closed"), "init"]
    assert_nothing_is_left(kernel)
    kernel.close()


def test_a_closed_kernel_takes_no_tasks(make_kernel):
    refused = []

    def main():
        try:
            yield Sleep(1)
        finally:
            refused.append((yield outcome(NewTask(yields(1)))))

    kernel = make_kernel()
    kernel.spawn(main())
    kernel.step()
    kernel.close()
    assert type(refused[0]) is LimitExceeded
    assert "the system has been closed" in str(refused[0])
    with pytest.raises(LimitExceeded):
        kernel.spawn(yields(1))


def test_leaving_the_with_block_by_an_error_closes_the_kernel(make_kernel):
    order = []
    kernel = make_kernel()
    kernel.spawn(dies_slowly(order, "task"))
    kernel.step()
    with contextlib.suppress(ZeroDivisionError), kernel:
        raise ZeroDivisionError
    assert order == [("task", "closed")]
    assert_nothing_is_left(kernel)


def test_a_host_that_is_interrupted_can_still_close_its_kernel(make_kernel):
    """An exception of the host's own passes through `run`; what was running is closed afterwards."""
    order = []

    def interrupt():
        raise KeyboardInterrupt

    def main():
        yield NewTask(dies_slowly(order, "child"))
        yield
        kernel.post(interrupt)
        yield from dies_slowly(order, "init", 10)

    kernel = make_kernel()
    kernel.spawn(main())
    with pytest.raises(KeyboardInterrupt):
        kernel.run()
    kernel.audit()
    assert order == []
    kernel.close()
    assert order == [("child", "closed"), ("init", "closed")]


@pytest.mark.parametrize("poller", ["epoll", "poll", "select"])
def test_a_kernel_that_was_never_run_leaves_nothing(poller):
    before = len(os.listdir("/proc/self/fd"))
    with Kernel(poller=poller) as kernel:
        kernel.spawn(yields(1))
    assert len(os.listdir("/proc/self/fd")) == before


# --- exit codes


@pytest.mark.parametrize(
    ("ended", "code"),
    [
        ({"value": None}, 0),
        ({"value": 0}, 0),
        ({"value": 7}, 7),
        ({"value": True}, 1),
        ({"value": 256 + 3}, 3),
        ({"value": -1}, 255),
        ({"value": "text"}, 0),
        ({"error": ValueError()}, 1),
        ({"signal": Signal.TERM}, 143),
        ({"signal": Signal.KILL}, 137),
    ],
)
def test_exit_codes_tell_how_init_ended(ended, code):
    assert exit_code(ExitStatus(1, "init", **ended)) == code
    assert exit_code(ExitStatus(1, "init", **ended), signal.SIGINT) == 130
