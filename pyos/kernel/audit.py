"""What must be true of a kernel between two steps. `audit(kernel)` checks every rule and raises KernelPanic.

Each rule is a function that yields what it found broken; the list at the end is the law.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from pyos.errors import KernelPanic
from pyos.kernel.poller import READ, WRITE
from pyos.kernel.tasks import Task

if TYPE_CHECKING:
    from pyos.kernel.kernel import Kernel

Findings = Iterator[str]


def every_task_is_in_one_place(kernel: Kernel) -> Findings:
    queued = Counter(kernel.scheduler.runq)  # type: ignore[call-overload]
    for task in kernel.table:
        places = queued[task] + (task.wait is not None)
        if task.status is None and places != 1:
            yield f"{task} is in the run queue {queued[task]} times and waits on {task.wait}"
        if task.status is not None and task.wait is not None:
            yield f"{task} is dead and waits on {task.wait}"


def every_queued_task_exists(kernel: Kernel) -> Findings:
    for task in kernel.scheduler.runq:  # type: ignore[attr-defined]
        if task.status is None and kernel.table.get(task.tid) is not task:
            yield f"{task} is in the run queue and not in the table"


def every_wait_is_known_to_its_object(kernel: Kernel) -> Findings:
    for task in kernel.table:
        if task.wait is not None and not task.wait.holds(task):
            yield f"{task} waits on {task.wait}, which does not know it"


def every_waiter_waits(kernel: Kernel) -> Findings:
    watched = kernel.readiness.watched.values()
    for entry in watched:
        for task in entry.waiters():
            if task.wait is not entry:
                yield f"fd {entry.fd} lists {task}, which waits on {task.wait}"
    counted = sum(len(entry.waiters()) for entry in watched)
    if counted != kernel.readiness.waiting:
        yield f"{counted} tasks wait for I/O, and {kernel.readiness.waiting} are counted"
    for target in kernel.table:
        for task in target.waiters or ():
            if task.wait is not kernel.exits or task.ticket is not target:
                yield f"{target} lists {task}, which does not wait for it"


def registrations_match(kernel: Kernel) -> Findings:
    for fd, entry in kernel.readiness.watched.items():
        if entry.fd != fd:
            yield f"fd {entry.fd} is entered as {fd}"
        if not entry.mask & (READ | WRITE) or entry.wanted() & ~entry.mask:
            yield f"fd {fd} is registered for {entry.mask} and waited for with {entry.wanted()}"


def timers_are_sound(kernel: Kernel) -> Findings:
    timers = kernel.timers
    heap = timers.heap
    if any(heap[(i - 1) // 2] > heap[i] for i in range(1, len(heap))):
        yield "the timers are no heap"
    dead = 0
    for entry in heap:
        owner = entry[2]
        if not timers._lives(entry):
            dead += 1
        elif isinstance(owner, Task) and owner.wait is not timers:
            yield f"a timer lists {owner}, which does not sleep"
    if dead != timers.dead:
        yield f"{dead} timers are dead, and {timers.dead} are counted"
    eternal = sum(1 for task in kernel.table if task.wait is timers and task.ticket is None)
    if eternal != timers.eternal:
        yield f"{eternal} tasks sleep for ever, and {timers.eternal} are counted"


def families_are_sound(kernel: Kernel) -> Findings:
    table = kernel.table
    living: Counter[int] = Counter()
    zombies = 0
    for tid, task in table.tasks.items():
        if task.tid != tid or tid > table.last_tid:
            yield f"{task} is entered as {tid} (the last tid is {table.last_tid})"
        parent = table.parent_of(task)
        if task.status is None:
            living[parent.tid if parent else 0] += 1
            continue
        zombies += 1
        if parent is None or parent.zombies is None or parent.zombies.get(tid) is not task:
            yield f"{task} is a zombie and nobody's dead child"
    for task in table:
        if task.status is None and task.living != living[task.tid]:
            yield f"{task} has {living[task.tid]} living children, and {task.living} are counted"
        for tid in task.zombies or ():
            if table.get(tid) is None:
                yield f"{task} keeps the dead child {tid}, which is not in the table"
    if zombies != table.zombies:
        yield f"there are {zombies} zombies, and {table.zombies} are counted"


def the_dead_hold_nothing(kernel: Kernel) -> Findings:
    for task in kernel.table:
        if task.status is not None and (task.callers or task.gen.gen is not None or task.waiters or task.zombies):
            yield f"{task} is dead and still holds frames, waiters or children"


def every_grace_is_for_a_dying_task(kernel: Kernel) -> Findings:
    for tid in kernel.signals.graces:
        task = kernel.table.get(tid)
        if task is None or task.status is not None or task.dying is None:
            yield f"a grace period runs for task {tid}, which is not dying"


RULES: list[Callable[[Kernel], Findings]] = [
    every_task_is_in_one_place,
    every_queued_task_exists,
    every_wait_is_known_to_its_object,
    every_waiter_waits,
    registrations_match,
    timers_are_sound,
    families_are_sound,
    the_dead_hold_nothing,
    every_grace_is_for_a_dying_task,
]


def audit(kernel: Kernel) -> None:
    """Check every rule; KernelPanic names all that is broken."""
    found = [f"{rule.__name__}: {finding}" for rule in RULES for finding in rule(kernel)]
    if found:
        raise KernelPanic("audit failed: " + "; ".join(found))
