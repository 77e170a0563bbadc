"""The run queue's turn: block, wake, and the one hot loop that resumes tasks.

A step resumes one ready task, runs it to its next yield, and carries that trap out at once. After a syscall that was
answered at once the same task goes on, up to BUDGET of them (subroutine calls count), then it is requeued; so a syscall
costs no queue trip and nobody can keep the machine. A turn is max(64, length of the run queue) resumes from the queue.

The loop never asks whether something is traced, stopped or being killed: that is bound in at boot (the handlers' table)
or stands in for the task's generator (trampoline.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import repeat
from operator import length_hint
from types import BuiltinFunctionType, CoroutineType, FunctionType, GeneratorType, MethodType
from typing import TYPE_CHECKING, Any

from pyos.errors import BadTrap
from pyos.kernel import tracebacks, trampoline
from pyos.kernel.choice import RunQueue
from pyos.kernel.tasks import Grantor, Skip, Task, WaitObject
from pyos.kernel.tracebacks import describe
from pyos.kernel.trampoline import BLOCKED
from pyos.traps import Trap

if TYPE_CHECKING:
    from pyos.kernel.kernel import Kernel

BUDGET = 64
SLICE = tuple(range(BUDGET - 1))  # iterated over by a task that goes on; its first step is on the house
SHORTEST_TURN = 64

Handler = Callable[[Any, Task, Any], Any]
Dispatch = dict[type, Handler]


class Scheduler:
    """The run queue and what moves tasks in and out of it."""

    def __init__(self, kernel: Kernel, runq: RunQueue) -> None:
        self.kernel = kernel
        self.runq = runq
        self.cut: tuple[Any, int] | None = None  # a turn that was cut short, and what was left of it
        self.slice = Slice()  # step by step: what is left of the running task's
        self.goes_on = False  # step by step: the last step left its task to go on
        self.left = 0  # step by step: how many resumes from the queue are left of this turn
        self.was_dead = False  # step by step: what came up was a dead task's entry

    def wake(self, task: Task, answer: Any = None) -> None:
        """The task's wait is over, and its wait object has forgotten it: it is ready, with this answer."""
        task.wait = None
        task.ticket = None
        if answer is not None:
            task.hold(answer)
        self.runq.append(task)

    def grant(self, task: Task, answer: Any, grantor: Grantor | None = None) -> None:
        """As `wake`, with an answer that counts also when it is None; undelivered, `grantor` has it back."""
        task.wait = task.ticket = None
        task.hold(answer, grantor)
        self.runq.append(task)

    def block(self, task: Task, wait: WaitObject) -> Any:
        """The running task waits on `wait`, which has entered it. An error that was held back is raised now instead."""
        task.wait = wait
        if task.pending is not None and task not in self.kernel.signals.closing:
            self.interrupt(task, task.pending.take())
        return BLOCKED

    def interrupt(self, task: Task, error: BaseException) -> None:
        """Take a blocked task out of its wait and have `error` raised at its yield (once the wait object lets it)."""
        assert task.wait is not None
        if not task.wait.interrupt(task, error):
            self.wake_error(task, error)

    def wake_error(self, task: Task, error: BaseException) -> None:
        """As `wake`, with an error to be raised instead of an answer."""
        self.wake(task)
        trampoline.throw_later(task, error)

    def unblock(self, task: Task) -> None:
        """Take a blocked task out of its wait, leaving it nowhere."""
        wait = task.wait
        assert wait is not None
        wait.leave(task)
        task.wait = None

    def requeue(self, task: Task) -> Any:
        """The running task lets the others run: what a bare yield does in the loop."""
        if task in self.kernel.signals.closing:
            return BLOCKED
        if task.pending is not None:
            trampoline.throw_later(task, task.pending.take())
        self.runq.append(task)
        return BLOCKED

    def turn(self, steps: int, handlers: Dispatch, going_on: Iterable[int] = SLICE) -> None:
        """Resume up to `steps` tasks from the run queue, each for a slice.

        `slices` and `step` are for those who look at this frame from a signal handler (running.py).
        """
        popleft = self.runq.popleft
        append = self.runq.append
        kernel = self.kernel
        fault = self._fault
        blocked = BLOCKED
        task: Any = None
        yielded: Any = None
        answer: Any = None
        slices = repeat(None, steps)
        for step in slices:
            try:
                task = popleft()
            except IndexError:
                break
            try:
                # `task.gen.send` beats a stored bound method by 5 ns; this first resume outside the loop below makes
                # a switch 14 % cheaper, and answers that stand in for the generator instead of being looked for, 10 %
                yielded = task.gen.send(None)
                if yielded is None:
                    append(task)
                    continue
                try:
                    answer = handlers[type(yielded)](kernel, task, yielded)
                except StopIteration as stop:
                    raise not_a_return(yielded, stop) from stop
                if answer is blocked:
                    continue
            except StopIteration as stop:
                answer = stop.value
                if not task.callers:
                    kernel.end(task, answer)
                    continue
                task.gen = task.callers.pop()
                yielded = None  # the answer is no trap's
            except BaseException as exc:
                if not fault(task, exc, yielded):
                    continue
                answer = yielded = None
            for step in going_on:  # noqa: B007  # a counter instead of the iterator: 9 % of a syscall
                try:
                    yielded = task.gen.send(answer)
                    if yielded is None:
                        append(task)
                        break
                    try:
                        answer = handlers[type(yielded)](kernel, task, yielded)
                    except StopIteration as stop:
                        raise not_a_return(yielded, stop) from stop
                    if answer is blocked:
                        break
                except StopIteration as stop:
                    answer = stop.value
                    if not task.callers:
                        kernel.end(task, answer)
                        break
                    task.gen = task.callers.pop()
                    yielded = None
                    continue
                except BaseException as exc:
                    if not fault(task, exc, yielded):
                        break
                    answer = yielded = None
            else:
                task.hold(answer, kernel.grantor_of(task, yielded))
                append(task)
        task = yielded = answer = None  # from 3.12 on, tracebacks of what tasks have raised keep this frame

    def cut_short(self, slices: Iterator[Any]) -> None:
        """Have a turn end with the slice that it is in. For signal handlers, which see `slices` in its frame."""
        if self.cut is None or self.cut[0] is not slices:
            self.cut = (slices, length_hint(slices))
            deque(slices, maxlen=0)

    def _fault(self, task: Task, error: BaseException, yielded: Any) -> bool:
        """A resume or a handler raised. True if the task goes on (with the error), False if it is over."""
        if tracebacks.is_panic(error):
            raise error
        trace = tracebacks.traceback_of(error)
        if type(error) is KeyError and trace is not None and trace.tb_next is None:
            error = bad_trap(yielded)  # the loop's own look-up failed: nothing handles this type
        if trampoline.fail(task, error):
            return True
        self.kernel.end(task, error=error)
        return False

    # --- step by step: for tests, the checker, and whoever wants a choice before each step

    def in_turn(self) -> bool:
        """True while the loop would still be in the turn it has begun."""
        return self.goes_on or (self.left > 0 and len(self.runq) > 0)

    def step(self, handlers: Dispatch) -> bool:
        """One step, or False for a dead task's entry, which is none. `handlers` is `stepwise()` of the loop's."""
        if not self.goes_on:
            self.left -= 1
        self.begin_step(self.goes_on)
        self.was_dead = False
        self.turn(1, handlers, self.slice)
        return not self.was_dead

    def begin_step(self, same_task: bool) -> None:
        """What is left of the slice is kept while a task goes on, so that it ends where the loop's does."""
        self.goes_on = False
        if same_task:
            next(self.slice.left)
        else:
            self.slice.left = iter(SLICE)

    def stepwise(self, handlers: Dispatch, grantors: dict[type, Handler]) -> Dispatch:
        """The same handlers, but a task that may go on goes back to the run queue (`go_on`) after each trap.

        Subroutine calls stay inside their step, and count against the slice as they do in the loop. `grantors` tell
        for some kinds of trap who wants an answer back that cannot be delivered.
        """
        calls = (trampoline.call_generator, trampoline.call_coroutine)
        paused = {kind: h if h in calls else self.paused(h, grantors.get(kind)) for kind, h in handlers.items()}
        return Stepwise(self, paused | {Skip: self.skip})

    def skip(self, kernel: Kernel, task: Task, trap: Skip) -> Any:
        """As the loop's handler, but seen."""
        self.was_dead = True
        return BLOCKED

    def paused(self, handler: Handler, grantor_of: Handler | None = None) -> Handler:
        """Go around one handler: its answer is held for the next step."""
        runq, rest = self.runq, self.slice

        def pause(kernel: Kernel, task: Task, trap: Any) -> Any:
            grantor = None
            try:
                answer = handler(kernel, task, trap)
                if answer is not BLOCKED and grantor_of is not None:
                    grantor = grantor_of(kernel, task, trap)
            except BaseException as exc:
                if tracebacks.is_panic(exc):
                    raise
                if issubclass(type(exc), StopIteration):
                    exc = not_a_return(trap, exc)
                trampoline.fail(task, exc)
                answer = None
            if answer is not BLOCKED:
                task.hold(answer, grantor)
                if length_hint(rest.left):
                    self.goes_on = True
                    runq.go_on(task)
                else:
                    runq.append(task)
            return BLOCKED

        return pause


