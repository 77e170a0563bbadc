"""What a coroutine can wait for that is no generator or coroutine itself, but drives one.

`async for` waits for an object that drives the async generator and refers to it, and `aclose()` makes another. Only
through that can an exception be thrown into an async generator that is in the middle of an item.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from gc import get_referents
from types import AsyncGeneratorType, CoroutineType
from typing import Any


async def _items() -> AsyncGenerator[None, None]:
    yield


async def _coroutine() -> None:
    pass


def _kinds() -> tuple[frozenset[type], type]:
    """The types, which have no names in Python; each object is closed, else it would complain of not being used."""
    items, coroutine = _items(), _coroutine()
    made: list[Any] = [items.__anext__(), items.aclose()]
    wrapper: Any = coroutine.__await__()
    default: Any = anext(items, None)
    made += [default, wrapper]
    kinds = [type(each) for each in made]
    for each in made:
        each.close()
    return frozenset(kinds[:3]), kinds[3]


DRIVERS, WRAPPER = _kinds()
"""The types that drive an async generator; and that of `coroutine.__await__()`."""


def async_generator_of(driver: Any) -> AsyncGeneratorType[Any, Any] | None:
    """The async generator that a driver drives; `anext(items, default)` is a driver around another."""
    for thing in get_referents(driver):
        if type(thing) is AsyncGeneratorType:
            return thing
        if type(thing) in DRIVERS:
            return async_generator_of(thing)
    return None


def coroutine_of(wrapper: Any) -> Any:
    """The coroutine that a `__await__` method handed on."""
    return next((thing for thing in get_referents(wrapper) if type(thing) is CoroutineType), None)
