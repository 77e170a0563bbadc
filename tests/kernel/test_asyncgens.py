"""Async generators in tasks: seen, closed with their task, and closed when they are left; Python never complains."""

import asyncio
import contextlib
import gc
import math
import subprocess
import sys
import threading

import pytest

import pyos
from pyos import (
    INT,
    KILL,
    TERM,
    Cell,
    GetTid,
    KillTask,
    NewTask,
    Send,
    Sleep,
    Tasks,
    TaskTimeout,
    Timeout,
    WaitTask,
)
from pyos.check import check
from pyos.kernel.clock import VirtualClock
from pyos.lib import TaskGroup
from tests.conftest import drive
from tests.kernel.programs import yields
from tests.system import environment


@pytest.fixture(autouse=True)
def python_does_not_complain(monkeypatch):
    """Nothing is said of an exception that Python has had to ignore."""
    said = []
    monkeypatch.setattr(sys, "unraisablehook", said.append)
    yield
    gc.collect()
    assert said == []


class Book(list):
    """What happened, in order; `items` is an async generator whose clean-up awaits."""

    async def items(self, name="items", last=math.inf, pause=1.0):
        try:
            n = 0
            while n < last:
                await Sleep(pause)
                n += 1
                yield n
        finally:
            self.append(f"{name} {await GetTid()}")
            await GetTid()
            await Sleep(0.5)
            self.append(f"{name} closed")

    async def leaves(self, name="items"):
        async for _ in self.items(name):
            break
        self.append("left")

    async def loops(self, name="items", pause=1.0, body=0.0):
        try:
            async for _ in self.items(name, pause=pause):
                await Sleep(body)
        finally:
            self.append("loop")


@pytest.fixture
def book():
    return Book()


def sent(target, signal, after=0.5, **options):
    """Start a task, send it a signal, and let it and all it has left end."""
    tid = yield NewTask(target)
    yield Sleep(after)
    yield KillTask(tid, signal, **options)
    status = yield WaitTask(tid)
    yield Sleep(5)
    return status


# --- in the middle of an item


def test_a_stack_shows_the_line_of_an_async_generator_and_what_it_waits_for(run):
    async def inner():
        await Sleep(math.inf)

    async def others():
        await inner()
        yield 1

    async def items():
        async for item in others():
            yield item

    async def loops():
        async for _ in items():
            pass

    def main():
        tid = yield NewTask(loops())
        yield
        stack = next(info.stack for info in (yield Tasks()) if info.tid == tid)
        return [line.rpartition(".")[2] for line in stack]

    assert run(main()).value == ["loops", "items", "others", "inner"]


def test_anext_with_a_default_is_seen_through(run, book):
    async def waits():
        return await anext(book.items(pause=9), None)

    def main():
        tid = yield NewTask(waits())
        yield
        return [line.split()[1] for info in (yield Tasks()) if info.tid == tid for line in info.stack][-1]

    assert run(main()).value == "Book.items"


def test_term_runs_its_clean_up_with_awaits(run, book, log):
    assert run(sent(book.loops(pause=9), TERM)).value.signal is TERM
    assert book == ["items 2", "items closed", "loop"]
    assert log == []


def test_a_timeout_runs_its_clean_up_with_awaits(run, book, log):
    def main():
        with pytest.raises(TaskTimeout):
            yield Timeout(0.5, book.loops(pause=9))

    assert run(main()).ok
    assert book == ["items 1", "items closed", "loop"]
    assert log == []


def test_kill_closes_it_innermost_first_and_says_what_it_cannot_finish(run, book, log):
    assert run(sent(book.loops(pause=9), KILL)).value.signal is KILL
    assert book == ["items 2"]
    assert [line.partition(":")[0].rpartition(" ")[2] for line in log] == ["Book.items", "Book.loops"]
    assert "cannot be answered at once" in log[0]


