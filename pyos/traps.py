"""The syscall vocabulary: what a task may yield to the kernel. Declarations and documentation only.

Rules: a trap is a plain value with `__slots__`; its arguments are its attributes, in the order of `__init__`;
the kernel never writes to one, so an instance may be yielded again. The first line of each docstring is the
trap's line in the README's table and in the manual: signature-free, what it does and what it answers.
"""

from __future__ import annotations

import inspect
from collections.abc import Coroutine, Generator, Sequence
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Protocol, TypeVar

from pyos.limits import Limits
from pyos.signals import TERM, Signal
from pyos.status import ExitStatus, TaskInfo

if TYPE_CHECKING:
    from pyos.handles import Cell, Channel, Condition, Event, Lock, Semaphore

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

    if not TYPE_CHECKING:  # for a type checker, a trap cannot be iterated over

        def __iter__(self) -> NoReturn:
            """What `yield from` asks for; without this, Python's error would not say what to write."""
            kind = type(self).__name__
            raise TypeError(
                f"{kind} is a trap: `yield {kind}(...)`, without `from` (in an async def: `await {kind}(...)`)"
            )

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={getattr(self, name)!r}" for name in arguments_of(type(self)))
        return f"{type(self).__name__}({arguments})"


def arguments_of(kind: type[Trap[Any]]) -> list[str]:
    """The names of a trap class's arguments, in the order of its `__init__`."""
    return [name for base in reversed(kind.__mro__) for name in getattr(base, "__slots__", ())]


def defaults_of(kind: type[Any]) -> dict[str, Any]:
    """What a trap class's arguments are when they are not given."""
    if kind.__init__ is object.__init__:
        return {}
    parameters = inspect.signature(kind.__init__).parameters.values()
    given = {p.name: p.default for p in parameters if p.default is not p.empty}
    return given | {p.name: () for p in parameters if p.kind is p.VAR_POSITIONAL}


def given_to(trap: Trap[Any]) -> dict[str, Any]:
    """A trap's arguments without those that are their defaults."""
    kind = type(trap)
    defaults = defaults_of(kind)
    values = {name: getattr(trap, name) for name in arguments_of(kind)}
    return {name: value for name, value in values.items() if name not in defaults or value is not defaults[name]}


class GetTid(Trap[int]):
    """The caller's own task id, an int ≥ 1; 1 is init, and no id is ever used again."""

    __slots__ = ()


class NewTask(Trap[int]):
    """Start a task from a generator or coroutine object; answers its tid.

    `target` must not have started. `name` defaults to the target's own; a `detached` task is reaped at its death,
    without a parent waiting; a `linked` one dies with its parent, and its failure is raised there as
    LinkedTaskFailed; `limits` (a Limits) bound it and all that descend from it. The child runs after the parent's
    slice. Errors: TypeError (not a generator or coroutine object: "call it"), ValueError (already started),
    LimitExceeded (too many tasks, or the system is shutting down; the target is closed).
    """

    __slots__ = ("target", "name", "detached", "linked", "limits")

    def __init__(
        self,
        target: Target,
        *,
        name: str | None = None,
        detached: bool = False,
        linked: bool = False,
        limits: Limits | None = None,
    ) -> None:
        self.target = target
        self.name = name
        self.detached = detached
        self.linked = linked
        self.limits = limits


class Exec(Trap[int]):
    """Load a program file and run its `main(*argv)` as a new task; answers its tid.

    The path is tried from the current directory, then from the booted program's; every Exec is a fresh
    namespace. Keywords as in NewTask. Errors: FileNotFoundError and other OSErrors, SyntaxError, ProgramError (no main,
    neither a generator nor an async function, forbidden import), and whatever loading the program raises.
    """

    __slots__ = ("path", "argv", "name", "detached", "linked", "limits")

    def __init__(
        self,
        path: str,
        *argv: str,
        name: str | None = None,
        detached: bool = False,
        linked: bool = False,
        limits: Limits | None = None,
    ) -> None:
        self.path = path
        self.argv = argv
        self.name = name
        self.detached = detached
        self.linked = linked
        self.limits = limits


class Exit(Trap[None]):
    """End the calling task from any depth, with `value`; `finally` blocks run, and it never returns."""

    __slots__ = ("value",)

    def __init__(self, value: Any = None) -> None:
        self.value = value


