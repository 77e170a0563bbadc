"""Which part of which object an access touches when its line is run, found without running code of the program's.

A use is of one attribute or item of a container, of the whole of it, or of a variable that tasks share. An object that
is only loaded, to be kept or to be given to a task, is not used: what counts is what is then done with it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from inspect import CO_COROUTINE, CO_GENERATOR
from types import FunctionType, MethodType
from typing import Any, NamedTuple

from pyos.check.isolation import is_mutable
from pyos.check.source import OF_ONE_ITEM, READ_ONLY, Access, attributes_of, value_of
from pyos.traps import Trap

TASK = CO_GENERATOR | CO_COROUTINE
KEYS = (int, str, bytes, float, bool, type(None))
MISSING: Any = object()
Part = tuple[str, Any]  # an attribute or an item
WHOLE: Part = ("", None)  # all of it, or it is not known which


class Use(NamedTuple):
    """One part of a thing, as a step uses it. `thing` is an object, or the variable itself, `name` what leads there.

    `vague`: it is given to a function or has a method that may not look at all of it.
    """

    thing: Any
    part: Part
    name: str
    root: str
    text: str
    write: bool = False
    vague: bool = False


def uses_of(access: Access, names: Mapping[str, Any], variable: Any) -> Iterator[tuple[Any, Use]]:
    """The uses of an access, each with its object; `variable` identifies the variable at the root if tasks share it."""
    value = names.get(access.root)
    if variable is not None and (access.bare or is_mutable(value)):
        yield variable, Use(variable, WHOLE, "", access.root, access.text, access.write and access.bare)
    for number, part in enumerate(access.path):
        last = number + 1 == len(access.path)
        place = part_of(part, value, names)
        if is_mutable(value):
            text = access.texts[number + 1]
            write = access.write and last and not access.method
            yield value, Use(id(value), place, access.texts[number], access.root, text, write)
        value = inside(value, place)
        if value is MISSING:
            return
    if is_mutable(value) and (found := use_inside(access, value, names)) is not None:
        yield value, found


def use_inside(access: Access, value: Any, names: Mapping[str, Any]) -> Use | None:
    """What is done with what is in the object that an access leads to."""
    use = Use(id(value), WHOLE, access.texts[-1], access.root, access.text)
    if access.method:
        return use_by_method(access, value, names, use)
    if access.write:
        return use._replace(write=True) if access.in_place and access.bare else None
    if access.kept:
        return None
    if access.call is not None:
        return None if only_passes_on(function_of(access.call.func, names)) else use._replace(vague=True)
    return use


def use_by_method(access: Access, value: Any, names: Mapping[str, Any], use: Use) -> Use | None:
    """What a method call uses of its object."""
    if type(value).__module__ in ("builtins", "collections"):
        write = access.method not in READ_ONLY
        arguments = access.call.args if access.call is not None else []
        of_one = access.method in OF_ONE_ITEM and bool(arguments) and isinstance_safely(value, (dict,))
        place = part_of(arguments[0], value, names) if of_one else WHOLE
        return use._replace(part=place, write=write)
    if access.kept or only_passes_on(method_of(value, access.method)):
        return None
    return use._replace(write=access.write, vague=True)


def part_of(part: str | ast.expr, value: Any, names: Mapping[str, Any]) -> Part:
    """Which part of a value an attribute's name or an item's expression leads to."""
    if isinstance(part, str):
        return (".", part)
    try:
        key = ast.literal_eval(part)
    except (ValueError, TypeError):
        key = value_of(part, names)
        if key is None:
            return WHOLE
    if type(key) not in KEYS and not (type(key) is tuple and all(type(item) in KEYS for item in key)):
        return WHOLE
    if type(key) is int and key < 0 and type(value) in (list, tuple):
        key += len(value)
    return ("[]", key)


def inside(value: Any, part: Part) -> Any:
    """What is at a part of a value; MISSING if that cannot be told."""
    kind, key = part
    if kind == ".":
        return attributes_of(value).get(key, MISSING)
    if kind == "[]" and isinstance_safely(value, (dict,)):
        return dict.get(value, key, MISSING)
    if kind == "[]" and type(value) in (list, tuple) and type(key) is int and 0 <= key < len(value):
        return value[key]
    return MISSING


def isinstance_safely(value: Any, kinds: tuple[type, ...]) -> bool:
    """`isinstance` without a `__class__` of the value's own."""
    return issubclass(type(value), kinds)


def function_of(node: ast.expr, names: Mapping[str, Any]) -> Any:
    """The function that is called, as far as it can be told."""
    found = value_of(node, names)
    if found is None and isinstance(node, ast.Attribute):
        return method_of(value_of(node.value, names), node.attr)
    return found


def method_of(value: Any, name: str) -> Any:
    """The function behind a method of a value."""
    found: Any = next((vars(kind)[name] for kind in type(value).__mro__ if name in vars(kind)), None)
    return found.__func__ if isinstance_safely(found, (staticmethod, classmethod)) else found


def only_passes_on(function: Any) -> bool:
    """True for what makes a task or a trap of its arguments, and does not look at them."""
    if type(function) is MethodType:
        function = function.__func__
    if type(function) is FunctionType:
        return bool(function.__code__.co_flags & TASK)
    return isinstance_safely(function, (type,)) and issubclass(function, Trap)
