"""The stack of generators: calls, answers, errors, wrong values, tracebacks, closing, and what is kept alive."""

import contextlib
import gc
import math
import subprocess
import sys
import textwrap
import traceback
import types

import pytest

from pyos import (
    KILL,
    TERM,
    BadTrap,
    Choose,
    GetTid,
    GetTime,
    KillTask,
    NewTask,
    Sleep,
    Tasks,
    WaitTask,
)
from pyos.kernel import closing
from tests.kernel.programs import (
    Frozen,
    awaits,
    by_await,
    by_yield_from,
    fails,
    holding_an_answer,
    killed,
    outcome,
    yields,
)

DEEP = 100_000


# --- calls and answers


@pytest.mark.parametrize("value", [7, None, 0, "", [], GetTid, ValueError("returned, not raised")])
def test_a_subroutine_answers_what_it_returns(run, value):
    def main():
        return [(yield yields(0, value)), (yield yields(2, value)), (yield awaits(Sleep(1), value))]

    assert run(main()).value == [value] * 3


def test_yield_from_answers_what_the_subroutine_returns(run):
    def main():
        return [(yield from yields(0, "none")), (yield from yields(2, "some"))]

    assert run(main()).value == ["none", "some"]


@pytest.mark.parametrize("make", [lambda: yields(0, 1), GetTid, lambda: Sleep(-1)])
def test_a_generator_or_trap_that_is_returned_is_a_value_and_not_carried_out(run, make):
    def main():
        value = make()
        return value, (yield yields(1, value)) is value

    value, same = run(main()).value
    assert same
    if type(value) is types.GeneratorType:
        value.close()


def test_a_subroutine_runs_in_its_callers_task(run):
    def sub():
        return (yield GetTid()), len((yield Tasks()))

    async def coroutine():
        return await GetTid(), len(await Tasks())

    def main():
        return (yield sub()), (yield coroutine()), (yield GetTid())

    assert run(main()).value == ((1, 1), (1, 1), 1)


def test_a_call_and_a_return_let_nobody_else_run(run):
    order = []

    def other():
        order.append("other")
        yield

    def main():
        yield NewTask(other())
        for _ in range(3):
            order.append((yield yields(0, "main")))
        yield yields(1)
        order.append("main")

    run(main())
    assert order == ["main", "main", "main", "other", "main"]


@pytest.mark.parametrize(
    "result",
    ["bare", "yield yields(1)", "yield from yields(1)", "yield awaits(yielder())", "yield Sleep(0)", "yield idle()"],
)
def test_a_bare_yield_answers_none_and_not_the_previous_result(run, result):
    @types.coroutine
    def yielder():
        seen.append((yield))

    def idle():
        yield GetTid()
        seen.append((yield))

    seen = []

    def main():
        seen.append((yield))
        seen.append(type((yield GetTid())))
        match result:
            case "bare":
                seen.append((yield))
            case "yield yields(1)":
                seen.append((yield yields(1)))
            case "yield from yields(1)":
                seen.append((yield from yields(1)))
            case "yield awaits(yielder())":
                seen.append((yield awaits(yielder())))
            case "yield Sleep(0)":
                seen.append((yield Sleep(0)))
            case "yield idle()":
                seen.append((yield idle()))
        seen.append((yield))

    run(main())
    assert seen.pop(1) is int
    assert len(seen) >= 3
    assert set(seen) == {None}


def test_a_bare_yield_after_a_spawn_an_error_or_a_wait_answers_none(run):
    def main():
        tid = yield NewTask(yields(0, "child"))
        seen = [(yield)]
        yield outcome(Sleep(-1))
        seen.append((yield))
        yield WaitTask(tid)
        seen.append((yield))
        return seen

    assert run(main()).value == [None, None, None]


def test_async_tasks_await_traps_subroutines_and_each_other(run):
    class Guard:
        async def __aenter__(self):
            return await GetTid()

        async def __aexit__(self, *exc):
            await Sleep(1)

    async def numbers():
        for n in range(3):
            await Sleep(1)
            yield n

    async def sub(n):
        return n + await GetTid()

    async def main():
        async with Guard() as tid:
            pass
        tids = [tid, await sub(10), await awaits(sub(0), 5)]
        seen = [n async for n in numbers()]
        status = await WaitTask(await NewTask(sub(0)))
        return tids, seen, status.value, await GetTime()

    assert run(main()).value == ([1, 11, 5], [0, 1, 2], 2, 4.0)


