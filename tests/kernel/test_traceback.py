"""What an error shows, and what it keeps alive: userland's frames, and nothing once it is over."""

import contextlib
import functools
import gc
import re
import traceback
import types
import weakref

import pytest

import pyos
from pyos import (
    KILL,
    TERM,
    BadTrap,
    Deadlock,
    Exec,
    Exit,
    GetTid,
    KillTask,
    NewTask,
    ReadWait,
    Sleep,
    TaskKilled,
    WaitTask,
)
from pyos.kernel.clock import VirtualClock
from pyos.observe.strace import Strace
from tests.kernel.programs import (
    Frozen,
    Nameless,
    awaits,
    by_await,
    by_yield_from,
    fails,
    forever,
    holding_an_answer,
    outcome,
    yields,
)

# --- tracebacks


def names(error):
    """The functions of a traceback, outermost first."""
    return [frame.f_code.co_name for frame, _ in traceback.walk_tb(error.__traceback__)]


def level_1(act):
    yield level_2(act)


def level_2(act):
    yield from level_3(act)


def level_3(act):
    yield level_4(act)


async def level_4(act):
    await level_5(act)


async def level_5(act):
    await act()


CHAIN = ["level_1", "level_2", "level_3", "level_4", "level_5"]


async def raises_at_once():
    raise ValueError


async def raises_after_a_wait():
    await Sleep(1)
    raise ValueError


async def raises_after_a_subroutine():
    await by_await(3)
    raise ValueError


async def makes_a_bad_trap():
    await bad_await()


@types.coroutine
def bad_await():
    yield 42


async def makes_an_error():
    await Sleep(-1)


ACTS = {
    raises_at_once: ["raises_at_once"],
    raises_after_a_subroutine: ["raises_after_a_subroutine"],
    makes_a_bad_trap: ["makes_a_bad_trap", "bad_await"],
    makes_an_error: ["makes_an_error", "__await__"],
    raises_after_a_wait: ["raises_after_a_wait"],
}
traced = pytest.mark.parametrize(
    "options", [{}, {"wrappers": [Strace(lambda line: None).wrap]}], ids=["plain", "traced"]
)  # fmt: skip


@pytest.mark.parametrize("act", ACTS)
@traced
def test_a_traceback_shows_the_whole_userland_chain_and_no_kernel_frame(run, act, options):
    def main():
        tid = yield NewTask(level_1(act))
        return (yield WaitTask(tid)).error

    assert names(run(main(), **options).value) == [*CHAIN, *ACTS[act]]


@pytest.mark.parametrize("act", [act for act in ACTS if act is not raises_after_a_wait])
@traced
def test_so_does_the_traceback_of_a_task_for_which_a_signal_is_held_back(run, act, options):
    def child(tid):
        yield WaitTask(tid)
        yield level_1(act)

    def main():
        return (yield holding_an_answer(child)).error

    assert names(run(main(), **options).value) == ["child", *CHAIN, *ACTS[act]]


def test_a_caught_error_has_the_frames_from_where_it_was_caught(run):
    def main():
        yield GetTid()
        try:
            yield level_1(raises_after_a_wait)
        except ValueError as error:
            return names(error)

    assert run(main()).value == ["main", *CHAIN, "raises_after_a_wait"]


@traced
def test_the_traceback_of_a_signal_shows_userland_frames_only(run, options):
    seen = []

    def child(tid=0):
        if tid:
            yield WaitTask(tid)
        try:
            yield level_1(functools.partial(Sleep, 5))
        except TaskKilled as killed:
            seen.append(names(killed))

    def main():
        tid = yield NewTask(child())
        yield Sleep(1)
        yield KillTask(tid)
        yield holding_an_answer(child)

    run(main(), **options)
    assert seen == [["child", *CHAIN, "__await__"]] * 2


class BadFile:
    """A trap's argument whose code the kernel runs."""

    def fileno(self):
        raise LookupError


def test_an_error_in_code_that_the_kernel_runs_for_a_task_shows_where_it_was_raised(run, tmp_path):
    program = tmp_path / "program.py"
    program.write_text("def top_level():\n    1 / 0\n\ntop_level()\n")

    def main():
        errors = (yield outcome(ReadWait(BadFile()))), (yield outcome(Exec(str(program))))
        return [names(error) for error in errors]

    assert run(main()).value == [["outcome", "fileno"], ["outcome", "<module>", "top_level"]]


def test_a_replaced_error_has_clean_tracebacks_all_along_its_chain(run):
    def replace():
        try:
            yield level_1(raises_after_a_wait)
        except ValueError as error:
            raise KeyError from error

    def main():
        tid = yield NewTask(replace())
        return (yield WaitTask(tid)).error

    error = run(main()).value
    assert names(error) == ["replace"]
    assert names(error.__cause__) == ["replace", *CHAIN, "raises_after_a_wait"]


