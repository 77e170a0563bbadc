"""Which two steps made the difference: a pair of different tasks that touch the same thing, in the unlucky order.

Kernel objects are told by the footprints of the steps, Python variables by the lines that they ran. In a schedule that
deviates from production's, the pair is one whose order the last deviation has turned round; in production's own, a
value that one task had read when another one wrote it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from pyos.check.footprint import Step
from pyos.check.recorder import Row


class Race(NamedTuple):
    """Steps `first` and `second` (row numbers) of two tasks; `on` is what both touch, `did` how each of them did."""

    first: int
    second: int
    on: str
    did: tuple[str, str]
    key: Any


Touch = tuple[bool, str, str]  # whether it is written; the thing; what was done with it
SHARED = ("object", "outside", "mailbox")  # kinds of names in footprints that programs know


def find_race(rows: list[Row], steps: list[Step], labels: dict[Any, str]) -> Race | None:
    """The racing pair of a failing run, as far as it can be told; `labels` are for people."""
    touched = [touches(row, step, labels) for row, step in zip(rows, steps)]
    deviations = [row for row in rows if row.deviates]
    if not deviations:
        stale = [race for race in rivals(rows, touched, 0) if is_stale(race, touched)]
        return stale[-1] if stale else None
    last = deviations[-1]
    races = list(rivals(rows, touched, last.number - 1))
    turned = [race for race in races if rows[race.second - 1].tid == last.options[0]]
    return next(iter(turned or races), None)


def touches(row: Row, step: Step, labels: dict[Any, str]) -> dict[Any, Touch]:
    """What one step touches that others may touch: kernel objects, and Python objects and variables."""
    found: dict[Any, Touch] = {}
    for name, write in step.touched.items():
        if name and name[0] in SHARED:
            found[name] = (write, labels.get(name, str(name[0])), row.trap or ("its end" if row.ended else "its step"))
    for key, access in row.accesses.items():
        found[key] = (access.write, access.root, f"{'writes' if access.write else 'reads'} {access.text}")
    return found


def is_stale(race: Race, touched: list[dict[Any, Touch]]) -> bool:
    """True if the first step has read what the second then wrote."""
    return not touched[race.first - 1][race.key][0] and touched[race.second - 1][race.key][0]


def rivals(rows: list[Row], touched: list[dict[Any, Touch]], start: int) -> Iterator[Race]:
    """Pairs of steps of different tasks that touch the same thing, one of them writing, from row index `start` on."""
    last: dict[Any, list[int]] = {}  # what -> who wrote it last, and who has read it since
    for j in range(start, len(rows)):
        for key, (write, thing, did) in touched[j].items():
            for i in reversed(last.get(key, ())):
                written, _, earlier = touched[i][key]
                if rows[i].tid != rows[j].tid and (write or written):
                    yield Race(i + 1, j + 1, thing, (earlier, did), key)
            if write:
                last[key] = [j]
            else:
                last.setdefault(key, []).append(j)
