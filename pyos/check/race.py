"""Which two steps made the difference: a pair of different tasks that touch the same thing, in the unlucky order.

Kernel objects are told by the footprints of the steps, Python variables by the lines that they ran. In a schedule that
deviates from production's, the pair is one whose order the last deviation has turned round; if the run failed before it
came to the second step, that is seen in the run without the deviation. In production's own schedule, the pair is a
value that one task had read when another one wrote it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from pyos.check.footprint import Step
from pyos.check.recorder import Row


class Side(NamedTuple):
    """One step of a race: its number, 0 if the run did not come to it; whose it is, where, and what it did."""

    number: int
    tid: int
    where: str
    did: str


class Race(NamedTuple):
    """Two steps of different tasks, in the order in which they were taken; `on` is what both touch."""

    first: Side
    second: Side
    on: str


class Touch(NamedTuple):
    """How a step touches a thing."""

    write: bool
    on: str
    did: str


SHARED = ("object", "outside", "mailbox")  # kinds of names in footprints that programs know
Touches = list[dict[Any, Touch]]  # for each step
Pair = tuple[int, int, Any]  # two indices of steps, and what both touch


class Seen(NamedTuple):
    """What is known of a run: its rows, their footprints, and what people call the things in these."""

    rows: list[Row]
    steps: list[Step]
    labels: dict[Any, str]

    def touches(self, by_name: bool = False) -> Touches:
        """What each step touches. `by_name`: Python objects by their variable, to compare two runs."""
        found: Touches = []
        for row, step in zip(self.rows, self.steps):
            touched: dict[Any, Touch] = {}
            for name, write in step.touched.items():
                if name and name[0] in SHARED:
                    on = self.labels.get(name, str(name[0]))
                    touched[name] = Touch(write, on, row.trap or ("its end" if row.ended else "its step"))
            for key, access in row.accesses.items():
                did = f"{'writes' if access.write else 'reads'} {access.text}"
                touched[access.root if by_name else key] = Touch(access.write, access.root, did)
            found.append(touched)
        return found

    def side(self, index: int, touch: Touch, reached: bool = True) -> Side:
        """One step as a side of a race."""
        row = self.rows[index]
        return Side(row.number if reached else 0, row.tid, row.where, touch.did)


def find_race(seen: Seen, kind: str) -> Race | None:
    """The racing pair of a failing run, as far as it can be told from the run itself; `kind` is the failure's."""
    touched = seen.touches()
    deviation = last_deviation(seen.rows)
    if deviation is None and kind not in ("assertion", "invariant", "eventually", "error"):
        return None
    if deviation is None:
        pairs = [pair for pair in rivals(seen.rows, touched, 0) if is_stale(pair, touched)][-1:]
    else:
        pairs = list(rivals(seen.rows, touched, deviation.number - 1))
        pairs = [pair for pair in pairs if seen.rows[pair[1]].tid == deviation.options[0]] or pairs
    if not pairs:
        return None
    i, j, key = next((pair for pair in pairs if is_telling(pair, seen.rows, touched)), pairs[0])
    return Race(seen.side(i, touched[i][key]), seen.side(j, touched[j][key]), touched[j][key].on)


def find_unreached(seen: Seen, without: Seen) -> Race | None:
    """The pair whose second step the failing run did not come to; `without` is the run without the last deviation."""
    deviation = last_deviation(seen.rows)
    if deviation is None:
        return None
    start = deviation.number - 1
    early, late = seen.touches(by_name=True), without.touches(by_name=True)
    for j in range(start, len(without.rows)):
        if without.rows[j].tid != deviation.options[0]:
            continue
        for i in range(start, len(seen.rows)):
            if seen.rows[i].tid != without.rows[j].tid:
                for key in early[i].keys() & late[j].keys():
                    if early[i][key].write or late[j][key].write:
                        second = without.side(j, late[j][key], reached=False)
                        return Race(seen.side(i, early[i][key]), second, late[j][key].on)
    return None


def last_deviation(rows: Sequence[Row]) -> Row | None:
    """The last step that production would have given to another task."""
    return next((row for row in reversed(rows) if row.deviates), None)


def is_telling(pair: Pair, rows: list[Row], touched: Touches) -> bool:
    """True if the second step blocked for ever, or both touch what the last step, which failed, touched."""
    _, j, key = pair
    if rows[-1].failed:
        return key in touched[-1]
    return bool(rows[j].trap) and rows[j].result is None


def is_stale(pair: Pair, touched: Touches) -> bool:
    """True if the first step has read what the second then wrote."""
    i, j, key = pair
    return not touched[i][key].write and touched[j][key].write


def rivals(rows: list[Row], touched: Touches, start: int) -> Iterator[Pair]:
    """Pairs of steps of different tasks that touch the same thing, one of them writing, from row index `start` on."""
    last: dict[Any, list[int]] = {}  # what -> who wrote it last, and who has read it since
    for j in range(start, len(rows)):
        for key, touch in touched[j].items():
            for i in reversed(last.get(key, ())):
                if rows[i].tid != rows[j].tid and (touch.write or touched[i][key].write):
                    yield i, j, key
            if touch.write:
                last[key] = [j]
            else:
                last.setdefault(key, []).append(j)
