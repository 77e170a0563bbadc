"""Lives and deaths: how a task is started, how it ends, and who is told.

Rules kept here:
- a death is told to everyone who waits for it; the parent's wait reaps it, otherwise it stays a zombie;
- an uncaught error is logged once, at death, unless somebody is already waiting for the task or it is linked;
- what a dead task owned is released by the kernel; what was linked to it dies, and its own failure is raised in the
  parent that it was linked to;
- when init ends, the system shuts down.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from functools import partial
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any

from pyos.errors import LimitExceeded, LinkedTaskFailed, SliceExceeded, TaskExit, TaskKilled
from pyos.kernel import tracebacks, trampoline
from pyos.kernel.limits import Quota
from pyos.kernel.tasks import ZOMBIE_WARNING, Family, Task, WaitObject
from pyos.limits import Limits
from pyos.signals import KILL, TERM, Signal
from pyos.status import ExitStatus
from pyos.traps import Trap

if TYPE_CHECKING:
    from pyos.kernel.kernel import Kernel
    from pyos.kernel.scheduler import Scheduler

LINK_GRACE = 1.0  # seconds that a linked child has for its clean-up once its parent has ended

NEW_TUPLE = tuple.__new__


class Exits(WaitObject):
    """The wait object of tasks waiting for others to end. `task.ticket`: the Task waited for; None for any child."""

    def add(self, task: Task, target: Task | None) -> None:
        """Enter the task as waiting; the caller blocks it."""
        task.ticket = target
        if target is not None:
            if target.waiters is None:
                target.waiters = {}
            target.waiters[task] = None

    def leave(self, task: Task) -> None:
        target, task.ticket = task.ticket, None
        if target is not None:
            del target.waiters[task]

    def describe(self, task: Task) -> str:
        return "wait for any child" if task.ticket is None else f"wait task {task.ticket.tid}"

    def holds(self, task: Task) -> bool:
        return task.ticket is None or task in (task.ticket.waiters or ())

    def holder(self, task: Task) -> Task | None:
        return task.ticket  # type: ignore[no-any-return]


class Told:
    """Gives the status of a failed task to those who wait for it. If each is killed before it has it, it is logged."""

    __slots__ = ("report", "left")

    def __init__(self, report: Callable[[ExitStatus], None]) -> None:
        self.report = report
        self.left = 0

    def tell(self, scheduler: Scheduler, waiter: Task, status: ExitStatus) -> None:
        self.left += 1
        scheduler.grant(waiter, status, self)

    def take_back(self, task: Task, status: ExitStatus) -> None:
        """As a grantor."""
        self.left -= 1
        if not self.left:
            self.report(status)


class Lifecycle:
    """Starting and ending tasks, on the parts of one kernel."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel

    # --- birth

    def spawn(
        self,
        target: Any,
        parent: Task | None = None,
        name: str | None = None,
        detached: bool = False,
        linked: bool = False,
        limits: Limits | None = None,
        program: str | None = None,
    ) -> Task:
        """Check a target and make it a ready task. Raises as NewTask does."""
        kernel = self.kernel
        if type(target) is not GeneratorType and type(target) is not CoroutineType:
            raise not_a_target(target)
        if name is not None:
            if not isinstance(name, str):
                raise TypeError(f"a name is a string, not {type(name).__name__}")
            name = str.__str__(name)  # not a subclass's: it goes into the log
        if trampoline.has_started(target):
            raise ValueError(f"{target.__name__} has started already: call the function again for a fresh one")
        if detached is not False or linked is not False:
            detached, linked = bool(detached), bool(linked)  # now, as their classes may be the user's
        quota = None
        if parent is not None:
            quota = parent.quota
            if program is None:
                program = parent.program
        if limits is not None:
            quota = self._quota(limits, quota)
        try:
            task = kernel.table.add(parent, target, name or target.__name__, program or "", detached, quota)
        except LimitExceeded:
            target.close()
            raise
        if linked and parent is not None and parent.family is not None:
            parent.family.links[task] = None
        kernel.scheduler.runq.append(task)
        return task

    def adopt(self, gen: Any, name: str) -> Task:
        """Make a task of what the kernel has to have done, whatever the limits and the hour; `gen` has started."""
        table = self.kernel.table
        task = table.add(table.get(1), gen, name, "", detached=True, always=True)
        self.kernel.scheduler.runq.append(task)
        return task

    def _quota(self, limits: Any, outer: Quota | None) -> Quota:
        if not issubclass(type(limits), Limits):
            raise TypeError(f"limits are a Limits(...), not {type(limits).__name__}")
        around = outer.limits if outer is not None else self.kernel.limits
        return Quota(limits.checked().within(around), outer)

    # --- death

    def end(self, task: Task, value: Any = None, error: BaseException | None = None) -> None:
        """The task's outermost frame returned or raised: record it and tell who waits."""
        signal = None
        sender = 0
        if task.pending is not None:
            self.report_lost(task.pending.errors)
        if error is not None:
            raised = error
            value, error, signal, sender = how_it_ended(raised)
            if task.tid == 1 and error is None:
                self.kernel.init_called_sys_exit = issubclass(type(raised), SystemExit)
        # a named tuple's own constructor costs 0.17 µs more, of the 1.2 that a task without a yield takes
        self.bury(task, NEW_TUPLE(ExitStatus, (task.tid, task.name, value, error, signal)), sender)

    def bury(self, task: Task, status: ExitStatus, sender: int = 0) -> None:
        """The task has no frames left: record how it ended (`sender`: whose signal it was), and tell who waits."""
        kernel = self.kernel
        table = kernel.table
        if task.dying is not None:
            kernel.signals.forget(task)
        if task.owned:
            self._release(task)
        if task.family is not None and task.family.links:
            self._end_links(task, task.family)
        mother = table.tasks.get(task.parent)
        links = mother.family.links if mother is not None and mother.family is not None else ()
        waiters = task.waiters
        parent = mother if mother is not None and mother.status is None and not task.detached else None
        table.bury(task, status, parent)
        failed = status.error is not None
        told = raised = False
        if links and task in links:
            assert mother is not None
            told = raised = self._end_linked(task, mother, status, sender)
        if waiters or (parent is not None and parent.wait is kernel.exits and parent.ticket is None):
            told = self._tell(task, status, waiters or (), parent, mother if raised else None) or told
        if failed and not told:
            self._report(status)
        if task.tid == 1:
            kernel.init_ended(status)
        elif parent is not None and parent.family is not None and parent.family.zombies >= ZOMBIE_WARNING:
            self._warn_of_zombies(parent, parent.family)

    def _tell(
        self, task: Task, status: ExitStatus, waiters: Iterable[Task], parent: Task | None, raised_in: Task | None
    ) -> bool:
        """Wake who waits for the dead task, but for `raised_in`, which has had LinkedTaskFailed instead.

        The parent reaps it. True if anybody was told.
        """
        kernel = self.kernel
        table = kernel.table
        wake: Callable[[Task, ExitStatus], None] = kernel.scheduler.wake
        if status.error is not None and raised_in is None:
            wake = partial(Told(self._report).tell, kernel.scheduler)
        told = False
        for waiter in waiters:
            if waiter is raised_in:
                continue
            told = True
            if waiter is parent:
                table.reap(parent, task)
            wake(waiter, status)
        if parent is not None and parent.wait is kernel.exits and parent.ticket is None and task.tid in table:
            told = True
            table.reap(parent, task)
            wake(parent, status)
        return told

    def _release(self, task: Task) -> None:
        """Give up what the task owned, last come first."""
        owned, task.owned = task.owned, None
        for thing in reversed(owned or {}):
            thing.owner_died(task)

    def _end_links(self, task: Task, family: Family) -> None:
        """The parent is dead: its linked children are adopted, which unlinks them, and told to end, newest first."""
        links, family.links = family.links, {}
        for child in reversed(links):
            self.kernel.kill(child, TERM, sender=task, reason="its parent has ended", grace=LINK_GRACE)

    def _end_linked(self, task: Task, mother: Task, status: ExitStatus, sender: int) -> bool:
        """A linked child has ended: unlink it, and raise its failure in its parent. True if the parent was told."""
        assert mother.family is not None
        del mother.family.links[task]
        kernel = self.kernel
        if status.ok or (status.signal is not None and sender == mother.tid):
            return False
        if sender == 0 and status.signal in (TERM, KILL):
            return False  # the kernel ends tasks at shutdown, and on the user's behalf
        if kernel.signals.is_unwinding(mother):
            return False
        if mother.wait is kernel.exits and (mother.ticket is None or mother.ticket is task):
            mother.ticket = None  # the task has forgotten its waiters
            if not task.detached:
                kernel.table.reap(mother, task)
        failure = LinkedTaskFailed(status)
        failure.__cause__ = status.error
        kernel.signals.deliver(mother, failure)
        return True

    def report_lost(self, errors: Iterable[BaseException]) -> None:
        """A task has ended without having seen these: the failures of linked children among them are logged."""
        for error in errors:
            if isinstance(error, LinkedTaskFailed) and error.status.error is not None:
                self._report(error.status)

    def _warn_of_zombies(self, parent: Task, family: Family) -> None:
        if not family.warned:
            family.warned = True
            self.kernel.log(
                f"task {parent.tid} ({parent.name}) has {family.zombies} dead children it has not waited for; "
                "wait for them, or start them with detached=True"
            )

    def _report(self, status: ExitStatus) -> None:
        assert status.error is not None
        if status.tid == 1 and self.kernel.host_takes_error(status.error):
            return
        lines = "".join(format_error(status.error)).rstrip()
        kind = tracebacks.class_name(type(status.error))
        self.kernel.log(f"task {status.tid} ({status.name}) died of an uncaught {kind}\n{lines}")