def test_generators_and_coroutines_call_each_other(run):
    @types.coroutine
    def call(target):
        return (yield target)

    async def outer(n):
        return await call(inner(n)) + ["outer"]

    def inner(n):
        return (yield outer(n - 1)) + ["inner"] if n else [(yield GetTid())]

    assert run(outer(3)).value == [1] + ["outer", "inner"] * 3 + ["outer"]


def test_one_trap_may_be_yielded_again_and_again_by_several_tasks(run):
    tid, nap, bad = GetTid(), Sleep(1), Sleep(-1)

    def child():
        seen = []
        for _ in range(3):
            seen += [(yield tid), (yield nap), type((yield outcome(bad)))]
        return seen

    def main():
        other = yield NewTask(child())
        return (yield child()), (yield WaitTask(other)).value, (yield GetTime())

    assert run(main()).value == ([1, None, ValueError] * 3, [2, None, ValueError] * 3, 3.0)


# --- depth


def deep(n, act):
    """Call itself n times, do `act` at the bottom, and count the levels on the way back."""
    return 1 + (yield deep(n - 1, act)) if n else (yield act())


def test_a_value_returns_through_a_hundred_thousand_levels(run):
    assert run(deep(DEEP, lambda: yields(1, 5))).value == DEEP + 5


def test_an_exception_passes_a_hundred_thousand_levels(run):
    def main():
        error = yield outcome(deep(DEEP, lambda: fails(ValueError("bottom"))))
        return str(error), len(list(traceback.walk_tb(error.__traceback__)))

    assert run(main()).value == ("bottom", DEEP + 3)


@pytest.mark.parametrize("signal", [TERM, KILL])
def test_a_task_is_killed_a_hundred_thousand_levels_deep(run, signal):
    closed = []

    def level(n):
        try:
            yield level(n - 1) if n else Sleep(math.inf)
        finally:
            closed.append(n)

    def main():
        tid = yield NewTask(level(DEEP))
        yield Sleep(1)
        yield KillTask(tid, signal)
        return (yield WaitTask(tid)).signal

    assert run(main()).value is signal
    assert closed == list(range(DEEP + 1))


@pytest.mark.parametrize("descend", [by_yield_from, by_await])
def test_yield_from_and_await_end_at_the_recursion_limit_in_that_task(run, descend):
    def child():
        error = yield outcome(descend(DEEP))
        return type(error), (yield descend(100))

    def main():
        fine = yield NewTask(child())
        dead = yield NewTask(descend(DEEP))
        return (yield WaitTask(fine)).value, type((yield WaitTask(dead)).error)

    assert run(main()).value == ((RecursionError, 2), RecursionError)


# --- exceptions


@pytest.mark.parametrize("error", [ValueError("x"), Frozen(3), KeyError("x"), RecursionError(), GeneratorExit()])
def test_a_caller_catches_what_its_subroutine_raises(run, error):
    def level(n):
        yield level(n - 1) if n else fails(error)

    async def coroutine():
        await awaits(Sleep(1))
        raise error

    def main():
        caught = []
        for target in (fails(error), level(3), coroutine(), awaits(coroutine())):
            try:
                yield target
            except BaseException as exc:
                caught.append(exc is error)
        return caught, (yield GetTid())

    assert run(main()).value == ([True] * 4, 1)


def test_an_exception_unwinds_each_caller_on_its_way_innermost_first(run):
    unwound = []

    def level(n):
        try:
            yield level(n - 1) if n else fails(ValueError())
        finally:
            unwound.append((n, (yield GetTid())))  # clean-up may yield

    def main():
        try:
            yield level(3)
        except ValueError:
            return "caught"

    assert run(main()).value == "caught"
    assert unwound == [(0, 1), (1, 1), (2, 1), (3, 1)]


def test_a_caller_may_replace_an_exception_or_answer_instead(run):
    def replace():
        try:
            yield fails(KeyError("first"))
        except KeyError as error:
            raise ValueError("second") from error

    def swallow():
        try:
            yield replace()
        except ValueError as error:
            yield Sleep(1)
            return str(error), str(error.__cause__)

    assert run(swallow()).value == ("second", "'first'")