def test_kill_closes_every_frame_of_nested_ones_once_innermost_first(run, log):
    closed = []

    async def inner():
        try:
            await Sleep(math.inf)
        finally:
            closed.append(("inner", await GetTid()))

    async def others():
        try:
            await inner()
            yield 1
        finally:
            closed.append(("others", await GetTid()))

    async def items():
        try:
            async for item in others():
                yield item
        finally:
            closed.append(("items", await GetTid()))

    async def loops():
        try:
            async for _ in items():
                pass
        finally:
            closed.append(("loops", await GetTid()))

    assert run(sent(loops(), KILL)).value.signal is KILL
    assert closed == [(name, 2) for name in ("inner", "others", "items", "loops")]
    assert log == []


def test_one_that_catches_a_kill_and_gives_an_item_is_closed_after_all(run, log):
    closed = []

    async def items():
        try:
            try:
                await Sleep(math.inf)
            except GeneratorExit:
                closed.append("caught")
            yield 1
        finally:
            closed.append(await GetTid())

    async def loops():
        async for _ in items():
            closed.append("never")

    assert run(sent(loops(), KILL)).value.signal is KILL
    assert closed == ["caught", 2]
    assert log == []


def test_a_coroutine_that_an_await_method_hands_on_is_closed_with_its_task(run, log):
    closed = []

    class Handing:
        def __await__(self):
            return inner().__await__()

    async def inner():
        try:
            await Sleep(math.inf)
        finally:
            closed.append(await GetTid())

    async def outer():
        await Handing()

    assert run(sent(outer(), KILL)).value.signal is KILL
    assert closed == [2]
    assert log == []


def test_one_that_is_in_the_middle_of_aclose_is_killed(run, book, log):
    async def closes():
        items = book.items()
        await anext(items)
        await items.aclose()

    assert run(sent(closes(), KILL, after=1.2)).value.signal is KILL
    assert book == ["items 2"]
    assert log == []


# --- between two items


def test_one_that_a_break_leaves_is_closed_by_a_task_of_its_own(run, book, log):
    def main():
        yield WaitTask((yield NewTask(book.leaves())))
        yield Sleep(0.2)
        names = [info.name for info in (yield Tasks())]
        yield Sleep(2)
        return names

    assert run(main()).value == ["main", "aclose Book.items"]
    assert book == ["left", "items 3", "items closed"]
    assert log == []


def test_the_system_does_not_end_before_what_was_left_is_closed(run, book, log):
    assert run(book.leaves()).ok
    assert book == ["left", "items 2", "items closed"]
    assert log == []


def test_an_error_in_the_body_of_the_loop_leaves_it_and_it_is_closed(run, book, log):
    async def fails():
        async for _ in book.items():
            raise ValueError

    def main():
        status = yield WaitTask((yield NewTask(fails())))
        yield Sleep(2)
        return type(status.error)

    assert run(main()).value is ValueError
    assert book == ["items 3", "items closed"]
    assert log == []


def test_term_in_the_body_of_the_loop_leaves_it_and_it_is_closed(run, book, log):
    assert run(sent(book.loops(body=9), TERM, after=2)).value.signal is TERM
    assert book == ["loop", "items 3", "items closed"]
    assert log == []


def test_kill_in_the_body_of_the_loop_closes_it_as_the_killed_task(run, book, log):
    assert run(sent(book.loops(body=9), KILL, after=2)).value.signal is KILL
    assert book == ["loop", "items 2"]
    (line,) = log
    assert line.startswith("killing task 2 (loops), in Book.items: its clean-up yielded Sleep(seconds=0.5)")


def test_an_error_of_its_clean_up_is_logged(run, log):
    async def items():
        try:
            yield 1
        finally:
            await Sleep(1)
            raise ValueError("unclean")

    async def leaves():
        async for _ in items():
            return

    assert run(leaves()).ok
    (line,) = log
    assert "(aclose test_an_error_of_its_clean_up_is_logged.<locals>.items) died of an uncaught ValueError" in line
    assert "pyos/kernel" not in line


