"""One run written down step by step: what a story is told from, and what two runs are compared by."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any

from pyos.check.accesses import Use
from pyos.check.queue import PickingQueue
from pyos.check.report import in_short, innermost_line
from pyos.check.report import shown as short_repr
from pyos.check.source import attributes_of
from pyos.handles import Handle
from pyos.kernel.choice import first
from pyos.kernel.tasks import Task
from pyos.kernel.trampoline import BLOCKED, Thrower, frame_of, frames, stack_of
from pyos.signals import Signal
from pyos.status import ExitStatus, TaskInfo
from pyos.traps import Trap, arguments_of

if TYPE_CHECKING:
    from pyos.kernel.kernel import Kernel
    from pyos.kernel.scheduler import Handler

MOST_STACKS = 2000  # steps of a run whose variables are kept


@dataclass
class Frame:
    """One frame of a task's stack: where it is, and its local variables, each as a short repr."""

    where: str
    function: str
    variables: dict[str, str]


@dataclass
class Row:
    """One step: which task took it, where it yielded, what it asked for, and what it got.

    `where` is "file:line", `trap` is "" for a bare yield and for the step in which the task ends; `result` is None
    until the answer is there (a task that blocks has none), `answered` the number of the step that brought it, 0 for
    the clock. `choice` is the index that was chosen, of `options` task ids; `deaths` are other tasks that ended in
    this step, and how. `accesses` is what it used of Python objects, `last_line` the last line it ran; `stacks` has
    every living task's frames after the step, if they were asked for.
    """

    number: int
    tid: int
    name: str
    where: str = ""
    trap: str = ""
    result: str | None = None
    failed: bool = False
    answered: int | None = None
    choice: int = 0
    options: tuple[int, ...] = ()
    time: float = 0.0
    ended: bool = False
    deaths: list[tuple[int, str]] = field(default_factory=list)
    accesses: dict[Any, Use] = field(default_factory=dict)
    last_line: str = ""
    stacks: dict[int, list[Frame]] = field(default_factory=dict)

    @property
    def deviates(self) -> bool:
        """True if production would have run another task here."""
        return self.choice > 0

    @property
    def label(self) -> tuple[Any, ...]:
        """What must be the same when the same choices are made again."""
        return self.tid, self.where, self.trap, self.result, self.ended

    @property
    def mark(self) -> str:
        """The part of it that is the same in every process, wherever the program's files are."""
        where = "" if self.ended else os.path.basename(self.where)
        return f"{self.tid} {where} {self.trap.partition('(')[0]} {self.ended} {len(self.options)}"

    def __str__(self) -> str:
        what = self.trap or ("its end" if self.ended else "yield")
        answer = "" if self.result in (None, "None") else f" = {self.result}"
        return f"task {self.tid} ({self.name}) at {self.where or '?'}: {what}{answer}"


