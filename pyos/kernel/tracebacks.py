"""Errors and objects of a task's, looked at safely: their classes are the user's, and so is what those do when asked.

A traceback that a task sees has userland's frames only: the kernel's own, and its observers', are cut off here.
"""

from __future__ import annotations

from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any

from pyos.errors import KernelPanic

OWN_FRAMES = ("pyos.kernel.", "pyos.observe.", "pyos.check.", "pyos.host")  # modules whose frames no task sees


def is_panic(error: BaseException) -> bool:
    """True for a KernelPanic raised by the kernel itself. A task that raises one has failed like any other."""
    if not issubclass(type(error), KernelPanic):
        return False
    raised_in = innermost_frame(error)
    return raised_in is not None and in_kernel(raised_in.tb_frame)


def strip(error: BaseException) -> None:
    """Cut the kernel's own frames, and its observers', off the front of a traceback.

    From 3.12 on the task's frames still refer to them, by f_back; those that are over let go of the task and the error.
    """
    trace = running = traceback_of(error)
    while trace is not None and in_kernel(trace.tb_frame):
        if trace is not running:
            with suppress(RuntimeError):  # it runs on
                trace.tb_frame.clear()
        trace = trace.tb_next
    set_traceback(error, trace)


_SLOT: Any = vars(BaseException)["__traceback__"]


def traceback_of(error: BaseException) -> TracebackType | None:
    """An exception's traceback, whatever its class makes of attributes."""
    trace: TracebackType | None = _SLOT.__get__(error)
    return trace


def innermost_frame(error: BaseException) -> TracebackType | None:
    """Where an exception was raised."""
    trace = traceback_of(error)
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace


def set_traceback(error: BaseException, trace: TracebackType | None) -> None:
    """Also where the exception's class refuses to have attributes set, as a frozen dataclass does."""
    _SLOT.__set__(error, trace)


def in_kernel(frame: FrameType) -> bool:
    """True for a frame of the kernel's own code, or of its observers'."""
    name = frame.f_globals.get("__name__")
    return type(name) is str and name.startswith(OWN_FRAMES)


def strip_end(error: BaseException) -> None:
    """Cut the kernel's frames off the end of a traceback: those of the signal handler that raised the error."""
    trace = traceback_of(error)
    while trace is not None:
        if trace.tb_next is not None and in_kernel(trace.tb_next.tb_frame):
            trace.tb_next = None
        trace = trace.tb_next


def class_name(kind: type) -> str:
    """The name of a class; it is the user's, and its metaclass may lie."""
    name: str = type.__dict__["__name__"].__get__(kind)
    return name


def describe(value: Any) -> str:
    """A short repr that cannot fail: the object is the user's."""
    try:
        text = str.__str__(repr(value))  # it may be of a subclass
    except BaseException as error:
        return f"a {class_name(type(value))} (its repr raised {class_name(type(error))})"
    return text if len(text) <= 60 else text[:57] + "..."
