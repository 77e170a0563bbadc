"""TaskGroup: children that end with the block that started them; and gather, a few lines on top of it.

Rules kept here:
- children are linked tasks of the task that runs the group. When the group ends, however it ends, they are gone;
- the first failure of a child kills the others; the children's errors are raised together, as an ExceptionGroup, in
  order of death;
- an error of the body itself is raised as it is, a time-out and a signal too, once the children have been killed and
  are gone: no kill is swallowed, and what children raised on their way out is its cause.

Everything works for generators (`yield group.start(...)`) and for coroutines (`await group.start(...)`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from types import TracebackType, coroutine
from typing import Any, TypeVar

from pyos.errors import LinkedTaskFailed
from pyos.limits import Limits
from pyos.status import ExitStatus
from pyos.traps import GetTid, KillTask, NewTask, Target, WaitTask

T = TypeVar("T")
Steps = Generator[Any, Any, T]

GRACE = 0.5
"""Seconds for the clean-up of killed children: half of what TERM and a Timeout leave the group for its own."""


class TaskGroup:
    """A group of children.

    `statuses` tells how each child ended, by tid, and is complete when the group has ended. A child's status is kept
    until then: a service that starts a task for each of many clients uses NewTask with `linked` and `detached` instead.
    """

    def __init__(self) -> None:
        self.statuses: dict[int, ExitStatus] = {}
        self.living: dict[int, None] = {}  # children that have not been waited for
        self.errors: dict[int, BaseException] = {}  # of failed children, in order of death
        self.owner: int | None = None

    @coroutine
    def start(self, target: Target, *, name: str | None = None, limits: Limits | None = None) -> Steps[int]:
        """Start a child; answers its tid. Errors as NewTask; RuntimeError in another task than the group's."""
        me = yield GetTid()
        if self.owner is None:
            self.owner = me
        if me != self.owner:
            raise RuntimeError(f"task {me} cannot start children in a group of task {self.owner}")
        tid: int = yield NewTask(target, name=name, limits=limits, linked=True)
        self.living[tid] = None
        return tid

    @coroutine
    def join(self) -> Steps[None]:
        """Wait until all children have ended. Errors: an ExceptionGroup of the children's errors."""
        yield from self._guarded(self._wait_for_all())

    @coroutine
    def run(self, body: Callable[[TaskGroup], Any]) -> Steps[Any]:
        """Call `body(group)`, a subroutine that starts children; answers its value when they have all ended."""
        return (yield from self._guarded(self._run(body)))

    async def __aenter__(self) -> TaskGroup:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            await self.join()
        elif isinstance(error, GeneratorExit):
            await _awaitable(self._kill(list(self.living)))
        else:
            final = await _awaitable(self._finish(error))
            try:
                if final is not error:
                    raise final from final.__cause__
            finally:
                del final  # its traceback shows this frame

    def _run(self, body: Callable[[TaskGroup], Any]) -> Steps[Any]:
        value = yield body(self)
        yield from self._wait_for_all()
        return value

    def _guarded(self, steps: Steps[T]) -> Steps[T]:
        """Take steps; if they raise, the children are killed, and the group's own error is raised."""
        try:
            return (yield from steps)
        except GeneratorExit:
            yield from self._kill(list(self.living))  # there is no waiting for them
            raise
        except BaseException as error:
            final = yield from self._finish(error)
            try:
                if final is error:
                    raise
                raise final from final.__cause__
            finally:
                del final  # its traceback shows this frame

    def _wait_for_all(self) -> Steps[None]:
        while self.living:
            yield from self._wait_for(next(iter(self.living)))

    def _wait_for(self, tid: int) -> Steps[None]:
        """Wait for one child. A failure is raised, whether the kernel does so or tells it as a status."""
        status = yield WaitTask(tid)
        del self.living[tid]
        if status is not None:
            self.statuses[tid] = status
            if status.error is not None and tid not in self.errors:
                raise LinkedTaskFailed(status)

    def _kill(self, tids: list[int]) -> Steps[None]:
        while tids:
            yield KillTask(tids[-1], reason="its group has ended", grace=GRACE)
            tids.pop()

    def _finish(self, error: BaseException) -> Steps[BaseException]:
        """Kill the children that are left and wait until they are gone; what is to be raised, as `error` came."""
        others = [] if self._is_childs(error) else [error]
        came_first = bool(others)
        to_kill = list(self.living)
        while self.living:
            try:
                yield from self._kill(to_kill)
                yield from self._wait_for(next(iter(self.living)))
            except GeneratorExit:
                yield from self._kill(to_kill)
                raise
            except BaseException as caught:
                if not self._is_childs(caught):
                    others.append(caught)
        return self._outcome(others, came_first)

    def _is_childs(self, error: BaseException) -> bool:
        """True for the failure of one of the children, which is noted."""
        if not isinstance(error, LinkedTaskFailed):
            return False
        status = error.status
        if status.tid not in self.living and status.tid not in self.statuses:
            return False
        self.statuses[status.tid] = status
        self.errors.setdefault(status.tid, status.error or error)
        return True

    def _outcome(self, others: list[BaseException], came_first: bool) -> BaseException:
        """The error of the group: a signal before all, else the error that came first, else the group of them."""
        errors = list(self.errors.values())
        others.sort(key=lambda error: isinstance(error, Exception))  # signals first, otherwise as they came
        if not others or (isinstance(others[0], Exception) and not came_first):
            return BaseExceptionGroup("tasks of a group failed", errors + others)
        if errors:
            root = others[0]
            while root.__cause__ is not None:
                root = root.__cause__
            root.__cause__ = BaseExceptionGroup("tasks of a group failed", errors)
        return others[0]


@coroutine
def _awaitable(steps: Steps[T]) -> Steps[T]:
    return (yield from steps)


@coroutine
def gather(*targets: Target) -> Steps[list[Any]]:
    """Run targets side by side, each as a task; answers their values in order. Errors: as a TaskGroup's."""

    def start_all(group: TaskGroup) -> Steps[list[int]]:
        tids = []
        left = list(reversed(targets))
        try:
            while left:
                tids.append((yield group.start(left.pop())))
        finally:
            for target in left:  # it will not run
                getattr(target, "close", int)()
        return tids

    group = TaskGroup()
    tids = yield group.run(start_all)
    return [group.statuses[tid].value for tid in tids]
