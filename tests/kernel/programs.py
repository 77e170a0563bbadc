"""Small programs that many tests run as tasks."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable
from typing import Any

from pyos import KILL, GetTid, KillTask, NewTask, Program, Signal, Sleep, TaskKilled, WaitTask


def yields(n: int = 1, value: Any = None) -> Program:
    """Yield n times, return a value."""
    for _ in range(n):
        yield
    return value


def forever() -> Program:
    """Sleep until killed."""
    yield Sleep(math.inf)


def fails(error: BaseException) -> Program:
    """Raise, at the first step."""
    raise error
    yield


def sleeps(seconds: float, value: Any = None) -> Program:
    """Sleep, then return a value."""
    yield Sleep(seconds)
    return value


def outcome(target: Any) -> Program:
    """As a subroutine: what `yield target` raises, or what it answers."""
    try:
        return (yield target)
    except Exception as error:
        return error


async def awaits(target: Any, value: Any = None) -> Any:
    """As a coroutine: await a trap or coroutine, return a value."""
    await target
    return value


def by_yield_from(n: int) -> Program:
    """Go n levels deep by `yield from`; answers the tid."""
    return (yield from by_yield_from(n - 1)) if n else (yield GetTid())


async def by_await(n: int) -> Any:
    """As `by_yield_from`, by `await`."""
    return await (by_await(n - 1) if n else GetTid())


def killed(target: Any, signal: Signal = KILL) -> Program:
    """As init: start a task, let it take its first step, and send it a signal; answers its status."""
    tid = yield NewTask(target, name="victim")
    yield
    yield KillTask(tid, signal)
    return (yield WaitTask(tid))


def holding_an_answer(program: Callable[[int], Program]) -> Program:
    """As a subroutine: run `program(tid)`, which is to wait for task tid, and send it TERM when it holds the answer."""
    box = {}

    def killer() -> Program:
        yield KillTask(box["waiter"], reason="held back", grace=math.inf)

    def target() -> Program:
        yield Sleep(1)
        yield NewTask(killer())  # is ahead of the waiter in the run queue
        return "answer"

    tid = yield NewTask(target())
    box["waiter"] = yield NewTask(program(tid))
    return (yield WaitTask(box["waiter"]))


@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    """Refuses every attribute, `__traceback__` among them."""

    code: int


class Nameless(type):
    """A metaclass whose classes cannot be asked anything (so pytest must not see one in a module)."""

    def __getattribute__(cls, name: str) -> Any:
        raise ValueError("no attributes")

    def __repr__(cls) -> str:
        raise ValueError("no repr")


def stubborn() -> Program:
    """Sleep for ever, whatever signal comes that can be caught."""
    while True:
        with contextlib.suppress(TaskKilled):
            yield Sleep(math.inf)
