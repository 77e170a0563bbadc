"""One run written down step by step: what a story is told from, and what two runs are compared by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pyos.check.queue import PickingQueue
from pyos.kernel.tasks import Task
from pyos.kernel.trampoline import BLOCKED, describe, frames, stack_of
from pyos.traps import arguments_of

if TYPE_CHECKING:
    from pyos.kernel.choice import Chooser
    from pyos.kernel.kernel import Kernel
    from pyos.kernel.scheduler import Handler


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
    until the answer is there (a task that blocks has none). `choice` is the index that was chosen, of `options` task
    ids; `stacks` has every living task's frames after the step, if they were asked for.
    """

    number: int
    tid: int
    name: str
    where: str = ""
    trap: str = ""
    result: str | None = None
    failed: bool = False
    choice: int = 0
    options: tuple[int, ...] = ()
    time: float = 0.0
    ended: bool = False
    stacks: dict[int, list[Frame]] = field(default_factory=dict)

    @property
    def deviates(self) -> bool:
        """True if production would have run another task here."""
        return self.choice > 0

    @property
    def label(self) -> tuple[int, str, str]:
        """What must be the same when the same choices are made again."""
        return self.tid, self.where, self.trap.partition("(")[0]


class Recorder:
    """Watches a kernel whose queue is `queue`, and fills `rows`."""

    def __init__(self, choose: Chooser, variables: bool = False) -> None:
        self.rows: list[Row] = []
        self.variables = variables
        self.queue = PickingQueue(choose, self.pick)
        self.running: Task | None = None
        self.waiting: dict[int, Row] = {}  # rows of tasks whose answer is still to come
        self.kernel: Kernel | None = None

    def bind(self, kernel: Kernel) -> None:
        """Go around what answers tasks."""
        self.kernel = kernel
        scheduler = kernel.scheduler
        setattr(scheduler, "wake", self._seen_answering(scheduler.wake))
        setattr(scheduler, "grant", self._seen_answering(scheduler.grant))
        setattr(scheduler, "wake_error", self._seen_failing(scheduler.wake_error))

    def begin_run(self) -> None:
        """Forget the run before."""
        self.rows = []
        self.waiting = {}
        self.running = None

    def end_run(self) -> None:
        """The last step is over."""
        self._end_step()

    def pick(self, ready: Sequence[Task]) -> int:
        """Choose, and open the row of the next step."""
        self._end_step()
        index = self.queue.choose("step", ready) if len(ready) > 1 else 0
        task = self.running = ready[index]
        now = self.kernel.clock.now() if self.kernel else 0.0
        options = tuple(other.tid for other in ready)
        self.rows.append(Row(len(self.rows) + 1, task.tid, task.name, choice=index, options=options, time=now))
        return index

    def _end_step(self) -> None:
        task, self.running = self.running, None
        if task is None:
            return
        row = self.rows[-1]
        if task.status is not None:
            row.ended = True
            row.failed = not task.status.ok
            row.where = row.where or self._last_place(task.tid)
            if task.status.error is not None:
                row.result = f"! {describe(task.status.error)}"
            else:
                row.result = task.status.signal.name if task.status.signal else describe(task.status.value)
        elif not row.where:
            row.where = place(task)
        if self.variables and self.kernel is not None:
            row.stacks = {t.tid: frames_of(t) for t in self.kernel.table if t.status is None}

    def _last_place(self, tid: int) -> str:
        return next((row.where for row in reversed(self.rows) if row.tid == tid and row.where), "")

    def wrap(self, kernel: Kernel, kind: type, handler: Handler) -> Handler:
        """Go around one handler: its trap is what the step asked for."""

        def recorded(kernel: Kernel, task: Task, trap: Any) -> Any:
            row = self.rows[-1] if self.rows and task is self.running else None
            if row is None or row.trap:
                return handler(kernel, task, trap)  # the target of a Timeout, or a trap of clean-up
            row.where, row.trap = place(task), call(trap)
            self.waiting[task.tid] = row
            try:
                answer = handler(kernel, task, trap)
            except BaseException as error:
                row.result, row.failed = f"! {type(error).__name__}: {error}", True
                self.waiting.pop(task.tid, None)
                raise
            if answer is not BLOCKED:
                row.result = describe(answer)
                self.waiting.pop(task.tid, None)
            return answer

        return recorded

    def _seen_answering(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def seen(task: Task, answer: Any = None, *more: Any) -> None:
            if row := self.waiting.pop(task.tid, None):
                row.result = describe(answer)
            original(task, answer, *more)

        return seen

    def _seen_failing(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def seen(task: Task, error: BaseException) -> None:
            if row := self.waiting.pop(task.tid, None):
                row.result, row.failed = f"! {type(error).__name__}: {error}", True
            original(task, error)

        return seen


def place(task: Task) -> str:
    """file:line of a task's innermost frame."""
    stack = stack_of(task)
    return stack[-1].partition(" ")[0] if stack else ""


def call(trap: Any) -> str:
    """A trap as a person would write it: handles by name, values alone."""
    arguments = [value for name in arguments_of(type(trap)) if (value := getattr(trap, name)) not in (None, False, ())]
    return f"{type(trap).__name__}({', '.join(map(describe, arguments))})"


def frames_of(task: Task) -> list[Frame]:
    """A task's frames with their variables, outermost first."""
    found = []
    for gen in frames(task):
        frame = getattr(gen, "gi_frame", None) or getattr(gen, "cr_frame", None)
        if frame is not None and frame.f_globals.get("__name__") != "pyos.traps":
            variables = {name: describe(value) for name, value in frame.f_locals.items()}
            where = f"{frame.f_code.co_filename}:{frame.f_lineno}"
            found.append(Frame(where, frame.f_code.co_qualname, variables))
    return found
