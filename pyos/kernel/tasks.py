"""Tasks and the task table: who exists, whose child it is, how it ended.

A task is in exactly one place, read off its fields rather than stored, so that a switch writes nothing:

    zombie   `status` is set: it has ended, and its parent has not waited for it yet
    blocked  `wait` is set: the object it waits on, which knows how to be left and how to describe itself
    ready    neither: it has one live entry in the run queue (or is running)

Parents are known by tid: a task whose parent is gone counts as adopted by init (tid 1) and is reaped at its death.
This module does not know what a trap is, nor why a task blocks or wakes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from pyos.errors import LimitExceeded, TaskKilled
from pyos.kernel.collector import Collector
from pyos.status import ExitStatus

if TYPE_CHECKING:
    from pyos.kernel.limits import Quota
    from pyos.kernel.trampoline import Pending

MOVES = {
    ("new", "start"): "ready",
    ("ready", "resume"): "running",
    ("running", "yield"): "ready",
    ("running", "block"): "blocked",
    ("running", "park"): "stopped",
    ("running", "end"): "zombie",
    ("running", "kill"): "zombie",
    ("blocked", "wake"): "ready",
    ("blocked", "kill"): "zombie",
    ("ready", "kill"): "zombie",
    ("stopped", "continue"): "ready",
    ("stopped", "kill"): "zombie",
    ("zombie", "reap"): "gone",
}
"""Every legal move: (state, event) -> state. "stopped" is a task that was sent STOP and was parked when it came up: it
waits for CONT (see signalling.py). STOP itself is no move, and a task that sends it to itself yields first. What INT
and TERM do is a wake, or to continue, or shows at the next resume."""

MAX_TASKS = 1_000_000
ZOMBIE_WARNING = 10_000
FEW_DEATHS = 64  # no more than that are worth looking through


class WaitObject:
    """What a task can be blocked on. `task.ticket` is the object's own note about that task's wait."""

    __slots__ = ()

    def leave(self, task: Task) -> None:
        """Forget the task, which is about to be woken by something else, or is being killed."""
        raise NotImplementedError

    def describe(self, task: Task) -> str:
        """Why the task waits, for a person: `sleep 0.4s`, `read fd 5`, `wait task 7`."""
        raise NotImplementedError

    def holds(self, task: Task) -> bool:
        """True if the task is known here as waiting (for audits)."""
        raise NotImplementedError

    def holder(self, task: Task) -> Task | None:
        """The one task that can end this wait, where there is only one: who holds the lock, who is waited for."""
        return None

    def undelivered(self, task: Task) -> Sequence[BaseException]:
        """The errors that the wait will end with."""
        return ()

    def interrupt(self, task: Task, error: BaseException) -> bool:
        """The wait ends with an error. True if the task has to wait on before the error can be raised."""
        self.leave(task)
        return False


class Owned(Protocol):
    """What a task can own: it is released when the task dies."""

    def owner_died(self, task: Task) -> None: ...


class Grantor(Protocol):
    """What gives answers that must not be lost with the task they were given to."""

    def take_back(self, task: Task, answer: Any) -> None:
        """The task was killed before the answer was delivered."""


class Family:
    """What a task knows of its children. Most tasks have none: without it, each would take 32 bytes more."""

    __slots__ = ("living", "zombies", "deaths", "oldest", "links", "warned")

    def __init__(self) -> None:
        self.living = 0  # children that can still be waited for
        self.zombies = 0  # dead children not waited for
        self.deaths: list[int] = []  # their tids in order of death, and those of some reaped since (see TaskTable.reap)
        self.oldest = 0  # where in `deaths` the first of them is, or before that
        self.links: dict[Task, None] = {}  # living children that die with the task
        self.warned = False


class Task:
    """One task: what to resume, whom to return to, what it waits for, and how it ended.

    `gen` is what the scheduler resumes, always with None: the innermost generator, or a stand-in for it (see
    trampoline.py). `callers` are the suspended generators that called it, outermost first. A task that holds an
    answer is its own stand-in: `gen` is the task, `held` the generator, `answer` what its next resume delivers, and
    `grant` who wants the answer back if it cannot be delivered any more (meaningful only while `held` is set).
    """

    __slots__ = (
        "tid", "parent", "name", "program", "detached", "quota",
        "gen", "callers", "held", "answer", "grant", "wait", "ticket", "dying", "pending", "stopped", "deadline",
        "status", "waiters", "family", "owned", "mailbox", "cpu",
    )  # fmt: skip

    def __init__(
        self, tid: int, parent: int, name: str, program: str, gen: Any, detached: bool, quota: Quota | None
    ) -> None:
        self.tid = tid
        self.parent = parent
        self.name = name
        self.program = program
        self.detached = detached
        self.quota = quota
        self.gen = gen
        self.callers: list[Any] | None = None
        self.held: Any = None
        self.answer: Any = None
        self.grant: Grantor | None = None
        self.wait: WaitObject | None = None
        self.ticket: Any = None
        self.dying: TaskKilled | None = None  # the first TaskKilled it was sent
        self.pending: Pending | None = None  # errors to be raised once its answer has been used
        self.stopped: Any = None  # the gate that holds it back
        self.deadline: Any = None  # of the innermost Timeout that it is in
        self.status: ExitStatus | None = None
        self.waiters: dict[Task, None] | None = None  # who waits for this task
        self.family: Family | None = None  # made by the first child
        self.owned: dict[Owned, None] | None = None  # what is released at its death
        self.mailbox: Any = None  # made by the first message
        self.cpu = 0.0  # seconds, as far as the watchdog has charged them

    @property
    def state(self) -> str:
        """Which place the task is in: "zombie", "blocked" or "ready"."""
        if self.status is not None:
            return "zombie"
        return "ready" if self.wait is None else "blocked"

    def hold(self, answer: Any, grant: Grantor | None = None) -> None:
        """Have the next resume deliver `answer`, which `grant` wants back if that does not happen."""
        self.answer = answer
        self.grant = grant
        self.held = self.gen
        self.gen = self

    def send(self, nothing: Any) -> Any:
        """As a stand-in: step aside, and deliver the answer."""
        answer = self.answer
        gen = self.gen = self.held
        self.held = self.answer = None
        return gen.send(answer)

    def throw(self, error: BaseException) -> Any:
        """As a stand-in: an exception goes before the answer."""
        gen = self.gen = self.held
        self.held = self.answer = None
        try:
            return gen.throw(error)
        finally:
            del error

    def __repr__(self) -> str:
        return f"<task {self.tid} {self.name!r} {self.state}>"


class Skip:
    """What a tombstone yields; its handler does nothing."""


class _Tombstone:
    """Stands where a dead task's generator was: its entry in the run queue, if it has one, comes to nothing.

    Taking the entry out would cost a walk through the queue.
    """

    gen = None
    skip = Skip()

    def send(self, answer: Any) -> Skip:
        return self.skip


TOMBSTONE = _Tombstone()


class TaskTable:
    """Every task that exists, by tid, in order of tid. Tids count up from 1 and are never used again."""

    def __init__(self, limit: int = MAX_TASKS) -> None:
        self.tasks: dict[int, Task] = {}
        self.limit = limit
        self.collector = Collector()
        self.peak = min(self.collector.peak, limit)  # when to look at either
        self.last_tid = 0
        self.closed: str | None = None  # why no more tasks are taken, once they are not
        self.zombies = 0

    def add(
        self,
        parent: Task | None,
        gen: Any,
        name: str,
        program: str,
        detached: bool,
        quota: Quota | None = None,
        always: bool = False,
    ) -> Task:
        """Enter a new task. Raises LimitExceeded if the table or the quota is full, or (unless `always`) closed."""
        if self.closed is not None and not always:
            raise LimitExceeded(f"no new tasks: {self.closed}")
        tasks = self.tasks
        if len(tasks) >= self.peak:
            if len(tasks) >= self.limit and not always:
                raise LimitExceeded(f"this system takes {self.limit} tasks at most, and has them already")
            self.collector.grown(len(tasks))
            self.peak = min(self.collector.peak, self.limit)
        if quota is not None:
            quota.enter()
        tid = self.last_tid = self.last_tid + 1
        task = tasks[tid] = Task(tid, parent.tid if parent else 0, name, program, gen, detached, quota)
        if parent is not None:
            family = parent.family
            if family is None:
                family = parent.family = Family()
            if not detached:
                family.living += 1
        return task

    def clear(self) -> None:
        """Start anew, as after boot; there is nobody left."""
        self.tasks.clear()
        self.last_tid = self.zombies = 0
        self.closed = None

    def get(self, tid: int) -> Task | None:
        """The task with this tid, dead or alive, unless it has been reaped."""
        return self.tasks.get(tid)

    def __contains__(self, tid: int) -> bool:
        return tid in self.tasks

    def __iter__(self) -> Iterator[Task]:
        return iter(self.tasks.values())

    def __len__(self) -> int:
        return len(self.tasks)

    @property
    def alive(self) -> int:
        """How many tasks have not ended."""
        return len(self.tasks) - self.zombies

    def parent_of(self, task: Task) -> Task | None:
        """The living parent that may wait for this task: None for a detached or an adopted one."""
        if task.detached:
            return None
        parent = self.tasks.get(task.parent)
        return parent if parent is not None and parent.status is None else None

    def bury(self, task: Task, status: ExitStatus, parent: Task | None) -> None:
        """Record a death: the task becomes a zombie of its parent (see `parent_of`), or is reaped at once."""
        task.status = status
        task.gen = TOMBSTONE
        task.callers = task.dying = task.pending = task.held = task.answer = task.grant = task.waiters = None
        task.stopped = task.deadline = task.mailbox = None
        if task.family is not None:
            for zombie in self.zombies_of(task):
                self._forget(zombie)
            self.zombies -= task.family.zombies
            task.family = None
        if parent is None:
            self._forget(task)
            return
        family = parent.family
        assert family is not None
        self.zombies += 1
        family.living -= 1
        family.zombies += 1
        family.deaths.append(task.tid)

    def zombies_of(self, parent: Task) -> list[Task]:
        """The dead children that a task has not waited for, in order of death."""
        family = parent.family
        return [self.tasks[tid] for tid in family.deaths if tid in self.tasks] if family is not None else []

    def first_zombie(self, parent: Task) -> Task | None:
        """The child that died first of those not waited for."""
        family = parent.family
        if family is None or not family.zombies:
            return None
        while family.deaths[family.oldest] not in self.tasks:
            family.oldest += 1
        return self.tasks[family.deaths[family.oldest]]

    def reap(self, parent: Task, zombie: Task) -> None:
        """The parent has waited for its dead child: forget the child.

        Its entry among the deaths stays until most are of the reaped, as taking it out would cost a walk. (A dict of
        zombies has a gap at its front instead, and takes 34 bytes more for each; an OrderedDict 110.)
        """
        family = parent.family
        assert family is not None
        del self.tasks[zombie.tid]  # as `_forget` does, whose call would cost 0.05 of a wait's 0.5 µs
        if zombie.quota is not None:
            zombie.quota.leave()
        self.zombies -= 1
        left = family.zombies = family.zombies - 1
        if len(family.deaths) > 2 * left + FEW_DEATHS or not left:
            family.deaths = [tid for tid in family.deaths if tid in self.tasks] if left else []
            family.oldest = 0

    def _forget(self, task: Task) -> None:
        del self.tasks[task.tid]
        if task.quota is not None:
            task.quota.leave()