@pytest.mark.parametrize("signal", [TERM, INT, KILL])
def test_a_signal_for_the_task_that_closes_one_does_not_lose_the_clean_up(run, log, signal):
    closed = []

    async def items():
        try:
            yield 1
        finally:
            await GetTid()
            closed.append("closed")

    async def leaves():
        async for _ in items():
            break

    def main():
        leaver = yield NewTask(leaves())
        yield NewTask(kills(leaver + 2))
        yield Sleep(1)

    def kills(tid):
        while not (yield KillTask(tid, signal)):  # as soon as it is there, before it has run
            yield

    assert run(main()).ok
    assert closed == ["closed"]
    assert log == []


def test_a_full_table_is_no_reason_not_to_close_one(run, book, log):
    def main():
        yield NewTask(book.leaves())
        yield Sleep(9)

    assert run(main(), limits=pyos.Limits(max_tasks=2)).ok
    assert book == ["left", "items 3", "items closed"]


def test_one_that_is_left_during_shutdown_is_closed(run, book, log):
    def main():
        yield NewTask(book.loops(body=99))
        yield Sleep(2)

    assert run(main()).ok
    assert book == ["loop", "items 3", "items closed"]
    assert log == []


def test_one_whose_clean_up_does_not_end_is_killed_at_shutdown_and_named(run, log):
    async def items():
        try:
            yield 1
        finally:
            await Sleep(math.inf)

    async def leaves():
        async for _ in items():
            break

    assert run(leaves()).ok
    (line,) = log
    assert "(aclose " in line
    assert "did not end within 5 s of shutdown: KILL" in line


def test_one_that_has_ended_or_never_begun_costs_no_task(run, book):
    async def main():
        async for _ in book.items(last=2):
            pass
        book.items()
        return [info.name for info in await Tasks()]

    assert run(main()).value == ["main"]


def test_one_that_only_the_collector_finds_is_closed(run, book, log):
    async def leaves():
        items = book.items()
        await anext(items)
        cycle = [items]
        cycle.append(cycle)

    def main():
        gc.disable()
        try:
            yield WaitTask((yield NewTask(leaves())))
            yield Sleep(1)
            assert book == []
            thread = threading.Thread(target=gc.collect)
            thread.start()
            thread.join()
        finally:
            gc.enable()
        yield Sleep(2)

    assert run(main()).ok
    assert book == ["items 3", "items closed"]
    assert log == []


def test_one_that_is_dropped_after_the_system_has_ended_is_closed_as_far_as_that_goes(make_kernel, book, log):
    kept = []

    async def main():
        kept.append(book.items())
        await anext(kept[0])

    with make_kernel() as kernel:
        kernel.spawn(main())
        kernel.run()
    assert book == []
    kept.clear()
    (line,) = log
    assert line.startswith("closing the async generator Book.items, which nobody has closed: its clean-up yielded GetT")


def test_what_close_finds_left_is_closed(make_kernel, log):
    closed = []

    async def items():
        try:
            yield 1
        finally:
            closed.append(1)

    async def leaves():
        async for _ in items():
            break
        await Sleep(math.inf)

    kernel = make_kernel()
    kernel.spawn(leaves())
    kernel.step()
    kernel.close()
    assert closed == [1]
    assert log == []


def test_the_hooks_of_the_thread_are_as_before(run):
    before = sys.get_asyncgen_hooks()
    assert run(yields(1)).ok
    assert sys.get_asyncgen_hooks() == before


def test_under_asyncio_each_has_its_own(book):
    async def theirs():
        yield 1

    async def main():
        async for _ in theirs():
            pyos.run(book.leaves(), clock=VirtualClock())
            break

    asyncio.run(main())
    assert book == ["left", "items 2", "items closed"]


