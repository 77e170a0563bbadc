"""Who waits for whom: cycles are logged once, a standstill is an error that explains itself, `ps` says the same."""

import os
import re
import resource
import subprocess
import sys
import time

import pytest

from pyos import (
    STOP,
    Channel,
    Condition,
    Deadlock,
    Event,
    KillTask,
    Limits,
    Lock,
    NewTask,
    Receive,
    Semaphore,
    Send,
    Sleep,
    Tasks,
    Timeout,
    WaitTask,
    run,
)
from pyos.kernel.clock import VirtualClock
from pyos.lib.ps import table
from tests.kernel.programs import forever, outcome

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def crosses(first, second, pause=1.0):
    """Take two locks, slowly."""
    yield first.acquire()
    yield Sleep(pause)
    yield second.acquire()


def two_locks():
    return Lock("a"), Lock("b")


@pytest.fixture
def boot(make_kernel):
    """Run a program as init; the kernel."""

    def boot(target, **options):
        kernel = make_kernel(**options)
        kernel.spawn(target)
        kernel.run()
        return kernel

    return boot


# --- cycles


def test_a_cycle_of_locks_is_logged_once_as_a_chain_while_others_run(boot, log):
    def main():
        a, b = two_locks()
        yield NewTask(crosses(a, b), name="left")
        yield NewTask(crosses(b, a), name="right")
        yield Sleep(5)
        yield NewTask(outcome(a.acquire()))
        yield Sleep(5)
        return "others run"

    assert boot(main()).init_status.value == "others run"
    cycles = [line for line in log if "wait for each other" in line]
    assert len(cycles) == 1
    lines = cycles[0].splitlines()
    assert len(lines) == 3
    here = re.escape(__file__)
    assert re.fullmatch(rf'  task 3 \(right\) waits: lock "a" held by 2 \(left\), at {here}:\d+ crosses', lines[1])
    assert re.fullmatch(rf'  task 2 \(left\) waits: lock "b" held by 3 \(right\), at {here}:\d+ crosses', lines[2])


@pytest.mark.parametrize("n", [2, 3, 10, 100, 101])
def test_a_cycle_of_up_to_a_hundred_waits_is_logged(boot, log, n):
    def main():
        locks = [Lock(str(i)) for i in range(n)]
        for i in range(n):
            yield NewTask(crosses(locks[i], locks[(i + 1) % n], pause=1 + i / 100))
        yield Sleep(9)

    boot(main())
    cycles = [line for line in log if "wait for each other" in line]
    assert [len(cycle.splitlines()) for cycle in cycles] == ([n + 1] if n <= 100 else [])


def test_a_longer_cycle_is_named_at_a_standstill():
    def main():
        locks = [Lock(str(i)) for i in range(101)]
        for i in range(101):
            tid = yield NewTask(crosses(locks[i], locks[(i + 1) % 101]))
        yield WaitTask(tid)

    with pytest.raises(Deadlock) as caught:
        run(main(), clock=VirtualClock())
    assert str(caught.value).splitlines()[1] == "  a cycle: " + " -> ".join(map(str, [*range(2, 103), 2]))


def test_tasks_that_wait_for_each_other_to_end_are_a_cycle(boot, log):
    def waiter(box, n):
        yield Sleep(1)
        yield WaitTask(box[n])

    def main():
        box = []
        for n in (1, 2, 0):
            box.append((yield NewTask(waiter(box, n))))
        yield Sleep(5)

    boot(main())
    (cycle,) = [line for line in log if "wait for each other" in line]
    assert [line.split(", at")[0] for line in cycle.splitlines()[1:]] == [
        "  task 4 (waiter) waits: wait task 2",
        "  task 2 (waiter) waits: wait task 3",
        "  task 3 (waiter) waits: wait task 4",
    ]


def test_a_lock_and_a_wait_make_a_cycle(boot, log):
    def child(lock):
        yield lock.acquire()

    def parent():
        lock = Lock("mine")
        yield lock.acquire()
        yield WaitTask((yield NewTask(child(lock))))

    def main():
        yield NewTask(parent())
        yield Sleep(5)

    boot(main())
    (cycle,) = [line for line in log if "wait for each other" in line]
    assert '  task 3 (child) waits: lock "mine" held by 2 (parent)' in cycle
    assert "  task 2 (parent) waits: wait task 3" in cycle


