"""A snapshot of tasks as a table, for shells, test reports and whoever wants to see the system."""

from __future__ import annotations

from collections.abc import Iterable

from pyos.status import TaskInfo

HEADER = ("TID", "PARENT", "STATE", "WAITING ON", "NAME", "PROGRAM")


def table(tasks: Iterable[TaskInfo]) -> str:
    """Lines of columns with a header, ending in a newline."""
    rows = [HEADER]
    rows += [(str(t.tid), str(t.parent), t.state, t.waiting_on or "-", t.name, t.program or "-") for t in tasks]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    return "".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() + "\n" for row in rows)
