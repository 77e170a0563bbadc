"""`isolated=True` says that tasks share nothing but kernel objects; here that is verified as far as it can be seen.

Each task of production's run is looked at when it is started: its arguments, what its function closes over, and the
globals it names; so are the variables of the task that starts it. From there on
- a method leads to its object, a `partial` to its parts, an object to its attributes and its class;
- a class of the program's leads to its attributes and to what its methods name.
What can change and is reached from two of them is refused by name: an object, a generator that is not a task, a
variable or a class that one of them assigns to. What cannot be seen (an attribute of a module, `setattr`, what travels
in a message, what a generator holds that is an argument) is the programmer's promise.
"""

from __future__ import annotations

import dis
import functools
import gc
import sys
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Mapping
from enum import Enum
from types import (
    BuiltinFunctionType,
    CellType,
    CodeType,
    CoroutineType,
    FunctionType,
    GeneratorType,
    MemberDescriptorType,
    MethodDescriptorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any, NamedTuple

from pyos.check.harness import Harness
from pyos.handles import Handle
from pyos.kernel.choice import first
from pyos.kernel.tasks import Task
from pyos.kernel.trampoline import frame_of, frames
from pyos.traps import Trap

IMMUTABLE = (
    int, float, complex, str, bytes, bool, type(None), type, range, slice, Enum, ModuleType, BuiltinFunctionType,
    CodeType, Handle, Trap, type(Ellipsis), MethodDescriptorType, WrapperDescriptorType,
)  # fmt: skip
SHARED_SAFELY = (*IMMUTABLE, FunctionType, MethodType, GeneratorType, CoroutineType)
ASSIGN_GLOBAL = {"STORE_GLOBAL", "DELETE_GLOBAL"}
ASSIGN_FREE = {"STORE_DEREF", "DELETE_DEREF"}
ASSIGN_ATTRIBUTE = {"STORE_ATTR", "DELETE_ATTR"}
SILENT = {"EXTENDED_ARG", "PUSH_NULL", "PRECALL", "CACHE"}
HEAP_TYPE = 1 << 9  # a class that a class statement has made


class Reached(NamedTuple):
    """Something that a task reaches: an object, or a variable, which is another one by its key."""

    name: str
    thing: Any
    changes: bool = True  # or the task only looks
    key: Hashable = None


Found = Iterator[Reached]


class Instance(NamedTuple):
    """A method's own object, of which only the class is known."""

    kind: type


class NotIsolated(ValueError):
    """Two tasks share something mutable that is no kernel object."""


def check_isolation(program: Callable[[], Any], options: dict[str, Any]) -> None:
    """Raise NotIsolated, naming what is shared, if tasks of production's run are seen to share something mutable."""
    harness = Harness(program, **options)
    lifecycle, table = harness.kernel.lifecycle, harness.kernel.table
    spawn, owners = lifecycle.spawn, Owners()

    def spawn_seen(target: Any, mother: Task | None = None, *more: Any) -> Task:
        if type(target) in (GeneratorType, CoroutineType):
            owners.is_task(target)
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


class Owned:
    """What a task reaches: who was the first, who is another, and the name by which somebody changes it."""

    __slots__ = ("tid", "thing", "other", "changed")

    def __init__(self, tid: int, thing: Any) -> None:
        self.tid = tid
        self.thing = thing  # which keeps its id its own
        self.other: int | None = None
        self.changed = ""


class Owners:
    """Which task reaches which object or variable."""

    def __init__(self) -> None:
        self.seen: dict[Hashable, Owned] = {}
        self.found: dict[Hashable, NotIsolated] = {}
        self.tasks: dict[int, Any] = {}

    @property
    def shared(self) -> NotIsolated | None:
        """The first thing that two tasks reach, and one of them may change."""
        return next(iter(self.found.values()), None)

    def enter(self, tid: int, things: Found) -> None:
        """The task reaches these."""
        for name, thing, changes, key in things:
            key = id(thing) if key is None else key
            if key in self.tasks:
                continue
            owned = self.seen.setdefault(key, Owned(tid, thing))
            if tid != owned.tid:
                owned.other = tid
            if changes:
                owned.changed = name
            if owned.changed and owned.other is not None and key not in self.found:
                one, another = sorted((owned.tid, owned.other))
                self.found[key] = NotIsolated(
                    f"{owned.changed!r} (a {type(thing).__name__}) is shared by tasks {one} and {another}: "
                    "isolated=True takes tasks that share kernel objects only (a Cell, a Channel, a tuple of Locks)"
                )

    def is_task(self, target: Any) -> None:
        """A generator is started as a task: whoever has had it does not step through it."""
        self.tasks[id(target)] = target
        self.found.pop(id(target), None)


def reached_by(target: Any) -> Found:
    """What a task which has not started can reach."""
    frame: Any = target.gi_frame if type(target) is GeneratorType else target.cr_frame
    if frame is None:
        return
    code = frame.f_code
    function = next((f for f in gc.get_referents(target) if type(f) is FunctionType and f.__code__ is code), None)
    visited: set[Hashable] = set()
    arguments = {name: value for name, value in frame.f_locals.items() if name not in code.co_freevars}
    for name, value in arguments.items():
        yield from mutable(name, value, visited)
    if function is not None:
        yield from of_function(function, visited, arguments)


def in_frames_of(task: Task) -> Found:
    """The mutable objects in the variables of a task that has started, and is about to start another."""
    visited: set[Hashable] = set()
    for gen in frames(task):
        frame = frame_of(gen)
        for name, value in (frame.f_locals if frame is not None else {}).items():
            yield from mutable(name, value, visited)


def of_function(function: FunctionType, visited: set[Hashable], arguments: Mapping[str, Any] | None = None) -> Found:
    """What a function closes over and has by default, and the globals it names; `arguments`: those that are known."""
    code = function.__code__
    cells = dict(zip(code.co_freevars, function.__closure__ or ()))
    names = Names(function.__globals__, cells, dict(arguments or {}))
    yield from named_in(code, names, visited)
    for name, cell in cells.items():
        yield from mutable(name, contents_of(cell), visited)
    if arguments is None or code.co_argcount + code.co_kwonlyargcount > len(arguments):
        for default in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
            yield from mutable(f"a default of {function.__name__}", default, visited)


class Names(NamedTuple):
    """What the names in a code object stand for."""

    namespace: dict[str, Any]
    cells: dict[str, CellType]
    arguments: dict[str, Any]

    def loaded_by(self, instruction: dis.Instruction) -> Any:
        """What an instruction puts on the stack, if it is known."""
        name = instruction.argval
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            return type if name == "type" else self.namespace.get(name)
        if instruction.opname.startswith("LOAD_FAST"):
            return self.arguments.get(name[-1] if isinstance(name, tuple) else name)
        if instruction.opname in ("LOAD_DEREF", "LOAD_CLASSDEREF") and name in self.cells:
            return contents_of(self.cells[name])
        return None


def named_in(code: CodeType, names: Names, visited: set[Hashable]) -> Found:
    """The globals that a code object reads, and the variables that it assigns to for others to see."""
    namespace, cells, _ = names
    for instruction in dis.get_instructions(code):
        name = instruction.argval
        if instruction.opname in ASSIGN_FREE and name in cells:
            yield Reached(f"{name} (which is assigned to)", cells[name])
        elif instruction.opname == "LOAD_DEREF" and name in cells:
            yield Reached(name, cells[name], False)
        elif instruction.opname in ASSIGN_GLOBAL:
            yield Reached(f"{name} (which is assigned to)", namespace, True, (id(namespace), name))
        elif instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME") and name in namespace:
            yield Reached(name, namespace, False, (id(namespace), name))
            yield from mutable(name, namespace[name], visited)
    yield from assigned_classes(code, names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from named_in(constant, names._replace(arguments={}), visited)


def assigned_classes(code: CodeType, names: Names) -> Found:
    """The classes that a code object assigns attributes of: `K.n = 1`, `cls.n += 1`, `type(self).n = 1`."""
    before: Any = None  # the last value but one, where it is known
    value: Any = None
    copied = False  # it has been copied, as in an augmented assignment
    for instruction in dis.get_instructions(code):
        op = instruction.opname
        if op in SILENT:
            continue
        if issubclass(type(value), type) and (op in ASSIGN_ATTRIBUTE or (copied and op == "LOAD_ATTR")):
            yield Reached(f"{value.__name__} (whose {instruction.argval} is assigned to)", value)
        copied = op in ("COPY", "DUP_TOP")
        if copied:
            continue
        if op == "CALL" and before is type and value is not None:
            before, value = None, kind_of(value)
        elif op == "LOAD_ATTR" and instruction.argval == "__class__" and value is not None:
            value = kind_of(value)
        else:
            before, value = value, names.loaded_by(instruction)


def is_mutable(value: Any) -> bool:
    """True for what two tasks may not share: neither immutable, nor a kernel object, nor a function."""
    return not issubclass(type(value), SHARED_SAFELY)  # isinstance may run code of the value's


def contents_of(cell: CellType) -> Any:
    """A closed-over variable's value; None if it has none yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


def mutable(name: str, value: Any, visited: set[Hashable]) -> Found:
    """The mutable objects in a value, by the name that leads there."""
    kind = type(value)
    if id(value) in visited:
        return
    visited.add(id(value))
    if issubclass(kind, type):
        yield from of_class(value, visited)
    elif kind is FunctionType:
        yield from of_function(value, visited)
    elif kind is MethodType:
        yield from mutable(name, value.__self__, visited)
        if type(value.__func__) is FunctionType:
            yield from of_function(value.__func__, visited, {first_argument(value.__func__): value.__self__})
    elif kind in (BuiltinFunctionType, MethodWrapperType):
        yield from mutable(name, value.__self__, visited)
    elif kind is functools.partial:
        for part in (value.func, *value.args, *value.keywords.values()):
            yield from mutable(name, part, visited)
    elif kind in (GeneratorType, CoroutineType):
        yield Reached(name, value)  # what it holds is looked at if it is started as a task
    elif not issubclass(kind, IMMUTABLE):
        frozen = getattr(getattr(value, "__dataclass_params__", None), "frozen", False)
        if not frozen and not issubclass(kind, tuple | frozenset):
            yield Reached(name, value)
        for item in items_in(value):
            yield from mutable(name, item, visited)
        yield from of_class(kind, visited)


def items_in(value: Any) -> list[Any]:
    """What a container of a common kind holds, and an object in its attributes."""
    items = list(getattr(value, "__dict__", {}).values())
    for kind in type(value).__mro__:
        for slot in vars(kind).values() if kind.__flags__ & HEAP_TYPE else ():
            if type(slot) is MemberDescriptorType:
                try:
                    items.append(slot.__get__(value))
                except AttributeError:
                    continue  # it has no value yet
    if isinstance(value, dict):
        return [*items, *value.keys(), *value.values()]
    if isinstance(value, list | tuple | set | frozenset | deque):
        return [*items, *value]
    return items


def of_class(kind: type, visited: set[Hashable]) -> Found:
    """What a class of the program's has in its attributes, and what its methods name."""
    for base in kind.__mro__:
        if not is_programs(base):
            continue
        yield Reached(base.__name__, base, False)
        for name, value in list(vars(base).items()):
            for part in parts_of(name, value):
                if type(part) is FunctionType and id(part) not in visited:
                    visited.add(id(part))
                    own = base if issubclass(type(value), classmethod) else Instance(base)
                    known = {} if issubclass(type(value), staticmethod) else {first_argument(part): own}
                    yield from of_function(part, visited, known)
                else:
                    yield from mutable(f"{base.__name__}.{name}", part, visited)


def is_programs(kind: type) -> bool:
    """True for a class that the program, or a library of its own, has defined."""
    module = str(kind.__module__).partition(".")[0]
    is_made = bool(kind.__flags__ & HEAP_TYPE) and not issubclass(kind, Enum)
    return is_made and module != "pyos" and (module == "__main__" or module not in sys.stdlib_module_names)


def parts_of(name: str, value: Any) -> list[Any]:
    """What is to be looked at in a class attribute: a method's function, or what is no part of the class machinery."""
    if issubclass(type(value), staticmethod | classmethod):
        value = value.__func__
    if issubclass(type(value), property):
        return [part for part in (value.fget, value.fset, value.fdel) if part is not None]
    if issubclass(type(value), functools.cached_property):
        value = value.func
    if type(value) is FunctionType:
        module = str(value.__globals__.get("__name__")).partition(".")[0]
        is_made = value.__code__.co_filename.startswith("<") or module in sys.stdlib_module_names - {"__main__"}
        return [] if is_made and name.startswith("__") else [value]
    if name.startswith("__") or name in ("_abc_impl", "_field_defaults") or hasattr(type(value), "__get__"):
        return []
    return [value]


def kind_of(value: Any) -> type:
    """The class of a value, or of the one that it stands for."""
    return value.kind if type(value) is Instance else type(value)


def first_argument(function: FunctionType) -> str:
    """The name of a method's own object."""
    return next(iter(function.__code__.co_varnames), "")
