"""Handlers: looking at the system from inside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyos.kernel.syscalls.binding import handles
from pyos.kernel.tasks import Task
from pyos.status import TaskInfo
from pyos.traps import Tasks

if TYPE_CHECKING:
    from pyos.kernel.kernel import Kernel


@handles(Tasks)
def tasks(kernel: Kernel, task: Task, trap: Tasks) -> list[TaskInfo]:
    return kernel.tasks(running=task)
