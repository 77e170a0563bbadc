"""Dynamic partial order reduction: one run of each set of schedules that differ only in the order of independent steps.

Source sets and sleep sets (Abdulla, Aronis, Jonsson, Sagonas, POPL 2014). After each run its steps are ordered by
what happened before what; a *race* is a pair of dependent steps of two tasks with nothing in between. Where the
second could have come first, a task that begins such a run is entered for backtracking at the first step's node. A
task *sleeps* at a node while everything that starts with it has been seen; a run in which all ready tasks sleep is
given up. A step that kills or stops a ready task is in a race with the step that it would have taken, and so is one
that fails, which ends the run, with all of them.

    node        a point before a step: who was ready, who has been run from here, who is yet to be
    happened before   a bit mask of step numbers for each step, itself included
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pyos.check.footprint import Footprints, Name, Step
from pyos.kernel.tasks import Task

if TYPE_CHECKING:
    from pyos.check.harness import Harness


class Asleep(Exception):
    """Every ready task sleeps: the run would repeat one that has been seen."""


class Node:
    """A point at which the next task is chosen."""

    __slots__ = ("ready", "sleep", "done", "backtrack", "task", "options")

    def __init__(self, ready: list[Name], sleep: dict[Name, Step]) -> None:
        self.ready = ready
        self.sleep = sleep  # tasks that need not be run from here -> what their next step touches
        self.done: dict[Name, Step] = {}  # tasks that have been run from here -> what their step touched
        self.task = next((name for name in ready if name not in sleep), None)
        self.backtrack: set[Name] = {self.task} if self.task is not None else set()
        self.options: list[list[int]] = []  # choices of other kinds within the step: [index, how many]

    def next_option(self) -> bool:
        """Go to the next combination of the choices within the step; False if there is none."""
        while self.options:
            index, count = self.options[-1]
            if index + 1 < count:
                self.options[-1][0] = index + 1
                return True
            self.options.pop()
        return False


class Dpor:
    """The strategy; `footprints` watches the kernel it is used with, whose queue asks `pick`."""

    name = "dpor"

    def __init__(self, footprints: Footprints) -> None:
        self.footprints = footprints
        self.harness: Harness | None = None  # the one that it watches, where that is another than for the rest
        self.complete = False
        self.bound = ""
        self.nodes: list[Node] = []
        self.steps: list[Step] = []
        self.enablers: list[int | None] = []  # for each step, the one that made its task ready again
        self.woken_by: dict[Name, int] = {}
        self.barriers: list[int] = []  # numbers of steps before which time passed
        self.new_from = 0
        self.replaying = 0  # how many nodes are given
        self.option = 0
        self.record: list[int] = []
        self.started = False

    # --- runs

    def next(self) -> bool:
        """Get ready for another run; False if everything has been seen."""
        if self.started and not self._backtrack():
            self.complete = True
            return False
        self.started = True
        self.replaying = len(self.nodes)
        self.steps = []
        self.enablers = []
        self.woken_by = {}
        self.barriers = []
        self.record = []
        self.footprints.begin_run()
        return True

    @property
    def chosen(self) -> tuple[int, ...]:
        return tuple(self.record)

    def pick(self, ready: Sequence[Task]) -> int:
        """Which of the ready tasks takes the next step."""
        self._end_step()
        names = [self.footprints.tasks[task.tid] for task in ready]
        number = len(self.steps)
        if number < self.replaying:
            node = self.nodes[number]
        else:
            node = Node(names, self._sleepers(number))
            self.nodes.append(node)
        if node.task is None:
            raise Asleep
        index = names.index(node.task)
        self.option = 0
        self.enablers.append(self.woken_by.pop(node.task, None))
        self.steps.append(self.footprints.begin_step(ready[index]))
        if len(ready) > 1:
            self.record.append(index)
        return index

    def choose(self, kind: str, options: Sequence[Any]) -> int:
        """A choice of another kind, within the step."""
        if len(options) == 1:
            return 0
        node, depth = self.nodes[len(self.steps) - 1], self.option
        self.option = depth + 1
        if depth == len(node.options):
            node.options.append([0, len(options)])
        index = node.options[depth][0]
        self.record.append(index)
        return index

    def time_passes(self) -> None:
        """Nothing was ready, and the clock has moved: all that comes now comes after all there was."""
        self._end_step()
        self.barriers.append(len(self.steps))
        self.footprints.begin_nothing()

    def _end_step(self) -> None:
        number = len(self.steps) - 1
        step = self.footprints.step
        if self.footprints.watched_by_invariants:
            step.everything = True
        for name in step.woke:
            self.woken_by[name] = number
        step.woke = set()

    def _sleepers(self, number: int) -> dict[Name, Step]:
        """Who sleeps at a new node: those of the node before whose step does not depend on the one just taken."""
        if number == 0:
            return {}
        before, step = self.nodes[number - 1], self.steps[number - 1]
        if self.barriers and self.barriers[-1] == number:
            return {}
        asleep = {**before.sleep, **before.done}
        return {name: other for name, other in asleep.items() if not other.depends_on(step)}

    # --- after a run

    def _backtrack(self) -> bool:
        """Enter what the run has shown, and go to the deepest node from which something is left to run."""
        self._end_step()
        if self.steps and self.footprints.cut_short:
            self.steps[-1].everything = True
            self.steps[-1].killed.update(self.nodes[len(self.steps) - 1].ready)
        self._find_races()
        nodes = self.nodes
        while nodes:
            node = nodes[-1]
            number = len(nodes) - 1
            if node.task is not None and number < len(self.steps):
                step = self.steps[number]
                if node.task in node.done:
                    step.merge(node.done[node.task])
                node.done[node.task] = step
                if node.next_option():
                    self.new_from = number
                    return True
            left = [n for n in node.ready if n in node.backtrack and n not in node.done and n not in node.sleep]
            if left:
                node.task = left[0]
                node.options = []
                self.new_from = number
                return True
            nodes.pop()
        return False

    def _find_races(self) -> None:
        """Order the run's steps, and enter each race among the new ones for backtracking."""
        before: list[int] = []
        last: dict[Name, int] = {}  # task -> its last step
        written: dict[Name, int] = {}  # object -> the last step that wrote it
        read: dict[Name, list[int]] = {}  # object -> the steps that read it since
        last_of_all: int | None = None  # the last step that depends on everything
        barrier = 0
        for i, step in enumerate(self.steps):
            if i in self.barriers:
                barrier = (1 << i) - 1
            enabler = self.enablers[i]
            mask = barrier | 1 << i
            if step.task in last:
                mask |= before[last[step.task]]
            if enabler is not None and enabler >= 0:
                mask |= before[enabler]
            rivals = self._rivals(step, last, written, read, last_of_all)
            fresh = [j for j in rivals if not mask >> j & 1]
            total = mask
            for j in fresh:
                total |= before[j]
            before.append(total)
            if i >= self.new_from:
                node = self.nodes[i]
                if not step.killed.isdisjoint(node.ready):
                    node.backtrack.update(node.ready)  # anything may have to come first for the killed task's step
                for j in fresh:
                    if not any(before[k] >> j & 1 for k in fresh if k != j):
                        self._enter_race(before, j, i)
            last[step.task] = i
            if step.everything:
                last_of_all = i
            for name, write in step.touched.items():
                if write:
                    written[name] = i
                    read.pop(name, None)
                else:
                    read.setdefault(name, []).append(i)

    def _rivals(
        self,
        step: Step,
        last: dict[Name, int],
        written: dict[Name, int],
        read: dict[Name, list[int]],
        last_of_all: int | None,
    ) -> set[int]:
        """The latest steps of other tasks that this one depends on."""
        found = set(last.values()) if step.everything else set()
        if last_of_all is not None:
            found.add(last_of_all)
        for name, write in step.touched.items():
            if name in written:
                found.add(written[name])
            if write:
                found.update(read.get(name, ()))
        return {j for j in found if self.steps[j].task != step.task}

    def _enter_race(self, before: list[int], first: int, second: int) -> None:
        """Steps `first` and `second` race: have the second, or what must come before it, tried at the first's node."""
        node = self.nodes[first]
        after = [j for j in range(first + 1, second) if not before[j] >> first & 1] + [second]
        mask = sum(1 << j for j in after)
        initials: dict[Name, None] = {}
        seen: set[Name] = set()
        for j in after:
            name = self.steps[j].task
            if name not in seen and before[j] & mask == 1 << j:
                initials[name] = None
            seen.add(name)
        if any(name in node.backtrack or name in node.sleep for name in initials):
            return
        candidates = [name for name in initials if name in node.ready]
        node.backtrack.update(candidates[-1:] or node.ready)
