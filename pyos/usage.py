"""Errors of the command line: whatever fails before the first step is one line, and exit code 2."""

from __future__ import annotations

import argparse
import traceback
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from pyos.errors import ProgramError

T = TypeVar("T")


class UsageError(Exception):
    """Something failed before the first step; the message is one line, `details` go before it."""

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message)
        self.details = details


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see {self.prog} --help)")


def loaded(program: str, load: Callable[[], T], doing: str = "boot") -> T:
    """What `load()` answers; every way in which loading a program can fail is a UsageError."""
    try:
        return load()
    except ProgramError as error:
        raise UsageError(str(error)) from None
    except SyntaxError as error:
        raise UsageError(f"{error.filename or program}:{error.lineno}: syntax error: {error.msg}") from None
    except (OSError, UnicodeDecodeError) as error:
        if loading_frames(error, program):
            raise failed_while_loading(error, program, doing) from None
        raise UsageError(f"cannot {doing} {program}: {getattr(error, 'strerror', None) or error}") from None
    except (Exception, SystemExit) as error:
        raise failed_while_loading(error, program, doing) from None


def loading_frames(error: BaseException, program: str) -> Any:
    """The part of a traceback that starts in the program."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_globals.get("__name__", "").startswith(("pyos.", "tokenize")):
        trace = trace.tb_next
    return trace if trace is not None and trace.tb_frame.f_globals.get("__file__") == program else None


def failed_while_loading(error: BaseException, program: str, doing: str) -> UsageError:
    """An exception at the program's top level: its own traceback, then the line."""
    trace = loading_frames(error, program)
    details = "".join(traceback.format_exception(type(error), error, trace))
    return UsageError(f"cannot {doing} {program}: it raised {type(error).__name__} while loading", details)
