"""What each step touches: the kernel objects it reads or writes, also indirectly, by names that each run gives alike.

Two steps of different tasks are independent if nothing that one of them writes is touched by the other: then their
order makes no difference. Touched are
- the object of the trap: a lock, a channel, a cell (a `load` reads, the rest writes), a mailbox;
- ("task", t): written by every step of t, by whatever wakes, starts, signals or kills t;
- ("life", t): read by those who ask whether t lives, written by its end; ("children", t): its ends as seen by t;
- what a wake, a kill or an end touches on the way: the object that was waited for, the locks that are released.
Steps that look at everything (Tasks, the end of init) depend on everything.

Names: a task is known by its parent and which child it is, an object by the task that made it and how many it had made
before; neither depends on the order in which tasks ran.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pyos import traps
from pyos.handles import Condition, Handle
from pyos.kernel.tasks import Task, WaitObject

if TYPE_CHECKING:
    from pyos.kernel.kernel import Kernel
    from pyos.kernel.scheduler import Handler
    from pyos.status import ExitStatus

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
    """What one step did: `touched` maps names to whether they were written; `woke`: tasks it made ready."""

    __slots__ = ("task", "touched", "everything", "woke")

    def __init__(self, task: Name) -> None:
        self.task = task
        self.touched: dict[Name, bool] = {("task", task): True}
        self.everything = False
        self.woke: set[Name] = set()

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
        step = self.step = Step(self.tasks[task.tid])
        step.everything = not self.isolated
        return step

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
            traps.NewTask: lambda task, trap: self.step.touch(("table",)),
            traps.Exec: lambda task, trap: self.step.touch(("table",)),
            traps.Random: lambda task, trap: self.step.touch(("random",)),
            traps.Foreground: lambda task, trap: self.step.touch(("foreground",)),
            traps.KillTask: lambda task, trap: self._touch_task(kernel, trap.tid),
            traps.WaitTask: self._touch_awaited,
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

    def _touch_task(self, kernel: Kernel, tid: Any) -> None:
        name = self.tasks.get(tid) if type(tid) is int else None
        self.step.touch(("task", name))
        self.step.touch(("life", name))

    def _touch_awaited(self, task: Task, trap: traps.WaitTask) -> None:
        if trap.tid is None:
            self.step.touch(("children", self.task_name(task)))
        else:
            self.step.touch(("life", self.tasks.get(trap.tid)), write=False)

    def _touch_mailbox(self, tid: Any) -> None:
        name = self.tasks.get(tid) if type(tid) is int else None
        self.step.touch(("mailbox", name))
        self.step.touch(("life", name), write=False)

    def bind(self, kernel: Kernel) -> None:
        """Go around what wakes, starts and ends tasks in this kernel."""
        scheduler, lifecycle = kernel.scheduler, kernel.lifecycle
        for name in ("wake", "grant", "wake_error", "unblock", "interrupt"):
            setattr(scheduler, name, self._seen_waking(getattr(scheduler, name)))
        spawn, bury, shut_down = lifecycle.spawn, lifecycle.bury, kernel.shut_down

        def spawn_seen(target: Any, **options: Any) -> Task:
            task = spawn(target, **options)
            mother = options.get("parent")
            above = self.task_name(mother) if mother is not None else ()
            number = self.children[above] = self.children.get(above, 0) + 1
            name = self.tasks[task.tid] = (*above, number)
            self._made_ready(name)
            return task

        def bury_seen(task: Task, status: ExitStatus, sender: int = 0) -> None:
            self._touch_end(kernel, task)
            bury(task, status, sender)

        def shut_down_seen(reason: str, *args: Any) -> None:
            self.step.everything = True
            shut_down(reason, *args)

        setattr(lifecycle, "spawn", spawn_seen)
        setattr(lifecycle, "bury", bury_seen)
        setattr(kernel, "shut_down", shut_down_seen)

    def _seen_waking(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def seen(task: Task, *args: Any) -> Any:
            self._touch_wait(task, task.wait)
            self._made_ready(self.task_name(task))
            return original(task, *args)

        return seen

    def _touch_wait(self, task: Task, wait: WaitObject | None) -> None:
        """The task stops waiting for this: the object is touched, where it is one that others touch."""
        if wait is not None and wait in self.objects:
            self.step.touch(self.objects[wait])
        elif type(wait).__name__ == "Mailbox":
            self.step.touch(("mailbox", self.task_name(wait.owner)))  # type: ignore[union-attr]

    def _made_ready(self, name: Name) -> None:
        self.step.touch(("task", name))
        self.step.woke.add(name)

    def _touch_end(self, kernel: Kernel, task: Task) -> None:
        name = self.task_name(task)
        step = self.step
        step.touch(("task", name))
        step.touch(("life", name))
        step.touch(("mailbox", name))
        mother = kernel.table.get(task.parent)
        if mother is not None and not task.detached:
            step.touch(("children", self.task_name(mother)))
        for thing in task.owned or ():
            if thing in self.objects:
                step.touch(self.objects[thing])