def test_full_mailboxes_make_a_cycle(boot, log):
    def sender(box, n):
        yield Sleep(1)
        yield Send(box[n], 1)
        yield Send(box[n], 2)

    def main():
        box = []
        for n in (1, 0):
            box.append((yield NewTask(sender(box, n))))
        yield Sleep(5)

    boot(main(), limits=Limits(max_mailbox=1))
    (cycle,) = [line for line in log if "wait for each other" in line]
    assert [line.split(", at")[0] for line in cycle.splitlines()[1:]] == [
        "  task 3 (sender) waits: room in the mailbox of 2 (sender)",
        "  task 2 (sender) waits: room in the mailbox of 3 (sender)",
    ]


def test_a_task_that_fills_its_own_mailbox_waits_for_itself(boot, log):
    def child():
        yield Send(2, 1)
        yield Send(2, 2)

    def main():
        yield NewTask(child())
        yield Sleep(5)

    boot(main(), limits=Limits(max_mailbox=1))
    (cycle,) = [line for line in log if "wait for each other" in line]
    assert "task 2 (child) waits: room in the mailbox of 2 (child)" in cycle


def test_a_notification_can_close_a_cycle(boot, log):
    def waiter(lock, condition):
        yield lock.acquire()
        yield condition.wait()

    def main():
        lock = Lock("guard")
        condition = Condition(lock)
        tid = yield NewTask(waiter(lock, condition))
        yield NewTask(holds_and_waits(lock, tid))
        yield Sleep(2)
        yield condition.notify()
        yield Sleep(2)

    def holds_and_waits(lock, tid):
        yield Sleep(1)
        yield lock.acquire()
        yield WaitTask(tid)

    boot(main())
    (cycle,) = [line for line in log if "wait for each other" in line]
    assert 'task 2 (waiter) waits: lock "guard" held by 3 (holds_and_waits)' in cycle


@pytest.mark.parametrize("outer", [False, True])
def test_a_cycle_that_a_timeout_will_break_is_logged_as_such(boot, log, outer):
    def main():
        a, b = two_locks()
        yield NewTask(crosses(a, b))
        cross = crosses(b, a)
        yield outcome(Timeout(5, Timeout(9, cross) if outer else cross))
        yield Sleep(5)

    boot(main())
    (cycle,) = [line.splitlines() for line in log if "wait for each other" in line]
    assert cycle[0] == "these tasks wait for each other, until a Timeout breaks the cycle:"
    assert [line.split(", at")[0] for line in cycle[1:]] == [
        '  task 2 (crosses) waits: lock "b" held by 1 (main)',
        '  task 1 (main) waits: lock "a" held by 2 (crosses)',
    ]


def test_no_chain_that_ends_is_a_cycle(boot, log):
    def main():
        locks = [Lock(str(i)) for i in range(6)]
        for i in range(5):
            yield NewTask(crosses(locks[i], locks[i + 1], pause=1 + i / 10))
        yield Sleep(9)

    boot(main())
    assert [line for line in log if "wait for each other" in line] == []


def test_a_long_queue_for_one_lock_costs_no_walk_along_it(boot):
    """Each waiter looks at the holder alone, which is not waiting."""
    looks = []

    class Watched(Lock):
        pass

    def main():
        lock = Watched()
        yield lock.acquire()
        kernel_lock = lock.kernel_object
        original = type(kernel_lock).holder
        for _ in range(300):
            yield NewTask(outcome(lock.acquire()))
        type(kernel_lock).holder = lambda self, task: looks.append(task) or original(self, task)
        try:
            yield Sleep(1)
        finally:
            type(kernel_lock).holder = original

    boot(main())
    assert len(looks) <= 3 * 300


# --- ps


