"""peterson: two tasks exclude each other with three cells. BUG: the turn is given away before the wish is declared."""

from typing import NamedTuple

from pyos import Cell, Program

TRIES = 2  # looks at the other before giving up: a loop without end has no last schedule


class Shared(NamedTuple):
    wants: tuple[Cell[bool], Cell[bool]]
    turn: Cell[int]
    busy: Cell[bool]


def competitor(shared: Shared, me: int) -> Program:
    other = 1 - me
    yield shared.turn.store(other)
    yield shared.wants[me].store(True)
    for _ in range(TRIES):
        if not (yield shared.wants[other].load()) or (yield shared.turn.load()) == me:
            yield critical(shared)
            break
    yield shared.wants[me].store(False)


def critical(shared: Shared) -> Program:
    assert not (yield shared.busy.load()), "two are inside"
    yield shared.busy.store(True)
    yield shared.busy.store(False)


def main() -> list[Program]:
    wants = (Cell(False, "0 wants"), Cell(False, "1 wants"))
    shared = Shared(wants, Cell(0, "turn"), Cell(False, "busy"))
    return [competitor(shared, 0), competitor(shared, 1)]