def test_the_checker_runs_a_program_that_leaves_one():
    cell = Cell(0)

    async def items():
        try:
            yield 1
        finally:
            await cell.store(await cell.load() + 1)

    async def leaves():
        async for _ in items():
            break

    def main():
        yield NewTask(leaves())
        yield NewTask(leaves())

    report = check(main, strategy="dpor", budget=2000)
    assert report.complete, report
    assert report.failures == [], report


def test_a_task_that_leaves_one_makes_no_cyclic_garbage(make_kernel, book):
    def main():
        for _ in range(100):
            yield WaitTask((yield NewTask(book.leaves())))
        yield Sleep(9)

    kernel = make_kernel()
    kernel.spawn(main())
    gc.collect()
    gc.disable()
    try:
        kernel.run()
        found = gc.collect()
    finally:
        gc.enable()
    assert found < 100


def test_at_the_exit_of_the_process_one_line_says_what_was_not_closed():
    program = """
import pyos
from pyos import Sleep
async def items():
    try:
        yield 1
    finally:
        await Sleep(1)
async def main():
    global kept
    kept = items()
    await anext(kept)
pyos.run(main())
"""
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=True)
    (line,) = done.stderr.splitlines()
    assert line.startswith("pyos: closing the async generator items, which nobody has closed")


# --- clean-up that leaves others


class Leaving(list):
    """`items` is an async generator whose clean-up leaves another one, up to `most` times."""

    def __init__(self, most=20_000, pause=0.0):
        self.most = most
        self.pause = pause

    async def items(self):
        try:
            yield 1
        finally:
            self.append(1)
            if self.pause:
                await Sleep(self.pause)
            if len(self) < self.most:
                async for _ in self.items():
                    break

    async def loops(self):
        async for _ in self.items():
            await Sleep(math.inf)


def test_a_kill_whose_clean_up_leaves_others_without_end_holds_nobody_up(run, log):
    leaving = Leaving()

    def main():
        tid = yield NewTask(leaving.loops())
        yield
        yield KillTask(tid, KILL)
        seen = len(leaving)
        leaving.most = 0
        return seen

    assert run(main()).value <= 1000
    assert log == []


def test_what_the_clean_up_of_a_killed_tasks_generator_lets_go_of_is_closed_with_it(run, log):
    closed = []

    async def nested(depth):
        inner = nested(depth - 1) if depth else None
        if inner is not None:
            await anext(inner)
        try:
            yield depth
        finally:
            closed.append((depth, await GetTid()))

    async def loops():
        async for _ in nested(50):
            await Sleep(math.inf)

    assert run(sent(loops(), KILL)).value.signal is KILL
    assert closed == [(depth, 2) for depth in range(50, -1, -1)]
    assert log == []


@pytest.mark.parametrize("by", [anext, lambda items: anext(items, None)])
def test_what_one_in_the_middle_of_an_item_refers_to_is_closed_with_the_killed_task(run, log, by):
    closed = []

    async def inner():
        try:
            yield 1
        finally:
            closed.append(("inner", await GetTid()))

    async def outer():
        async for _ in inner():
            try:
                await Sleep(math.inf)
            finally:
                closed.append(("outer", await GetTid()))
        yield 1

    async def waits():
        await by(outer())

    assert run(sent(waits(), KILL)).value.signal is KILL
    assert closed == [("outer", 2), ("inner", 2)]
    assert log == []


def test_what_close_finds_left_and_leaves_others_without_end_is_abandoned_with_one_line(make_kernel, log):
    leaving = Leaving()

    async def leaves():
        async for _ in leaving.items():
            break
        await Sleep(math.inf)

    kernel = make_kernel()
    kernel.spawn(leaves())
    kernel.step()
    kernel.close()
    assert len(leaving) <= 1001
    (line,) = log
    assert "without end: 1 are abandoned" in line
    assert "Leaving.items" in line


