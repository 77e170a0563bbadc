"""Errors of the command line: whatever fails before the first step is one line, and exit code 2."""

from __future__ import annotations

import argparse
import traceback
from collections.abc import Callable
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
    try:
        return path, load(path)
    except ProgramError as error:
        raise UsageError(str(error)) from None
    except (Exception, SystemExit) as error:
        trace = trace_in(path, error)
        if trace is None:
            raise UsageError(unreadable(path, error, doing)) from None
        details = "".join(traceback.format_exception(type(error), error, trace))
        raise UsageError(f"cannot {doing} {path}: it raised {type(error).__name__} while loading", details) from None


def unreadable(path: str, error: BaseException, doing: str) -> str:
    """What to say of a file that did not get as far as running."""
    if isinstance(error, SyntaxError):
        where = f"{error.filename or path}:{error.lineno}" if error.lineno else path
        return f"{where}: syntax error: {error.msg}"
    return f"cannot {doing} {path}: {getattr(error, 'strerror', None) or error}"