class Recorder:
    """Watches a kernel whose queue is `queue`, and fills `rows`."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.variables = False
        self.queue = PickingQueue(first, self.pick)
        self.running: Task | None = None
        self.waiting: dict[int, Row] = {}  # rows of tasks whose answer is still to come
        self.kernel: Kernel | None = None
        self.step_begins: Callable[[Task], None] = lambda task: None
        self.in_step = False

    def bind(self, kernel: Kernel) -> None:
        """Go around what answers and ends tasks."""
        self.kernel = kernel
        scheduler, lifecycle = kernel.scheduler, kernel.lifecycle
        setattr(scheduler, "wake", self._seen_answering(scheduler.wake))
        setattr(scheduler, "grant", self._seen_answering(scheduler.grant))
        setattr(scheduler, "wake_error", self._seen_failing(scheduler.wake_error))
        setattr(lifecycle, "bury", self._seen_burying(lifecycle.bury))

    def begin_run(self) -> None:
        """Forget the run before."""
        self.rows = []
        self.waiting = {}
        self.running = None
        self.in_step = False

    def end_step(self) -> None:
        """The step is over: another begins, the time passes, or the run has ended."""
        task, self.running = self.running, None
        self.in_step = False
        if task is None:
            return
        row = self.rows[-1]
        if task.status is not None:
            self._enter_end(row, task.status)
        elif not row.trap:
            row.where = place(task)
            next_resume = task.held if task.gen is task else task.gen
            if type(next_resume) is Thrower and next_resume.error is not None:  # what it yielded was no trap
                row.result, row.failed = in_short(next_resume.error), True
        if self.variables and self.kernel is not None and len(self.rows) <= MOST_STACKS:
            row.stacks = {t.tid: frames_of(t) for t in self.kernel.table if t.status is None}

    def _enter_end(self, row: Row, status: ExitStatus) -> None:
        row.ended = True
        row.failed = status.error is not None
        if status.error is None:
            row.result = end_of(status)
            row.where = row.where or row.last_line or self._last_place(status.tid)
        else:
            row.result = in_short(status.error)
            raised = innermost_line(status.error)
            row.where = f"{raised[0]}:{raised[1]}" if raised else self._last_place(status.tid)

    def _last_place(self, tid: int) -> str:
        return next((row.where for row in reversed(self.rows) if row.tid == tid and row.where), "")

    def pick(self, ready: Sequence[Task]) -> int:
        """Choose, and open the row of the next step."""
        self.end_step()
        index = self.queue.choose("step", ready) if len(ready) > 1 else 0
        task = self.running = ready[index]
        now = self.kernel.clock.now() if self.kernel else 0.0
        options = tuple(other.tid for other in ready)
        self.rows.append(Row(len(self.rows) + 1, task.tid, task.name, choice=index, options=options, time=now))
        self.in_step = True
        self.step_begins(task)
        return index

    def wrap(self, kernel: Kernel, kind: type, handler: Handler) -> Handler:
        """Go around one handler: its trap is what the step asked for."""

        def recorded(kernel: Kernel, task: Task, trap: Any) -> Any:
            row = self.rows[-1] if self.rows and task is self.running else None
            if row is None or row.trap:
                return handler(kernel, task, trap)  # the target of a Timeout, or a trap of clean-up
            row.where, row.trap = place(task), type(trap).__name__
            self.waiting[task.tid] = row
            try:
                answer = handler(kernel, task, trap)
            except BaseException as error:
                row.result, row.failed = in_short(error), True
                self.waiting.pop(task.tid, None)
                raise
            finally:
                row.trap = call(trap)  # by now an object without a name has a number
            if answer is not BLOCKED:
                row.result = shown(answer)
                self.waiting.pop(task.tid, None)
            elif task.wait is None and task.status is None and task.tid in self.waiting:
                row.result = "None"  # it only lets the others run, as Sleep(0) does
                del self.waiting[task.tid]
            return answer

        return recorded

    def _answer(self, task: Task, result: str, failed: bool) -> None:
        if row := self.waiting.pop(task.tid, None):
            row.result, row.failed = result, failed
            row.answered = len(self.rows) if self.in_step else 0

    def _seen_answering(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def seen(task: Task, answer: Any = None, *more: Any) -> None:
            self._answer(task, shown(answer), False)
            original(task, answer, *more)

        return seen

    def _seen_failing(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def seen(task: Task, error: BaseException) -> None:
            self._answer(task, in_short(error), True)
            original(task, error)

        return seen

    def _seen_burying(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def seen(task: Task, status: ExitStatus, *more: Any) -> None:
            if status.signal is not None and task is not self.running:
                how = f"killed by {status.signal.name}"
                self._answer(task, how, True)
                if self.rows:
                    self.rows[-1].deaths.append((task.tid, f"task {task.tid} ({task.name}) is {how}"))
            original(task, status, *more)

        return seen


# --- in words


def shown(value: Any) -> str:
    """A value for a person, and the same in every run: handles by name, generators by their function, no address."""
    if issubclass(type(value), Handle):
        return value.name or getattr(value.kernel_object, "label", None) or type(value).__name__.lower()
    if issubclass(type(value), Trap):
        return call(value)
    if issubclass(type(value), BaseException):
        return in_short(value)
    if type(value) is Signal:
        return value.name
    if type(value) is ExitStatus:
        return f"{value.name}'s end: {end_of(value)}"
    if type(value) is list and value and all(type(item) is TaskInfo for item in value):
        return f"{len(value)} tasks"
    if type(value) in (GeneratorType, CoroutineType):
        return f"{value.__name__}()"
    plain: Any = object.__repr__
    has_own = getattr(type(value), "__repr__", None) is not plain
    return short_repr(value if has_own or not attributes_of(value) else Attributes(value))


class Attributes:
    """Shows an object that has no repr of its own by its attributes."""

    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={value!r}" for name, value in attributes_of(self.thing).items())
        return f"{type(self.thing).__name__}({inside})"


def end_of(status: ExitStatus) -> str:
    """How a task ended."""
    if status.signal is not None:
        return f"killed by {status.signal.name}"
    return shown(status.value) if status.error is None else in_short(status.error)


def call(trap: Any) -> str:
    """A trap as a person would write it: what is left at its default is left out."""
    kind: Any = type(trap)
    words: list[str] = []
    for name, parameter in parameters_of(kind):
        value, default = getattr(trap, name), parameter.default
        if parameter.kind is parameter.VAR_POSITIONAL:
            words += map(shown, value)
        elif value is not default and not (type(value) is type(default) and value == default):
            words.append(
                shown(value) if parameter.kind is parameter.POSITIONAL_OR_KEYWORD else f"{name}={shown(value)}"
            )
    return f"{kind.__name__}({', '.join(words)})"


@lru_cache(maxsize=128)  # of some forty kinds: it was a sixth of a short check
def parameters_of(kind: type) -> tuple[tuple[str, inspect.Parameter], ...]:
    """What a kind of trap is built with."""
    return tuple(inspect.signature(kind).parameters.items()) if arguments_of(kind) else ()


def place(task: Task) -> str:
    """file:line of a task's innermost frame."""
    stack = stack_of(task)
    return stack[-1].partition(" ")[0] if stack else ""


def relative(text: str) -> str:
    """A text with paths as a person would write them from here."""
    return text.replace(os.getcwd() + os.sep, "")


def frames_of(task: Task) -> list[Frame]:
    """A task's frames with their variables, outermost first."""
    found = []
    for gen in frames(task):
        frame = frame_of(gen)
        if frame is not None and frame.f_globals.get("__name__") != "pyos.traps":
            variables = {name: shown(value) for name, value in frame.f_locals.items()}
            where = f"{frame.f_code.co_filename}:{frame.f_lineno}"
            found.append(Frame(where, frame.f_code.co_qualname, variables))
    return found
