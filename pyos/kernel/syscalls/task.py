"""Handlers: lives and deaths of tasks."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from pyos.errors import LinkedTaskFailed, ProgramError, SliceExceeded, TaskExit, TaskKilled
from pyos.kernel.syscalls.binding import a_number, a_string, a_tid, handles
from pyos.kernel.tasks import Task
from pyos.kernel.tracebacks import class_name, in_kernel, innermost_frame
from pyos.kernel.trampoline import BLOCKED
from pyos.signals import Signal
from pyos.status import ExitStatus
from pyos.traps import Exec, Exit, Foreground, GetTid, KillTask, NewTask, Timeout, WaitTask

if TYPE_CHECKING:
    from pyos.kernel.kernel import Kernel


@handles(GetTid)
def get_tid(kernel: Kernel, task: Task, trap: GetTid) -> int:
    return task.tid


@handles(NewTask)
def new_task(kernel: Kernel, task: Task, trap: NewTask) -> int:
    return kernel.lifecycle.spawn(trap.target, task, trap.name, trap.detached, trap.linked, trap.limits).tid


@handles(Exec)
def exec_program(kernel: Kernel, task: Task, trap: Exec) -> Any:
    if not isinstance(trap.path, str | os.PathLike):
        raise TypeError(f"the path of a program is a string, not {type(trap.path).__name__}")
    path = kernel.loader.find(os.fspath(trap.path))
    try:
        target = kernel.loader.load(path, trap.argv)
    except StopIteration as stop:  # a handler that raises it would end the caller
        raise RuntimeError(f"{path} raised StopIteration while loading") from stop
    except SystemExit as stop:  # the caller is not the one who exits
        raise ProgramError(f"{path} called sys.exit({stop.code!r}) while loading", path=path) from stop
    except BaseException as error:
        if issubclass(type(error), Exception | SliceExceeded) or was_sent(error):
            raise
        # the caller is not the one who is interrupted, cancelled or killed
        raise ProgramError(f"{path} raised {class_name(type(error))} while loading", path=path) from error
    name = trap.name or os.path.splitext(os.path.basename(path))[0]
    return kernel.lifecycle.spawn(target, task, name, trap.detached, trap.linked, trap.limits, path).tid


def was_sent(error: BaseException) -> bool:
    """True for the TaskKilled that a signal's handler has raised in the running code (see running.py)."""
    raised_in = innermost_frame(error)
    return type(error) is TaskKilled and raised_in is not None and in_kernel(raised_in.tb_frame)


@handles(Exit)
def exit_task(kernel: Kernel, task: Task, trap: Exit) -> Any:
    raise TaskExit(trap.value)


@handles(KillTask)
def kill_task(kernel: Kernel, task: Task, trap: KillTask) -> Any:
    try:
        signal = Signal(trap.signal)
    except ValueError:
        raise ValueError(f"{trap.signal!r} is no signal: there are {', '.join(Signal.__members__)}") from None
    grace = a_number(trap.grace, "grace is a number of seconds")
    if not grace >= 0:
        raise ValueError(f"grace is a number of seconds, not {grace}")
    reason = trap.reason if trap.reason is None else a_string(trap.reason, "a reason is a string")
    target = kernel.table.get(a_tid(trap.tid))
    return kernel.kill(target, signal, sender=task, reason=reason, grace=grace)


@handles(WaitTask)
def wait_task(kernel: Kernel, task: Task, trap: WaitTask) -> Any:
    if trap.tid is None:
        return _wait_any(kernel, task)
    # no more calls than are needed: with `table.get`, `table.parent_of` and the like, a dead child took 0.7 µs, not 0.5
    tid = trap.tid if type(trap.tid) is int else a_tid(trap.tid)
    target = kernel.table.tasks.get(tid)
    if target is None:
        return None
    if target is task:
        raise ValueError(f"task {task.tid} would wait for itself")
    status = target.status
    if status is not None:
        if target.parent == task.tid and not target.detached:
            kernel.table.reap(task, target)
        return status if task.pending is None else told(task, status)
    kernel.exits.add(task, target)
    kernel.scheduler.block(task, kernel.exits)
    if target.wait is not None and target.wait.holder(target) is not None:  # else the chain of waits ends here
        kernel.waits.check_cycle(task)
    return BLOCKED


@handles(Timeout)
def timeout(kernel: Kernel, task: Task, trap: Timeout[Any]) -> Any:
    return kernel.timeouts.start(task, trap)


@handles(Foreground)
def foreground(kernel: Kernel, task: Task, trap: Foreground) -> None:
    if type(trap.tids) is not tuple:
        raise TypeError(f"tids are a tuple, not {type(trap.tids).__name__}")
    kernel.foreground = tuple(map(a_tid, trap.tids))


def _wait_any(kernel: Kernel, task: Task) -> Any:
    family = task.family
    if family is None:
        return None
    zombie = kernel.table.first_zombie(task)
    if zombie is not None:
        kernel.table.reap(task, zombie)
        return told(task, zombie.status)
    if not family.living:
        return None
    kernel.exits.add(task, None)
    return kernel.scheduler.block(task, kernel.exits)


def told(task: Task, status: ExitStatus | None) -> ExitStatus | None:
    """A dead task's status; if its failure, as a linked child, is still on its way to the task, it is raised now."""
    for error in task.pending.errors if task.pending is not None else ():
        if isinstance(error, LinkedTaskFailed) and error.status is status:
            task.pending.forget(error)  # type: ignore[union-attr]
            raise error
    return status
