"""A failure as one self-contained page: the run in lanes, each task's stack and variables at each step.

The page is page.html with the run in it as JSON; it loads nothing. A stack is written down where it has changed.
"""

from __future__ import annotations

import json
import linecache
from importlib import resources
from typing import Any

from pyos.check.recorder import MOST_STACKS, Frame, Row, relative
from pyos.check.report import Failure
from pyos.check.story import error_lines, in_words, lives, race_in_words, short, verdict

MOST_LINES = 5000  # of one source file


def page(failure: Failure) -> str:
    """The page, which shows variables if the failure was recorded with them."""
    template = resources.files("pyos.check").joinpath("page.html").read_text(encoding="utf-8")
    text = json.dumps(data_of(failure), ensure_ascii=False).replace("<", "\\u003c")
    return template.replace("@@DATA@@", text.encode("utf-8", "replace").decode("utf-8"))


def data_of(failure: Failure) -> dict[str, Any]:
    """What the page knows."""
    *message, found = verdict(failure)
    return {
        "kind": failure.kind,
        "message": " ".join(line.strip() for line in message).removeprefix(f"{failure.kind}: "),
        "found": found,
        "command": failure.command,
        "race": {"first": failure.race.first.number, "second": failure.race.second.number} if failure.race else None,
        "raceInWords": f"race on {race_in_words(failure)}" if failure.race else "",
        "traceback": "\n".join(error_lines(failure)),
        "tasks": tasks_of(failure),
        "rows": rows_of(failure.rows),
        "stacksUntil": MOST_STACKS,
        "sources": sources_of(failure.rows),
    }


def tasks_of(failure: Failure) -> list[dict[str, Any]]:
    """Each task's lane: when it was born, its steps, and from where to where it goes; past the end without a step."""
    rows = failure.rows
    spans = lives(rows)
    names = {task.tid: task.name for task in failure.tasks} | {row.tid: row.name for row in rows}
    ended = {row.tid for row in rows if row.ended} | {tid for row in rows for tid, _ in row.deaths}
    steps: dict[int, list[int]] = {}
    born: dict[int, int] = {}
    for row in rows:
        steps.setdefault(row.tid, []).append(row.number)
        for tid in (row.tid, *row.options, *row.stacks):
            born.setdefault(tid, row.number)
    after = len(rows) + 1
    found = []
    for tid in sorted(born):
        first, last = spans.get(tid, (after, after))
        one = {"tid": tid, "name": names.get(tid, "?"), "born": born[tid], "first": first, "last": last}
        found.append(one | {"ended": tid in ended, "steps": steps.get(tid, [])})
    return found


def rows_of(rows: list[Row]) -> list[dict[str, Any]]:
    """The steps, each with the stacks that have changed in it."""
    known: dict[int, list[Frame]] = {}
    found = []
    for row in rows:
        changed = {tid: stack for tid, stack in row.stacks.items() if known.get(tid) != stack}
        known |= changed
        found.append(
            {
                "number": row.number,
                "tid": row.tid,
                "name": row.name,
                "where": short(row.where),
                "text": in_words(row),
                "trap": row.trap,
                "result": row.result,
                "failed": row.failed,
                "answered": row.answered,
                "choice": row.choice,
                "options": row.options,
                "time": row.time,
                "ended": row.ended,
                "deaths": [text for _, text in row.deaths],
                "stacks": {
                    tid: [(relative(frame.where), frame.function, frame.variables) for frame in stack]
                    for tid, stack in changed.items()
                },
            }
        )
    return found


def sources_of(rows: list[Row]) -> dict[str, list[str]]:
    """The lines of the files that stacks are in, by their names as they are shown."""
    files = {frame.where.rpartition(":")[0] for row in rows for stack in row.stacks.values() for frame in stack}
    lines = {path: [line.rstrip("\n") for line in linecache.getlines(path)] for path in files}
    return {relative(path): text[:MOST_LINES] for path, text in sorted(lines.items()) if text}
