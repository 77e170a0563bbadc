"""What tasks share: locks, semaphores, events, conditions and cells, and where to find the object behind a handle.

Userland holds handles (pyos/handles.py); the object behind a handle is made when it is first used in a kernel. Rules
kept here, in waitqueue.py and in channels.py:
- every operation is one atomic step; waiting is in order of arrival, and what becomes free is handed to the next waiter
  at once: nobody who comes later can take it;
- a waiter that is killed or timed out leaves its queue at once. What it had been granted and not yet received is given
  back (`take_back`), to the next waiter if there is one;
- what a task owns (locks, its mailbox) is released when it dies.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

from pyos import handles
from pyos.kernel import trampoline
from pyos.kernel.channels import ChannelObject, Mailbox
from pyos.kernel.tasks import Task
from pyos.kernel.trampoline import BLOCKED
from pyos.kernel.waitqueue import SyncObject

if TYPE_CHECKING:
    from pyos.kernel.kernel import Kernel


class LockObject(SyncObject):
    """A lock: held by one task, which alone can release it. A waiter's ticket is None, or its Reacquire."""

    __slots__ = ("owner",)
    kind = "lock"

    def __init__(self, home: Sync, handle: handles.Lock) -> None:
        super().__init__(home, handle.name)
        self.owner: Task | None = None

    def acquire(self, task: Task) -> Any:
        """Take the lock, or wait for it. Raises ValueError if the task has it."""
        owner = self.owner
        if owner is None:
            self._give_to(task)
            return None
        if owner is task:
            raise ValueError(f"{self.label} is not reentrant: task {task.tid} ({task.name}) holds it already")
        task.ticket = None
        self.queue.append(task)
        self.scheduler.block(task, self)
        if owner.wait is not None:
            self.home.kernel.waits.check_cycle(task)
        return BLOCKED

    def release(self, task: Task) -> None:
        """Hand the lock to the next. Raises PermissionError if the task does not hold it."""
        if self.owner is not task:
            if task in self.home.kernel.signals.closing:
                return  # a condition's waiter, whose clean-up believes that it has the lock again
            who = "nobody does" if self.owner is None else f"task {self.owner.tid} ({self.owner.name}) does"
            raise PermissionError(f"task {task.tid} ({task.name}) does not hold {self.label}: {who}")
        del task.owned[self]  # type: ignore[union-attr]
        self._next()

    def _give_to(self, task: Task) -> None:
        self.owner = task
        owned = task.owned
        if owned is None:
            task.owned = {self: None}
        else:
            owned[self] = None

    def _next(self) -> None:
        """The lock is free: the first in the queue has it."""
        self.owner = None
        if self.queue:
            task = self.queue.first()
            self._give_to(task)
            back: Reacquire | None = task.ticket
            if back is None:
                self.scheduler.grant(task, None, self)
            elif not back.errors:
                self.scheduler.grant(task, None, back)
            else:
                self.scheduler.wake_error(task, back.errors[0])
                for error in back.errors[1:]:
                    trampoline.hold_back(task, error)

    def take_back(self, task: Task, answer: Any) -> None:
        if task.owned is not None and self in task.owned:
            self.release(task)

    def owner_died(self, task: Task) -> None:
        self.home.kernel.log(f"task {task.tid} ({task.name}) died holding {self.label}: it is released")
        self._next()

    # --- as a wait object

    def leave(self, task: Task) -> None:
        self.queue.leave(task)
        back: Reacquire | None = task.ticket
        if back is not None and back.notified:
            back.condition.pass_on()

    def interrupt(self, task: Task, error: BaseException) -> bool:
        back: Reacquire | None = task.ticket
        if back is None:
            self.leave(task)
            return False
        if back.notified:
            back.condition.pass_on()  # the notification would be lost with it
        task.ticket = back._replace(notified=False, errors=(*back.errors, error))
        return True

    def describe(self, task: Task) -> str:
        return f"{self.label} held by {self.owner.tid} ({self.owner.name})" if self.owner else self.label

    def holder(self, task: Task) -> Task | None:
        return self.owner

    def undelivered(self, task: Task) -> Sequence[BaseException]:
        back: Reacquire | None = task.ticket
        return () if back is None else back.errors


class Reacquire(NamedTuple):
    """The ticket of a task that must have a condition's lock again before its wait can end, also by an error."""

    condition: ConditionObject
    notified: bool
    errors: tuple[BaseException, ...] = ()

    def take_back(self, task: Task, answer: Any) -> None:
        """It was notified, had the lock, and was killed before it knew."""
        self.condition.pass_on()
        self.condition.lock.take_back(task, answer)