def test_the_error_of_a_trap_can_be_caught_at_any_depth(run):
    def level(n):
        yield level(n - 1) if n else Sleep(-1)

    def main():
        with pytest.raises(ValueError, match="cannot sleep for -1 seconds"):
            yield level(5)
        with pytest.raises(ValueError, match="cannot sleep for -1 seconds"):
            yield from level(5)
        return (yield GetTid())

    assert run(main()).value == 1


def test_a_stop_iteration_raised_in_a_subroutine_is_a_runtime_error_at_its_caller(run):
    def main():
        error = yield outcome(fails(StopIteration("lost")))
        return type(error), type(error.__cause__)

    assert run(main()).value == (RuntimeError, StopIteration)


def test_an_error_raised_while_another_is_handled_has_it_as_context(run):
    def main():
        try:
            raise KeyError("handled")
        except KeyError as handled:
            try:
                yield fails(ValueError("new"))
            except ValueError as error:
                return error.__context__ is handled

    assert run(main()).value is True


def clean(what):
    """As a subroutine: do something, then say what exception is being handled, and whether a bare raise finds one."""
    if what == "catches an error":
        yield from outcome(Sleep(-1))
    elif what == "catches a subroutine's":
        yield from outcome(fails(ValueError()))
    elif what == "calls a subroutine":
        yield yields(0)
    elif what == "calls a coroutine":
        yield awaits(GetTid())
    elif what == "makes a trap":
        yield GetTid()
    elif what == "waits":
        yield Sleep(1)
    elif what == "catches a bad trap":
        yield from outcome("bad")
    return sys.exc_info()[1], own_error().__context__, (yield outcome(raises_bare()))


def own_error():
    """An error as it is when it has just been raised."""
    try:
        raise LookupError
    except LookupError as error:
        return error


def raises_bare():
    """As a subroutine: a `raise` with nothing to re-raise."""
    yield from ()
    raise  # noqa: PLE0704


@pytest.mark.parametrize(
    "what",
    [
        "starts", "calls a subroutine", "calls a coroutine", "makes a trap", "waits", "catches an error",
        "catches a subroutine's", "catches a bad trap",
    ],
)  # fmt: skip
@pytest.mark.parametrize("held_back", [False, True], ids=["", "with a signal held back"])
def test_no_task_inherits_an_exception_of_the_kernels(run, what, held_back):
    """A generator that is resumed in an `except` block has that exception as context, and a bare raise re-raises it."""

    def child(tid):
        if tid:
            yield WaitTask(tid)
        return (yield clean(what))

    def main():
        if not held_back:
            tid = yield NewTask(child(0))
            return (yield WaitTask(tid)).value
        return (yield holding_an_answer(child)).value

    status = run(main()).value
    if held_back and what == "waits":
        assert status is None  # the signal came
    else:
        handled, context, bare = status
        assert (handled, context) == (None, None)
        assert str(bare) == "No active exception to reraise"


# --- closing (killing is in test_lifecycle.py)


def test_frames_are_closed_innermost_first_through_every_kind_of_call(run, log):
    """The clean-up of each yields, which no finaliser of Python's could answer."""
    closed = []

    def by_yield():
        try:
            yield by_yield_from()
        finally:
            closed.append(("yield", (yield GetTid())))

    def by_yield_from():
        try:
            yield from over_an_iterator()
        finally:
            closed.append(("yield from", (yield GetTid())))

    def over_an_iterator():
        try:
            yield from [coroutine()]
        finally:
            closed.append(("iterator", (yield GetTid())))

    async def coroutine():
        try:
            await awaits(wait())
        finally:
            closed.append(("coroutine", await GetTid()))

    @types.coroutine
    def wait():
        try:
            yield Sleep(math.inf)
        finally:
            closed.append(("decorated generator", (yield GetTid())))

    assert run(killed(by_yield())).value.signal is KILL
    order = ["decorated generator", "coroutine", "iterator", "yield from", "yield"]
    assert closed == [(name, 2) for name in order]
    assert log == []