def how_it_ended(error: BaseException) -> tuple[Any, BaseException | None, Signal | None, int]:
    """What an uncaught exception makes of its task: value, error, signal, and whose signal it was.

    The exception is the user's: one that ends a task in a special way but does not say how is an error like any other.
    """
    raised: Any = error
    kind = type(error)  # isinstance would ask the object
    try:
        if issubclass(kind, TaskExit):
            return raised.value, None, None, 0
        if issubclass(kind, SystemExit):
            return raised.code, None, None, 0
        if issubclass(kind, TaskKilled):
            signal, sender = raised.signal, raised.sender
            if type(signal) is Signal and type(sender) is int:
                return None, None, signal, sender
    except BaseException:
        return None, error, None, 0
    if issubclass(kind, SliceExceeded):
        tracebacks.strip_end(error)
    return None, error, None, 0


def not_a_target(target: Any) -> TypeError:
    """The error for what cannot become a task."""
    if issubclass(type(target), Trap):
        trap = tracebacks.class_name(type(target))
        return TypeError(
            f"a task is a generator or coroutine object, not {trap}, which is a trap: "
            f"pass what a function returns that has `yield {trap}(...)` in it"
        )
    name = getattr(target, "__name__", type(target).__name__)
    if type(target) is AsyncGeneratorType:
        return TypeError(
            f"a task is a generator or coroutine object, and {name} is an async generator: "
            "in an async def, a trap is awaited and not yielded"
        )
    if callable(target):
        return TypeError(f"{name} is a function: call it, and pass the generator it returns ({name}(...))")
    return TypeError(f"a task is a generator or coroutine object, not {type(target).__name__}")


def format_error(error: BaseException) -> list[str]:
    """A traceback as Python prints it, without the kernel's frames. It cannot fail: the exception is the user's."""
    try:
        return traceback.format_exception(type(error), error, tracebacks.traceback_of(error))
    except Exception as failure:
        what, why = tracebacks.class_name(type(error)), tracebacks.class_name(type(failure))
        return [f"{what}, which cannot be printed: that raised {why}"]
