"""The audit: each rule is tripped, alone, by a kernel that breaks it; every finding of every rule has such a kernel."""

import ast
import inspect
import socket
from types import SimpleNamespace

import pytest

from pyos import KernelPanic, KillTask, NewTask, ReadWait, WaitTask
from pyos.kernel import audit
from pyos.kernel.poller import READ, WRITE
from pyos.kernel.tasks import Task
from pyos.kernel.trampoline import Thrower
from tests.conftest import drive
from tests.kernel import test_audit_waits
from tests.kernel.programs import forever, sleeps, stubborn, yields

pytestmark = pytest.mark.breaks_kernels


@pytest.fixture
def scene(make_kernel):
    """A kernel in which there is one of everything, with its tasks by name."""
    left, right = socket.socketpair()

    def reader():
        yield ReadWait(left)
        left.recv(1)
        yield ReadWait(right)

    def waits(tid):
        yield WaitTask(tid)

    def main():
        for target, name in (
            (sleeps(10), "sleeper"),
            (sleeps(20), "late sleeper"),
            (sleeps(30), "later sleeper"),
            (forever(), "eternal"),
            (reader(), "reader"),
            (waits(2), "waiter"),
            (yields(0), "zombie"),
            (stubborn(), "dying"),
        ):
            tid = yield NewTask(target, name=name)
        yield
        yield KillTask(tid, grace=5)
        yield WaitTask(2)

    with left, right:
        kernel = make_kernel()
        kernel.spawn(main(), name="init")
        while kernel.scheduler.runq:
            kernel.step()
        right.send(b"x")
        kernel.step()  # the reader leaves a registration that nobody waits for
        kernel.spawn(yields(3), name="ready")
        tasks = {task.name.replace(" ", "_"): task for task in kernel.table}
        idle = kernel.readiness.watched[left.fileno()]
        read = kernel.readiness.watched[right.fileno()]
        kernel.audit()
        yield SimpleNamespace(kernel=kernel, idle=idle, read=read, **tasks)


def a_task(tid):
    return Task(tid, 0, "made up", "", yields(1), False, None)


def enter_timer(scene):
    entry = (1e9, 1_000_000, scene.ready)
    scene.ready.ticket = entry
    scene.kernel.timers.heap.append(entry)


def have_an_fd_list(scene):
    scene.idle.reader = scene.sleeper
    scene.kernel.readiness.waiting += 1


def forget_the_reader(scene):
    scene.read.reader = None
    scene.kernel.readiness.waiting -= 1


def enter_as(scene):
    watched = scene.kernel.readiness.watched
    watched[999] = watched.pop(scene.idle.fd)


