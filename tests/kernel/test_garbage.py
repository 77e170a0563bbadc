"""Nothing is left of a task that has ended: no cycles for the collector to find, and its locals are freed at once."""

import contextlib
import gc
import os
import subprocess
import sys
import weakref

import pytest

from pyos import (
    INT,
    KILL,
    STOP,
    TERM,
    Channel,
    Condition,
    Event,
    Exit,
    KillTask,
    LimitExceeded,
    Limits,
    LinkedTaskFailed,
    Lock,
    NewTask,
    Receive,
    Send,
    Sleep,
    TaskKilled,
    TaskTimeout,
    Timeout,
    WaitTask,
)
from tests.kernel.waits import WAITS

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@pytest.fixture
def without_collector():
    """The cyclic collector is off, and what there was before is gone."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


class Thing:
    """Something in a local variable."""


def raises(depth=3):
    """Fail, some calls deep. (An error in a local of a frame in its own traceback would be userland's own cycle.)"""
    yield (raises(depth - 1) if depth else None)
    raise ValueError


def returns():
    yield
    return 1


def exits():
    yield Exit(1)


def forever():
    yield Receive()


def cleans_up():
    try:
        yield Receive()
    except TaskKilled:
        yield Sleep(0.1)
        raise


def stubborn():
    while True:
        with contextlib.suppress(TaskKilled, TaskTimeout):
            yield Receive()


def times_out():
    with contextlib.suppress(TaskTimeout):
        yield Timeout(0.1, Timeout(5, forever()))
    with contextlib.suppress(TaskTimeout):
        yield Timeout(0.1, Receive())


def is_closed_by_its_timeout():
    with contextlib.suppress(TaskTimeout):
        yield Timeout(0.1, stubborn())


def takes_locks():
    lock = Lock()
    condition = Condition(lock)
    yield lock.acquire()
    with contextlib.suppress(TaskTimeout):
        yield Timeout(0.1, condition.wait())
    with contextlib.suppress(TaskTimeout):
        yield Timeout(0.1, Channel().put(1))
    yield Timeout(1, Channel(1).put(1))
    with contextlib.suppress(TaskTimeout):
        yield Timeout(0.1, Event().wait())


def has_a_linked_child():
    yield NewTask(forever(), linked=True)


def has_a_linked_child_that_fails():
    yield NewTask(raises(), linked=True)
    with contextlib.suppress(LinkedTaskFailed):
        yield Sleep(1)


def has_a_quota():
    with contextlib.suppress(LimitExceeded):
        yield NewTask(returns(), limits=Limits(max_tasks=1))
        yield NewTask(returns())


def sends_to_itself():
    tid = yield NewTask(forever())
    yield Send(tid, Thing())


def bad_traps():
    for bad in (42, Receive, [], Timeout(-1, None)):
        with contextlib.suppress(TypeError, ValueError):
            yield bad


LIVES = [
    returns,
    raises,
    exits,
    times_out,
    is_closed_by_its_timeout,
    takes_locks,
    has_a_linked_child,
    has_a_linked_child_that_fails,
    has_a_quota,
    sends_to_itself,
    bad_traps,
]


@pytest.mark.parametrize("life", LIVES)
def test_1000_tasks_that_ended_by_themselves_leave_no_cycles(make_kernel, without_collector, life):
    def main():
        for _ in range(1000):
            yield NewTask(life())
        while (yield WaitTask()) is not None:
            pass

    kernel = make_kernel(log=lambda line: None)
    kernel.spawn(main())
    kernel.run()
    kernel.init_status = None
    assert gc.collect() == 0


@pytest.mark.parametrize(
    "signals", [[TERM], [INT], [KILL], [STOP, KILL], [STOP, TERM], [STOP, INT, TERM], [TERM, KILL]]
)
def test_killed_tasks_leave_no_cycles_whatever_they_waited_for(make_kernel, without_collector, signals):
    def main():
        tids = []
        for life in (forever, cleans_up, stubborn, *WAITS.values()):
            for _ in range(20):
                tids.append((yield NewTask(life())))
        yield Sleep(0.1)
        for tid in tids:
            for signal in signals:
                yield KillTask(tid, signal, grace=0.5)
        yield Sleep(1)

    kernel = make_kernel(log=lambda line: None, limits=Limits(max_mailbox=1))
    kernel.spawn(main())
    kernel.run()
    assert gc.collect() == 0


@pytest.mark.parametrize("signal", [TERM, KILL, INT])
@pytest.mark.parametrize(
    "wrap", [lambda sub: sub, lambda sub: Timeout(9, sub), lambda sub: Timeout(9, Timeout(8, sub))]
)
def test_a_local_of_a_killed_task_is_freed_at_once(run, without_collector, signal, wrap):
    def child(things):
        thing = Thing()
        things.append(weakref.ref(thing))
        yield wrap(sub(things))

    def sub(things):
        thing = Thing()
        things.append(weakref.ref(thing))
        yield Receive()

    def main():
        things = []
        tid = yield NewTask(child(things))
        yield Sleep(1)
        alive = [thing() is not None for thing in things]
        yield KillTask(tid, signal)
        if signal is not KILL:
            yield WaitTask(tid)
        return alive, [thing() for thing in things]

    assert run(main()).value == ([True, True], [None, None])


@pytest.mark.parametrize("how", ["got", "killed", "given back"])
def test_an_item_that_has_passed_is_freed_at_once(run, without_collector, how):
    def child(channel, things):
        thing = yield channel.get()
        things.append(weakref.ref(thing))
        del thing
        yield Receive()

    def main():
        channel, things = Channel(1), []
        tid = yield NewTask(child(channel, things))
        yield
        thing = Thing()
        things.append(weakref.ref(thing))
        yield channel.put(thing)
        del thing
        if how == "got":
            yield Sleep(1)
        else:
            yield KillTask(tid, KILL)
            if how == "given back":
                yield channel.get()
        if how == "killed":
            things = [thing() is not None for thing in things]
            return things  # it waits in the channel
        yield
        return [thing() for thing in things]

    assert run(main()).value == {"got": [None, None], "killed": [True], "given back": [None]}[how]


def test_no_output_ever_says_ignored_generator_exit(tmp_path):
    """A process in which frames of every kind are abandoned: at its death, no finaliser complains either."""
    program = tmp_path / "abandons.py"
    program.write_text(
        "import contextlib\n"
        "from pyos import *\n"
        "def yields_in_finally():\n"
        "    try:\n        yield Receive()\n    finally:\n        yield Sleep(1)\n"
        "def delegates():\n"
        "    yield from yields_in_finally()\n"
        "async def awaits():\n"
        "    try:\n        await Timeout(50, delegates())\n    finally:\n        await Sleep(1)\n"
        "def swallows():\n"
        "    while True:\n        with contextlib.suppress(BaseException):\n            yield Receive()\n"
        "def main():\n"
        "    kinds = [yields_in_finally, delegates, awaits, swallows]\n"
        "    tids = []\n"
        "    for kind in kinds:\n"
        "        tids.append((yield NewTask(kind())))\n"
        "        tids.append((yield NewTask(Timeout_around(kind))))\n"
        "    yield Sleep(0.01)\n"
        "    for tid in tids:\n        yield KillTask(tid, KILL)\n"
        "    yield NewTask(swallows())\n"
        "    yield Sleep(0)\n"
        "    yield KillTask(1, KILL)\n"
        "def Timeout_around(kind):\n"
        "    yield Timeout(50, kind())\n"
    )
    command = [sys.executable, "-X", "dev", "-W", "error", "-m", "pyos", "boot", str(program)]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 128 + KILL
    assert "abandoned" in done.stderr
    assert all(line.startswith("pyos: ") for line in done.stderr.splitlines()), done.stderr
    assert "GeneratorExit" not in done.stderr