def test_one_that_is_dropped_after_the_end_and_leaves_others_without_end_is_abandoned(make_kernel, log):
    leaving = Leaving()
    kept = []

    async def main():
        kept.append(leaving.items())
        await anext(kept[0])

    with make_kernel() as kernel:
        kernel.spawn(main())
        kernel.run()
    kept.clear()
    assert 1 < len(leaving) <= 1001
    assert len(log) == 1


# --- shutdown


def test_shutdown_ends_though_each_clean_up_leaves_another_one(run, log):
    leaving = Leaving(pause=0.05)

    async def main():
        async for _ in leaving.items():
            break

    assert run(main()).ok
    assert len(leaving) < 200
    assert "did not end within 5 s of shutdown: KILL" in log[0]


@pytest.mark.parametrize("way", ["run", "step"])
def test_shutdown_ends_though_each_clean_up_leaves_another_one_and_never_waits(make_kernel, log, way):
    clock = VirtualClock()
    kernel = make_kernel(clock=clock)

    class Late(Leaving):
        def append(self, one):
            super().append(one)
            clock.time += 0.05

    async def main():
        async for _ in leaving.items():
            break

    leaving = Late()
    kernel.spawn(main())
    if way == "run":
        assert kernel.run().ok
    else:
        drive(kernel)
    assert len(leaving) < 2000


def test_one_that_is_dropped_with_the_last_kill_of_shutdown_is_closed_at_once(run, log):
    async def items():
        try:
            yield 1
        finally:
            await Sleep(math.inf)

    def stubborn():
        while True:
            with contextlib.suppress(BaseException):
                yield Sleep(100)

    async def sends(tid):
        one = items()
        await anext(one)
        await Send(tid, one)

    def main():
        yield sends((yield NewTask(stubborn())))
        yield

    assert run(main()).ok
    assert "KILL" in log[0]
    assert "which nobody has closed: its clean-up yielded Sleep(seconds=inf)" in log[-1]


# --- whose they are


def test_one_that_is_collected_while_another_task_is_killed_is_not_closed_as_that_tasks(run, book, log):
    async def innocent():
        items = book.items()
        await anext(items)
        cycle = [items]
        cycle.append(cycle)

    def victim():
        try:
            yield Sleep(math.inf)
        finally:
            gc.collect()

    def main():
        gc.disable()
        try:
            yield WaitTask((yield NewTask(innocent())))
            tid = yield NewTask(victim())
            yield
            yield KillTask(tid, KILL)
            assert book == []
        finally:
            gc.enable()
        yield Sleep(2)

    assert run(main()).ok
    assert book == ["items 4", "items closed"]
    assert log == []


def test_one_dropped_before_a_kill_and_not_yet_adopted_is_not_closed_with_the_victim(run, book, log):
    def main():
        tid = yield NewTask(book.loops("killed", body=math.inf))
        yield NewTask(book.leaves("left"))
        yield Sleep(0.99)
        yield Sleep(0.01)
        while "left" not in book:
            yield
        yield KillTask(tid, KILL)
        yield Sleep(2)

    assert run(main()).ok
    assert "killed 2" in book
    assert "left closed" in book


def test_one_that_is_dropped_while_something_else_is_posted_is_closed(make_kernel, log):
    closed = []

    async def items():
        try:
            yield 1
        finally:
            await GetTid()
            closed.append(1)

    async def main():
        kernel.post(lambda: closed.append("posted"))
        async for _ in items():
            break
        await Sleep(1)
        return list(closed)

    kernel = make_kernel()
    kernel.spawn(main())
    assert kernel.run().value == ["posted", 1]


def test_a_task_group_in_one_that_is_left_does_not_fail_who_left_it(run, log):
    async def child():
        await Sleep(math.inf)

    async def items():
        async with TaskGroup() as group:
            await group.start(child())
            yield 1

    async def main():
        async for _ in items():
            break
        await Sleep(1)
        return [info.name for info in await Tasks() if info.state != "zombie"]

    assert run(main()).value == ["main"]
    assert log == []