BREAKAGES = {
    # rule: {what it finds: how to bring that about}
    audit.every_task_is_in_one_place: {
        "'ready' ready> is in the run queue 2 times": lambda s: s.kernel.scheduler.runq.append(s.ready),
        "'ready' ready> is in the run queue 0 times": lambda s: s.kernel.scheduler.runq.clear(),
        "is in the run queue 1 times and waits": lambda s: setattr(s.ready, "wait", s.kernel.exits),
        "'sleeper' blocked> is in the run queue 1 times": lambda s: s.kernel.scheduler.runq.append(s.sleeper),
        "'zombie' zombie> is dead and waits": lambda s: setattr(s.zombie, "wait", s.kernel.exits),
    },
    audit.every_queued_task_exists: {
        "'made up' ready> is in the run queue and not in": lambda s: s.kernel.scheduler.runq.append(a_task(99)),
        "task 2 'made up' ready>": lambda s: s.kernel.scheduler.runq.append(a_task(2)),
    },
    audit.every_wait_is_known_to_its_object: {
        "'waiter' blocked> waits on": lambda s: s.sleeper.waiters.pop(s.waiter),
        "'reader' blocked> waits on": forget_the_reader,
    },
    audit.every_waiter_waits: {
        "lists <task 2 'sleeper' blocked>, which waits on": have_an_fd_list,
        "1 tasks wait for I/O, and 2 are counted": lambda s: setattr(s.kernel.readiness, "waiting", 2),
        "lists <task 5 'eternal' blocked>, which does not wait for it": lambda s: s.sleeper.waiters.update(
            {s.eternal: None}
        ),
        "<task 3 'late sleeper' blocked> lists": lambda s: setattr(s.late_sleeper, "waiters", {s.waiter: None}),
    },
    audit.registrations_match: {
        "is entered as 999": enter_as,
        "is registered for 0 and waited for with 0": lambda s: setattr(s.idle, "mask", 0),
        f"is registered for {WRITE} and waited for with {READ}": lambda s: setattr(s.read, "mask", WRITE),
    },
    audit.timers_are_sound: {
        "the timers are no heap": lambda s: s.kernel.timers.heap.reverse(),
        "a timer lists <task 10 'ready' ready>, which does not sleep": enter_timer,
        "0 timers are dead, and 1 are counted": lambda s: setattr(s.kernel.timers, "dead", 1),
        "sleep for ever, and 0 are counted": lambda s: setattr(s.kernel.timers, "eternal", 0),
    },
    audit.families_are_sound: {
        "is entered as 10 (the last tid is 9)": lambda s: setattr(s.kernel.table, "last_tid", 9),
        "'waiter' blocked> is entered as 11": lambda s: s.kernel.table.tasks.update({11: s.waiter}),
        "'zombie' zombie> is a zombie and nobody's dead child": lambda s: s.init.family.deaths.clear(),
        "has 7 living children, and 8 are counted": lambda s: setattr(s.init.family, "living", 8),
        "has 1 zombies, and 2 are counted": lambda s: setattr(s.init.family, "zombies", 2),
        "there are 1 zombies, and 0 are counted": lambda s: setattr(s.kernel.table, "zombies", 0),
    },
    audit.the_dead_hold_nothing: {
        "'zombie' zombie> is dead and still holds": lambda s: setattr(s.zombie, "callers", [yields(1)]),
        "zombie> is dead and still holds frames": lambda s: setattr(
            s.zombie, "gen", Thrower(s.zombie, yields(1), ValueError())
        ),
    },
    audit.every_grace_is_for_a_dying_task: {
        "a grace period runs for task 99": lambda s: s.kernel.signals.graces.update({99: None}),
        "a grace period runs for task 8,": lambda s: s.kernel.signals.graces.update({8: None}),
        "a grace period runs for task 9,": lambda s: setattr(s.dying, "dying", None),
    },
}
ALL = [(rule, finding) for rule, findings in BREAKAGES.items() for finding in findings]


@pytest.mark.parametrize(("rule", "finding"), ALL, ids=[f"{rule.__name__}: {finding}" for rule, finding in ALL])
def test_a_broken_kernel_trips_exactly_the_rule_that_it_breaks(scene, rule, finding):
    BREAKAGES[rule][finding](scene)
    with pytest.raises(KernelPanic) as caught:
        scene.kernel.audit()
    assert finding in str(caught.value)
    assert [other.__name__ for other in audit.RULES if f"{other.__name__}: " in str(caught.value)] == [rule.__name__]


def rules_in_the_source():
    """The functions that yield findings, and how many kinds each yields."""
    tree = ast.parse(inspect.getsource(audit))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.returns is not None]
    return {
        function.name: sum(isinstance(node, ast.Yield) for node in ast.walk(function))
        for function in functions
        if ast.unparse(function.returns) == "Findings"
    }


def test_every_rule_is_part_of_the_audit():
    assert [rule.__name__ for rule in audit.RULES] == list(rules_in_the_source())


def test_every_rule_has_a_kernel_that_breaks_it_for_each_of_its_findings():
    for name, kinds in rules_in_the_source().items():
        rule = getattr(audit, name)
        tested = {**BREAKAGES.get(rule, {}), **test_audit_waits.BREAKAGES.get(rule, {})}
        assert len(tested) >= kinds > 0, f"a finding of {name} is not tested"


def test_all_that_is_broken_is_named_at_once(scene):
    scene.kernel.timers.dead += 1
    scene.kernel.table.zombies += 1
    with pytest.raises(KernelPanic, match=r"^audit failed: timers_are_sound: .*; families_are_sound: .*"):
        scene.kernel.audit()


def test_a_sound_kernel_passes_in_every_state(scene):
    drive(scene.kernel)
    assert scene.kernel.clock.now() == 10
    assert list(scene.kernel.table) == []
