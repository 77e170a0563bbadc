"""The checks of the exercises of lessons 1 to 4: generators, coroutines, events, threads.

A check is given the learner's module, and raises Failed with what is wrong; its title says what must hold. Inputs have
an end even where the exercise says they have none, so that a check comes back whatever the module does.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

Check = Callable[[ModuleType], None]


class Failed(Exception):
    """A check failed; the message is one line."""


def same(found: Any, wanted: Any, what: str) -> None:
    """Fail unless both are equal; `what` names the one that was found."""
    if found != wanted:
        raise Failed(f"{what} must be {wanted!r}, and is {found!r}")


# the names that an exercise asks for, and its checks by title
CHECKS: dict[str, tuple[list[str], dict[str, Check]]] = {}
