"""Handlers: messages, and the objects that tasks share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyos.handles import Cell, Channel, Condition, Event, Handle, Lock, Semaphore
from pyos.kernel.sync import ChannelObject
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
        names = " or a ".join(kind.__name__ for kind in kinds)
        raise TypeError(f"expected a {names}, not {type(handle).__name__}")
    found = handle.kernel_object
    if found is None or found.home is not kernel.sync:
        found = kernel.sync.object_of(handle)
    return found


@handles(Acquire)
def acquire(kernel: Kernel, task: Task, trap: Acquire) -> Any:
    return behind(kernel, trap.lock, Lock, Semaphore).acquire(task)


@handles(Release)
def release(kernel: Kernel, task: Task, trap: Release) -> Any:
    return behind(kernel, trap.lock, Lock, Semaphore).release(task)


@handles(WaitEvent)
def wait_event(kernel: Kernel, task: Task, trap: WaitEvent) -> Any:
    return behind(kernel, trap.event, Event).wait_for(task)


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
    return behind(kernel, trap.channel, Channel).put(task, trap.item)


@handles(Get)
def get(kernel: Kernel, task: Task, trap: Get[Any]) -> Any:
    return behind(kernel, trap.channel, Channel).get(task)


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
    target = kernel.table.get(a_tid(trap.tid))
    if target is None or target.status is not None:
        return False
    return (target.mailbox or kernel.sync.mailbox_of(target)).put(task, (task.tid, trap.message))


@handles(Receive)
def receive(kernel: Kernel, task: Task, trap: Receive) -> Any:
    return (task.mailbox or kernel.sync.mailbox_of(task)).get(task)


def grantor_of(kernel: Kernel, task: Task, trap: Any) -> Grantor | None:
    """Who wants the answer of this trap back if it cannot be delivered."""
    while type(trap) is Timeout:
        trap = trap.target
    kind = type(trap)
    if kind is Acquire:
        return behind(kernel, trap.lock, Lock, Semaphore)  # type: ignore[no-any-return]
    if kind is not Get and kind is not Receive:
        return None
    channel: ChannelObject = behind(kernel, trap.channel, Channel) if kind is Get else task.mailbox
    channel.number(task)
    return channel
