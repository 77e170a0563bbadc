"""What tasks share: the one wait queue, and the locks, semaphores, events, conditions, channels and cells on it.

Userland holds handles (pyos/handles.py); the object behind a handle is made when it is first used in a kernel. Rules
kept here:
- every operation is one atomic step; waiting is in order of arrival, and what becomes free is handed to the next waiter
  at once: nobody who comes later can take it;
- a waiter that is killed or timed out leaves its queue at once. What it had been granted and not yet received is given
  back (`take_back`), to the next waiter if there is one;
- what a task owns (locks, its mailbox) is released when it dies.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

from pyos import handles
from pyos.errors import ChannelClosed
from pyos.kernel import trampoline
from pyos.kernel.tasks import Task, WaitObject
from pyos.kernel.trampoline import BLOCKED

if TYPE_CHECKING:
    from pyos.kernel.kernel import Kernel


class WaitQueue(OrderedDict[Task, None]):
    """Tasks in order of arrival; any of them can leave in constant time."""

    def first(self) -> Task:
        """Take out the task that came first."""
        return self.popitem(last=False)[0]


class SyncObject(WaitObject):
    """What is common to all: a label, and a queue of waiting tasks. `home` is the kernel's Sync that it belongs to."""

    __slots__ = ("home", "scheduler", "label", "queue")
    kind = "object"

    def __init__(self, home: Sync, name: str | None) -> None:
        self.home = home
        self.scheduler = home.kernel.scheduler
        self.label = f'{self.kind} "{name}"' if name is not None else f"{self.kind} #{home.number()}"
        self.queue = WaitQueue()

    def wait(self, task: Task) -> Any:
        """Block the running task in the queue."""
        self.queue[task] = None
        return self.scheduler.block(task, self)

    # --- as a wait object

    def leave(self, task: Task) -> None:
        del self.queue[task]

    def holds(self, task: Task) -> bool:
        return task in self.queue

    def describe(self, task: Task) -> str:
        return self.label


class LockObject(SyncObject):
    """A lock: held by one task, which alone can release it. `task.ticket` is a Reacquire, or None."""

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
        self.queue[task] = None
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
        del self.queue[task]
        back: Reacquire | None = task.ticket
        task.ticket = None
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
        lock.queue[task] = None
        if lock.owner is None:
            lock._next()
        elif lock.owner.wait is not None:
            lock.home.kernel.waits.check_cycle(task)

    def interrupt(self, task: Task, error: BaseException) -> bool:
        del self.queue[task]
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
        return None if self.happened else self.wait(task)

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


class ChannelObject(SyncObject):
    """Items on their way, with a bound: `queue` has the tasks that get, `putters` those that put.

    The ticket of one that puts is a tuple of its item. With capacity 0 putter and getter meet.
    """

    __slots__ = ("capacity", "items", "putters", "closed")
    kind = "channel"
    accepted: Any = None  # what put answers

    def __init__(self, home: Sync, name: str | None, capacity: float) -> None:
        super().__init__(home, name)
        self.capacity = capacity
        self.items: deque[Any] = deque()
        self.putters = WaitQueue()
        self.closed = False

    def put(self, task: Task, item: Any) -> Any:
        """Hand the item to a getter, or keep it, or wait for room. Raises ChannelClosed."""
        if self.closed:
            raise ChannelClosed(f"{self.label} is closed")
        if self.queue:
            self.scheduler.grant(self.queue.first(), item, self)
            return self.accepted
        if len(self.items) < self.capacity:
            self.items.append(item)
            return self.accepted
        task.ticket = (item,)
        self.putters[task] = None
        return self.scheduler.block(task, self)

    def get(self, task: Task) -> Any:
        """The next item, or wait for one. Raises ChannelClosed once it is closed and empty."""
        if self.items:
            item = self.items.popleft()
            if self.putters and len(self.items) < self.capacity:
                self.items.append(self._next_put())
            return item
        if self.putters:
            return self._next_put()
        if self.closed:
            raise ChannelClosed(f"{self.label} is closed")
        self.queue[task] = None
        return self.scheduler.block(task, self)

    def _next_put(self) -> Any:
        """The item of the first putter, which goes on."""
        task = self.putters.first()
        item = task.ticket[0]
        self.scheduler.grant(task, self.accepted)
        return item

    def close(self) -> None:
        """No more is put; who waits to put or get gets ChannelClosed. Twice is harmless."""
        self.closed = True
        while self.queue:
            self.scheduler.wake_error(self.queue.first(), ChannelClosed(f"{self.label} is closed"))
        while self.putters:
            self.refuse(self.putters.first())

    def refuse(self, task: Task) -> None:
        """The channel was closed before there was room for the task's item."""
        self.scheduler.wake_error(task, ChannelClosed(f"{self.label} is closed"))

    def take_back(self, task: Task, answer: Any) -> None:
        if self.queue:
            self.scheduler.grant(self.queue.first(), answer, self)
        else:
            self.items.appendleft(answer)

    # --- as a wait object

    def leave(self, task: Task) -> None:
        del (self.queue if task.ticket is None else self.putters)[task]
        task.ticket = None

    def holds(self, task: Task) -> bool:
        return task in (self.queue if task.ticket is None else self.putters)

    def describe(self, task: Task) -> str:
        return f"{self.label}, to get" if task.ticket is None else f"{self.label}, to put"


class Mailbox(ChannelObject):
    """The channel that a task owns: anybody puts (sender, message) there, the owner gets."""

    __slots__ = ("owner",)
    accepted = True

    def __init__(self, home: Sync, owner: Task, capacity: float) -> None:
        super().__init__(home, "mailbox", capacity)
        self.owner = owner
        owner.mailbox = self
        if owner.owned is None:
            owner.owned = {}
        owner.owned[self] = None

    def put(self, task: Task, item: Any) -> Any:
        """As any channel's; who waits for room waits for the owner."""
        answer = super().put(task, item)
        if answer is BLOCKED and self.owner.wait is not None:
            self.home.kernel.waits.check_cycle(task)
        return answer

    def refuse(self, task: Task) -> None:
        """The owner died: Send answers False."""
        self.scheduler.grant(task, False)

    def owner_died(self, task: Task) -> None:
        self.close()

    def holder(self, task: Task) -> Task | None:
        return self.owner if task.ticket is not None else None

    def describe(self, task: Task) -> str:
        if task is self.owner and task.ticket is None:
            return "message"
        return f"room in the mailbox of {self.owner.tid} ({self.owner.name})"


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
