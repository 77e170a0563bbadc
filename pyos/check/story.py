"""A failure as a story that a person can follow: verdict, how it was found, the run in columns, what to type.

    step  where       1 left             2 right
       1  forks.py:9  Acquire(a)         |
       2* forks.py:9  |                  Acquire(b)

`*` marks a step that production would have given to another task. A few tasks have a column each; more have a narrow
lane each, which is free for another task once its own has ended, and the text stands beside the lanes (`+`: there was
no lane left). A long run is elided in the middle. Nothing is wider than WIDTH.
"""

from __future__ import annotations

import os
import textwrap
import traceback
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate
from typing import Protocol
from unicodedata import east_asian_width

from pyos.check.recorder import Row, relative
from pyos.check.report import Failure, printable

WIDTH = 100
NARROWEST = 24  # characters of a column; with less, tasks have lanes
MOST_LANES = 16
LONGEST_NAME = 20  # beside lanes
MOST_TASKS = 30  # of those listed at the end
LONGEST_WHERE = 26
ENDS = 30  # steps shown at each end of a long run
MOST_LINES = 20  # of a traceback
FILLER = "\0"  # the second column of a wide character, while lines are broken

RESET, BOLD, DIM, RED, YELLOW = "\033[0m", "\033[1m", "\033[2m", "\033[31m", "\033[1;33m"
TASK_COLORS = ("\033[36m", "\033[35m", "\033[32m", "\033[34m")


class Paint:
    """Colours, or none."""

    def __init__(self, color: bool) -> None:
        self.color = color

    def __call__(self, text: str, code: str) -> str:
        return f"{code}{text}{RESET}" if self.color and text else text

    def task(self, tid: int, text: str) -> str:
        """A text about a task, in its colour."""
        return self(text, TASK_COLORS[tid % len(TASK_COLORS)])


def tell(failure: Failure, color: bool = False) -> str:
    """The story of one failing run."""
    paint = Paint(color)
    rows = failure.rows
    race = [] if failure.race is None else wrapped(f"race on {race_in_words(failure)}")
    parts = [
        colored(list(verdict(failure)), paint),
        list(table(rows, failure, paint)) if rows else [],
        race,
        error_lines(failure),
        last_places(failure, paint),
        ["to see it again:", f"  {failure.command}"] if failure.command else [],
    ]
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def colored(lines: list[str], paint: Paint) -> list[str]:
    """The verdict, its first line in red."""
    return [paint(lines[0], BOLD + RED), *lines[1:]]


def verdict(failure: Failure) -> Iterator[str]:
    """What went wrong, and how it was found."""
    message = failure.message.splitlines() if failure.kind != "deadlock" else failure.message.splitlines()[:1]
    yield from wrapped(relative(f"{failure.kind}: {' '.join(message[:1])}"))
    for line in message[1:]:
        yield from wrapped(relative(line))
    deviations = sum(row.deviates for row in failure.rows)
    order = "in production's order" if not deviations else f"{deviations} out of production's order (*)"
    steps = f"{len(failure.rows)} step{'s' * (len(failure.rows) != 1)}"
    yield f"found by {failure.found_by} in schedule {failure.found_after}; {steps}, {order}"


def race_in_words(failure: Failure) -> str:
    """The racing pair: who did what to which thing, and where."""
    race = failure.race
    assert race is not None
    first, second = (f"(task {side.tid}, {short(side.where)}): {side.did}" for side in race[:2])
    later = f"step {race.second.number} {second}" if race.second.number else f"{second}, which was still to come"
    return f"{race.on}: step {race.first.number} {first}, before {later}"


