"""How handlers are declared: `@handles(Trap)`, one handler a trap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyos.kernel.scheduler import Handler

HANDLERS: dict[type, Handler] = {}


def handles(kind: type) -> Callable[[Handler], Handler]:
    """Declare the handler of a trap class."""

    def declare(handler: Handler) -> Handler:
        if kind in HANDLERS:
            raise LookupError(f"{kind.__name__} has two handlers")
        HANDLERS[kind] = handler
        return handler

    return declare


def a_number(value: Any, what: str) -> float:
    """The float that an argument means; TypeError ("<what>, not str") for what is no number, OverflowError."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{what}, not {type(value).__name__}")
    return float(value)  # of a subclass too: it goes into the heap of timers


def a_string(value: Any, what: str) -> str:
    """The text of a string; TypeError ("<what>, not int") for anything else."""
    if not isinstance(value, str):
        raise TypeError(f"{what}, not {type(value).__name__}")
    return str.__str__(value)  # of a subclass too: it goes into the log


def a_tid(value: Any) -> int:
    """Check that a trap's argument can be a tid; TypeError if not."""
    if type(value) is not int:
        raise TypeError(f"a tid is an int, not {type(value).__name__}")
    return value
