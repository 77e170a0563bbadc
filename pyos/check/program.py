"""A program file as a program to check: compiled once, its top level run afresh for each schedule.

Its `main(*argv)` is a generator or async function, or one that returns a list of generators (or a list and an outcome
function). What it imports is loaded once, as in any process: state kept in an imported module goes from run to run.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from pyos.kernel.loader import Loader, check_arguments


class ProgramFile:
    """Calling it runs the top level and `main`. Errors of loading are raised when it is made, as the loader does."""

    def __init__(self, path: str, argv: Sequence[str], log: Callable[[str], None]) -> None:
        self.loader = Loader(log, os.path.dirname(os.path.abspath(path)))
        self.path = self.loader.find(path)
        self.argv = tuple(argv)
        self.code = self.loader.compile(self.path)
        with open(self.path, "rb") as file:
            self.source = file.read()
        check_arguments(self.loader.main_of(self.path, self.code), self.path, self.argv)
        self.__name__ = os.path.splitext(os.path.basename(self.path))[0]

    def __call__(self) -> Any:
        return self.loader.main_of(self.path, self.code)(*self.argv)
