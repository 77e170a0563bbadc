"""Follows a recorded run line by line: which Python variables each step names, and what in it cannot be repeated.

A story can so name two steps that race on a Python object. Calls of C functions are watched as well: real time and
chance are seen here however they were imported, where guards.py sees only what is called by its module.
"""

from __future__ import annotations

import datetime
import random
import sys
from collections import ChainMap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import BuiltinFunctionType, CodeType, FrameType
from typing import Any

from pyos.check.accesses import TASK, uses_of
from pyos.check.guards import CHANCE, INSTEAD, TIMES, is_library, uncontrolled, userland_line
from pyos.check.recorder import Recorder, Row
from pyos.check.report import Failure
from pyos.check.source import Source, sets_in_line, source_of
from pyos.kernel.loader import PACKAGE

UNSEEDED = random._inst
MOST_EVENTS = 1_000_000  # of a run that are followed: a program that computes would take minutes
MOST_ITEMS = 200  # that one line is seen to use in a step


class Tracer:
    """Enters what each step names into the recorder's rows; `saw` is told what cannot be repeated."""

    def __init__(self, recorder: Recorder, saw: Callable[[Failure], None], is_seeded: Callable[[], bool]) -> None:
        self.recorder = recorder
        self.saw = saw
        self.is_seeded = is_seeded
        self.sources: dict[str, Source | None] = {}  # by path; None for those that are not the program's
        self.kept: list[Any] = []  # objects that were named, which keeps their ids their own
        self.left = 0  # events that will be followed
        self.row: Row | None = None  # the step whose lines are being entered
        self.lines: dict[tuple[CodeType, int], int] = {}  # how often the step has run each

    @contextmanager
    def tracing(self) -> Iterator[None]:
        """While inside, lines and calls are followed; not if a debugger or a profiler is doing that already."""
        trace, profile = sys.gettrace(), sys.getprofile()
        replaceable = trace is None or type(trace).__module__.startswith("coverage.")
        self.kept.clear()
        self.left = MOST_EVENTS
        if replaceable:
            sys.settrace(self._enter)
        if profile is None:
            sys.setprofile(self._called)
        try:
            yield
        finally:
            if profile is None:
                sys.setprofile(None)
            if replaceable:
                sys.settrace(trace)

    def source_of(self, path: str) -> Source | None:
        """What is in a file, if it is neither pyos's nor a library's."""
        if path not in self.sources:
            foreign = path.startswith((PACKAGE, "<")) or is_library(path)
            self.sources[path] = None if foreign else source_of(path)
        return self.sources[path]

    # --- lines

    def _enter(self, frame: FrameType, event: str, arg: Any) -> Any:
        source = self.source_of(frame.f_code.co_filename)
        if source is None or self.left <= 0:
            return None
        if self.recorder.in_step and frame.f_lineno in source.yields:
            self._enter_accesses(frame, source, resumed=True)  # the task goes on in the middle of this line
        return self._line

    def _line(self, frame: FrameType, event: str, arg: Any) -> Any:
        self.left -= 1
        if self.left <= 0:
            sys.settrace(None)
            return None
        if event != "line" or not self.recorder.in_step:
            return self._line
        code, line, row = frame.f_code, frame.f_lineno, self.recorder.rows[-1]
        if code.co_flags & TASK:
            row.last_line = f"{code.co_filename}:{line}"
        if row is not self.row:
            self.row, self.lines = row, {}
        source = self.source_of(code.co_filename)
        times = self.lines[code, line] = self.lines.get((code, line), 0) + 1
        if source is not None and times == 1:
            self._look_at(frame, source)
        elif source is not None and times <= MOST_ITEMS and line in source.varying:
            self._enter_accesses(frame, source)
        return self._line

    def _look_at(self, frame: FrameType, source: Source) -> None:
        """What does a line name, and does it depend on the order of a set?"""
        path, line = frame.f_code.co_filename, frame.f_lineno
        names = {**frame.f_globals, **frame.f_locals} if line in source.ordered else {}
        for name in sets_in_line(source, line, names):
            message = f"{path}:{line}: the order of the set {name} is another in each process; use sorted()"
            self.saw(Failure("nondeterminism", message))
        self._enter_accesses(frame, source)

    def _enter_accesses(self, frame: FrameType, source: Source, resumed: bool = False) -> None:
        """Enter what a line uses: parts of objects, and the variables that tasks share themselves.

        A line that yields is run in two steps: what comes before the yield, and, when it is `resumed`, the rest.
        """
        code, line, names = frame.f_code, frame.f_lineno, ChainMap(frame.f_locals, frame.f_globals)
        entered = self.recorder.rows[-1].accesses
        for access in source.accesses.get(line, ()):
            root = access.root
            if line in source.yields and access.late != resumed:
                continue
            if root not in names and root not in code.co_names:
                continue
            variable = (code.co_filename, root) if is_shared(root, frame) else None
            for thing, use in uses_of(access, names, variable):
                key = use.thing, use.part
                if key not in entered or (use.write, not use.vague) > (entered[key].write, not entered[key].vague):
                    entered[key] = use
                    self.kept.append(thing)

    # --- calls of C functions

    def _called(self, frame: FrameType, event: str, function: Any) -> None:
        self.left -= 1
        if self.left <= 0:
            sys.setprofile(None)
        if event != "c_call" or not self.recorder.in_step or type(function) is not BuiltinFunctionType:
            return
        name, owner = function.__name__, function.__self__
        module = getattr(owner, "__name__", "")
        if (module == "time" and name in TIMES) or (owner is datetime.datetime and name in ("now", "utcnow")):
            self._report(frame, f"{module}.{name}", INSTEAD)
        elif owner is datetime.date and name == "today":
            self._report(frame, "date.today", INSTEAD)
        elif module == "posix" and name == "urandom":
            self._report(frame, "os.urandom", CHANCE)
        elif owner is UNSEEDED and name in ("random", "getrandbits") and not self.is_seeded():
            self._report(frame, f"random.{name}", CHANCE)

    def _report(self, frame: FrameType, what: str, instead: str) -> None:
        where = userland_line(frame, instead)
        if where is not None:
            self.saw(uncontrolled(where, what, instead))


def is_shared(name: str, frame: FrameType) -> bool:
    """True for a variable that several tasks may have: a global, or one that a function in its function names."""
    code = frame.f_code
    if name not in frame.f_locals:
        return True
    if name in code.co_freevars:
        return not is_expression(code)
    inner = (each for each in code.co_consts if type(each) is CodeType and not is_expression(each))
    return name in code.co_cellvars and any(name in each.co_freevars for each in inner)


def is_expression(code: CodeType) -> bool:
    """True for a comprehension or a lambda: it is run by the task whose line it stands in."""
    return code.co_name.startswith("<") and code.co_name != "<module>"
