"""`boot --strace`: one line a trap on standard error, with time, tid, shortened arguments, and result or error.

    12.003415 [   3] Sleep(seconds=0.5) = None

The time is when the trap was yielded, in seconds since boot; a trap that blocks is printed when it is answered, with
how long it took. A wrapper goes around each handler; while a task is blocked a stand-in waits with it for the answer.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pyos.kernel.scheduler import Handler
from pyos.kernel.tasks import Task
from pyos.kernel.trampoline import BLOCKED, describe
from pyos.traps import arguments_of

if TYPE_CHECKING:
    from pyos.kernel.kernel import Kernel

Printer = Callable[[str], None]


def print_to_stderr(line: str) -> None:
    sys.stderr.write(line + "\n")


class Answered:
    """Stands in for the generator of a blocked task, and prints the answer on its way in."""

    __slots__ = ("task", "gen", "done")

    def __init__(self, task: Task, gen: Any, done: Callable[[str], None]) -> None:
        self.task = task
        self.gen = gen
        self.done = done

    def send(self, answer: Any) -> Any:
        self.done(describe(answer))
        self.task.gen = self.gen
        return self.gen.send(answer)

    def throw(self, error: BaseException) -> Any:
        self.done(failed(error))
        self.task.gen = self.gen
        return self.gen.throw(error)


class Strace:
    """The wrapper of the handlers, for `Kernel(wrappers=[Strace().wrap])`."""

    def __init__(self, write: Printer = print_to_stderr) -> None:
        self.write = write
        self.start: float | None = None

    def wrap(self, kernel: Kernel, kind: type, handler: Handler) -> Handler:
        """Go around one handler."""
        if self.start is None:
            self.start = kernel.clock.now()

        def traced(kernel: Kernel, task: Task, trap: Any) -> Any:
            began = kernel.clock.now()
            head = f"{began - (self.start or 0.0):12.6f} [{task.tid:4}] {call(trap)} = "

            def done(result: str) -> None:
                took = kernel.clock.now() - began
                self.write(head + result + (f" <{took:.6f}>" if blocked else ""))

            blocked = False
            try:
                answer = handler(kernel, task, trap)
            except BaseException as error:
                done(failed(error))
                raise
            if answer is not BLOCKED:
                done(describe(answer))
            elif task.status is not None:
                self.write(head + "?")
            elif task.wait is not None:
                blocked = True
                task.gen = Answered(task, task.gen, done)
            else:
                done("None")
            return answer

        return traced


def call(trap: Any) -> str:
    """A trap as it was written, each argument shortened."""
    arguments = ", ".join(f"{name}={describe(getattr(trap, name))}" for name in arguments_of(type(trap)))
    return f"{type(trap).__name__}({arguments})"


def failed(error: BaseException) -> str:
    """An error as the result of a trap; its text is the user's, and may fail."""
    try:
        return f"! {type(error).__name__}: {error}"
    except Exception:
        return f"! {type(error).__name__}"
