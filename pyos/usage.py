"""Errors of the command line: whatever fails before the first step is one line, and exit code 2."""

from __future__ import annotations

import argparse
import signal
import threading
import traceback
from collections.abc import Callable
from types import FrameType
from typing import NoReturn, TypeVar

from pyos.errors import ProgramError
from pyos.kernel.loader import Loader, trace_in

T = TypeVar("T")


class UsageError(Exception):
    """Something failed before the first step; the message is one line, `details` go before it."""

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(" ".join(message.split()))
        self.details = details


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see {self.prog} --help)")


def loaded(loader: Loader, program: str, load: Callable[[str], T], doing: str = "boot") -> tuple[str, T]:
    """The program's path, and what `load(path)` answers; every way in which loading can fail is a UsageError."""
    try:
        path = loader.find(program)
    except OSError as error:
        raise UsageError(f"cannot {doing} {program}: {error.strerror}") from None
    interrupted = InterruptNoted()
    try:
        with interrupted:
            return path, load(path)
    except ProgramError as error:
        raise UsageError(str(error)) from None
    except BaseException as error:
        if interrupted.came and issubclass(type(error), KeyboardInterrupt):
            raise
        trace = trace_in(path, error)
        if trace is None:
            raise UsageError(unreadable(path, error, doing)) from None
        details = "".join(traceback.format_exception(type(error), error, trace))
        raise UsageError(f"cannot {doing} {path}: it raised {type(error).__name__} while loading", details) from None


class InterruptNoted:
    """While inside, SIGINT raises KeyboardInterrupt as it did, and `came` tells that from one the program raised."""

    def __init__(self) -> None:
        self.came = False
        self.installed = False

    def __enter__(self) -> None:
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self.on_interrupt)
            self.installed = True

    def __exit__(self, *exc: object) -> None:
        if self.installed and signal.getsignal(signal.SIGINT) == self.on_interrupt:  # the program may have its own
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def on_interrupt(self, number: int, frame: FrameType | None) -> None:
        self.came = True
        raise KeyboardInterrupt


def unreadable(path: str, error: BaseException, doing: str) -> str:
    """What to say of a file that did not get as far as running."""
    if isinstance(error, SyntaxError):
        where = f"{error.filename or path}:{error.lineno}" if error.lineno else path
        return f"{where}: syntax error: {error.msg}"
    return f"cannot {doing} {path}: {getattr(error, 'strerror', None) or error}"
