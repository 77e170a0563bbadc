"""What each step touches: the kernel objects it reads or writes, also indirectly, by names that each run gives alike.

Two steps of different tasks are independent if nothing that one of them writes is touched by the other: then their
order makes no difference. Touched are
- the object of the trap: a lock, a channel, a cell (a `load` reads, the rest writes), a mailbox;
- ("task", t): written by every step of t, by whatever wakes, starts, signals or kills t;
- ("life", t): read by those who ask whether t lives, written by its end, and by what reaps or adopts it;
- ("children", t): the ends of its children as seen by t; written by t's own end, after which they are nobody's;
- ("table",): the next tid; ("quota",): how many tasks there may be; ("due", s): alarms go off in the order of setting;
- what a wake, a kill or an end touches on the way (watcher.py).
Steps that look at everything (Tasks, the end of init, all of them while there are invariants) depend on everything.

Names: a task is known by its parent and which child it is (one that closes an async generator by the task whose step
has left it, "left", and how many that one had left before), an object by the task that made it and how many it had made
before; neither depends on the order in which tasks ran.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pyos import traps
from pyos.check.watcher import Watcher
from pyos.handles import Condition, Handle
from pyos.kernel.tasks import Task

if TYPE_CHECKING:
    from pyos.kernel.kernel import Kernel
    from pyos.kernel.scheduler import Handler

Name = tuple[Any, ...]
READS = (traps.Load, traps.WaitEvent)
OBJECT_OF = {  # trap class -> which attribute is the handle
    traps.Acquire: "lock",
    traps.Release: "lock",
    traps.WaitEvent: "event",
    traps.SetEvent: "event",
    traps.ClearEvent: "event",
    traps.WaitCondition: "condition",
    traps.Notify: "condition",
    traps.Put: "channel",
    traps.Get: "channel",
    traps.CloseChannel: "channel",
    traps.Load: "cell",
    traps.Store: "cell",
}
NOTHING = (traps.GetTid, traps.GetTime, traps.Sleep, traps.Choose, traps.Exit, traps.Timeout)


class Step:
    """What one step did: `touched` maps names to whether they were written; `woke`: tasks it made ready.

    `killed`: ready tasks that it killed. They take no step after it that could show that the order matters.
    """

    __slots__ = ("task", "touched", "everything", "woke", "killed")

    def __init__(self, task: Name) -> None:
        self.task = task
        self.touched: dict[Name, bool] = {("task", task): True}
        self.everything = False
        self.woke: set[Name] = set()
        self.killed: set[Name] = set()

    def touch(self, name: Name, write: bool = True) -> None:
        """Enter a name; a write is not forgotten by a later read."""
        self.touched[name] = write or self.touched.get(name, False)

    def depends_on(self, other: Step) -> bool:
        """True if the order of the two steps may matter."""
        if self.everything or other.everything or self.task == other.task:
            return True
        mine, theirs = self.touched, other.touched
        if len(mine) > len(theirs):
            mine, theirs = theirs, mine
        return any(name in theirs and (write or theirs[name]) for name, write in mine.items())

    def merge(self, other: Step) -> None:
        """Take in what another form of this step touched."""
        for name, write in other.touched.items():
            self.touch(name, write)
        self.everything |= other.everything


class Footprints:
    """Watches one kernel; `step` is the step that is being taken."""

    def __init__(self, isolated: bool) -> None:
        self.isolated = isolated
        self.step = Step(())
        self.kernel: Kernel | None = None
        self.tasks: dict[int, Name] = {}  # tid -> name
        self.children: dict[Name, int] = {}
        self.objects: dict[Any, Name] = {}  # handles, and the kernel's objects behind them
        self.made: dict[Name, int] = {}

    # --- a run and its steps

    def begin_run(self) -> None:
        """Forget the run before; what is made from now on is made by nobody, until the first step."""
        self.step = Step(())
        for names in (self.tasks, self.children, self.objects, self.made):
            names.clear()

    def begin_step(self, task: Task) -> Step:
        """A task is about to be resumed."""
        name = self.task_name(task)
        step = self.step = Step(name)
        step.everything = not self.isolated
        return step

    def begin_nothing(self) -> None:
        """No task is running: what alarms touch from now on is no step's doing."""
        self.step = Step(())

    # --- names

    def task_name(self, task: Task) -> Name:
        return self.tasks.get(task.tid, ("unknown", task.tid))

    def object_name(self, thing: Any) -> Name:
        """A handle's name, or that of the kernel's object behind one that has been used."""
        name = self.objects.get(thing)
        if name is None:
            name = self.objects[thing] = ("outside", id(thing))  # made before the run, so the same in each
        return name

    def born(self, handle: Handle) -> None:
        """A handle has been made."""
        maker = self.step.task
        number = self.made[maker] = self.made.get(maker, 0) + 1
        self.objects[handle] = ("object", maker, number)

    @contextmanager
    def naming_handles(self) -> Iterator[None]:
        """While inside, every handle that is made gets its name."""
        original = Handle.__init__

        def init(handle: Handle, name: str | None = None) -> None:
            original(handle, name)
            self.born(handle)

        setattr(Handle, "__init__", init)
        try:
            yield
        finally:
            setattr(Handle, "__init__", original)

    # --- watching the kernel

    def wrap(self, kernel: Kernel, kind: type, handler: Handler) -> Handler:
        """Go around one handler: its trap's own object is touched."""
        if kind in NOTHING:
            return handler
        if kind in OBJECT_OF:
            return self._wrap_object(handler, OBJECT_OF[kind], kind not in READS)
        enter: Callable[[Task, Any], None] = {
            traps.NewTask: self._touch_birth,
            traps.Exec: self._touch_birth,
            traps.Random: lambda task, trap: self.step.touch(("random",)),
            traps.Foreground: lambda task, trap: self.step.touch(("foreground",)),
            traps.KillTask: lambda task, trap: self._touch_task(trap.tid),
            traps.WaitTask: lambda task, trap: self._touch_awaited(kernel, task, trap),
            traps.Send: lambda task, trap: self._touch_mailbox(trap.tid),
            traps.Receive: lambda task, trap: self._touch_mailbox(task.tid),
        }.get(kind, self._touch_everything)

        def watched(kernel: Kernel, task: Task, trap: Any) -> Any:
            enter(task, trap)
            return handler(kernel, task, trap)

        return watched

    def _wrap_object(self, handler: Handler, attribute: str, write: bool) -> Handler:
        def watched(kernel: Kernel, task: Task, trap: Any) -> Any:
            handle = getattr(trap, attribute)
            if isinstance(handle, Handle):
                self._touch_handle(handle, write)
            try:
                return handler(kernel, task, trap)
            finally:
                if isinstance(handle, Handle):
                    self._learn(handle)

        return watched

    def _touch_handle(self, handle: Handle, write: bool) -> None:
        self.step.touch(self.object_name(handle), write)
        if isinstance(handle, Condition):
            self.step.touch(self.object_name(handle.lock))

    def _learn(self, handle: Handle) -> None:
        """The kernel's object has the name of its handle."""
        if handle.kernel_object is not None:
            self.objects[handle.kernel_object] = self.object_name(handle)
        if isinstance(handle, Condition):
            self._learn(handle.lock)

    def _touch_everything(self, task: Task, trap: Any) -> None:
        self.step.everything = True

    def _touch_birth(self, task: Task, trap: Any) -> None:
        self.step.touch(("table",))
        if task.quota is not None:
            self.step.touch(("quota",))

    def known(self, tid: Any) -> Name | None:
        """The name of the task with this tid. If there is none yet it is None, and depends on who is started next."""
        name = self.tasks.get(tid) if type(tid) is int else None
        if name is None:
            self.step.touch(("table",), write=False)
        return name

    def _touch_task(self, tid: Any) -> None:
        if (name := self.known(tid)) is not None:
            self.step.touch(("task", name))
            self.step.touch(("life", name))

    def _touch_mailbox(self, tid: Any) -> None:
        if (name := self.known(tid)) is not None:
            self.step.touch(("mailbox", name))
            self.step.touch(("life", name), write=False)

    def _touch_awaited(self, kernel: Kernel, task: Task, trap: traps.WaitTask) -> None:
        if trap.tid is None:
            self.step.touch(("children", self.task_name(task)))
            reaped = kernel.table.first_zombie(task)
        else:
            if (name := self.known(trap.tid)) is not None:
                self.step.touch(("life", name), write=False)
            reaped = kernel.table.get(trap.tid) if type(trap.tid) is int else None
            if reaped is not None and (reaped.status is None or kernel.table.parent_of(reaped) is not task):
                reaped = None
        if reaped is not None:  # whoever asks for it after this finds nobody
            self.step.touch(("life", self.task_name(reaped)))
            if reaped.quota is not None:
                self.step.touch(("quota",))

    def bind(self, kernel: Kernel) -> None:
        """Watch this kernel."""
        self.kernel = kernel
        Watcher(self, kernel)

    @property
    def watched_by_invariants(self) -> bool:
        """True if a condition is evaluated after every step: then every order can be told from every other."""
        harness = None if self.kernel is None else self.kernel.check
        return harness is not None and bool(harness.invariants)

    @property
    def cut_short(self) -> bool:
        """True if the run has ended at a failure while tasks were ready: what they would have done is not known."""
        harness = None if self.kernel is None else self.kernel.check
        if harness is None or harness.failure is None or harness.failure.kind == "livelock":
            return False
        return any(task.status is None for task in harness.queue)