class ConditionObject(SyncObject):
    """A condition: tasks that gave up its lock until they are notified."""

    __slots__ = ("lock",)
    kind = "condition"

    def __init__(self, home: Sync, handle: handles.Condition) -> None:
        super().__init__(home, handle.name)
        self.lock: LockObject = home.object_of(handle.lock)

    def wait_for(self, task: Task) -> Any:
        """Release the lock and wait. Raises PermissionError if the task does not hold the lock."""
        if self.lock.owner is not task and task in self.home.kernel.signals.closing:
            return BLOCKED  # it only believes that it holds the lock
        self.lock.release(task)
        return self.wait(task)

    def notify(self, n: int | None) -> int:
        """Let up to `n` waiters go on; how many there were. As in POSIX, the lock need not be held for it."""
        woken = 0
        while self.queue and (n is None or woken < n):
            self.pass_on()
            woken += 1
        return woken

    def pass_on(self) -> None:
        """Let the first waiter go on, if there is one, as soon as it has the lock."""
        if self.queue:
            self._back(self.queue.first(), Reacquire(self, notified=True))

    def _back(self, task: Task, back: Reacquire) -> None:
        """The task is out of this queue, and needs the lock."""
        lock = self.lock
        task.wait = lock
        task.ticket = back
        lock.queue.append(task)
        if lock.owner is None:
            lock._next()
        elif lock.owner.wait is not None:
            self.home.kernel.waits.check_cycle(task)

    def interrupt(self, task: Task, error: BaseException) -> bool:
        self.queue.leave(task)
        self._back(task, Reacquire(self, notified=False, errors=(error,)))
        return True


class SemaphoreObject(SyncObject):
    """A number of permits."""

    __slots__ = ("value",)
    kind = "semaphore"

    def __init__(self, home: Sync, handle: handles.Semaphore) -> None:
        super().__init__(home, handle.name)
        self.value = handle.value

    def acquire(self, task: Task) -> Any:
        """Take a permit, or wait for one."""
        if self.value > 0:
            self.value -= 1
            return None
        return self.wait(task)

    def release(self, task: Task) -> None:
        """Hand a permit to the next, or keep it."""
        if self.queue:
            self.scheduler.grant(self.queue.first(), None, self)
        else:
            self.value += 1

    def take_back(self, task: Task, answer: Any) -> None:
        self.release(task)


class EventObject(SyncObject):
    """Something that has happened, or not yet."""

    __slots__ = ("happened",)
    kind = "event"

    def __init__(self, home: Sync, handle: handles.Event) -> None:
        super().__init__(home, handle.name)
        self.happened = False

    def wait_for(self, task: Task) -> Any:
        """Wait until it has happened."""
        if self.happened:
            return None
        self.queue.append(task)
        return self.scheduler.block(task, self)

    def set(self) -> None:
        """It has happened: wake all."""
        self.happened = True
        while self.queue:
            self.scheduler.grant(self.queue.first(), None)


class CellObject(SyncObject):
    """Memory that tasks share."""

    __slots__ = ("value",)
    kind = "cell"

    def __init__(self, home: Sync, handle: handles.Cell[Any]) -> None:
        super().__init__(home, handle.name)
        self.value = handle.value


class Sync:
    """The shared objects of one kernel, found through their handles."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.count = 0
        self.objects: WeakKeyDictionary[Any, SyncObject] = WeakKeyDictionary()  # by handle

    def number(self) -> int:
        """A number for an object without a name."""
        self.count += 1
        return self.count

    def object_of(self, handle: Any) -> Any:
        """The object behind a handle, made if this kernel has not seen the handle before."""
        found: Any = self.objects.get(handle)  # another kernel may use the handle as well
        if found is None:
            make = next(MAKERS[kind] for kind in type(handle).__mro__ if kind in MAKERS)
            found = self.objects[handle] = make(self, handle)
        handle.kernel_object = found
        return found

    def mailbox_of(self, task: Task) -> Mailbox:
        """A task's mailbox."""
        if task.mailbox is None:
            limits = task.quota.limits if task.quota is not None else self.kernel.limits
            Mailbox(self, task, math.inf if limits.max_mailbox is None else limits.max_mailbox)
        return task.mailbox  # type: ignore[no-any-return]


def make_channel(home: Sync, handle: handles.Channel[Any]) -> ChannelObject:
    return ChannelObject(home, handle.name, handle.capacity)


MAKERS: dict[type, Any] = {
    handles.Lock: LockObject,
    handles.Semaphore: SemaphoreObject,
    handles.Event: EventObject,
    handles.Condition: ConditionObject,
    handles.Cell: CellObject,
    handles.Channel: make_channel,
}
