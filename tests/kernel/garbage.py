"""Values that no trap expects: what the tests of the syscalls feed to every argument of every trap.

Each is made anew by its factory. The hostile ones have a class of a plausible kind (a number, a string, a sequence, a
file) in which whatever anybody calls raises.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

from pyos import KILL, BadTrap, GetTid, KernelPanic, Sleep, TaskExit, TaskKilled
from tests.kernel.programs import yields

ERRORS: list[Callable[[], BaseException]] = [
    ValueError,
    KeyError,
    AttributeError,
    StopIteration,
    BadTrap,
    KernelPanic,
    SystemExit,
    TaskExit,
    GeneratorExit,
    KeyboardInterrupt,
    lambda: TaskKilled(KILL),
]
KINDS = [object, int, float, str, tuple, Sequence]
METHODS = [
    "__hash__", "__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__bool__", "__len__", "__int__",
    "__index__", "__float__", "__str__", "__repr__", "__format__", "__iter__", "__next__", "__contains__",
    "__getitem__", "__call__", "__fspath__", "__add__", "__radd__", "__sub__", "__rsub__", "__mul__", "__rmul__",
    "__neg__", "__abs__", "__getattr__", "__await__", "fileno", "send", "throw", "close",
]  # fmt: skip
LIES = [math.nan, -1, 10**400, "x", None, b"x", (), True, -1.5]


def hostile(kind: type, error: Callable[[], BaseException], asked: bool = False) -> Any:
    """An instance of a subclass of `kind` whose every method raises; with `asked`, also its `__class__`."""

    def method(self: Any, *args: Any) -> Any:
        raise error()

    members: dict[str, Any] = dict.fromkeys(METHODS, method)
    if asked:
        members["__class__"] = property(method)
    return type("Hostile", (kind,), members)()


def liar(kind: type, answer: Any) -> Any:
    """An instance of a subclass of `kind` whose every method answers the same, whatever it should be."""

    def method(self: Any, *args: Any) -> Any:
        return answer

    return type("Liar", (kind,), dict.fromkeys(METHODS, method))()


def started() -> Any:
    generator = yields(3)
    next(generator)
    return generator


def finished() -> Any:
    generator = yields(0)
    list(generator)
    return generator


async def agen() -> Any:
    yield 1


PLAIN: list[Any] = [
    None, True, False, 0, -1, 7, 1023, 2**31, 2**63, -(2**63), 10**400, -(10**400),
    0.0, -0.0, 0.5, -0.5, 1e308, math.inf, -math.inf, math.nan, 1j, Decimal("1"), Decimal("NaN"), Fraction(1, 3),
    "", "x", "/", "/dev/null", "a\0b", "\udcff", "x" * 100_000, b"", b"x", bytearray(b"x"), memoryview(b"xy"),
    (), (1,), [], [[]], {}, {1: 2}, set(), range(0), range(10**30), slice(None),
    object(), object, GetTid, GetTid(), Sleep(1), Sleep, yields, print, ..., NotImplemented, ValueError("x"), math,
]  # fmt: skip


def values() -> Iterator[tuple[str, Callable[[], Any]]]:
    """Every piece of garbage: a name for it, and how to make it."""
    for value in PLAIN:
        yield f"{value!r}"[:40], lambda value=value: value
    for make in (yields, started, finished, agen):
        yield make.__name__, make
    for kind in KINDS:
        for error in ERRORS:
            for asked in (False, True):
                yield (
                    f"{kind.__name__} raising {type(error()).__name__}{' when asked' if asked else ''}",
                    lambda kind=kind, error=error, asked=asked: hostile(kind, error, asked),
                )
        for answer in LIES:
            yield f"{kind.__name__} answering {answer!r}"[:40], lambda kind=kind, answer=answer: liar(kind, answer)


GARBAGE: list[tuple[str, Callable[[], Any]]] = list(values())
