"""Every way to wait, for tests that hold of all of them.

`WAITS` maps a name to a subroutine that waits for ever (for 50 s of sleep at least), and has set up for that before.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from pyos import (
    Channel,
    Condition,
    Event,
    GetTid,
    Lock,
    NewTask,
    Program,
    ReadWait,
    Receive,
    Semaphore,
    Send,
    Sleep,
    Timeout,
    WaitTask,
)
from tests.kernel.programs import forever


def in_a_sleep() -> Program:
    yield Sleep(50)


def for_a_descriptor() -> Program:
    reader, writer = os.pipe()
    try:
        yield ReadWait(reader)
    finally:
        os.close(reader)
        os.close(writer)


def for_a_task() -> Program:
    yield WaitTask((yield NewTask(forever())))


def for_any_child() -> Program:
    yield NewTask(forever())
    yield WaitTask()


def for_a_lock() -> Program:
    lock = Lock("busy")
    holding = Event()
    yield NewTask(holds(lock, holding))
    yield holding.wait()
    yield lock.acquire()


def holds(lock: Lock, holding: Event) -> Program:
    yield lock.acquire()
    yield holding.set()
    yield from forever()


def for_a_permit() -> Program:
    yield Semaphore(0).acquire()


def for_an_event() -> Program:
    yield Event().wait()


def for_a_condition() -> Program:
    lock = Lock()
    yield lock.acquire()
    try:
        yield Condition(lock).wait()
    finally:
        yield lock.release()


def to_get() -> Program:
    yield Channel().get()


def to_put() -> Program:
    yield Channel().put("item")


def for_a_message() -> Program:
    yield Receive()


def for_room_in_a_mailbox() -> Program:
    """Needs Limits(max_mailbox=1)."""
    tid = yield NewTask(forever())
    yield Send(tid, 1)
    yield Send(tid, 2)


def under_a_timeout() -> Program:
    yield Timeout(40, Sleep(50))


def fifty_calls_deep(n: int = 50) -> Program:
    yield (fifty_calls_deep(n - 1) if n else Sleep(50))


def fifty_delegations_deep(n: int = 50) -> Program:
    yield from (fifty_delegations_deep(n - 1) if n else in_a_sleep())


async def in_a_coroutine() -> None:
    await GetTid()
    await in_another()


async def in_another() -> None:
    await Sleep(50)


WAITS: dict[str, Callable[[], Program]] = {
    function.__name__: function  # type: ignore[misc]
    for function in (
        in_a_sleep,
        for_a_descriptor,
        for_a_task,
        for_any_child,
        for_a_lock,
        for_a_permit,
        for_an_event,
        for_a_condition,
        to_get,
        to_put,
        for_a_message,
        for_room_in_a_mailbox,
        under_a_timeout,
        fifty_calls_deep,
        fifty_delegations_deep,
        in_a_coroutine,
    )
}
