"""pdb at the failing step of a schedule: post mortem of an error, else the frames of the failing task."""

from __future__ import annotations

import pdb
from types import FrameType, TracebackType
from typing import Any

from pyos.check.harness import Harness
from pyos.check.report import Failure
from pyos.kernel.tasks import Task
from pyos.kernel.trampoline import frame_of, frames


class Debugger(pdb.Pdb):
    """pdb, in which `task N` goes to another task; its frames are one stack, as their callers."""

    def __init__(self, harness: Harness, **options: Any) -> None:
        super().__init__(**options)
        self.prompt = "(pyos) "
        self.harness = harness
        self.frames: list[tuple[FrameType, int]] = []

    def get_stack(
        self, frame: FrameType | None, trace: TracebackType | None
    ) -> tuple[list[tuple[FrameType, int]], int]:
        """The task's frames; those of a traceback as they are."""
        if trace is not None or not self.frames:
            return super().get_stack(frame, trace)
        return list(self.frames), len(self.frames) - 1

    def select(self, task: Task) -> FrameType | None:
        """Make a task's frames the stack; its innermost one, or None if it has ended or not begun."""
        found = [frame_of(gen) for gen in frames(task)]
        self.frames = [(frame, frame.f_lineno) for frame in found if frame is not None]
        return self.frames[-1][0] if self.frames else None

    def do_task(self, arg: str) -> None:
        """task N: go to another task's frames."""
        task = self.harness.kernel.table.get(int(arg)) if arg.strip().isdecimal() else None
        if task is None or task.status is not None:
            living = [f"{t.tid} ({t.name})" for t in self.harness.kernel.table if t.status is None]
            self.message(f"there is no living task {arg!r}: {', '.join(living) or 'none is left'}")
            return
        self.setup(self.select(task), None)
        self.print_stack_entry(self.stack[self.curindex])


def stop_at(harness: Harness, failure: Failure, **options: Any) -> None:
    """Open the debugger in a harness whose run has just ended with this failure."""
    debugger = Debugger(harness, **options)
    debugger.reset()
    error = harness.failure.error if harness.failure is not None else None
    if error is not None and error.__traceback__ is not None:
        debugger.interaction(None, error.__traceback__)
        return
    table = harness.kernel.table
    blamed = failure.tid or (failure.rows[-1].tid if failure.rows else 0)
    task = table.get(blamed) or next(iter(table), None)
    frame = debugger.select(task) if task is not None and task.status is None else None
    if frame is None:
        print("no task is left to look at")
        return
    debugger.interaction(frame, None)
