"""Which two steps made the difference: a pair of different tasks that touch the same thing, in the unlucky order.

Kernel objects are told by the footprints of the steps, Python variables by the lines that they ran. In a schedule that
deviates from production's, the pair is one whose order the last deviation has turned round; if the run failed before it
came to the second step, that is seen in the run without the deviation. In production's own schedule, the pair is a
value that one task had read when another one wrote it.

Both touch the same part of a thing, or one of them the whole of it. Steps that no schedule could take in the other
order, as one of their tasks is not there until or after the other step, are no pair; those that other kernel objects
keep in order are one only if there is no better one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from pyos.check.accesses import WHOLE, Part
from pyos.check.footprint import Name, Step
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
    vague: bool = False  # it may not touch all that it is said to


END = "its end"
SHARED = ("object", "outside", "mailbox")  # kinds of names in footprints that programs know
Key = tuple[Any, Part]  # a thing, and what of it
Touches = list[dict[Key, Touch]]  # for each step
Clock = dict[Name, int]  # for each task, the index of its last step that comes before
ORDERING = (*SHARED, "life", "children")  # kinds of names whose steps are in one order


class Pair(NamedTuple):
    """Two indices of steps, and what each of them touches."""

    i: int
    j: int
    first: Key
    second: Key


class Seen(NamedTuple):
    """What is known of a run: its rows, their footprints, and what people call the things in these."""

    rows: list[Row]
    steps: list[Step]
    labels: dict[Any, str]

    def touches(self, by_name: bool = False) -> Touches:
        """What each step touches. `by_name`: Python objects by their variable, to compare two runs."""
        found: Touches = []
        for row, step in zip(self.rows, self.steps):
            touched: dict[Key, Touch] = {}
            for name, write in step.touched.items():
                if name and name[0] in SHARED:
                    on = self.labels.get(name, str(name[0]))
                    touched[name, WHOLE] = Touch(write, on, row.trap or (END if row.ended else "its step"))
            for use in row.accesses.values():
                key = (use.name or use.root) if by_name else use.thing, use.part
                did = f"{'writes' if use.write else 'reads'} {use.text}"
                if key not in touched or use.write:
                    touched[key] = Touch(use.write, use.root, did, use.vague)
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
    start = 0 if deviation is None else deviation.number - 1
    lives = clocks(seen, lives_only=True)
    pairs = [pair for pair in rivals(seen.rows, touched, start) if not is_before(pair, seen, lives)]
    if deviation is None:
        pairs = [pair for pair in pairs if is_stale(pair, touched)][::-1]
    else:
        pairs = [pair for pair in pairs if seen.rows[pair.j].tid == deviation.options[0]] or pairs
    if not pairs:
        return None
    order = clocks(seen)
    i, j, first, second = min(pairs, key=lambda pair: doubts(pair, seen, touched, order))
    before, after = touched[i][first], touched[j][second]
    return Race(seen.side(i, before), seen.side(j, after), thing_in_words(before, after))


def find_unreached(seen: Seen, without: Seen) -> Race | None:
    """The pair whose second step the failing run did not come to; `without` is the run without the last deviation."""
    deviation = last_deviation(seen.rows)
    if deviation is None:
        return None
    start, found = deviation.number - 1, None
    early, late = seen.touches(by_name=True), without.touches(by_name=True)
    lives = clocks(without, lives_only=True)
    begun: dict[Any, list[tuple[int, Part]]] = {}  # thing -> the steps of the failing run that touch it
    for i in range(start, len(seen.rows)):
        for thing, part in early[i]:
            begun.setdefault(thing, []).append((i, part))
    for j in range(start, len(without.rows)):
        if without.rows[j].tid != deviation.options[0]:
            continue
        over = {without.rows[k].tid for k in lives[j].values() if without.rows[k].ended}
        for (thing, part), touch in late[j].items():
            for i, other in begun.get(thing, ()):
                before = early[i][thing, other]
                if seen.rows[i].tid == without.rows[j].tid or seen.rows[i].tid in over or not overlap(part, other):
                    continue
                if is_conflict(before, touch):
                    on = thing_in_words(before, touch)
                    race = Race(seen.side(i, before), without.side(j, touch, reached=False), on)
                    if not (before.vague or touch.vague):
                        return race
                    found = found or race
    return found


def last_deviation(rows: Sequence[Row]) -> Row | None:
    """The last step that production would have given to another task."""
    return next((row for row in reversed(rows) if row.deviates), None)


def overlap(part: Part, other: Part) -> bool:
    """True if two parts of one thing have something in common."""
    return part == other or WHOLE in (part, other)


def is_conflict(before: Touch, after: Touch) -> bool:
    """True if one of them writes; but two ends, each of which gives back what its task had, are no conflict."""
    return (before.write or after.write) and not before.did == after.did == END


def thing_in_words(before: Touch, after: Touch) -> str:
    """What both touch: each may know it by another name, of which `self` says the least."""
    return before.on if after.on == "self" else after.on


def doubts(pair: Pair, seen: Seen, touched: Touches, order: list[Clock]) -> tuple[int, ...]:
    """What speaks against a pair, the most important first: the smaller, the better."""
    i, j, first, second = pair
    variable = type(first[0]) is not tuple or first[0][0] not in SHARED
    return (
        touched[i][first].vague or touched[j][second].vague,
        untold(pair, seen.rows, touched),
        variable and is_before(pair, seen, order),
        first != second,
    )


def untold(pair: Pair, rows: list[Row], touched: Touches) -> int:
    """0 if the second step blocked for ever, or both touch what the last step, which failed, touched; 1 if nearly."""
    if rows[-1].failed:
        thing, part = pair.second
        if pair.second in touched[-1] and part != WHOLE:
            return 0
        return 1 if any(other == thing and overlap(part, place) for other, place in touched[-1]) else 2
    return 0 if rows[pair.j].trap and rows[pair.j].result is None else 2


def is_stale(pair: Pair, touched: Touches) -> bool:
    """True if the first step has read what the second then wrote."""
    return not touched[pair.i][pair.first].write and touched[pair.j][pair.second].write


def rivals(rows: list[Row], touched: Touches, start: int) -> Iterator[Pair]:
    """Pairs of steps of different tasks that touch the same thing, one of them writing, from row index `start` on."""
    last: dict[Any, dict[Part, dict[int, int]]] = {}  # thing -> part -> who has touched it since its last write, when
    for j in range(start, len(rows)):
        tid = rows[j].tid
        for key, touch in touched[j].items():
            thing, part = key
            parts = last.setdefault(thing, {})
            near = parts if part == WHOLE else (part, WHOLE)
            before = [(i, place) for place in near for other, i in parts.get(place, {}).items() if other != tid]
            for i, place in sorted(before, key=lambda found: -found[0]):
                if is_conflict(touched[i][thing, place], touch):
                    yield Pair(i, j, (thing, place), key)
            if touch.write and not touch.vague:
                parts[part] = {}
            parts.setdefault(part, {})[tid] = j


def is_before(pair: Pair, seen: Seen, order: list[Clock]) -> bool:
    """True if the first step comes before the second in each schedule that keeps an order."""
    return order[pair.j].get(seen.steps[pair.i].task, -1) >= pair.i


def clocks(seen: Seen, lives_only: bool = False) -> list[Clock]:
    """For each step, what came before it: what its task, what woke it, and the objects that both have used say.

    `lives_only`: only what is before a task's birth or, for those who have waited for it, after its end.
    """
    found: list[Clock] = []
    tasks: dict[Name, Clock] = {}
    things: dict[Name, Clock] = {}
    for index, (row, step) in enumerate(zip(seen.rows, seen.steps)):
        clock = tasks.setdefault(step.task, {})
        found.append(dict(clock))
        names = [(name, write) for name, write in step.touched.items() if name and name[0] in ORDERING]
        if not row.trap.startswith("Release"):
            for name, _ in names:
                join(clock, things.get(name, {}))
        clock[step.task] = index
        if not row.trap.startswith("Acquire") and (row.ended or not lives_only):
            for name, write in names:
                if write:
                    join(things.setdefault(name, {}), clock)
        for name in step.touched:
            is_other = bool(name) and name[0] == "task" and name[1] != step.task
            if is_other and (row.ended or not lives_only or name[1] not in tasks):
                join(tasks.setdefault(name[1], {}), clock)
    return found


def join(clock: Clock, other: Clock) -> None:
    """What came before the other comes before this one as well."""
    for task, index in other.items():
        if index > clock.get(task, -1):
            clock[task] = index
