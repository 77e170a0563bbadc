"""Handlers: waiting for descriptors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyos.kernel.poller import READ, WRITE
from pyos.kernel.syscalls.binding import handles
from pyos.kernel.tasks import Task
from pyos.traps import ReadWait, WriteWait

if TYPE_CHECKING:
    from pyos.kernel.kernel import Kernel


@handles(ReadWait)
def read_wait(kernel: Kernel, task: Task, trap: ReadWait) -> Any:
    watched = kernel.readiness.watch(task, trap.file, READ)
    return None if watched is None else kernel.scheduler.block(task, watched)


@handles(WriteWait)
def write_wait(kernel: Kernel, task: Task, trap: WriteWait) -> Any:
    watched = kernel.readiness.watch(task, trap.file, WRITE)
    return None if watched is None else kernel.scheduler.block(task, watched)
