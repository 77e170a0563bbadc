"""Sees what a step touches besides its trap's own object, by going around what wakes, signals, starts and ends tasks.

- what a woken or killed task waited for, with all that depends on its waiting there;
- what a killed task had been given and not yet received, which goes to another;
- at an end: the locks and the mailbox that are released, who may wait for the task, and for its children;
- alarms, as those that are due together go off in the order in which they were set.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pyos.kernel.channels import Mailbox
from pyos.kernel.sync import ConditionObject, Reacquire
from pyos.kernel.tasks import Task
from pyos.signals import KILL

if TYPE_CHECKING:
    from pyos.check.footprint import Footprints
    from pyos.kernel.kernel import Kernel


def around(owner: Any, name: str, seen: Callable[..., Any]) -> None:
    """Have `seen` called with the same arguments before each call of `owner.name`."""
    original = getattr(owner, name)

    def watched(*args: Any, **options: Any) -> Any:
        seen(*args, **options)
        return original(*args, **options)

    setattr(owner, name, watched)


class Watcher:
    """Enters what it sees into the footprints' current step."""

    def __init__(self, footprints: Footprints, kernel: Kernel) -> None:
        self.footprints = footprints
        self.kernel = kernel
        scheduler, signals = kernel.scheduler, kernel.signals
        for name in ("wake", "grant", "wake_error"):
            around(scheduler, name, self._is_woken)
        for name in ("unblock", "interrupt"):
            around(scheduler, name, self._leaves)
        around(scheduler.runq, "append", self._is_ready)
        around(signals, "deliver", lambda task, error: self._touch("task", task))
        around(signals, "take_off", self._gives_back)
        around(signals, "kill_now", self._is_killed)
        around(kernel.lifecycle, "bury", self._ends)
        around(kernel, "shut_down", self._shuts_down)
        around(kernel.timers, "set_alarm", self._sets_alarm)
        self._watch_signals()
        self._watch_births()
        self._watch_resets()

    def _touch(self, what: str, task: Task, write: bool = True) -> None:
        self.footprints.step.touch((what, self.footprints.task_name(task)), write)

    def _touch_thing(self, thing: Any) -> None:
        """An object that tasks share."""
        objects = self.footprints.objects
        if isinstance(thing, Mailbox):
            self._touch("mailbox", thing.owner)
        elif thing in objects:
            self.footprints.step.touch(objects[thing])

    # --- waiting

    def _is_ready(self, task: Task) -> None:
        name = self.footprints.task_name(task)
        if name != self.footprints.step.task and task.tid in self.footprints.tasks:
            self.footprints.step.woke.add(name)

    def _is_woken(self, task: Task, *answer: Any) -> None:
        self._touch("task", task)
        self._touch_thing(task.wait)

    def _leaves(self, task: Task, *error: Any) -> None:
        """The task is taken out of its wait by something else than what it waits for."""
        self._is_woken(task)
        if isinstance(task.wait, ConditionObject):
            self._touch_thing(task.wait.lock)
        if isinstance(task.ticket, Reacquire):
            self._touch_thing(task.ticket.condition)
        if task.wait is self.kernel.exits:
            if task.ticket is None:
                self._touch("children", task)
            else:
                self._touch("life", task.ticket, write=False)

    def _gives_back(self, task: Task) -> None:
        """The task is taken off: an answer that it has not had yet returns to where it came from."""
        if task.held is None or task.grant is None:
            return
        if isinstance(task.grant, Reacquire):
            self._touch_thing(task.grant.condition)
            self._touch_thing(task.grant.condition.lock)
        else:
            self._touch_thing(task.grant)

    # --- births, signals and ends

    def _watch_births(self) -> None:
        lifecycle, footprints = self.kernel.lifecycle, self.footprints
        spawn = lifecycle.spawn

        def spawn_seen(target: Any, parent: Task | None = None, *more: Any) -> Task:
            if parent is not None and parent.quota is not None:
                footprints.step.touch(("quota",))  # also where it refuses
            task = spawn(target, parent, *more)
            if task.quota is not None:
                footprints.step.touch(("quota",))
            self._is_born(task, footprints.task_name(parent) if parent is not None else ())
            return task

        setattr(lifecycle, "spawn", spawn_seen)
        adopt = lifecycle.adopt

        def adopt_seen(gen: Any, name: str) -> Task:
            task = adopt(gen, name)
            footprints.step.touch(("table",))
            self._is_born(task, (*footprints.step.task, "left"))
            return task

        setattr(lifecycle, "adopt", adopt_seen)

    def _is_born(self, task: Task, above: tuple[Any, ...]) -> None:
        """The step that is being taken has started the task."""
        footprints = self.footprints
        number = footprints.children[above] = footprints.children.get(above, 0) + 1
        name = footprints.tasks[task.tid] = (*above, number)
        footprints.step.touch(("task", name))
        footprints.step.touch(("life", name))  # until now nobody had this tid
        footprints.step.woke.add(name)

    def _watch_signals(self) -> None:
        signals = self.kernel.signals
        send = signals.send

        def send_seen(target: Task | None, *args: Any, **options: Any) -> Any:
            if target is None or target.status is not None:
                return send(target, *args, **options)
            self._touch("task", target)
            self._touch("life", target)
            was_ready = target.wait is None and target is not options["sender"]
            try:
                return send(target, *args, **options)
            finally:
                if was_ready and (target.status is not None or target.stopped is not None):
                    self._note_killed(target)

        setattr(signals, "send", send_seen)
        setattr(self.kernel, "kill", send_seen)

    def _is_killed(self, task: Task, error: Any) -> None:
        self._touch("task", task)
        if task.wait is None and not (task.dying is not None and task.dying.signal is KILL):
            self._note_killed(task)

    def _note_killed(self, task: Task) -> None:
        name = self.footprints.task_name(task)
        if name != self.footprints.step.task:
            self.footprints.step.killed.add(name)

    def _ends(self, task: Task, status: Any, sender: int = 0) -> None:
        name = self.footprints.task_name(task)
        step, table = self.footprints.step, self.kernel.table
        for what in ("task", "life", "mailbox", "children"):
            step.touch((what, name))
        for zombie in table.zombies_of(task):
            self._touch("life", zombie)
        mother = table.get(task.parent)
        linked = mother is not None and mother.family is not None and task in mother.family.links
        if len(name) > 1 and (linked or not task.detached):
            step.touch(("children", name[:-1]))
        if mother is not None and linked and not status.ok:
            self._touch("task", mother)
        for thing in task.owned or ():
            self._touch_thing(thing)
        if task.quota is not None:
            step.touch(("quota",))

    def _shuts_down(self, *args: Any) -> None:
        self.footprints.step.everything = True

    def _sets_alarm(self, seconds: float, action: Any) -> None:
        self.footprints.step.touch(("due", self.kernel.clock.now() + seconds))

    def _watch_resets(self) -> None:
        """What a reset kills belongs to no run."""
        reset = self.kernel.reset

        def reset_seen() -> None:
            reset()
            self.footprints.begin_run()

        setattr(self.kernel, "reset", reset_seen)
