"""The syscall vocabulary: what a task may yield to the kernel. Declarations and documentation only.

Rules: a trap is a plain value with `__slots__`; its arguments are its attributes, in the order of `__init__`;
the kernel never writes to one, so an instance may be yielded again. The first line of each docstring is the
trap's line in the README's table and in the manual: signature-free, what it does and what it answers.
"""

from __future__ import annotations

from collections.abc import Coroutine, Generator, Sequence
from typing import Any, Generic, Protocol, TypeVar

from pyos.signals import TERM, Signal
from pyos.status import ExitStatus, TaskInfo

T = TypeVar("T")
Option = TypeVar("Option")
Program = Generator[Any, Any, Any]
"""The type of a task's generator: `def main() -> Program:`."""
Target = Generator[Any, Any, Any] | Coroutine[Any, Any, Any]
"""What can become a task: a generator or coroutine object that has not started."""


class HasFileno(Protocol):
    """Anything with a descriptor: a socket, a pipe, an open file."""

    def fileno(self) -> int: ...


FileLike = int | HasFileno


class Trap(Generic[T]):
    """A request to the kernel whose answer has type T: `answer = yield trap`, or `await trap`."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, Any, T]:
        answer: T = yield self
        return answer

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={getattr(self, name)!r}" for name in arguments_of(type(self)))
        return f"{type(self).__name__}({arguments})"


def arguments_of(kind: type[Trap[Any]]) -> list[str]:
    """The names of a trap class's arguments, in the order of its `__init__`."""
    return [name for base in reversed(kind.__mro__) for name in getattr(base, "__slots__", ())]


class GetTid(Trap[int]):
    """The caller's own task id, an int ≥ 1; 1 is init, and no id is ever used again."""

    __slots__ = ()


class NewTask(Trap[int]):
    """Start a task from a generator or coroutine object; answers its tid.

    `target` must not have started. `name` defaults to the target's own; a `detached` task is reaped at its
    death, without a parent waiting. The child runs after the parent's slice. Errors: TypeError (not a generator or
    coroutine object: "call it"), ValueError (already started), LimitExceeded (too many tasks, or the system is
    shutting down; the target is closed).
    """

    __slots__ = ("target", "name", "detached")

    def __init__(self, target: Target, *, name: str | None = None, detached: bool = False) -> None:
        self.target = target
        self.name = name
        self.detached = detached


class Exec(Trap[int]):
    """Load a program file and run its `main(*argv)` as a new task; answers its tid.

    The path is tried from the current directory, then from the booted program's; every Exec is a fresh
    namespace. Keywords as in NewTask. Errors: FileNotFoundError and other OSErrors, SyntaxError, ProgramError (no main,
    neither a generator nor an async function, forbidden import), and whatever loading the program raises.
    """

    __slots__ = ("path", "argv", "name", "detached")

    def __init__(self, path: str, *argv: str, name: str | None = None, detached: bool = False) -> None:
        self.path = path
        self.argv = argv
        self.name = name
        self.detached = detached


class Exit(Trap[None]):
    """End the calling task from any depth, with `value`; `finally` blocks run, and it never returns."""

    __slots__ = ("value",)

    def __init__(self, value: Any = None) -> None:
        self.value = value


class KillTask(Trap[bool]):
    """Send a task a signal; answers True if the task was alive, else False.

    TERM raises TaskKilled once at the task's current yield; if it is still alive `grace` seconds later (default
    1.0, inf: never), it gets KILL. KILL closes every frame and cannot be caught. `reason` is shown to the target.
    Errors: TypeError, ValueError for a bad tid, signal or grace.
    """

    __slots__ = ("tid", "signal", "reason", "grace")

    def __init__(self, tid: int, signal: Signal = TERM, *, reason: str | None = None, grace: float = 1.0) -> None:
        self.tid = tid
        self.signal = signal
        self.reason = reason
        self.grace = grace


class WaitTask(Trap[ExitStatus | None]):
    """Wait for a task to end; answers its ExitStatus, or None if there is no such task (or no child).

    Without a tid: the next child to exit, counting neither detached nor adopted ones. Several tasks may wait for
    one; all get its status. Only the parent's wait reaps a zombie. Errors: ValueError (waiting for oneself), TypeError.
    """

    __slots__ = ("tid",)

    def __init__(self, tid: int | None = None) -> None:
        self.tid = tid


class ReadWait(Trap[None]):
    """Wait until a descriptor is readable (data, end of file, or an error to collect).

    `file` is a descriptor or has `fileno()`. Regular files are always ready. Errors: OSError(EBADF) for a closed or
    negative descriptor, TypeError for anything else.
    """

    __slots__ = ("file",)

    def __init__(self, file: FileLike) -> None:
        self.file = file


class WriteWait(Trap[None]):
    """Wait until a descriptor is writable (space, or an error to collect); arguments and errors as ReadWait."""

    __slots__ = ("file",)

    def __init__(self, file: FileLike) -> None:
        self.file = file


class Sleep(Trap[None]):
    """Wait for `seconds` to pass; 0 lets others run, inf sleeps until killed.

    Errors: ValueError for a negative number or NaN, TypeError for what is not a number.
    """

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


class GetTime(Trap[float]):
    """The time in seconds: monotonic, or since the epoch with `wall=True`."""

    __slots__ = ("wall",)

    def __init__(self, *, wall: bool = False) -> None:
        self.wall = wall


class Random(Trap[float]):
    """A float in [0, 1) from the kernel's seed."""

    __slots__ = ()


class Choose(Trap[Option]):
    """Any one of `options`: the first without a seed, a seeded random one with it, every one under the checker.

    Errors: ValueError for no options, TypeError for what is not a sequence.
    """

    __slots__ = ("options",)

    def __init__(self, options: Sequence[Option]) -> None:
        self.options = options


class Tasks(Trap[list[TaskInfo]]):
    """A snapshot of every task, as a list of TaskInfo in order of tid."""

    __slots__ = ()