class Slice:
    """What is left of a slice that goes on from step to step."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = iter(SLICE)

    def __iter__(self) -> Iterator[int]:
        return self.left


class Stepwise(Dispatch):
    """The dispatch table for single steps, in which what nothing handles is a trap like any other: a bad one."""

    def __init__(self, scheduler: Scheduler, handlers: Dispatch) -> None:
        super().__init__(handlers)
        self.bad = scheduler.paused(raise_bad_trap)

    def __missing__(self, kind: type) -> Handler:
        return self.bad


def not_a_return(yielded: Any, stop: BaseException) -> RuntimeError:
    """What code of a trap's argument has raised must not look like the end of the task (compare PEP 479)."""
    error = RuntimeError(f"an argument of {type(yielded).__name__} raised StopIteration")
    tracebacks.strip(stop)
    error.__cause__ = stop
    return error


def raise_bad_trap(kernel: Kernel, task: Task, yielded: Any) -> Any:
    raise bad_trap(yielded)


USE_RETURN = "to return a value from a subroutine use return"


def bad_trap(yielded: Any) -> BadTrap:
    """The error for what no handler takes, saying what was yielded and what to do."""
    try:
        hint = hint_for(yielded)
    except BaseException:  # the object is the user's, and so are its class and metaclass
        hint = USE_RETURN
    return BadTrap(f"yielded {describe(yielded)}, which is not a trap: {hint}")


def hint_for(yielded: Any) -> str:
    """What was probably meant; asking may raise anything."""
    kind = type(yielded)
    if issubclass(kind, type | FunctionType | BuiltinFunctionType | MethodType):
        return f"did you mean `yield {yielded.__name__}()`?"
    if callable(yielded):
        return "did you mean to call it?"
    if hasattr(kind, "__anext__"):
        return "an async generator is used with `async for`; in an async def, a trap is awaited and not yielded"
    if kind in (tuple, list) and any(issubclass(type(item), Trap | GeneratorType | CoroutineType) for item in yielded):
        return "one is yielded at a time; for several at once, start a task for each (NewTask)"
    return USE_RETURN
