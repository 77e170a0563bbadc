"""Who waits for whom: cycles of waits, and the report of a standstill.

A wait has an edge where one task alone can end it: the holder of a lock, a task that is waited for. A cycle of such
edges is ended by a Timeout around one of the waits, by a signal, or never: it is logged when it closes, if it has up to
LONGEST_WALK waits. A longer one is named when the whole system stands still, and so are tasks whose wait several could
end (a channel, a semaphore), as there is no edge.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pyos.errors import Deadlock
from pyos.kernel.tasks import Task
from pyos.kernel.trampoline import stack_of

if TYPE_CHECKING:
    from pyos.kernel.tasks import TaskTable

LONGEST_WALK = 100  # edges followed when a task blocks


class WaitGraph:
    """Finds cycles as they close, and logs each once."""

    def __init__(self, log: Callable[[str], None]) -> None:
        self.log = log

    def check_cycle(self, task: Task) -> None:
        """The task has just blocked: is it waiting for itself, by way of others?"""
        holder = holder_of(task)
        if holder is None or holder_of(holder) is None:
            return  # nearly always: a walk would cost 0.4 µs more
        chain = cycle_from(task, LONGEST_WALK)
        if chain:
            end = ", until a Timeout breaks the cycle" if any(map(may_time_out, chain)) else ""
            self.log(f"these tasks wait for each other{end}:\n" + "\n".join(map(explain, chain)))


def holder_of(task: Task) -> Task | None:
    """Who alone can end the task's wait, if it waits and there is one."""
    return task.wait.holder(task) if task.wait is not None else None


def cycle_from(task: Task, longest: int | None = None) -> list[Task]:
    """The tasks of the cycle that this one is in, each waiting for the next; empty if it is in none."""
    chain = [task]
    seen = {task}
    current = task
    while current.wait is not None and (longest is None or len(chain) <= longest):
        holder = current.wait.holder(current)
        if holder is task:
            return chain
        if holder is None or holder in seen:
            return []
        chain.append(holder)
        seen.add(holder)
        current = holder
    return []


def may_time_out(task: Task) -> bool:
    """True if a Timeout will end the task's wait."""
    deadline = task.deadline
    while deadline is not None and deadline.alarm is None:
        deadline = deadline.outer
    return deadline is not None


def explain(task: Task) -> str:
    """One line about a blocked task: what it waits for, and where."""
    stack = stack_of(task)
    reason = task.wait.describe(task) if task.wait else "nothing"
    return f"  task {task.tid} ({task.name}) waits: {reason}" + (f", at {stack[-1]}" if stack else "")


def standstill(table: TaskTable) -> Deadlock:
    """The error for a system in which nothing can ever run again: cycles first, then everybody else."""
    blocked = [task for task in table if task.wait is not None]
    lines = []
    in_cycles: set[Task] = set()
    for task in blocked:
        if task not in in_cycles and (chain := cycle_from(task)):
            in_cycles |= set(chain)
            lines.append("  a cycle: " + " -> ".join(str(t.tid) for t in [*chain, task]))
    lines += map(explain, blocked)
    return Deadlock("nothing can ever run again:\n" + "\n".join(lines))
