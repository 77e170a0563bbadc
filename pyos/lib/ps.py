"""A snapshot of tasks as a table, for shells, test reports and whoever wants to see the system."""

from __future__ import annotations

from collections.abc import Iterable

from pyos.status import TaskInfo

HEADER = ("TID", "PARENT", "STATE", "WAITING ON", "NAME", "PROGRAM")
CPU = 3  # the column in which processor times are put, once a task has used WORTH_TELLING seconds
WORTH_TELLING = 0.1


def table(tasks: Iterable[TaskInfo]) -> str:
    """Lines of columns with a header, ending in a newline."""
    tasks = list(tasks)
    rows: list[tuple[str, ...]] = [HEADER]
    rows += [(str(t.tid), str(t.parent), t.state, t.waiting_on or "-", t.name, t.program or "-") for t in tasks]
    if any(t.cpu >= WORTH_TELLING for t in tasks):
        times = ["CPU", *(f"{t.cpu:.2f}" for t in tasks)]
        rows = [(*row[:CPU], time, *row[CPU:]) for row, time in zip(rows, times)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() + "\n" for row in rows)
