"""The stack of generators: call, return, throw, close. Everything the scheduler's loop resumes is explained here.

A task is a stack: `task.gen` is the innermost generator and runs; `task.callers` wait for it, outermost first.
Yielding a generator pushes it; its end pops it. When something unusual has to happen at the next resume, a *stand-in*
takes the place of `task.gen`: it has `gen` (what it stands for), `send` and `throw`, and steps aside when it is done.
So raising in a task, or holding back a signal, costs the loop nothing when it does not happen.

Rules kept here:
- no generator is resumed inside an `except` block: it would inherit the exception as its context;
- a traceback shows userland frames only: the kernel's are cut off after every resume (`strip`);
- each frame is closed once, innermost first, also through `yield from` and `await`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from gc import get_referents
from types import CoroutineType, FrameType, GeneratorType, TracebackType
from typing import TYPE_CHECKING, Any

from pyos.errors import BadTrap, KernelPanic, TaskExit

if TYPE_CHECKING:
    from pyos.kernel.tasks import Task

CLOSING_LIMIT = 1000  # traps one frame may have answered while it is being closed; more is a spin
OWN_FRAMES = ("pyos.kernel.", "pyos.observe.")  # modules whose frames no task sees

# An exception's class is the user's, and its metaclass may lie
class_name = type.__dict__["__name__"].__get__

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
    gen.close()
    return gen


REFERENTS_OF_FINISHED = len(get_referents(_finished()))  # its names; one that can run refers to its function as well


def has_started(target: Any) -> bool:
    """True for a generator or coroutine that has run, also one that has finished."""
    if type(target) is GeneratorType:
        if target.gi_suspended or target.gi_running:
            return True
    elif target.cr_suspended or target.cr_running:
        return True
    # `gi_frame is None` would tell as well, but builds a frame object: 160 bytes, a quarter of a blocked task's memory
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
        return self.gen.throw(error)

    def throw(self, error: BaseException) -> Any:
        """A later exception (a signal) finds the first undelivered: the later one wins, the first is its context."""
        self.task.gen = self.gen
        if error.__context__ is None:
            error.__context__ = self.error
        return self.gen.throw(error)


class Pending:
    """Stands in for a task that holds an answer and was sent a signal.

    The answer is delivered, traps answered at once are carried out, and the signal is raised at the first bare yield,
    at the first trap that would block (`Scheduler.block` sees to that), or after `budget` traps.
    """

    __slots__ = ("task", "gen", "budget")

    def __init__(self, task: Task, gen: Resumable, budget: int) -> None:
        self.task = task
        self.gen = gen
        self.budget = budget

    def send(self, answer: Any) -> Any:
        return self._resume(answer, None)

    def throw(self, error: BaseException) -> Any:
        return self._resume(None, error)

    def _resume(self, answer: Any, error: BaseException | None) -> Any:
        task = self.task
        while True:
            gen = self.gen
            task.gen = gen
            try:
                yielded = gen.send(answer) if error is None else gen.throw(error)
            except StopIteration as stop:
                if not task.callers:
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
            self.gen = task.gen  # a Thrower has stepped aside
            self.budget -= 1
            if yielded is None or self.budget <= 0:
                return raise_pending(task)
            if type(yielded) in (GeneratorType, CoroutineType):
                answer, error = None, None
                try:
                    (call_generator if type(yielded) is GeneratorType else call_coroutine)(None, task, yielded)
                except BadTrap as bad:
                    error = bad.with_traceback(None)
                self.gen = task.gen
                continue
            task.gen = self
            return yielded


def raise_pending(task: Task) -> Any:
    """Raise the signal that was held back, at the task's current yield."""
    error, task.pending = task.pending, None
    return task.gen.throw(error)


def throw_later(task: Task, error: BaseException) -> None:
    """Have the task's next resume raise `error` at its current yield."""
    task.gen = Thrower(task, task.gen, error)


def fail(task: Task, error: BaseException) -> bool:
    """The task's slice raised: pass the error to whoever can catch it. False if there is nobody, and the task is over.

    If a generator let the error out, it is finished and its caller is next; if a handler raised it, the innermost
    generator is suspended at its yield and gets it there (with the frames of user code that the handler ran).
    """
    strip(error)
    gen = task.gen
    if is_finished(gen):
        if not task.callers:
            return False
        gen = task.callers.pop()
    task.gen = Thrower(task, gen, error)
    return True


def is_panic(error: BaseException) -> bool:
    """True for a KernelPanic raised by the kernel itself. A task that raises one has failed like any other."""
    if not issubclass(type(error), KernelPanic):
        return False
    raised_in = innermost_frame(error)
    return raised_in is not None and in_kernel(raised_in.tb_frame)


def is_finished(gen: Resumable) -> bool:
    """True for a generator or coroutine that has returned or let an exception out."""
    if type(gen) is GeneratorType:
        return gen.gi_frame is None
    return type(gen) is CoroutineType and gen.cr_frame is None


def strip(error: BaseException) -> None:
    """Cut the kernel's own frames, and its observers', off the front of a traceback."""
    trace = traceback_of(error)
    while trace is not None and in_kernel(trace.tb_frame):
        trace = trace.tb_next
    set_traceback(error, trace)


_SLOT: Any = vars(BaseException)["__traceback__"]


def traceback_of(error: BaseException) -> TracebackType | None:
    """An exception's traceback, whatever its class makes of attributes."""
    trace: TracebackType | None = _SLOT.__get__(error)
    return trace


