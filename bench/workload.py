"""What a benchmark is made of: workloads and their cases, the programs that carry them out, and what is promised.

A program is a function `program(meter, **params)` in the peer's best idiom; `peer.run` knows how to run it. By default
the whole run is measured, and its cost is CPU seconds per operation; a program or workload that measures only a part,
or something else, tells the meter. Libraries of peers are imported inside programs only: this process may lack them.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Params = Mapping[str, int]
Program = Callable[..., Any]
SIZES = ("full", "quick", "tiny")
WHOLE = "whole"  # the name of the only case of a workload that has one


class Contender(NamedTuple):
    """Who does it: a peer, and which of its programs where it has several."""

    peer: str
    variant: str = ""

    def __str__(self) -> str:
        return f"{self.peer} {self.variant}".rstrip()

    @classmethod
    def parse(cls, label: str) -> Contender:
        """The contender of a label such as "asyncio" or "pyos yield from"."""
        peer, _, variant = label.partition(" ")
        return cls(peer, variant)


@dataclass(frozen=True)
class Case:
    """One shape of a workload. `quick` and `tiny` replace parameters; without `quick` it is no part of a quick run."""

    full: Params
    quick: Params | None = None
    tiny: Params = field(default_factory=dict)
    headline: bool = True  # shown in the README

    def params(self, size: str) -> dict[str, int] | None:
        """The parameters at this size, or None if the case is too large for it."""
        if size == "full":
            return dict(self.full)
        if size == "quick":
            return None if self.quick is None else {**self.full, **self.quick}
        return {**self.full, **(self.quick or {}), **self.tiny}


@dataclass(frozen=True)
class Promise:
    """A bound on a ratio: `at_least` compares speeds (a lower figure is faster), `at_most` compares costs.

    Without `against` (a contender's label) and `against_case` the bound is on the figure itself, in its unit.
    """

    what: str
    case: str = WHOLE
    of: str = "pyos"
    against: str | None = None
    against_case: str | None = None
    figure: str = "cost"
    at_least: float | None = None
    at_most: float | None = None

    @property
    def is_ratio(self) -> bool:
        return self.against is not None or self.against_case is not None

    def value(self, of: float, against: float | None) -> float:
        """The promised ratio (or the figure itself), from two figures measured in the same round."""
        if against is None:
            return of
        return against / of if self.at_least is not None else of / against

    def kept_by(self, value: float) -> bool:
        """True if this ratio is within the bound."""
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)

    @property
    def bound(self) -> str:
        """The bound, for a table."""
        number = f"≥ {self.at_least:g}" if self.at_least is not None else f"≤ {self.at_most:g}"
        return f"{number} ×" if self.is_ratio else number


@dataclass
class Workload:
    """One thing that is measured. `cost` is in `unit`: seconds per operation × `scale`, unless the meter is told it."""

    name: str
    about: str
    unit: str
    cases: dict[str, Case]
    operations: Callable[..., float] = lambda **params: 1.0
    scale: float = 1e9
    order: int = 99  # its place in reports
    extras: dict[str, str] = field(default_factory=dict)  # other figures that are reported, and their units
    promises: list[Promise] = field(default_factory=list)
    measure: Callable[..., None] | None = None  # how, when running the program and looking at the clock will not do
    programs: dict[Contender, Program] = field(default_factory=dict)

    def on(self, *peers: str, variant: str = "") -> Callable[[Program], Program]:
        """Declare the program of one peer, or of several that run the same."""

        def declare(program: Program) -> Program:
            for peer in peers:
                contender = Contender(peer, variant)
                if contender in self.programs:
                    raise LookupError(f"{self.name} has two programs for {contender}")
                self.programs[contender] = program
            return program

        return declare


class Skip(Exception):
    """This contender does not do this case; the message says why, and the report prints it."""


def modules_of(package: str) -> list[str]:
    """The names of the modules in a folder, in order of their names."""
    return sorted(module.name for module in pkgutil.iter_modules(importlib.import_module(package).__path__))


def workloads() -> dict[str, Workload]:
    """Every workload, by name, in the order of reports."""
    modules = [importlib.import_module(f"bench.workloads.{name}") for name in modules_of("bench.workloads")]
    found = [value for module in modules for value in vars(module).values() if isinstance(value, Workload)]
    return {workload.name: workload for workload in sorted(found, key=lambda workload: (workload.order, workload.name))}


def peers() -> list[str]:
    """The names of every peer, pyos first."""
    return sorted(modules_of("bench.peers"), key=lambda name: (name != "pyos", name))


def load_peer(name: str) -> Any:
    """A peer's module; ImportError if its library is not there. Declares the programs that it brings."""
    return importlib.import_module(f"bench.peers.{name}")
