"""What must be true of a kernel between two steps. `audit(kernel)` checks every rule and raises KernelPanic.

Each rule is a function that yields what it found broken; the list at the end is the law.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterator
from typing import TYPE_CHECKING, Any

from pyos.errors import KernelPanic
from pyos.kernel.channels import ChannelObject, Mailbox
from pyos.kernel.limits import Quota
from pyos.kernel.poller import READ, WRITE
from pyos.kernel.signalling import PARKED, is_waiting
from pyos.kernel.sync import EventObject, LockObject, SemaphoreObject
from pyos.kernel.tasks import Task
from pyos.kernel.timeouts import Deadline
from pyos.kernel.trampoline import stand_ins
from pyos.kernel.waitqueue import SyncObject

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
    families = [(task.tid, task.family) for task in table if task.family is not None]
    deaths = {(parent, tid) for parent, family in families for tid in family.deaths[family.oldest :]}
    for tid, task in table.tasks.items():
        if task.tid != tid or tid > table.last_tid:
            yield f"{task} is entered as {tid} (the last tid is {table.last_tid})"
        parent = table.parent_of(task)
        if task.status is None:
            living[parent.tid if parent else 0] += 1
            continue
        zombies += 1
        if parent is None or (parent.tid, tid) not in deaths:
            yield f"{task} is a zombie and nobody's dead child"
    for task in table:
        counted = task.family.living if task.family is not None else 0
        if task.status is None and counted != living[task.tid]:
            yield f"{task} has {living[task.tid]} living children, and {counted} are counted"
        if task.family is not None and (found := len(table.zombies_of(task))) != task.family.zombies:
            yield f"{task} has {found} zombies, and {task.family.zombies} are counted"
    if zombies != table.zombies:
        yield f"there are {zombies} zombies, and {table.zombies} are counted"


def the_dead_hold_nothing(kernel: Kernel) -> Findings:
    for task in kernel.table:
        if task.status is None:
            continue
        if task.callers or task.gen.gen is not None or task.waiters or task.family:
            yield f"{task} is dead and still holds frames, waiters or children"
        if task.owned or task.mailbox or task.deadline or task.pending or task.stopped or task.held:
            yield f"{task} is dead and still owns something, or something is meant for it"


def every_grace_is_for_a_dying_task(kernel: Kernel) -> Findings:
    for tid in kernel.signals.graces:
        task = kernel.table.get(tid)
        if task is None or task.status is not None or task.dying is None:
            yield f"a grace period runs for task {tid}, which is not dying"


# --- what tasks share


def shared(kernel: Kernel) -> list[SyncObject]:
    """Every object that a handle, or a task, leads to."""
    found: dict[SyncObject, None] = dict.fromkeys(kernel.sync.objects.values())
    for task in kernel.table:
        things = (task.wait, task.mailbox, task.grant if task.held is not None else None, *(task.owned or ()))
        found |= dict.fromkeys(thing for thing in things if isinstance(thing, SyncObject))
    return list(found)


def every_queued_waiter_waits_there(kernel: Kernel) -> Findings:
    for thing in shared(kernel):
        queues = [thing.queue, thing.putters] if isinstance(thing, ChannelObject) else [thing.queue]
        for queue in queues:
            for task in queue.waiting():
                if task.wait is not thing:
                    yield f"{thing.label} lists {task}, which waits on {task.wait}"
            counted = sum(queue.ghosts.values())
            if counted != queue.dead or len(queue) - counted != len(queue.waiting()) or (queue and not queue.waiting()):
                yield f"{thing.label} counts {queue.dead} ghosts in a queue of {len(queue)}, and there are {counted}"


def nobody_waits_for_what_is_there(kernel: Kernel) -> Findings:
    for thing in shared(kernel):
        match thing:
            case ChannelObject():
                there = bool(thing.items or thing.returned or thing.putters or thing.closed)
                if thing.putters and (thing.closed or len(thing.items) < thing.capacity):
                    yield f"{thing.label} has room, or is closed, and tasks wait to put"
                if len(thing.items) > thing.capacity:
                    yield f"{thing.label} has {len(thing.items)} items, and room for {thing.capacity}"
            case LockObject():
                there = thing.owner is None
            case SemaphoreObject():
                there = thing.value > 0
                if thing.value < 0:
                    yield f"{thing.label} has {thing.value} permits"
            case EventObject():
                there = thing.happened
            case _:
                there = False
        if there and thing.queue:
            yield f"{thing.label} has what {len(thing.queue)} tasks wait for"


def owners_and_what_is_owned_agree(kernel: Kernel) -> Findings:
    for thing in shared(kernel):
        owner = thing.owner if isinstance(thing, LockObject | Mailbox) else None
        owns: Container[Any] = owner.owned or () if owner is not None else (thing,)
        if thing not in owns:
            yield f"{thing.label} is held by {owner}, which does not own it"
    for task in kernel.table:
        for owned in task.owned or ():
            if getattr(owned, "owner", task) is not task:
                yield f"{task} owns {owned}, which another task holds"
        if task.mailbox is not None and (task.mailbox.owner is not task or task.mailbox not in (task.owned or ())):
            yield f"{task} has a mailbox that it does not own"


# --- what stands in for a task's generators


def stand_ins_are_known_to_their_task(kernel: Kernel) -> Findings:
    for task in kernel.table:
        if task.status is not None:
            continue
        chain = list(stand_ins(task))
        if (task.held is not None) != (task in chain):
            yield f"{task} holds an answer that nobody delivers, or delivers one that it does not hold"
        if task.pending is not None and (task.pending not in chain or not task.pending.errors):
            yield f"{task} has errors held back, and nothing that would raise them"
        gate = task.stopped
        if task.wait is PARKED and (gate is None or gate.open):
            yield f"{task} is parked, and not stopped"
        if gate is not None and task.wait is not PARKED and (gate not in chain or gate.open):
            yield f"{task} is stopped, and nothing will park it"


def deadlines_are_in_force(kernel: Kernel) -> Findings:
    for task in kernel.table:
        if task.status is not None:
            continue
        callers = task.callers or ()
        if task.deadline is None:
            callers = callers[
                -100:
            ]  # where none is listed, a task 100,000 calls deep is not searched for one each step
        standing = [gen for start in (*callers, None) for gen in reversed(list(stand_ins(task, start)))]
        standing = [gen for gen in standing if type(gen) is Deadline]
        listed = []
        deadline = task.deadline
        while deadline is not None:
            listed.append(deadline)
            rung = deadline.alarm is not None and deadline.alarm.action is None and deadline.error is None
            if deadline.task is not task or (rung and (deadline.depth is not None or is_waiting(task))):
                yield f"{task} is in a Timeout that is not its own, or whose time cannot come"
            deadline = deadline.outer
        if listed[::-1] != standing:
            yield f"{task} is in {len(listed)} Timeouts, and {len(standing)} stand in for its callers"


# --- families and limits


def links_are_between_the_living(kernel: Kernel) -> Findings:
    for task in kernel.table:
        for child in task.family.links if task.family is not None else ():
            if child.status is not None or child.parent != task.tid or kernel.table.get(child.tid) is not child:
                yield f"{task} has a link to {child}, which is not its living child"


def quotas_count_their_tasks(kernel: Kernel) -> Findings:
    counts: Counter[Quota] = Counter()
    for task in kernel.table:
        quota = task.quota
        while quota is not None:
            counts[quota] += 1
            quota = quota.outer
    for quota, count in counts.items():
        if quota.count != count or count > (quota.limits.max_tasks or count):
            yield f"there are {count} tasks under a limit of {quota.limits.max_tasks}, and {quota.count} are counted"


def nothing_is_being_closed(kernel: Kernel) -> Findings:
    for task in kernel.signals.closing:
        yield f"{task} has been closed, and does not know it"


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
    every_queued_waiter_waits_there,
    nobody_waits_for_what_is_there,
    owners_and_what_is_owned_agree,
    stand_ins_are_known_to_their_task,
    deadlines_are_in_force,
    links_are_between_the_living,
    quotas_count_their_tasks,
    nothing_is_being_closed,
]


def audit(kernel: Kernel) -> None:
    """Check every rule; KernelPanic names all that is broken."""
    found = [f"{rule.__name__}: {finding}" for rule in RULES for finding in rule(kernel)]
    if found:
        raise KernelPanic("audit failed: " + "; ".join(found))
