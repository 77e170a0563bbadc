"""Handlers: messages, and the objects that tasks share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pyos.handles import Cell, Channel, Condition, Event, Handle, Lock, Semaphore
from pyos.kernel.channels import ChannelObject
from pyos.kernel.syscalls.binding import a_tid, handles
from pyos.kernel.tasks import Grantor, Task
from pyos.traps import (
    Acquire,
    ClearEvent,
    CloseChannel,
    Get,
    Load,
    Notify,
    Put,
    Receive,
    Release,
    Send,
    SetEvent,
    Store,
    Timeout,
    WaitCondition,
    WaitEvent,
)

if TYPE_CHECKING:
    from pyos.kernel.kernel import Kernel


def behind(kernel: Kernel, handle: Any, *kinds: type[Handle]) -> Any:
    """The kernel's object behind a handle of one of these kinds; TypeError for anything else."""
    if type(handle) not in kinds and not issubclass(type(handle), kinds):
        names = " or ".join(f"{'an' if kind is Event else 'a'} {kind.__name__}" for kind in kinds)
        raise TypeError(f"expected {names}, not {type(handle).__name__}")
    found = handle.kernel_object
    if found is None or found.home is not kernel.sync:
        found = kernel.sync.object_of(handle)
    return found


# The busiest do first what `behind` does: 0.1 µs of a ping-pong's half.


@handles(Acquire)
def acquire(kernel: Kernel, task: Task, trap: Acquire) -> Any:
    handle = trap.lock
    found = handle.kernel_object if type(handle) is Lock else None
    if found is None or found.home is not kernel.sync:
        found = behind(kernel, handle, Lock, Semaphore)
    return found.acquire(task)


@handles(Release)
def release(kernel: Kernel, task: Task, trap: Release) -> Any:
    handle = trap.lock
    found = handle.kernel_object if type(handle) is Lock else None
    if found is None or found.home is not kernel.sync:
        found = behind(kernel, handle, Lock, Semaphore)
    return found.release(task)


@handles(WaitEvent)
def wait_event(kernel: Kernel, task: Task, trap: WaitEvent) -> Any:
    handle = trap.event
    found = handle.kernel_object if type(handle) is Event else None
    if found is None or found.home is not kernel.sync:
        found = behind(kernel, handle, Event)
    return found.wait_for(task)


@handles(SetEvent)
def set_event(kernel: Kernel, task: Task, trap: SetEvent) -> Any:
    return behind(kernel, trap.event, Event).set()


@handles(ClearEvent)
def clear_event(kernel: Kernel, task: Task, trap: ClearEvent) -> Any:
    behind(kernel, trap.event, Event).happened = False


@handles(WaitCondition)
def wait_condition(kernel: Kernel, task: Task, trap: WaitCondition) -> Any:
    return behind(kernel, trap.condition, Condition).wait_for(task)


@handles(Notify)
def notify(kernel: Kernel, task: Task, trap: Notify) -> Any:
    if trap.n is not None and type(trap.n) is not int:
        raise TypeError(f"how many to notify is an int, not {type(trap.n).__name__}")
    if trap.n is not None and trap.n < 0:
        raise ValueError(f"cannot notify {trap.n} tasks")
    return behind(kernel, trap.condition, Condition).notify(trap.n)


@handles(Put)
def put(kernel: Kernel, task: Task, trap: Put) -> Any:
    handle = trap.channel
    found = handle.kernel_object if type(handle) is Channel else None
    if found is None or found.home is not kernel.sync:
        found = behind(kernel, handle, Channel)
    return found.put(task, trap.item)


@handles(Get)
def get(kernel: Kernel, task: Task, trap: Get[Any]) -> Any:
    handle = trap.channel
    found = handle.kernel_object if type(handle) is Channel else None
    if found is None or found.home is not kernel.sync:
        found = behind(kernel, handle, Channel)
    return found.get(task)


@handles(CloseChannel)
def close_channel(kernel: Kernel, task: Task, trap: CloseChannel) -> Any:
    return behind(kernel, trap.channel, Channel).close()


@handles(Load)
def load(kernel: Kernel, task: Task, trap: Load[Any]) -> Any:
    return behind(kernel, trap.cell, Cell).value


@handles(Store)
def store(kernel: Kernel, task: Task, trap: Store) -> Any:
    behind(kernel, trap.cell, Cell).value = trap.value


@handles(Send)
def send(kernel: Kernel, task: Task, trap: Send) -> Any:
    tid = trap.tid
    if type(tid) is not int:
        a_tid(tid)
    target = kernel.table.tasks.get(tid)
    if target is None or target.status is not None:
        return False
    return (target.mailbox or kernel.sync.mailbox_of(target)).put(task, (task.tid, trap.message))


@handles(Receive)
def receive(kernel: Kernel, task: Task, trap: Receive) -> Any:
    return (task.mailbox or kernel.sync.mailbox_of(task)).get(task)


def channel_of(kernel: Kernel, task: Task, trap: Get[Any]) -> Grantor:
    """The channel that an item came from; the task's place in the order of those who got one is noted."""
    channel: ChannelObject = behind(kernel, trap.channel, Channel)
    channel.number(task)
    return channel


def mailbox_of(kernel: Kernel, task: Task, trap: Receive) -> Grantor:
    """As `channel_of`, for a message."""
    channel: ChannelObject = task.mailbox
    channel.number(task)
    return channel


def lock_of(kernel: Kernel, task: Task, trap: Acquire) -> Grantor:
    """The lock or semaphore that was acquired."""
    return behind(kernel, trap.lock, Lock, Semaphore)  # type: ignore[no-any-return]


def target_of(kernel: Kernel, task: Task, trap: Timeout[Any]) -> Grantor | None:
    """Whoever it is for the target of a Timeout."""
    return grantor_of(kernel, task, trap.target)


GRANTORS: dict[type, Callable[[Any, Task, Any], Grantor | None]] = {
    Get: channel_of,
    Receive: mailbox_of,
    Acquire: lock_of,
    Timeout: target_of,
}
"""For each kind of trap whose answer must not be lost: who wants it back if it cannot be delivered."""


def grantor_of(kernel: Kernel, task: Task, trap: Any) -> Grantor | None:
    """Who wants the answer of this trap back if it cannot be delivered."""
    find = GRANTORS.get(type(trap))
    return None if find is None else find(kernel, task, trap)
