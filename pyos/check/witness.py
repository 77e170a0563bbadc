"""Looks closely at single runs: records one, runs it twice to see whether it is the same, opens a debugger in it."""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyos.check.footprint import Footprints, Step
from pyos.check.harness import Harness
from pyos.check.race import Race, Seen, find_race, find_unreached
from pyos.check.recorder import Recorder, Row, shown
from pyos.check.report import Failure
from pyos.check.strategies import Replay
from pyos.check.tracing import Tracer
from pyos.status import TaskInfo


@dataclass
class Recording:
    """A run that was written down: `seen` has its steps, `tasks` are those that are left at the end."""

    seen: Seen
    failure: Failure | None
    outcome: Any
    tasks: list[TaskInfo] = field(default_factory=list)
    diverged: str = ""  # why it is not the run that was asked for
    descriptors: dict[int, str] = field(default_factory=dict)  # what was opened in the run, and is still open
    descriptors_after: dict[int, str] = field(default_factory=dict)  # all that are open after the run

    @property
    def rows(self) -> list[Row]:
        """The steps."""
        return self.seen.rows


class Witness:
    """One program in a harness that writes down what it does."""

    def __init__(self, program: Any, options: dict[str, Any]) -> None:
        self.recorder = recorder = Recorder()
        self.footprints = Footprints(isolated=True)
        wrappers = [self.footprints.wrap, recorder.wrap]
        self.harness = Harness(program, **options, wrappers=wrappers, queue=recorder.queue)
        self.footprints.bind(self.harness.kernel)
        recorder.bind(self.harness.kernel)
        self.steps: list[Step] = []
        self.repeated: dict[tuple[int, ...], Recording] = {}  # by choices: two runs of them were the same, as this one
        recorder.step_begins = lambda task: self.steps.append(self.footprints.begin_step(task))
        self.harness.began = self._began
        self.harness.time_passes = self._time_passes
        self.tracer = Tracer(recorder, self._saw, lambda: self.harness.seeded)

    def _began(self) -> None:
        self.steps = []
        self.recorder.begin_run()
        self.footprints.begin_run()

    def _time_passes(self) -> None:
        self.recorder.end_step()
        self.footprints.step = Step(())  # what alarms do is no step's doing

    def _saw(self, failure: Failure) -> None:
        """A task did what cannot be repeated."""
        if self.harness.running and self.harness.failure is None:
            self.harness.failure = failure

    # --- recording

    def record(
        self,
        choices: Sequence[int],
        *,
        variables: bool = False,
        exact: bool = False,
        before: dict[int, str] | None = None,
    ) -> Recording:
        """Run these choices, step by step. `exact`: they are a whole schedule, so that all of them are made.

        `before`: the descriptors that are open; without it, it is not looked at those that the run opens.
        """
        self.recorder.variables = variables
        replay = Replay(choices)
        with self.footprints.naming_handles(), self.tracer.tracing():
            outcome = self.harness.run(replay.choose)
        self.recorder.end_step()
        seen = Seen(self.recorder.rows, self.steps, self._labels())
        recording = Recording(seen, self.harness.failure, outcome)
        recording.tasks = self.harness.kernel.tasks()
        recording.diverged = replay.diverged(exact)
        if before is not None:
            recording.descriptors_after = after = open_descriptors()
            recording.descriptors = {fd: name for fd, name in after.items() if before.get(fd) != name}
        self.recorder.begin_run()  # what is left is killed when the next run begins, which is no part of this one
        return recording

    def _labels(self) -> dict[Any, str]:
        """What people call the things that footprints name: a lock by its name, a mailbox by its task."""
        objects, tasks = self.footprints.objects, self.footprints.tasks
        labels: dict[Any, str] = {name: getattr(thing, "label", "") or shown(thing) for thing, name in objects.items()}
        return labels | {("mailbox", name): f"the mailbox of task {tid}" for tid, name in tasks.items()}

    def repeat(self, choices: tuple[int, ...]) -> Recording:
        """A recording of these choices: one of two that were the same, if there is one."""
        return self.repeated.get(choices) or self.record(choices)

    def differs(self, choices: tuple[int, ...]) -> Failure | None:
        """Run the same choices twice; what differs, or cannot be repeated, is a failure, told at its line."""
        if choices in self.repeated:
            return None
        first = self.record(choices, before=open_descriptors())
        second = first
        if not is_uncontrolled(first.failure):
            second = self.record(choices, before=first.descriptors_after)
        failure = self._difference(first, second)
        if failure is None:
            self.repeated = {key: value for key, value in self.repeated.items() if not key} | {choices: second}
        return failure

    def _difference(self, first: Recording, second: Recording) -> Failure | None:
        """What differs between two runs of the same choices."""
        if is_uncontrolled(second.failure):
            return second.failure
        for a, b in zip(first.rows, second.rows):
            if a.label != b.label:
                message = f"step {a.number} was {a}, and with the same choices again {b}"
                return Failure("nondeterminism", message, a.tid)
        if len(first.rows) != len(second.rows):
            message = f"a run had {len(first.rows)} steps, and with the same choices again {len(second.rows)}"
            return Failure("nondeterminism", message)
        return self._descriptors_left(first, second)

    def _descriptors_left(self, first: Recording, second: Recording) -> Failure | None:
        """What each of two runs has left open is a leak."""
        if not self.harness.leaks or first.failure is not None or first.tasks or not first.descriptors:
            return None
        gc.collect()
        left = second.descriptors.items() & open_descriptors().items()
        if not left:
            return None
        return Failure("leak", f"left open by each run: {', '.join(name for _, name in sorted(left))}")

    def race(self, recording: Recording, choices: Sequence[int], kind: str) -> Race | None:
        """The two steps that made the difference in a failing run of these choices."""
        found = find_race(recording.seen, kind)
        if found is not None or not any(choices):
            return found
        last = max(number for number, choice in enumerate(choices) if choice)
        return find_unreached(recording.seen, self.record(choices[:last]).seen)

    # --- debugging

    @contextlib.contextmanager
    def stopped_at_end(self, choices: Sequence[int]) -> Iterator[Harness]:
        """Run the choices without recording, and have the tasks as they are at the end of the run."""
        self.harness.run(Replay(choices).choose)
        yield self.harness


def is_uncontrolled(failure: Failure | None) -> bool:
    """True if the run did what cannot be repeated."""
    return failure is not None and failure.kind == "nondeterminism"


def open_descriptors() -> dict[int, str]:
    """The descriptors of this process, and what they lead to; none where that cannot be seen."""
    found: dict[int, str] = {}
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):
                found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
    return found
