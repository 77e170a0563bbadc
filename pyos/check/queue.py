"""The run queue in which the next task is chosen, one step at a time.

It keeps the ready tasks in production order: the running one first if it may go on, then the queue from its head.
Choice 0 is therefore what production does. Where there is only one option nothing is chosen, and no choice is
recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pyos.kernel.choice import Chooser
from pyos.kernel.tasks import Task


class ExploringQueue(list[Task]):
    """A run queue that asks `choose("step", ready tasks)`."""

    def __init__(self, choose: Chooser) -> None:
        super().__init__()
        self.choose = choose
        self.stale = False  # a task has died, and may still have an entry

    def go_on(self, task: Task) -> None:
        """The task has run and may go on at once."""
        self.insert(0, task)

    def popleft(self) -> Task:
        """The chosen task; IndexError if there is none."""
        if self.stale:
            self.purge()
        if len(self) == 1:
            return self.pop()
        return self.pop(self.choose("step", self)) if self else self.pop()

    def purge(self) -> None:
        """Drop the entries of the dead, which are no options."""
        self[:] = [task for task in self if task.status is None]
        self.stale = False


class PickingQueue(ExploringQueue):
    """The same for strategies that look at every step, also where there is only one option: it asks `pick(tasks)`."""

    def __init__(self, choose: Chooser, pick: Callable[[Sequence[Task]], int]) -> None:
        super().__init__(choose)
        self.pick = pick

    def popleft(self) -> Task:
        if self.stale:
            self.purge()
        return self.pop(self.pick(self)) if self else self.pop()