class KillTask(Trap[bool]):
    """Send a task a signal; answers True if the task was alive, else False.

    TERM raises TaskKilled once at the task's current yield; if it is still alive `grace` seconds later (default 1.0,
    inf: never), it gets KILL. INT raises TaskKilled, and may be caught and survived. KILL closes every frame and
    cannot be caught. STOP holds the task back until CONT. `reason` is shown to the target. Errors: TypeError,
    ValueError for a bad tid, signal or grace.
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


class Timeout(Trap[T]):
    """Run a subroutine, or wait for a trap, for at most so many seconds; answers its result.

    When the time is up TaskTimeout is raised at the target's current yield, so that its `finally` blocks run, and
    then at the caller's. A target that catches it and returns gives its value; one that still runs a second later is
    closed. Nests. Errors: TaskTimeout, which carries this trap; ValueError and TypeError for a bad number of seconds,
    BadTrap for a target that is neither.
    """

    __slots__ = ("seconds", "target")

    def __init__(self, seconds: float, target: Trap[T] | Generator[Any, Any, T] | Coroutine[Any, Any, T]) -> None:
        self.seconds = seconds
        self.target = target


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


class Foreground(Trap[None]):
    """Make tasks the foreground job: an interrupt from the terminal goes to them, and to init when there are none.

    Those that are dead by then are left out. Errors: TypeError for what is no tid.
    """

    __slots__ = ("tids",)

    def __init__(self, *tids: int) -> None:
        self.tids = tids


class Send(Trap[bool]):
    """Put a message into a task's mailbox; answers True, or False if there is no such task.

    Messages are passed by reference. Waits while the mailbox is full (see Limits). Errors: TypeError for what is no
    tid.
    """

    __slots__ = ("tid", "message")

    def __init__(self, tid: int, message: Any) -> None:
        self.tid = tid
        self.message = message


class Receive(Trap[tuple[int, Any]]):
    """Wait for the next message; answers `(sender's tid, message)`, in order of sending."""

    __slots__ = ()


class Acquire(Trap[None]):
    """Take a lock or a permit of a semaphore, waiting in order of asking: `lock.acquire()`.

    Errors: ValueError for a lock that the caller holds already, TypeError.
    """

    __slots__ = ("lock",)

    def __init__(self, lock: Lock | Semaphore) -> None:
        self.lock = lock


class Release(Trap[None]):
    """Give a lock or a permit to the next who waits for it: `lock.release()`.

    Errors: PermissionError for a lock that the caller does not hold, TypeError.
    """

    __slots__ = ("lock",)

    def __init__(self, lock: Lock | Semaphore) -> None:
        self.lock = lock


class WaitEvent(Trap[None]):
    """Wait until an event is set: `event.wait()`.

    Errors: TypeError for what is no event.
    """

    __slots__ = ("event",)

    def __init__(self, event: Event) -> None:
        self.event = event


class SetEvent(Trap[None]):
    """Set an event and wake all who wait for it: `event.set()`.

    Errors: TypeError for what is no event.
    """

    __slots__ = ("event",)

    def __init__(self, event: Event) -> None:
        self.event = event


class ClearEvent(Trap[None]):
    """Unset an event: `event.clear()`.

    Errors: TypeError for what is no event.
    """

    __slots__ = ("event",)

    def __init__(self, event: Event) -> None:
        self.event = event


class WaitCondition(Trap[None]):
    """Release a condition's lock, wait to be notified, and take the lock again: `condition.wait()`.

    The lock is held again when it returns or raises. Errors: PermissionError if the caller does not hold the lock.
    """

    __slots__ = ("condition",)

    def __init__(self, condition: Condition) -> None:
        self.condition = condition


class Notify(Trap[int]):
    """Let up to `n` waiters of a condition go on (None: all); answers how many: `condition.notify(n)`.

    Each goes on as soon as it has the lock. Errors: ValueError and TypeError for a bad number.
    """

    __slots__ = ("condition", "n")

    def __init__(self, condition: Condition, n: int | None = 1) -> None:
        self.condition = condition
        self.n = n


class Put(Trap[None]):
    """Pass an item on through a channel, waiting while there is no room: `channel.put(item)`.

    Errors: ChannelClosed once the channel is closed.
    """

    __slots__ = ("channel", "item")

    def __init__(self, channel: Channel[Any], item: Any) -> None:
        self.channel = channel
        self.item = item


class Get(Trap[T]):
    """Wait for the next item of a channel; answers it: `channel.get()`.

    Errors: ChannelClosed once the channel is closed and empty.
    """

    __slots__ = ("channel",)

    def __init__(self, channel: Channel[T]) -> None:
        self.channel = channel


class CloseChannel(Trap[None]):
    """Close a channel: what is in it can still be got, nothing more is put; twice is harmless: `channel.close()`.

    Errors: TypeError for what is no channel.
    """

    __slots__ = ("channel",)

    def __init__(self, channel: Channel[Any]) -> None:
        self.channel = channel


class Load(Trap[T]):
    """The value of a cell: `cell.load()`.

    Errors: TypeError for what is no cell.
    """

    __slots__ = ("cell",)

    def __init__(self, cell: Cell[T]) -> None:
        self.cell = cell


class Store(Trap[None]):
    """Replace the value of a cell: `cell.store(value)`.

    Errors: TypeError for what is no cell.
    """

    __slots__ = ("cell", "value")

    def __init__(self, cell: Cell[Any], value: Any) -> None:
        self.cell = cell
        self.value = value
