"""Every schedule of a small program, depth first, by running it again and again.

A run is a list of choices, each an index among the options there were. The next run takes the same choices up to the
last one that had another option, and that option there. What is chosen: which ready task runs the next step (first the
running one, if it may go on), a due timer or due I/O, and the options of the Choose trap.

Only the race is explored: what happens from second 1 to second 2 of the virtual clock. Before, the program sets the
scene as production would run it; afterwards it looks at what has become of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pyos import GetTime, NewTask, Program, Sleep
from pyos.kernel.clock import VirtualClock
from pyos.kernel.kernel import Kernel
from pyos.kernel.tasks import Task

START, END = 1.0, 2.0  # seconds
MOST = 100_000  # runs; a small case has thousands at most


class Choices:
    """Takes the given choices, then the first option each time; remembers how many options there were."""

    def __init__(self, given: Sequence[int], clock: VirtualClock) -> None:
        self.given = given
        self.clock = clock
        self.taken: list[tuple[int, int]] = []  # index, how many there were

    def choose(self, kind: str, options: Sequence[Any]) -> int:
        if len(options) == 1 or not START <= self.clock.time < END:
            return 0
        position = len(self.taken)
        index = self.given[position] if position < len(self.given) else 0
        self.taken.append((index, len(options)))
        return index

    def next(self) -> list[int] | None:
        """The choices of the next run; None if this was the last."""
        taken = self.taken
        while taken and taken[-1][0] + 1 == taken[-1][1]:
            taken.pop()
        return [*(index for index, _ in taken[:-1]), taken[-1][0] + 1] if taken else None


class AnyReady(list[Task]):
    """A run queue from which any ready task may be taken; the entries of dead tasks are no choice."""

    def __init__(self, choices: Choices) -> None:
        super().__init__()
        self.choices = choices

    def go_on(self, task: Task) -> None:
        self.insert(0, task)

    def popleft(self) -> Task:
        alive = [task for task in self if task.status is None]
        if not alive:
            return self.pop(0)
        chosen = alive[self.choices.choose("step", alive)]
        self.remove(chosen)
        return chosen


def runs(program: Callable[[], Any], log: Callable[[str], None] = lambda line: None) -> Iterator[Kernel]:
    """Run `program()` as init once for each schedule, with an audit after every new step; each kernel at its end."""
    given: list[int] | None = []
    count = 0
    while given is not None:
        clock = VirtualClock()
        choices = Choices(given, clock)
        with Kernel(clock=clock, runq=AnyReady(choices), choose=choices.choose, log=log) as kernel:
            kernel.spawn(program())
            while kernel.step():
                if len(choices.taken) >= len(given) and (not count or START <= clock.time < END):
                    kernel.audit()
            yield kernel
        given = choices.next()
        count += 1
        assert count <= MOST, "this case is not small"


def values(program: Callable[[], Any]) -> list[Any]:
    """What init returned in each schedule; an assertion fails if it ended otherwise in one of them."""
    found = []
    for kernel in runs(program):
        assert not kernel.table.alive, "a standstill: " + ", ".join(
            f"{task.name}: {task.wait.describe(task) if task.wait else 'ready'}" for task in kernel.table
        )
        status = kernel.init_status
        assert status is not None
        assert status.ok, status
        found.append(status.value)
    return found


def race(*targets: Any) -> Program:
    """As a subroutine, for the program: start tasks that race from second 1 on; their tids, at second 2."""
    tids = []
    for target in targets:
        tids.append((yield NewTask(waits_for_the_start(target), name=target.__name__)))
    yield Sleep(END - (yield GetTime()))
    return tids


def waits_for_the_start(target: Any) -> Program:
    yield Sleep(START - (yield GetTime()))
    return (yield target)
