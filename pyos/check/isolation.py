"""`isolated=True` says that tasks share nothing but kernel objects; here that is verified as far as it can be seen.

The tasks that a program starts with are looked at before their first step: their arguments, what their functions
close over, and the globals they name. What is mutable and reached from two of them is refused by name. What cannot be
seen (an attribute of a module, what a task makes later and passes on) is the programmer's promise.
"""

from __future__ import annotations

import dis
import gc
from collections.abc import Callable, Iterator
from enum import Enum
from types import BuiltinFunctionType, CellType, CodeType, CoroutineType, FunctionType, GeneratorType, ModuleType
from typing import Any

from pyos.handles import Handle
from pyos.traps import Trap

IMMUTABLE = (
    int, float, complex, str, bytes, bool, type(None), type, range, slice, Enum, ModuleType, BuiltinFunctionType,
    CodeType, Handle, Trap, type(Ellipsis),
)  # fmt: skip
ASSIGN_GLOBAL = {"STORE_GLOBAL", "DELETE_GLOBAL"}
ASSIGN_FREE = {"STORE_DEREF", "DELETE_DEREF"}


class NotIsolated(ValueError):
    """Two tasks share something mutable that is no kernel object."""


def check_isolation(program: Callable[[], Any]) -> None:
    """Raise NotIsolated, naming what is shared, if the program's first tasks are seen to share something mutable."""
    made = program()
    if type(made) in (GeneratorType, CoroutineType):
        made.close()
        return  # one task: what it starts later is not there yet
    targets = made[0] if isinstance(made, tuple) and len(made) == 2 and callable(made[1]) else made
    seen: dict[int, tuple[str, int, Any]] = {}  # id -> name, which task, and the object, which keeps the id its own
    for number, target in enumerate(targets):
        for name, thing in reached_by(target):
            known = seen.setdefault(id(thing), (name, number, thing))
            if known[1] != number:
                raise NotIsolated(
                    f"{name!r} (a {type(thing).__name__}) is shared by tasks {known[1] + 1} and {number + 1}: "
                    "isolated=True takes tasks that share kernel objects only (a Cell, a Channel, a tuple of Locks)"
                )
    for target in targets:
        target.close()


def reached_by(target: Any) -> Iterator[tuple[str, Any]]:
    """Names and mutable objects that a task which has not started can reach."""
    frame: Any = target.gi_frame if type(target) is GeneratorType else target.cr_frame
    code = frame.f_code
    function = next((f for f in gc.get_referents(target) if type(f) is FunctionType and f.__code__ is code), None)
    visited: set[int] = set()
    for name, value in frame.f_locals.items():
        if name not in code.co_freevars:
            yield from mutable(name, value, visited)
    if function is not None:
        yield from of_function(function, visited)


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


def contents_of(cell: CellType) -> Any:
    """A closed-over variable's value; None if it has none yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


def mutable(name: str, value: Any, visited: set[int]) -> Iterator[tuple[str, Any]]:
    """The mutable objects in a value, by the name that leads there."""
    if id(value) in visited or isinstance(value, IMMUTABLE):
        return
    visited.add(id(value))
    if isinstance(value, tuple | frozenset):
        for item in value:
            yield from mutable(name, item, visited)
    elif isinstance(value, FunctionType):
        yield from of_function(value, visited)
    else:
        yield name, value