def test_what_is_logged_of_a_dead_task_names_no_kernel_file(run, log):
    def main():
        yield NewTask(level_1(raises_after_a_wait), name="chain")
        yield Sleep(2)

    run(main())
    lines = re.findall(r'File "(.*)", line \d+, in (\w+)', log[0])
    assert lines == [(__file__, name) for name in [*CHAIN, "raises_after_a_wait"]]


@pytest.mark.parametrize("odd", ["frozen", "textless", "nameless"])
def test_an_error_that_cannot_be_changed_or_described_ends_its_task_alone(run, log, odd):
    class Textless(Exception):
        def __str__(self):
            raise ValueError("no text")

    class NamelessError(Exception, metaclass=Nameless):
        pass

    error = {"frozen": Frozen(1), "textless": Textless(), "nameless": type.__call__(NamelessError)}[odd]

    def main():
        tid = yield NewTask(fails(error), detached=True, name="odd")
        yield Sleep(1)
        return (yield outcome(WaitTask(tid)))

    assert run(main()).value is None
    assert len(log) == 1
    assert "task 2 (odd) died of an uncaught " in log[0]


# --- what is kept alive


class Thing:
    """Something to have a weak reference to."""


def keeps(thing, act):
    """Hold a thing in a local variable while `act` goes on."""
    yield GetTid()
    return (yield act())


def raise_and_catch():
    """As a subroutine: an error that passes some frames and is caught."""
    try:
        yield level_1(raises_after_a_subroutine)
    except ValueError:
        yield


def bad_and_catch():
    """As a subroutine: as `raise_and_catch`, with the kernel's own error."""
    with contextlib.suppress(BadTrap):
        yield Thing()


def raises_frozen():
    """As a subroutine: raise an exception that refuses every attribute."""
    yield
    raise Frozen(1)


@pytest.fixture
def no_gc():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize(
    "act",
    [
        lambda: yields(1),
        lambda: awaits(Sleep(1)),
        raise_and_catch,
        bad_and_catch,
        raises_at_once,
        raises_frozen,
        raises_after_a_wait,
        makes_an_error,
        makes_a_bad_trap,
        lambda: awaits(Exit(3)),
    ],
    ids=[
        "returns", "waits", "catches", "catches a bad trap", "raises", "raises frozen", "raises later",
        "makes an error", "makes a bad trap", "exits",
    ],
)  # fmt: skip
@pytest.mark.parametrize("called", [False, True], ids=["task", "subroutine"])
def test_nothing_of_a_frame_that_has_ended_is_kept_alive_by_a_cycle(run, no_gc, act, called):
    def caller(target):
        try:
            yield target
        except BaseException:
            yield

    def main():
        thing = Thing()
        dead = weakref.ref(thing)
        target = keeps(thing, act)
        del thing
        if called:
            yield caller(target)
            del target
            yield
        else:
            yield NewTask(target, detached=True)
            del target
            yield Sleep(10)
        return dead()

    assert run(main()).value is None


@pytest.mark.parametrize("signal", [TERM, KILL])
@pytest.mark.parametrize("act", [forever, lambda: awaits(Sleep(9)), lambda: by_yield_from(3)])
def test_nothing_of_a_task_that_was_killed_is_kept_alive_by_a_cycle(run, no_gc, signal, act):
    def child(thing):
        yield keeps(thing, act)
        yield Sleep(9)

    def main():
        thing = Thing()
        dead = weakref.ref(thing)
        tid = yield NewTask(child(thing))
        del thing
        yield Sleep(1)
        yield KillTask(tid, signal)
        status = yield WaitTask(tid)
        yield
        return status.signal, dead()

    assert run(main()).value == (signal, None)


def test_a_signal_held_back_keeps_nothing_alive_by_a_cycle(run, no_gc):
    refs = []

    def program(tid):
        thing = Thing()
        refs.append(weakref.ref(thing))
        yield WaitTask(tid)
        yield raise_and_catch_at_once()
        yield keeps(thing, forever)

    def main():
        status = yield holding_an_answer(program)
        yield
        return status.signal, refs[0]()

    assert run(main()).value == (TERM, None)


def raise_and_catch_at_once():
    """As a subroutine: an error that passes some frames and is caught, with no wait on its way."""
    try:
        yield level_1(raises_at_once)
    except ValueError:
        yield GetTid()


@pytest.mark.parametrize("wait", [lambda: Sleep(0), lambda: WaitTask(2)], ids=["failed", "deadlocked"])
def test_nothing_of_a_run_that_raised_is_kept_alive_by_a_cycle(no_gc, wait):
    refs = []

    def partner():
        yield WaitTask(1)

    def main():
        thing = Thing()
        refs.append(weakref.ref(thing))
        yield NewTask(partner())
        yield wait()
        raise LookupError

    with contextlib.suppress(LookupError, Deadlock):
        pyos.run(main(), clock=VirtualClock())
    assert refs[0]() is None