def test_frames_of_a_task_that_is_to_get_an_error_or_a_held_back_signal_are_closed_once(run, log):
    """KILL reaches it while a stand-in waits in its generator's place."""
    closed = []

    def victim(tid):
        try:
            yield from outcome(WaitTask(tid))
        finally:
            closed.append((yield GetTid()))

    def main():
        waiting = yield NewTask(victim(1))
        yield
        answers = [(yield KillTask(waiting)), (yield KillTask(waiting, KILL))]  # TERM waits to be raised

        def target():
            yield Sleep(1)
            for signal in (TERM, KILL):
                yield NewTask(kills(signal))

        def kills(signal):
            answers.append((yield KillTask(box[0], signal)))

        box = []
        tid = yield NewTask(target())
        box.append((yield NewTask(victim(tid))))
        answers.append((yield WaitTask(box[0])).signal)
        return answers

    assert run(main()).value == [True, True, True, True, KILL]
    assert len(closed) == 2
    assert log == []


def test_clean_up_may_swallow_the_close_and_return(run, log):
    closed = []

    def inner():
        try:
            yield Sleep(10)
        except GeneratorExit:
            closed.append((yield GetTid()))
            return "ignored"

    def outer():
        try:
            yield from inner()
            closed.append("went on")
        finally:
            closed.append("outer")

    assert run(killed(outer())).value.signal is KILL
    assert closed == [2, "outer"]
    assert log == []


def test_clean_up_may_call_subroutines_of_every_kind(run, log):
    seen = []

    def sub(n):
        seen.append((yield sub(n - 1)) if n else (yield from outcome(Sleep(-1))))
        return n

    async def coroutine():
        return await GetTid(), await Choose("ab")

    def child():
        try:
            yield Sleep(10)
        finally:
            seen.append((yield sub(2)))
            seen.append((yield coroutine()))
            seen.append((yield outcome(fails(KeyError("caught")))))

    run(killed(child()))
    assert [type(seen[0]), *seen[1:-1]] == [ValueError, 0, 1, 2, (2, "a")]
    assert type(seen[-1]) is KeyError
    assert log == []


def test_a_subroutine_of_clean_up_that_would_block_is_abandoned_with_its_caller(run, log, capfd):
    closed = []

    def slow():
        try:
            yield Sleep(1)
        finally:
            closed.append("slow")

    def child():
        try:
            yield Sleep(10)
        finally:
            yield slow()
            closed.append("child")

    run(killed(child()))
    gc.collect()
    assert closed == []
    assert len(log) == 1
    assert "child: its clean-up yielded Sleep(seconds=1), which cannot be answered at once" in log[0]
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("count", [closing.CLOSING_LIMIT - 1, closing.CLOSING_LIMIT])
def test_clean_up_is_bounded_by_the_closing_limit(run, log, count):
    done = []

    def child():
        try:
            yield Sleep(10)
        finally:
            for _ in range(count):
                yield GetTid()
            done.append(count)

    assert run(killed(child())).value.signal is KILL
    if count < closing.CLOSING_LIMIT:
        assert (done, log) == ([count], [])
    else:
        assert done == []
        assert len(log) == 1
        assert f"its clean-up yielded {count} times: the frame is abandoned" in log[0]


@pytest.mark.parametrize("spin", ["subroutines", "bad traps", "recursion"])
def test_clean_up_that_spins_in_any_way_is_abandoned(run, log, spin):
    def deeper():
        yield deeper()

    def child():
        try:
            yield Sleep(10)
        finally:
            while True:
                if spin == "subroutines":
                    yield yields(0)
                elif spin == "recursion":
                    yield deeper()
                else:
                    with contextlib.suppress(BadTrap):
                        yield "spin"

    assert run(killed(child())).value.signal is KILL
    assert len(log) == 1
    assert "the frame is abandoned" in log[0]


def test_abandoned_frames_are_silent_at_the_interpreters_exit(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(
            """
            from pyos import KILL, KillTask, NewTask, Sleep, WaitTask

            def inner():
                try:
                    yield Sleep(10)
                finally:
                    while True:
                        yield Sleep(1)
                        print("resumed")

            def outer():
                yield from inner()

            def main():
                tid = yield NewTask(outer())
                yield
                yield KillTask(tid, KILL)
                status = yield WaitTask(tid)
                print(status.signal.name)
            """
        )
    )
    done = subprocess.run(
        [sys.executable, "-m", "pyos", "boot", str(program)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "KILL\n")
    assert len(done.stderr.splitlines()) == 2  # one line for each frame
    assert "Exception ignored" not in done.stderr
