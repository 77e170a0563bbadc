"""The stack of generators: call, return, throw. Everything the scheduler's loop resumes is explained here.

A task is a stack: `task.gen` is the innermost generator and runs; `task.callers` wait for it, outermost first.
Yielding a generator pushes it; its end pops it. When something unusual has to happen at the next resume, a *stand-in*
takes the place of `task.gen`: it has `gen` (what it stands for), `send` and `throw`, and steps aside when it is done.
So raising in a task, or holding back a signal, costs the loop nothing when it does not happen.

Rules kept here:
- no generator is resumed inside an `except` block: it would inherit the exception as its context;
- a traceback shows userland frames only: the kernel's are cut off after every resume (`strip`);
- what throws an exception lets go of it (`del error`): from 3.12 on its traceback's frames refer to who resumed them.

Closing a stack is closing.py's.
"""

from __future__ import annotations

from collections.abc import Iterator
from gc import get_referents
from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType
from typing import TYPE_CHECKING, Any

from pyos.errors import BadTrap
from pyos.kernel.awaitables import DRIVERS, WRAPPER, async_generator_of, coroutine_of
from pyos.kernel.tracebacks import in_kernel, strip

if TYPE_CHECKING:
    from pyos.kernel.tasks import Task

PATIENCE = 64  # traps answered at once that an error which was held back waits for

Resumable = Any  # a generator, a coroutine, or a stand-in


class _Blocked:
    __slots__ = ()

    def __repr__(self) -> str:
        return "BLOCKED"


BLOCKED: Any = _Blocked()
"""What a handler returns when the task does not go on: it was blocked, requeued, or has ended."""


# --- calling -----------------------------------------------------------------------------------------------------


def call_generator(kernel: Any, task: Task, sub: GeneratorType[Any, Any, Any]) -> None:
    """Call a subroutine: push it, and go on with it (the answer None starts it)."""
    if sub.gi_suspended:
        raise BadTrap(f"{sub.__name__} has started already: call the function again for a fresh generator")
    callers = task.callers
    if callers is None:
        task.callers = [task.gen]
    else:
        callers.append(task.gen)
    task.gen = sub


def call_coroutine(kernel: Any, task: Task, sub: CoroutineType[Any, Any, Any]) -> None:
    """As `call_generator`, for `yield subroutine()` where that is an async function."""
    if sub.cr_suspended:
        raise BadTrap(f"{sub.__name__} has started already: call the function again for a fresh coroutine")
    if task.callers is None:
        task.callers = []
    task.callers.append(task.gen)
    task.gen = sub


def _finished() -> Any:
    gen: Any = (item for item in "")
    list(gen)
    return gen


REFERENTS_OF_FINISHED = len(get_referents(_finished()))  # its names; one that can run refers to its function as well


def has_started(target: Any) -> bool:
    """True for a generator or coroutine that has run, also one that has finished."""
    if type(target) is GeneratorType:
        if target.gi_suspended or target.gi_running:
            return True
    elif target.cr_suspended or target.cr_running:
        return True
    # `gi_frame is None` would tell as well, but builds a frame object: 160 bytes, a quarter of a blocked task's memory.
    # (From 3.12 on, one that was closed before it began is not told from a fresh one: as a task it ends at once.)
    return len(get_referents(target)) <= REFERENTS_OF_FINISHED


# --- stand-ins ---------------------------------------------------------------------------------------------------


class Thrower:
    """Stands in for a generator that is to be resumed with an exception instead of an answer."""

    __slots__ = ("task", "gen", "error")

    def __init__(self, task: Task, gen: Resumable, error: BaseException) -> None:
        self.task = task
        self.gen = gen
        self.error: BaseException | None = error

    def send(self, answer: Any) -> Any:
        self.task.gen = self.gen
        error, self.error = self.error, None
        try:
            return self.gen.throw(error)
        finally:
            del error

    def throw(self, error: BaseException) -> Any:
        """A later exception (a signal) finds the first undelivered: the later one wins, the first is its context."""
        self.task.gen = self.gen
        if error.__context__ is None:
            error.__context__ = self.error
        try:
            return self.gen.throw(error)
        finally:
            del error


class Pending:
    """Stands in for a task that holds an answer while errors are held back: signals, time-outs, failed children.

    The answer is delivered, traps answered at once are carried out, and the first error is raised at the first bare
    yield, at the first trap that would block (`Scheduler.block` sees to that), or when patience ends; then the next.
    It is also the task's book of these errors: `task.pending`, None when there are none.
    """

    __slots__ = ("task", "gen", "errors", "patience")

    def __init__(self, task: Task, error: BaseException) -> None:
        self.task = task
        self.gen = task.gen
        self.errors = [error]
        self.patience = PATIENCE

    def send(self, answer: Any) -> Any:
        return self._resume(answer, None)

    def throw(self, error: BaseException) -> Any:
        return self._resume(None, error)

    def _resume(self, answer: Any, error: BaseException | None) -> Any:
        task = self.task
        while True:
            gen = task.gen = self.gen
            try:
                yielded = gen.send(answer) if error is None else gen.throw(error)
            except StopIteration as stop:
                if not task.callers:
                    del error
                    raise
                answer, error = stop.value, None
                self.gen = task.callers.pop()
                continue
            except BaseException as exc:
                if not task.callers:
                    raise
                strip(exc)
                answer, error = None, exc
                self.gen = task.callers.pop()
                continue
            self.gen = task.gen  # what stood in for the generator has stepped aside
            if task.pending is not self:
                return yielded  # that was the last error, or it was taken back: its deadline has become meaningless
            self.patience -= 1
            if yielded is None or self.patience <= 0:
                if type(yielded) is CoroutineType and not has_started(yielded):
                    yielded.close()  # it would complain that it was never awaited
                answer, error = None, self.take()
            elif type(yielded) in (GeneratorType, CoroutineType):
                answer, error = None, self._call(yielded)
            else:
                task.gen = self
                return yielded

    def _call(self, sub: Any) -> BaseException | None:
        """Call a subroutine behind this stand-in; an error if it cannot be called."""
        task = self.task
        try:
            (call_generator if type(sub) is GeneratorType else call_coroutine)(None, task, sub)
        except BadTrap as bad:
            return bad.with_traceback(None)
        self.gen = task.gen
        return None

    def take(self) -> BaseException:
        """Take the first error, which the caller raises at the task's current yield; the others stay held back."""
        error = self.errors[0]
        self.task.gen = self.gen
        self.forget(error)
        if self.errors:
            self.patience = PATIENCE
            self.task.gen = self
        return error

    def forget(self, error: BaseException) -> None:
        """An error is no longer to be raised."""
        self.errors = [other for other in self.errors if other is not error]
        if not self.errors:
            self.task.pending = None