def error_lines(failure: Failure) -> list[str]:
    """The traceback of an error, without the kernel's frames."""
    error = failure.error
    if error is None or error.__traceback__ is None:
        return []
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    lines = relative(text).rstrip().split("\n")
    if len(lines) > MOST_LINES:
        lines = [*lines[: MOST_LINES // 2], "  ...", *lines[-MOST_LINES // 2 :]]
    return [clip(printable(line[: 10 * WIDTH]), WIDTH) for line in lines]


def last_places(failure: Failure, paint: Paint) -> list[str]:
    """Where each task is that is left: its innermost line, and what it waits for."""
    lines: list[str] = []
    for task in failure.tasks:
        if task.state != "zombie":
            where, _, function = relative(task.stack[-1]).partition(" ") if task.stack else ("not started", "", "")
            inside = f" in {function.rpartition('.')[2]}" if function else ""
            lines += wrapped(f"  {task.tid} {task.name}, {where}{inside}: {task.waiting_on or task.state}")
    more = [f"  and {len(lines) - MOST_TASKS} more"] if len(lines) > MOST_TASKS else []
    return [paint("tasks at the end:", BOLD), *lines[:MOST_TASKS], *more] if lines else []


# --- the run


class Layout(Protocol):
    """How steps are set out beside their number and place."""

    def header(self) -> str:
        """The line above the first step."""

    def cells(self, row: Row, lines: list[str]) -> Iterator[str]:
        """The lines of one step."""


def table(rows: list[Row], failure: Failure, paint: Paint) -> Iterator[str]:
    """The run, one row a step."""
    digits = max(4, len(str(len(rows))))
    where_width = max(5, *(columns(short(row.where)) for row in rows))
    left = digits + 2 + where_width + 2
    names = {row.tid: f"{row.tid} {row.name}" for row in rows}
    layout: Layout = (
        Columns(names, WIDTH - left, paint)
        if len(names) * NARROWEST <= WIDTH - left
        else Lanes(names, lives(rows), WIDTH - left, paint)
    )
    yield paint(f"{'step':>{digits}}  {'where':{where_width}}  ", DIM) + layout.header()
    time, shown = 0.0, 0
    for row in rows_shown(rows, failure):
        if row.number > shown + 1:
            yield paint(f"{'...':>{digits}}  {row.number - shown - 1} more steps", DIM)
        shown = row.number
        if row.time != time:
            yield paint(f"{'':{digits}}  {row.time:g} s", DIM)
            time = row.time
        mark = paint("*", YELLOW) if row.deviates else " "
        beside = f"{row.number:>{digits}}{mark} {pad(short(row.where), where_width)}  "
        for line in layout.cells(row, [in_words(row)]):
            yield (beside + line).rstrip()
            beside = " " * left
        for _, death in row.deaths:
            yield paint(clip(f"{'':{left}}{death}", WIDTH), DIM)


def rows_shown(rows: list[Row], failure: Failure) -> list[Row]:
    """All steps, or the two ends of a long run, with the deviations and the race between them."""
    if len(rows) <= 2 * ENDS + 10:
        return rows
    race = (failure.race.first.number, failure.race.second.number) if failure.race is not None else ()
    marked = [row for row in rows if row.deviates or row.number in race]
    kept = {row.number for row in (*rows[:ENDS], *rows[-ENDS:], *marked[: ENDS // 2], *marked[-ENDS // 2 :])}
    return [row for row in rows if row.number in kept]


def in_words(row: Row) -> str:
    """What a step asked for, and what it got."""
    if row.ended:
        if row.failed:
            return f"raises {row.result}"
        if row.result and row.result.startswith("killed by"):
            return row.result
        return "ends" if row.result in (None, "None") else f"ends = {row.result}"
    text = row.trap or "yield"
    if row.trap and row.result is None:
        return f"{text} blocks"
    if row.answered and row.answered != row.number:
        text += f" blocks until {row.answered}"
    if row.failed and row.result and row.result.startswith("killed by"):
        return f"{text}: {row.result}"
    if row.result in (None, "None"):
        return text
    return f"{text} raises {row.result}" if row.failed else f"{text} = {row.result}"


def lives(rows: list[Row]) -> dict[int, tuple[int, int]]:
    """The first step of each task, and the one in which it ended; the last of all if it did not."""
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for row in rows:
        first.setdefault(row.tid, row.number)
        last |= dict.fromkeys([tid for tid, _ in row.deaths] + [row.tid] * row.ended, row.number)
    return {tid: (number, last.get(tid, len(rows))) for tid, number in first.items()}


class Columns:
    """A column for each task."""

    def __init__(self, names: dict[int, str], width: int, paint: Paint) -> None:
        self.names = dict(sorted(names.items()))
        self.width = width // len(names)
        self.paint = paint

    def header(self) -> str:
        names = {tid: clip(name, self.width - 2) for tid, name in self.names.items()}
        return "".join(self._cell(name, self.paint.task(tid, name)) for tid, name in names.items()).rstrip()

    def _cell(self, plain: str, painted: str) -> str:
        return painted + " " * (self.width - columns(plain))

    def cells(self, row: Row, lines: list[str]) -> Iterator[str]:
        for text in wrap(lines[0], self.width - 2):
            cells = []
            for tid in self.names:
                inside = text if tid == row.tid else "|"
                painted = self.paint(inside, RED) if tid == row.tid and row.failed else self.paint.task(tid, inside)
                cells.append(self._cell(inside, painted))
            yield "".join(cells).rstrip()


class Lanes:
    """A narrow lane for each task that is alive, and the text beside them."""

    def __init__(self, names: dict[int, str], lives: dict[int, tuple[int, int]], width: int, paint: Paint) -> None:
        self.names = names
        self.lives = lives
        self.paint = paint
        self.lanes: list[int | None] = []
        self.count = min(most_at_once(lives), MOST_LANES)
        self.width = width - 2 * self.count - 1

    def header(self) -> str:
        return "tasks"

    def cells(self, row: Row, lines: list[str]) -> Iterator[str]:
        for index, tid in enumerate(self.lanes):
            if tid is not None and self.lives[tid][1] < row.number:
                self.lanes[index] = None
        if row.tid not in self.lanes:
            self._enter(row.tid)
        text = f"{clip(self.names[row.tid], LONGEST_NAME)}: {lines[0]}"
        mark = "o"
        for part in wrap(text, self.width):
            lanes = "".join(self._lane(tid, mark if tid == row.tid else "|") for tid in self.lanes)
            free = "  " * (self.count - len(self.lanes)) + (" " if row.tid in self.lanes else "+")
            told = self.paint(part, RED) if row.failed else self.paint.task(row.tid, part)
            yield f"{lanes}{free}{told}"
            mark = "|"

    def _enter(self, tid: int) -> None:
        if None in self.lanes:
            self.lanes[self.lanes.index(None)] = tid
        elif len(self.lanes) < self.count:
            self.lanes.append(tid)

    def _lane(self, tid: int | None, mark: str) -> str:
        return "  " if tid is None else self.paint.task(tid, mark) + " "


def most_at_once(lives: dict[int, tuple[int, int]]) -> int:
    """How many tasks live at the same time, at most."""
    changes = Counter(first for first, _ in lives.values())
    changes.subtract(last + 1 for _, last in lives.values())
    return max(accumulate(changes[number] for number in sorted(changes)))


# --- words


def short(where: str) -> str:
    """file:line, the file without its folders where it would be too long."""
    where = relative(where)
    if columns(where) > LONGEST_WHERE:
        where = os.path.basename(where)
    return where if columns(where) <= LONGEST_WHERE else clip(where[::-1], LONGEST_WHERE)[::-1]


def columns(text: str) -> int:
    """How wide a text is on a terminal: East Asian characters take two columns."""
    return len(text) if text.isascii() else len(text) + sum(map(is_wide, text))


def is_wide(char: str) -> bool:
    return east_asian_width(char) in ("W", "F")


def clip(text: str, width: int) -> str:
    """A text cut to a width."""
    if columns(text) <= width:
        return text
    text = text[: width - 2]
    while columns(text) > width - 2:
        text = text[:-1]
    return text + ".."


def pad(text: str, width: int) -> str:
    """A text filled up to a width."""
    return text + " " * (width - columns(text))


def wrap(text: str, width: int, indent: str = "  ") -> list[str]:
    """A text in lines of at most a width, all but the first indented."""
    if columns(text) > len(text):
        text = "".join(char + FILLER if is_wide(char) else char for char in text)
        width -= 1  # a character and its filler may be cut apart
    return [line.replace(FILLER, "") for line in textwrap.wrap(text, width, subsequent_indent=indent)] or [""]


def wrapped(text: str) -> list[str]:
    """A text in lines of at most WIDTH."""
    return wrap(text, WIDTH, " " * (len(text) - len(text.lstrip())) + "  ")
