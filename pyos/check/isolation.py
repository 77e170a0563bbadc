"""`isolated=True` says that tasks share nothing but kernel objects; here that is verified as far as it can be seen.

Each task of production's run is looked at when it is started: its arguments, what its function closes over, and the
globals it names; so are the variables of the task that starts it. What is mutable and reached from two of them is
refused by name. What cannot be seen (an attribute of a module, what travels in a message) is the programmer's promise.
"""

from __future__ import annotations

import dis
import gc
from collections import deque
from collections.abc import Callable, Iterator
from enum import Enum
from types import (
    BuiltinFunctionType,
    CellType,
    CodeType,
    CoroutineType,
    FunctionType,
    GeneratorType,
    MethodType,
    ModuleType,
)
from typing import Any

from pyos.check.harness import Harness
from pyos.handles import Handle
from pyos.kernel.choice import first
from pyos.kernel.tasks import Task
from pyos.kernel.trampoline import frame_of, frames
from pyos.traps import Trap

IMMUTABLE = (
    int, float, complex, str, bytes, bool, type(None), type, range, slice, Enum, ModuleType, BuiltinFunctionType,
    CodeType, Handle, Trap, type(Ellipsis),
)  # fmt: skip
SHARED_SAFELY = (*IMMUTABLE, FunctionType, MethodType, GeneratorType, CoroutineType)
ASSIGN_GLOBAL = {"STORE_GLOBAL", "DELETE_GLOBAL"}
ASSIGN_FREE = {"STORE_DEREF", "DELETE_DEREF"}


class NotIsolated(ValueError):
    """Two tasks share something mutable that is no kernel object."""


def check_isolation(program: Callable[[], Any], options: dict[str, Any]) -> None:
    """Raise NotIsolated, naming what is shared, if tasks of production's run are seen to share something mutable."""
    harness = Harness(program, **options)
    lifecycle, table = harness.kernel.lifecycle, harness.kernel.table
    spawn, owners = lifecycle.spawn, Owners()

    def spawn_seen(target: Any, mother: Task | None = None, *more: Any) -> Task:
        if type(target) in (GeneratorType, CoroutineType):
            owners.enter(table.last_tid + 1, reached_by(target))
        if mother is not None:
            owners.enter(mother.tid, in_frames_of(mother))
        return spawn(target, mother, *more)

    setattr(lifecycle, "spawn", spawn_seen)
    try:
        harness.run(first)
    finally:
        harness.kernel.close()
    if owners.shared is not None:
        raise owners.shared


class Owners:
    """Which task reaches which mutable object."""

    def __init__(self) -> None:
        self.seen: dict[int, tuple[int, Any]] = {}  # id -> the task's tid, and the object, which keeps the id its own
        self.shared: NotIsolated | None = None

    def enter(self, tid: int, things: Iterator[tuple[str, Any]]) -> None:
        """The task reaches these; `shared` is set if another one does as well."""
        for name, thing in things:
            known, _ = self.seen.setdefault(id(thing), (tid, thing))
            if known != tid and self.shared is None:
                self.shared = NotIsolated(
                    f"{name!r} (a {type(thing).__name__}) is shared by tasks {min(known, tid)} and {max(known, tid)}: "
                    "isolated=True takes tasks that share kernel objects only (a Cell, a Channel, a tuple of Locks)"
                )


def reached_by(target: Any) -> Iterator[tuple[str, Any]]:
    """Names and mutable objects that a task which has not started can reach."""
    frame: Any = target.gi_frame if type(target) is GeneratorType else target.cr_frame
    if frame is None:
        return
    code = frame.f_code
    function = next((f for f in gc.get_referents(target) if type(f) is FunctionType and f.__code__ is code), None)
    visited: set[int] = set()
    for name, value in frame.f_locals.items():
        if name not in code.co_freevars:
            yield from mutable(name, value, visited)
    if function is not None:
        yield from of_function(function, visited)


def in_frames_of(task: Task) -> Iterator[tuple[str, Any]]:
    """The mutable objects in the variables of a task that has started, and is about to start another."""
    visited: set[int] = set()
    for gen in frames(task):
        frame = frame_of(gen)
        for name, value in (frame.f_locals if frame is not None else {}).items():
            yield from mutable(name, value, visited)


def of_function(function: FunctionType, visited: set[int]) -> Iterator[tuple[str, Any]]:
    """What a function closes over, and the globals it names."""
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or ()))
    yield from named_in(function.__code__, function.__globals__, cells, visited)
    for name, cell in cells.items():
        yield from mutable(name, contents_of(cell), visited)


def named_in(
    code: CodeType, namespace: dict[str, Any], cells: dict[str, CellType], visited: set[int]
) -> Iterator[tuple[str, Any]]:
    """The globals that a code object reads, and the variables that it assigns to for others to see."""
    for instruction in dis.get_instructions(code):
        name = instruction.argval
        if instruction.opname in ASSIGN_FREE and name in cells:
            yield f"{name} (which is assigned to)", cells[name]
        elif instruction.opname in ASSIGN_GLOBAL:
            yield f"{name} (which is assigned to)", namespace
        elif instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME") and name in namespace:
            yield from mutable(name, namespace[name], visited)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from named_in(constant, namespace, cells, visited)


def is_mutable(value: Any) -> bool:
    """True for what two tasks may not share: neither immutable, nor a kernel object, nor a function."""
    return not issubclass(type(value), SHARED_SAFELY)  # isinstance may run code of the value's


def contents_of(cell: CellType) -> Any:
    """A closed-over variable's value; None if it has none yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


def mutable(name: str, value: Any, visited: set[int]) -> Iterator[tuple[str, Any]]:
    """The mutable objects in a value, by the name that leads there."""
    if id(value) in visited or issubclass(type(value), IMMUTABLE):
        return
    visited.add(id(value))
    if isinstance(value, FunctionType):
        yield from of_function(value, visited)
        return
    if type(value) in (GeneratorType, CoroutineType):
        return  # another task, or a subroutine: looked at when it is started
    frozen = getattr(getattr(value, "__dataclass_params__", None), "frozen", False)
    if not frozen and not isinstance(value, tuple | frozenset):
        yield name, value
    for item in items_in(value):
        yield from mutable(name, item, visited)


def items_in(value: Any) -> list[Any]:
    """What a container of a common kind holds, or an object in its attributes."""
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    if isinstance(value, list | tuple | set | frozenset | deque):
        return list(value)
    return list(getattr(value, "__dict__", {}).values())