def test_ps_shows_the_words_of_the_log(boot, log):
    seen = []

    def main():
        a, b = two_locks()
        yield NewTask(crosses(a, b), name="left")
        yield NewTask(crosses(b, a), name="right")
        yield NewTask(forever(), name="stopped")
        yield KillTask(4, STOP)
        yield Sleep(5)
        seen.append(table((yield Tasks())))

    boot(main())
    assert re.search(r'^2 +1 +blocked +lock "b" held by 3 \(right\) +left', seen[0], re.MULTILINE)
    assert re.search(r'^3 +1 +blocked +lock "a" held by 2 \(left\) +right', seen[0], re.MULTILINE)
    assert re.search(r"^4 +1 +stopped +CONT \(it is stopped\) +stopped", seen[0], re.MULTILINE)


# --- standstill


@pytest.mark.parametrize(
    "trap",
    [
        Receive,
        lambda: Channel().get(),
        lambda: Channel().put(1),
        lambda: Event().wait(),
        lambda: Semaphore(0).acquire(),
        lambda: KillTask(1, STOP),
    ],
)
def test_a_task_that_nothing_can_wake_is_a_deadlock(trap):
    def main():
        yield trap()

    with pytest.raises(Deadlock, match=r"nothing can ever run again:\n  task 1 \(main\) waits: .*main"):
        run(main(), clock=VirtualClock())


def test_a_deadlock_names_the_cycle_and_every_task():
    def main():
        a, b = two_locks()
        left = yield NewTask(crosses(a, b), name="left")
        yield NewTask(crosses(b, a), name="right")
        yield WaitTask(left)

    with pytest.raises(Deadlock) as caught:
        run(main(), clock=VirtualClock())
    lines = str(caught.value).splitlines()
    assert lines[0] == "nothing can ever run again:"
    assert lines[1] == "  a cycle: 2 -> 3 -> 2"
    assert [re.sub(r", at .*:\d+ ", ", at ", line) for line in lines[2:]] == [
        "  task 1 (main) waits: wait task 2, at test_a_deadlock_names_the_cycle_and_every_task.<locals>.main",
        '  task 2 (left) waits: lock "b" held by 3 (right), at crosses',
        '  task 3 (right) waits: lock "a" held by 2 (left), at crosses',
    ]


@pytest.mark.parametrize(
    "alive",
    [
        lambda: Timeout(99, Receive()),
        lambda: Sleep(99),
    ],
)
def test_a_deadline_that_is_set_is_no_standstill(boot, alive):
    def main():
        yield NewTask(outcome(Receive()))
        yield outcome(alive())
        return "fine"

    kernel = boot(main())
    assert kernel.init_status.value == "fine"
    assert kernel.deadlock is None


def test_clean_up_runs_at_a_deadlock():
    cleaned = []

    def main():
        try:
            yield Receive()
        finally:
            yield Sleep(1)
            cleaned.append(True)

    with pytest.raises(Deadlock):
        run(main(), clock=VirtualClock())
    assert cleaned == [True]


def test_boot_reports_a_deadlock_within_a_second_at_no_cpu_with_exit_code_3(tmp_path):
    """A task sleeps first, so that the standstill comes while the system waits, not while it starts."""
    program = tmp_path / "stuck.py"
    program.write_text(
        "from pyos import Lock, NewTask, Sleep, WaitTask\n"
        "def crosses(first, second):\n"
        "    yield first.acquire()\n"
        "    yield Sleep(0.2)\n"
        "    yield second.acquire()\n"
        "def main():\n"
        "    a, b = Lock('a'), Lock('b')\n"
        "    left = yield NewTask(crosses(a, b), name='left')\n"
        "    yield NewTask(crosses(b, a), name='right')\n"
        "    yield WaitTask(left)\n"
    )
    command = [sys.executable, "-W", "error", "-m", "pyos", "boot", str(program)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=60)
    took = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 3
    assert done.stdout == ""
    assert "pyos: deadlock: nothing can ever run again:" in done.stderr
    assert "  a cycle: 2 -> 3 -> 2" in done.stderr
    assert f'task 2 (left) waits: lock "b" held by 3 (right), at {program}:5 crosses' in done.stderr
    assert "Traceback" not in done.stderr
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert cpu < took  # it waited for most of the time that it did not use to start
    assert took < 30
