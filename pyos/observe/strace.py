"""`boot --strace`: one line a trap on standard error, with time, tid, shortened arguments, and result or error.

    12.003415 [   3] Sleep(seconds=0.5) = None <0.500788>

The time is when the trap was yielded, in seconds since boot; a trap that blocks is printed when it is answered, with
how long it took. A trap that is never answered, because the task has ended, has the result `?`. A wrapper goes around
each handler; while a task is blocked, or in the subroutine of a Timeout, a stand-in waits with it for the answer.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from types import CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any

from pyos.kernel.scheduler import Handler
from pyos.kernel.tasks import Task
from pyos.kernel.tracebacks import describe
from pyos.kernel.trampoline import BLOCKED, Thrower
from pyos.traps import Exit, Timeout, given_to

if TYPE_CHECKING:
    from pyos.kernel.kernel import Kernel

Printer = Callable[[str], None]
NEVER = "?"  # the result of a trap whose task has ended


def print_to_stderr(line: str) -> None:
    """One line; a reader that has gone must not become an error of the task that is traced."""
    with contextlib.suppress(OSError):
        sys.stderr.write(line + "\n")


class Answered:
    """Stands in for the generator of a blocked task, and prints the answer on its way in, or that there was none."""

    __slots__ = ("task", "gen", "done")

    def __init__(self, task: Task, gen: Any, done: Callable[[str], None]) -> None:
        self.task = task
        self.gen = gen
        self.done: Callable[[str], None] | None = done

    def _print(self, result: str) -> None:
        done, self.done = self.done, None
        if done is not None:
            done(result)

    def send(self, answer: Any) -> Any:
        self._print(show(answer))
        self.task.gen = self.gen
        return self.gen.send(answer)

    def throw(self, error: BaseException) -> Any:
        self._print(failed(error))
        self.task.gen = self.gen
        return self.gen.throw(error)

    def __del__(self) -> None:
        self._print(NEVER)


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

            def answered(result: str) -> None:
                self.write(f"{head}{result} <{kernel.clock.now() - began:.6f}>")

            try:
                answer = handler(kernel, task, trap)
            except BaseException as error:
                self.write(head + (NEVER if kind is Exit else failed(error)))
                raise
            if type(task.gen) is Thrower and task.gen.error is not None:
                self.write(head + failed(task.gen.error))
            elif kind is Timeout and (deadline := deadline_of(task, trap)) is not None and deadline.depth is not None:
                deadline.gen = Answered(task, deadline.gen, answered)  # it goes on with the subroutine
            elif answer is not BLOCKED:
                self.write(head + show(answer))
            elif task.wait is not None:
                task.gen = Answered(task, task.gen, answered)
            else:  # requeued, perhaps with an answer that it holds, or dead
                self.write(head + (show(task.answer) if task.status is None else NEVER))
            return answer

        return traced


def deadline_of(task: Task, trap: Any) -> Any:
    """What stands in for the caller of a Timeout in force (of several in each other, the outermost), or None."""
    deadline = task.deadline
    while deadline is not None and deadline.trap is not trap:
        deadline = deadline.outer
    return deadline


def call(trap: Any) -> str:
    """A trap with its arguments, each shortened, but for those that are their defaults."""
    arguments = ", ".join(f"{name}={show(value)}" for name, value in given_to(trap).items())
    return f"{type(trap).__name__}({arguments})"


def show(value: Any) -> str:
    """A value on one line, shortened; a generator by its name, as nobody knows it by its address."""
    if type(value) in (GeneratorType, CoroutineType):
        return f"<{value.__name__}>"
    return " ".join(describe(value).split())


def failed(error: BaseException) -> str:
    """An error as the result of a trap, on one line."""
    try:
        text = str(error)
    except BaseException as another:
        text = f"(its str raised {type(another).__name__})"
    return f"! {type(error).__name__}: {' '.join(text.split())}"
