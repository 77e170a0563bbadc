"""The manual, derived from the docstrings of traps and handles: `python -m pyos man [NAME]`, and the README's table."""

from __future__ import annotations

import inspect
from typing import Any

from pyos import handles, traps


def all_traps() -> list[type[traps.Trap[Any]]]:
    """Every trap class, in the order of the vocabulary."""
    kinds = [kind for kind in vars(traps).values() if isinstance(kind, type) and issubclass(kind, traps.Trap)]
    return [kind for kind in kinds if kind is not traps.Trap]


def all_handles() -> list[type[handles.Handle]]:
    """Every class of objects that tasks share."""
    kinds = [kind for kind in vars(handles).values() if isinstance(kind, type) and issubclass(kind, handles.Handle)]
    return [kind for kind in kinds if kind is not handles.Handle]


def signature(kind: type[Any]) -> str:
    """How a trap or handle is made: `Sleep(seconds)`."""
    if kind.__init__ is object.__init__:
        return f"{kind.__name__}()"
    return kind.__name__ + parameters_of(kind)


def parameters_of(function: Any) -> str:
    """The parameters of a call, without annotations and self: `(n=1)`."""
    bare = inspect.signature(function)
    parameters = [parameter.replace(annotation=parameter.empty) for parameter in bare.parameters.values()]
    parameters = [parameter for parameter in parameters if parameter.name != "self"]
    text = str(bare.replace(parameters=parameters, return_annotation=bare.empty))
    return text.replace("<Signal.TERM: 15>", "TERM")


def summary(kind: type[Any]) -> str:
    """The first line of the docstring of a trap or handle."""
    return (kind.__doc__ or "").partition("\n")[0]


def trap_table() -> str:
    """The traps as a Markdown table."""
    rows = [f"| `{signature(kind)}` | {summary(kind)} |" for kind in all_traps()]
    return "\n".join(["| trap | what it does, what it answers |", "|---|---|", *rows]) + "\n"


def page(name: str | None) -> str | None:
    """The page of one trap or handle (in upper or lower case), or the list of all; None if there is no such thing."""
    if name is None:
        kinds = [*all_traps(), *all_handles()]
        width = max(len(kind.__name__) for kind in kinds)
        return "\n".join(f"{kind.__name__:{width}}  {summary(kind)}" for kind in kinds)
    for trap in all_traps():
        if trap.__name__.lower() == name.lower():
            return f"{signature(trap)}\n\n{inspect.getdoc(trap)}"
    for handle in all_handles():
        if handle.__name__.lower() == name.lower():
            return f"{signature(handle)}\n\n{inspect.getdoc(handle)}\n\n{methods(handle)}"
    return None


def methods(kind: type[handles.Handle]) -> str:
    """What can be asked of a handle: how it is yielded, and what that does, a line or two for each."""
    name = kind.__name__.lower()
    lines = []
    for method, function in vars(kind).items():
        if inspect.isfunction(function) and not method.startswith("_"):
            text = (inspect.getdoc(function) or "").removeprefix("Trap: ")
            lines += [f"yield {name}.{method}{parameters_of(function)}", f"    {text}"]
    return "\n".join(lines)
