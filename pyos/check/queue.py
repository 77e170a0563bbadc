"""The run queue in which the next task is chosen, one step at a time.

It keeps the ready tasks in production order: the running one first if it may go on, then the queue from its head.
Choice 0 is therefore what production does. Where there is only one option nothing is chosen, and no choice is
recorded. The scheduler's turn goes on until `popleft` raises IndexError; what has to be done between two steps is done
here, so that a whole run is one turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pyos.kernel.choice import Chooser
from pyos.kernel.tasks import Task

if TYPE_CHECKING:
    from pyos.kernel.scheduler import Scheduler


class ExploringQueue(list[Task]):
    """A run queue that asks `choose("step", ready tasks)`."""

    def __init__(self, choose: Chooser) -> None:
        super().__init__()
        self.choose = choose
        self.between_steps: Callable[[], object] = lambda: None  # raises IndexError to end the run
        self.scheduler: Scheduler | None = None
        self.steps = 0
        self.stale = False  # a task was killed, and may still have an entry

    def go_on(self, task: Task) -> None:
        """The task has run and may go on at once."""
        self.insert(0, task)

    def popleft(self) -> Task:
        """The task to run next; IndexError if there is none, or the run is over."""
        self.between_steps()
        if self.stale:
            self.purge()
        index = self.pick(self) if self else 0
        task = self.pop(index)
        self.steps += 1
        scheduler = self.scheduler
        if scheduler is not None:
            scheduler.begin_step(scheduler.goes_on and index == 0)
        return task

    def pick(self, ready: Sequence[Task]) -> int:
        """Which of the ready tasks takes the next step."""
        return self.choose("step", ready) if len(ready) > 1 else 0

    def restart(self) -> None:
        """Nobody is ready, nothing has been done."""
        self.clear()
        self.stale = False
        self.steps = 0
        if self.scheduler is not None:
            self.scheduler.goes_on = False  # a run may have ended between two steps of a slice

    def purge(self) -> None:
        """Drop the entries of the dead, which are no options."""
        self[:] = [task for task in self if task.status is None]
        self.stale = False


class PickingQueue(ExploringQueue):
    """The same for those who look at every step, also where there is only one option: it asks `picker(tasks)`."""

    def __init__(self, choose: Chooser, picker: Callable[[Sequence[Task]], int]) -> None:
        super().__init__(choose)
        self.picker = picker

    def pick(self, ready: Sequence[Task]) -> int:
        """Which of the ready tasks takes the next step."""
        return self.picker(ready)
