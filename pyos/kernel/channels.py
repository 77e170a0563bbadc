"""Channels, and the mailboxes that are channels: items on their way from those who put to those who get.

The rules are sync.py's. The busiest operations, `put` and `get`, write out what they would call.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

from pyos.errors import ChannelClosed
from pyos.kernel.tasks import Task
from pyos.kernel.trampoline import BLOCKED
from pyos.kernel.waitqueue import SyncObject, WaitQueue

if TYPE_CHECKING:
    from pyos.kernel.sync import Sync


class ChannelObject(SyncObject):
    """Items on their way, with a bound: `queue` has the tasks that get, `putters` those that put.

    The ticket of one that puts is a tuple of its item, of one that gets None. With capacity 0 putter and getter meet.
    Items that were given and came back, as their getters were killed, are in `returned`, with their numbers: they go
    out again first, and in their old order.
    """

    __slots__ = ("capacity", "items", "putters", "closed", "given", "returned", "append", "watched")
    kind = "channel"
    accepted: Any = None  # what put answers

    def __init__(self, home: Sync, name: str | None, capacity: float) -> None:
        super().__init__(home, name)
        self.capacity = capacity
        self.items: deque[Any] = deque()
        self.putters = WaitQueue()
        self.closed = False
        self.given = 0  # number of the last item that was given to a waiting getter; its ticket until it runs
        self.returned: list[tuple[int, Any]] = []  # a heap
        self.append = self.scheduler.runq.append
        self.watched = "grant" in vars(self.scheduler)  # an observer has put itself around it

    def put(self, task: Task, item: Any) -> Any:
        """Hand the item to a getter, or keep it, or wait for room. Raises ChannelClosed."""
        if self.queue:
            # as WaitQueue.first and Scheduler.grant
            getter = self.queue.popleft()
            if self.queue.ghosts:
                self.queue._drop_ghosts()
            if self.watched:
                self.scheduler.grant(getter, item, self)
            else:
                getter.wait = None
                getter.answer = item
                getter.grant = self
                getter.held = getter.gen
                getter.gen = getter
                self.append(getter)
            getter.ticket = self.given = self.given + 1
            return self.accepted
        if self.closed:
            raise ChannelClosed(f"{self.label} is closed")
        if len(self.items) < self.capacity:
            self.items.append(item)
            return self.accepted
        task.ticket = (item,)
        self.putters.append(task)
        return self.wait_for_room(task)

    def wait_for_room(self, task: Task) -> Any:
        """The running task, which is among the putters, waits."""
        return self.scheduler.block(task, self)

    def get(self, task: Task) -> Any:
        """The next item, or wait for one. Raises ChannelClosed once it is closed and empty."""
        if self.returned:
            return heappop(self.returned)[1]
        if self.items:
            item = self.items.popleft()
            if self.putters and len(self.items) < self.capacity:
                self.items.append(self._next_put())
            return item
        if self.putters:
            return self._next_put()
        if self.closed:
            raise ChannelClosed(f"{self.label} is closed")
        self.queue.append(task)
        # as Scheduler.block
        task.ticket = None
        task.wait = self
        return BLOCKED if task.pending is None else self.scheduler.block(task, self)

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

    def number(self, task: Task) -> None:
        """The task got an item at once, and may be killed before it has it: number the item as a given one."""
        task.ticket = self.given = self.given + 1

    def take_back(self, task: Task, answer: Any) -> None:
        if self.queue:
            getter = self.queue.first()
            self.scheduler.grant(getter, answer, self)
            getter.ticket = task.ticket
        else:
            heappush(self.returned, (task.ticket, answer))

    # --- as a wait object

    def leave(self, task: Task) -> None:
        (self.queue if task.ticket is None else self.putters).leave(task)
        task.ticket = None

    def holds(self, task: Task) -> bool:
        return task in (self.queue if task.ticket is None else self.putters).waiting()

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

    def wait_for_room(self, task: Task) -> Any:
        self.scheduler.block(task, self)
        if self.owner.wait is not None:
            self.home.kernel.waits.check_cycle(task)
        return BLOCKED

    def refuse(self, task: Task) -> None:
        """The owner died: Send answers False."""
        self.scheduler.grant(task, False)

    def owner_died(self, task: Task) -> None:
        self.close()

    def holder(self, task: Task) -> Task | None:
        return None if task.ticket is None else self.owner

    def describe(self, task: Task) -> str:
        return "message" if task.ticket is None else f"room in the mailbox of {self.owner.tid} ({self.owner.name})"
