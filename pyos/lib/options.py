"""A program's arguments and complaints: argparse, with bad input ending the task in one clear line.

    OPTIONS = Options("follow", __doc__)
    OPTIONS.add_argument("log")

    def main(*argv: str) -> Program:
        options = OPTIONS.parse_args(argv)
        with OPTIONS.complaints():  # a file that cannot be read, malformed input: one line, and status 1
            ...

`--help` prints the program's docstring and its options. SystemExit in a task ends that task alone, as Exit does.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn


class BadInput(Exception):
    """What a program was given cannot be used; the message is one line and says where."""


class Options(argparse.ArgumentParser):
    """The grammar of a program's arguments. `text` is its docstring: what `--help` shows."""

    def __init__(self, prog: str, text: str | None) -> None:
        super().__init__(prog, description=text, formatter_class=argparse.RawDescriptionHelpFormatter)

    def error(self, message: str) -> NoReturn:
        """Bad arguments: one line on standard error, status 2."""
        self.complain(f"{message} (see {self.prog} --help)", 2)

    def complain(self, message: str, status: int = 1) -> NoReturn:
        """End the task with a status, after one line on standard error."""
        print(f"{self.prog}: {message}", file=sys.stderr, flush=True)
        raise SystemExit(status)

    @contextmanager
    def complaints(self) -> Iterator[None]:
        """Inside, BadInput and the system's errors end the task with status 1, after one line.

        A reader of standard output that has gone ends it quietly, with the status of SIGPIPE.
        """
        try:
            yield
        except BrokenPipeError:
            raise SystemExit(128 + signal.SIGPIPE) from None
        except BadInput as error:
            self.complain(str(error))
        except OSError as error:
            what = error.strerror or str(error)
            self.complain(f"{os.fsdecode(error.filename)}: {what}" if error.filename is not None else what)


# --- types of arguments


def pattern(text: str) -> re.Pattern[str]:
    """A regular expression."""
    try:
        return re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no regular expression: {error}") from None


def count(text: str) -> int:
    """An int ≥ 0."""
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"a whole number is needed, not {text!r}")
    return int(text)


def positive(text: str) -> int:
    """An int ≥ 1."""
    number = count(text)
    if number == 0:
        raise argparse.ArgumentTypeError("a number above 0 is needed")
    return number


def seconds(text: str) -> float:
    """A finite number of seconds ≥ 0."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"a number of seconds is needed, not {text!r}")
    return number
