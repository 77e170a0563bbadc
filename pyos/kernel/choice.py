"""The one place for choices: `choose(kind, options) -> index`, and where index 0 is what production does.

Kinds: "step" (which ready task runs next: the running one if it may go on, then the run queue from its head), "event"
(due I/O or a due timer: the I/O), "option" (the Choose trap). Options are in production order. A production kernel asks
only for "option": its run queue and its turn take index 0 by construction.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from pyos.kernel.tasks import Task

Chooser = Callable[[str, Sequence[Any]], int]


def first(kind: str, options: Sequence[Any]) -> int:
    """What production does."""
    return 0


def seeded(source: random.Random) -> Chooser:
    """What production does, except that the Choose trap takes any of its options."""

    def choose(kind: str, options: Sequence[Any]) -> int:
        return source.randrange(len(options)) if kind == "option" else 0

    return choose


class RunQueue(Protocol):
    """The ready tasks. Another implementation is another scheduler."""

    def append(self, task: Task, /) -> None:
        """The task is ready, behind all others."""

    def go_on(self, task: Task, /) -> None:
        """The task has run and may go on at once (asked only where each step is chosen)."""

    def popleft(self) -> Task:
        """The task to run next; IndexError if there is none."""

    def __len__(self) -> int: ...


class Fifo(deque[Task]):
    """First come, first served; the running task goes on."""

    go_on = deque.appendleft