def throw_later(task: Task, error: BaseException) -> None:
    """Have the task's next resume raise `error` at its current yield."""
    task.gen = Thrower(task, task.gen, error)


def hold_back(task: Task, error: BaseException) -> None:
    """Have `error` raised in a ready task: at its yield, or, if that has an answer (or an error) coming, after it."""
    if task.pending is not None:
        task.pending.errors.append(error)
    elif task.gen is task or type(task.gen) is Thrower:
        task.pending = task.gen = Pending(task, error)
    else:
        throw_later(task, error)


def fail(task: Task, error: BaseException) -> bool:
    """The task's slice raised: pass the error to whoever can catch it. False if there is nobody, and the task is over.

    If a generator let the error out, it is finished and its caller is next; if a handler raised it, the innermost
    generator is suspended at its yield and gets it there (with the frames of user code that the handler ran).
    """
    strip(error)
    gen = task.gen
    if is_finished(innermost(task)):
        if not task.callers:
            return False
        gen = task.callers.pop()
    task.gen = Thrower(task, gen, error)
    return True


def is_finished(gen: Resumable) -> bool:
    """True for a generator or coroutine that has returned or let an exception out, and a driver that is done."""
    if type(gen) is GeneratorType:
        return gen.gi_frame is None
    if type(gen) in DRIVERS:
        items = async_generator_of(gen)
        return items is None or items.ag_frame is None or not items.ag_running
    return type(gen) is CoroutineType and gen.cr_frame is None


# --- looking -----------------------------------------------------------------------------------------------------


def innermost(task: Task) -> Resumable:
    """The innermost generator itself, looking through stand-ins."""
    return behind(task.gen, task)


def behind(gen: Resumable, task: Task) -> Resumable:
    """What a stand-in of this task stands for."""
    while type(gen) not in (GeneratorType, CoroutineType) and gen is not None:
        gen = task.held if gen is task else gen.gen
    return gen


def stand_ins(task: Task, caller: Resumable = None) -> Iterator[Any]:
    """What is in front of the task's innermost generator (or of a caller), in the order in which it steps aside."""
    gen = task.gen if caller is None else caller
    while type(gen) not in (GeneratorType, CoroutineType) and gen is not None:
        yield gen
        gen = task.held if gen is task else gen.gen


def frame_of(gen: Any) -> FrameType | None:
    """The frame of a generator or coroutine, or of the async generator that a driver drives; None once finished."""
    if type(gen) in DRIVERS:
        gen = async_generator_of(gen)
    if type(gen) is GeneratorType:
        frame: FrameType | None = gen.gi_frame
    elif type(gen) is CoroutineType:
        frame = gen.cr_frame
    else:
        frame = gen.ag_frame if type(gen) is AsyncGeneratorType else None
    return frame


def delegate(gen: Any) -> Any:
    """What a generator or coroutine delegates to by `yield from` or `await`: one itself, or a driver; else None."""
    if type(gen) is GeneratorType:
        inner: Any = gen.gi_yieldfrom
    elif type(gen) is CoroutineType:
        inner = gen.cr_await
    else:
        items = async_generator_of(gen)
        inner = None if items is None else items.ag_await
    if type(inner) is WRAPPER:
        return coroutine_of(inner)
    return inner if type(inner) in (GeneratorType, CoroutineType) or type(inner) in DRIVERS else None


def units(task: Task, above: int = 0) -> Iterator[Any]:
    """Every generator of the task, outermost first, those entered by `yield from` and `await` included.

    Each can be closed, once what comes after it has been; so for an async generator it is the driver that is told.
    `above`: how many of the callers are left out.
    """
    for gen in [*(task.callers or ())[above:], task.gen]:
        gen = behind(gen, task)
        while gen is not None:
            yield gen
            gen = delegate(gen)


def frames(task: Task) -> Iterator[Any]:
    """Every generator, coroutine and async generator of the task, outermost first."""
    for gen in units(task):
        yield async_generator_of(gen) if type(gen) in DRIVERS else gen


def stack_of(task: Task) -> tuple[str, ...]:
    """The task's lines, "file:line function", outermost first, without the kernel's and `Trap.__await__`."""
    if task.status is not None:
        return ()
    lines = []
    for gen in frames(task):
        frame = frame_of(gen)
        if frame is not None and frame.f_globals.get("__name__") != "pyos.traps" and not in_kernel(frame):
            code = frame.f_code
            lines.append(f"{code.co_filename}:{frame.f_lineno} {code.co_qualname}")
    return tuple(lines)
