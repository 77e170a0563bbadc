"""A failure as a story that a person can follow: verdict, how it was found, and the run in columns."""

from __future__ import annotations

from pyos.check.recorder import Row
from pyos.check.report import Failure


def tell(failure: Failure, rows: list[Row], *, color: bool) -> str:
    """The story of one failing run."""
    lines = [str(failure), f"found by {failure.found_by} after {failure.found_after} runs", ""]
    for row in rows:
        mark = "*" if row.deviates else " "
        lines.append(f"{row.number:4}{mark} {row.tid:3} {row.name:12} {row.where} {row.trap or 'yield'} = {row.result}")
    lines += ["", f"replay: {failure.replay}"]
    return "\n".join(lines)
