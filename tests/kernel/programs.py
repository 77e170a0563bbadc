"""Small programs that many tests run as tasks."""

from __future__ import annotations

import contextlib
import math
from typing import Any

from pyos import Program, Sleep, TaskKilled


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


def stubborn() -> Program:
    """Sleep for ever, whatever signal comes that can be caught."""
    while True:
        with contextlib.suppress(TaskKilled):
            yield Sleep(math.inf)
