"""Handlers: lives and deaths of tasks."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from pyos.errors import TaskExit
from pyos.kernel import trampoline
from pyos.kernel.loader import trace_in
from pyos.kernel.syscalls.binding import a_tid, handles
from pyos.kernel.tasks import Task
from pyos.signals import Signal
from pyos.traps import Exec, Exit, GetTid, KillTask, NewTask, WaitTask

if TYPE_CHECKING:
    from pyos.kernel.kernel import Kernel


@handles(GetTid)
def get_tid(kernel: Kernel, task: Task, trap: GetTid) -> int:
    return task.tid


@handles(NewTask)
def new_task(kernel: Kernel, task: Task, trap: NewTask) -> int:
    return kernel.spawn(trap.target, name=trap.name, detached=trap.detached, parent=task).tid


@handles(Exec)
def exec_program(kernel: Kernel, task: Task, trap: Exec) -> Any:
    if not isinstance(trap.path, str | os.PathLike):
        raise TypeError(f"the path of a program is a string, not {type(trap.path).__name__}")
    path = kernel.loader.find(os.fspath(trap.path))
    try:
        target = kernel.loader.load(path, trap.argv)
    except (StopIteration, SystemExit) as stop:  # a handler that raises it would end the caller
        raise RuntimeError(f"{path} raised {type(stop).__name__} while loading") from stop
    except Exception as error:
        trace = trace_in(path, error)
        if trace is None:
            raise
        return trampoline.throw_later(task, error.with_traceback(trace))  # raised here, the program's lines would go
    name = trap.name or os.path.splitext(os.path.basename(path))[0]
    return kernel.spawn(target, name=name, detached=trap.detached, parent=task, program=path).tid


@handles(Exit)
def exit_task(kernel: Kernel, task: Task, trap: Exit) -> Any:
    raise TaskExit(trap.value)


@handles(KillTask)
def kill_task(kernel: Kernel, task: Task, trap: KillTask) -> Any:
    signal = Signal(trap.signal)
    grace = trap.grace
    if isinstance(grace, bool) or not isinstance(grace, int | float):
        raise TypeError(f"grace is a number of seconds, not {type(grace).__name__}")
    if not grace >= 0:
        raise ValueError(f"grace is a number of seconds, not {grace}")
    if trap.reason is not None and not isinstance(trap.reason, str):
        raise TypeError(f"a reason is a string, not {type(trap.reason).__name__}")
    target = kernel.table.get(a_tid(trap.tid))
    return kernel.kill(target, signal, sender=task, reason=trap.reason, grace=float(grace))


@handles(WaitTask)
def wait_task(kernel: Kernel, task: Task, trap: WaitTask) -> Any:
    if trap.tid is None:
        return _wait_any(kernel, task)
    target = kernel.table.get(a_tid(trap.tid))
    if target is None:
        return None
    if target is task:
        raise ValueError(f"task {task.tid} would wait for itself")
    if target.status is not None:
        status = target.status
        if kernel.table.parent_of(target) is task:
            kernel.table.reap(task, target)
        return status
    kernel.exits.add(task, target)
    return kernel.scheduler.block(task, kernel.exits)


def _wait_any(kernel: Kernel, task: Task) -> Any:
    if task.zombies:
        zombie = next(iter(task.zombies.values()))
        kernel.table.reap(task, zombie)
        return zombie.status
    if not task.living:
        return None
    kernel.exits.add(task, None)
    return kernel.scheduler.block(task, kernel.exits)
