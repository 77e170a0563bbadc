"""A program file as a program to check: compiled once, its top level run afresh for each schedule.

Its `main(*argv)` is a generator or async function, or one that returns a list of generators (or a list and an outcome
function). What it imports is loaded once, as in any process: state kept in an imported module goes from run to run.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Sequence
from types import CoroutineType, GeneratorType
from typing import Any

from pyos.check.harness import unpacked
from pyos.check.report import in_short
from pyos.errors import ProgramError
from pyos.kernel.lifecycle import not_a_target
from pyos.kernel.loader import Loader, check_arguments, trace_in
from pyos.kernel.trampoline import has_started


class ProgramFile:
    """Calling it runs the top level and `main`. Errors of loading are raised when it is made, as the loader does."""

    def __init__(self, path: str, argv: Sequence[str], log: Callable[[str], None]) -> None:
        self.loader = Loader(log, os.path.dirname(os.path.abspath(path)))
        self.path = self.loader.find(path)
        self.argv = tuple(argv)
        self.code = self.loader.compile(self.path)
        with open(self.path, "rb") as file:
            self.source = file.read()
        main = self.loader.main_of(self.path, self.code)
        if not callable(main):
            raise ProgramError(f"main in {self.path} is no function", path=self.path)
        check_arguments(main, self.path, self.argv)
        self._try(main)
        self.__name__ = os.path.splitext(os.path.basename(self.path))[0]

    def _try(self, main: Any) -> None:
        """Call it once, so that what is wrong with it is said before the check."""
        made = main(*self.argv)
        try:
            targets = [made] if type(made) in (GeneratorType, CoroutineType) else unpacked(made)[0]
        except TypeError as error:
            raise ProgramError(f"{self.path}: {error}", path=self.path) from None
        for target in targets:
            if type(target) not in (GeneratorType, CoroutineType):
                raise ProgramError(f"{self.path}: {not_a_target(target)}", path=self.path)
            if has_started(target):
                raise ProgramError(f"{self.path}: {target.__name__} has started already: it is no new task")
        for target in targets:
            target.close()

    def __call__(self) -> Any:
        try:
            return self.loader.main_of(self.path, self.code)(*self.argv)
        except Exception as error:
            message = f"cannot check {self.path}: main was called before, and now it raised {in_short(error)}"
            trace = traceback.format_exception(type(error), error, trace_in(self.path, error))
            raise OtherThanBefore(message, "".join(trace)) from None


class OtherThanBefore(ProgramError):
    """A program whose main was called without an error before, and raises one now; `details` is its traceback."""

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message)
        self.details = details
