"""The manual, derived from the traps' own docstrings: `python -m pyos man [TRAP]`, and the README's table."""

from __future__ import annotations

import inspect
from typing import Any

from pyos import traps


def all_traps() -> list[type[traps.Trap[Any]]]:
    """Every trap class, in the order of the vocabulary."""
    kinds = [kind for kind in vars(traps).values() if isinstance(kind, type) and issubclass(kind, traps.Trap)]
    return [kind for kind in kinds if kind is not traps.Trap]


def signature(kind: type[traps.Trap[Any]]) -> str:
    """How a trap is written: `Sleep(seconds)`."""
    if kind.__init__ is object.__init__:
        return f"{kind.__name__}()"
    bare = inspect.signature(kind)
    parameters = [parameter.replace(annotation=parameter.empty) for parameter in bare.parameters.values()]
    text = str(bare.replace(parameters=parameters, return_annotation=bare.empty))
    return kind.__name__ + text.replace("<Signal.TERM: 15>", "TERM")


def summary(kind: type[traps.Trap[Any]]) -> str:
    """The first line of a trap's docstring."""
    return (kind.__doc__ or "").partition("\n")[0]


def trap_table() -> str:
    """The traps as a Markdown table."""
    rows = [f"| `{signature(kind)}` | {summary(kind)} |" for kind in all_traps()]
    return "\n".join(["| trap | what it does, what it answers |", "|---|---|", *rows]) + "\n"


def page(name: str | None) -> str | None:
    """The manual page of one trap (in upper or lower case), or the list of all; None if there is no such trap."""
    if name is None:
        width = max(len(kind.__name__) for kind in all_traps())
        return "\n".join(f"{kind.__name__:{width}}  {summary(kind)}" for kind in all_traps())
    for kind in all_traps():
        if kind.__name__.lower() == name.lower():
            return f"{signature(kind)}\n\n{inspect.getdoc(kind)}"
    return None