def innermost_frame(error: BaseException) -> TracebackType | None:
    """Where an exception was raised."""
    trace = traceback_of(error)
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace


def set_traceback(error: BaseException, trace: TracebackType | None) -> None:
    """Also where the exception's class refuses to have attributes set, as a frozen dataclass does."""
    _SLOT.__set__(error, trace)


def in_kernel(frame: FrameType) -> bool:
    """True for a frame of the kernel's own code, or of its observers'."""
    name = frame.f_globals.get("__name__")
    return type(name) is str and name.startswith(OWN_FRAMES)


# --- looking -----------------------------------------------------------------------------------------------------


def innermost(task: Task) -> Resumable:
    """The innermost generator itself, looking through stand-ins."""
    gen = task.gen
    while type(gen) not in (GeneratorType, CoroutineType) and gen is not None:
        gen = task.held if gen is task else gen.gen
    return gen


def delegate(gen: Any) -> Any:
    """What a generator or coroutine delegates to by `yield from` or `await`, if that is one itself, else None."""
    if type(gen) is GeneratorType:
        inner: Any = gen.gi_yieldfrom
    else:
        inner = gen.cr_await
    return inner if type(inner) in (GeneratorType, CoroutineType) else None


def frames(task: Task) -> Iterator[Any]:
    """Every generator of the task, outermost first, those entered by `yield from` and `await` included."""
    for gen in [*(task.callers or ()), innermost(task)]:
        if type(gen) not in (GeneratorType, CoroutineType):
            gen = gen.gen  # a stand-in that was called from
        while gen is not None:
            yield gen
            gen = delegate(gen)


def stack_of(task: Task) -> tuple[str, ...]:
    """The task's lines, "file:line function", outermost first; the frames of `Trap.__await__` are left out."""
    if task.status is not None:
        return ()
    lines = []
    for gen in frames(task):
        frame: FrameType | None = gen.gi_frame if type(gen) is GeneratorType else gen.cr_frame
        if frame is not None and frame.f_globals.get("__name__") != "pyos.traps":
            code = frame.f_code
            lines.append(f"{code.co_filename}:{frame.f_lineno} {code.co_qualname}")
    return tuple(lines)


def describe(value: Any) -> str:
    """A short repr that cannot fail: the object is the user's."""
    try:
        text = str.__str__(repr(value))  # it may be of a subclass
    except BaseException as error:
        return f"a {class_name(type(value))} (its repr raised {class_name(type(error))})"
    return text if len(text) <= 60 else text[:57] + "..."


# --- closing -----------------------------------------------------------------------------------------------------


def close(task: Task, answer_now: Callable[[Any], Any], complain: Callable[[Any, str], None]) -> None:
    """Close every frame of a task, innermost first, each once.

    `answer_now(trap)` carries out a trap yielded by clean-up code and answers it, or returns BLOCKED when it cannot be
    answered at once; `complain(frame, why)` reports an error in clean-up, or a frame that had to be abandoned.
    """
    for gen in reversed(list(frames(task))):
        inner = delegate(gen)
        if inner is not None and not is_finished(inner):
            _abandon([gen])  # closing it would resume the inner one, which has been abandoned
            why: str | None = f"it waits for {inner.__name__}: the frame is abandoned with it"
        else:
            why = _close_frame(gen, answer_now)
        if why is not None:
            complain(gen, why)


def _close_frame(gen: Any, answer_now: Callable[[Any], Any]) -> str | None:
    """Close one frame; returns what went wrong, for the log. The frames its clean-up calls are closed with it."""
    if not has_started(gen):
        gen.close()
        return None
    stack = [gen]
    answer: Any = None
    error: BaseException | None = GeneratorExit()
    for _ in range(CLOSING_LIMIT):
        try:
            yielded = stack[-1].send(answer) if error is None else stack[-1].throw(error)
        except StopIteration as stop:
            stack.pop()
            answer, error = stop.value, None
        except BaseException as exc:
            stack.pop()
            answer, error = None, exc
            strip(exc)
        else:
            answer, error = _answer_closing(yielded, stack, answer_now)
            if answer is BLOCKED:
                _abandon(stack)
                what = describe(yielded)
                return f"its clean-up yielded {what}, which cannot be answered at once: the frame is abandoned"
        if not stack:
            return None if error is None or issubclass(type(error), (GeneratorExit, TaskExit)) else _last_words(error)
    _abandon(stack)
    return f"its clean-up yielded {CLOSING_LIMIT} times: the frame is abandoned"


def _answer_closing(
    yielded: Any, stack: list[Any], answer_now: Callable[[Any], Any]
) -> tuple[Any, BaseException | None]:
    """Deal with what clean-up code yielded: push a subroutine, or have a trap answered."""
    if type(yielded) in (GeneratorType, CoroutineType):
        if not has_started(yielded):
            stack.append(yielded)
            return None, None
        return None, BadTrap(f"{yielded.__name__} has started already")
    try:
        return answer_now(yielded), None
    except BaseException as exc:  # TaskExit among them
        if is_panic(exc):
            raise
        strip(exc)
        return None, exc


def _last_words(error: BaseException) -> str:
    trace = innermost_frame(error)
    where = f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
    return f"its clean-up raised {describe(error)}{where}"


def _abandon(stack: list[Any]) -> None:
    """Keep suspended frames alive for ever: their finalisers would resume them, and complain when they yield again.

    A reference held from Python would be dropped at exit, so it is leaked on purpose (the log has named the frame).
    """
    for gen in stack:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(gen))
