"""The syscall handlers, by subject, and the dispatch table made of them.

A handler is `@handles(Trap) def name(kernel, task, trap)`: it returns the answer, raises for the task, or blocks the
task and returns BLOCKED. It checks its arguments before it stores any of them.
"""

from __future__ import annotations

from types import CoroutineType, GeneratorType
from typing import Any

from pyos import traps
from pyos.kernel.scheduler import Dispatch
from pyos.kernel.syscalls import introspection, io, ipc, task, time
from pyos.kernel.syscalls.binding import HANDLERS
from pyos.kernel.syscalls.ipc import GRANTORS, grantor_of
from pyos.kernel.tasks import Skip, Task
from pyos.kernel.trampoline import BLOCKED, call_coroutine, call_generator

__all__ = ["GRANTORS", "HANDLERS", "bind", "grantor_of", "introspection", "io", "ipc", "task", "time"]


def skip(kernel: Any, task: Task, trap: Any) -> Any:
    """A dead task's entry came up in the run queue."""
    return BLOCKED


def bind() -> Dispatch:
    """The table of handlers for traps alone. Raises LookupError unless traps and handlers match one to one."""
    declared = {kind for kind in vars(traps).values() if isinstance(kind, type) and issubclass(kind, traps.Trap)}
    missing = declared - {traps.Trap} - HANDLERS.keys()
    extra = HANDLERS.keys() - declared
    if missing or extra:
        raise LookupError(f"traps without a handler: {missing or 'none'}; handlers without a trap: {extra or 'none'}")
    return dict(HANDLERS)


CALLS: Dispatch = {GeneratorType: call_generator, CoroutineType: call_coroutine, Skip: skip}
"""What else can be dispatched on: subroutine calls, and the entries of dead tasks."""
