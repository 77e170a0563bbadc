"""Closing a stack of generators: each frame once, innermost first, also through `yield from` and `await`.

A trap that clean-up code yields is carried out if it can be answered at once. A frame whose clean-up would have to
wait is abandoned: kept alive for ever, because its finaliser would only resume it again, and accounted for by the
caller.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable
from types import CoroutineType, GeneratorType
from typing import Any

from pyos.errors import BadTrap, TaskExit
from pyos.kernel.tracebacks import describe, innermost_frame, is_panic, strip
from pyos.kernel.trampoline import BLOCKED, delegate, frame_of, has_started, is_finished
from pyos.traps import Timeout

CLOSING_LIMIT = 1000  # traps one frame may have answered while it is being closed; more is a spin


AnswerNow = Callable[[Any], Any]
"""Carries out a trap that clean-up code yielded, and answers it; BLOCKED when it cannot be answered at once."""
Complain = Callable[[Any, str], None]
"""Reports an error in a frame's clean-up, or a frame that had to be abandoned."""


def close(stack: Iterable[Any], answer_now: AnswerNow, complain: Complain) -> None:
    """Close frames (outermost first, as `trampoline.units` tells them), innermost first, each once."""
    for gen in reversed(list(stack)):
        inner = delegate(gen)
        if inner is not None and not is_finished(inner):
            abandon([gen])  # closing it would resume the inner one, which has been abandoned
            what = name_of(inner).rpartition(".")[2]
            why: str | None = f"it waits for {what}: the frame is abandoned with it"
        else:
            why = _close_frame(gen, answer_now)
        if why is not None:
            complain(gen, why)


def _close_frame(gen: Any, answer_now: AnswerNow) -> str | None:
    """Close one frame; returns what went wrong, for the log. The frames its clean-up calls are closed with it."""
    if type(gen) in (GeneratorType, CoroutineType) and not has_started(gen):
        gen.close()
        return None
    stack = [gen]
    answer: Any = None
    error: BaseException | None = GeneratorExit()
    for _ in range(CLOSING_LIMIT):
        try:
            yielded = stack[-1].send(answer) if error is None else stack[-1].throw(error)
        except StopIteration as stop:
            stack.pop()
            answer, error = stop.value, None
        except BaseException as exc:
            stack.pop()
            answer, error = None, exc
            strip(exc)
        else:
            answer, error = _answer_closing(yielded, stack, answer_now)
            if answer is BLOCKED:
                abandon(stack)
                what = describe(yielded)
                return f"its clean-up yielded {what}, which cannot be answered at once: the frame is abandoned"
        if not stack:
            why = None if error is None else _last_words(error)
            error = None  # from 3.12 on the frames in its traceback refer to this one
            return why
    abandon(stack)
    return f"its clean-up yielded {CLOSING_LIMIT} times: the frame is abandoned"


def _answer_closing(yielded: Any, stack: list[Any], answer_now: AnswerNow) -> tuple[Any, BaseException | None]:
    """Deal with what clean-up code yielded: push a subroutine, or have a trap answered."""
    while type(yielded) is Timeout:  # nothing takes any time here
        yielded = yielded.target
    if type(yielded) in (GeneratorType, CoroutineType):
        if not has_started(yielded):
            stack.append(yielded)
            return None, None
        return None, BadTrap(f"{yielded.__name__} has started already")
    try:
        return answer_now(yielded), None
    except BaseException as exc:  # TaskExit among them
        if is_panic(exc):
            raise
        strip(exc)
        return None, exc


def name_of(gen: Any) -> str:
    """What a frame is called, in the log."""
    if type(gen) in (GeneratorType, CoroutineType):
        return str(gen.__qualname__)
    frame = frame_of(gen)
    return "an async generator" if frame is None else frame.f_code.co_qualname


def _last_words(error: BaseException) -> str | None:
    if issubclass(type(error), (GeneratorExit, TaskExit)):
        return None
    trace = innermost_frame(error)
    where = f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
    return f"its clean-up raised {describe(error)}{where}"


def abandon(stack: list[Any]) -> None:
    """Keep suspended frames alive for ever: their finalisers would resume them, and complain when they yield again.

    A reference held from Python would be dropped at exit, so it is leaked on purpose (the log has named the frame).
    """
    for gen in stack:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(gen))
