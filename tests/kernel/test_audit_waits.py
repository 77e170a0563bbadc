"""The audit of what tasks share, wait for and are promised: each rule is tripped, alone, by a kernel that breaks it."""

from types import SimpleNamespace

import pytest

from pyos import (
    INT,
    STOP,
    Channel,
    Condition,
    Event,
    KernelPanic,
    Limits,
    Lock,
    NewTask,
    Receive,
    Semaphore,
    Send,
    Timeout,
)
from pyos.kernel import audit
from tests.kernel.programs import forever, outcome, yields

pytestmark = pytest.mark.breaks_kernels


@pytest.fixture
def scene(make_kernel):
    """A kernel in which there is one of everything to wait for; its tasks by name, its objects by name."""
    lock, permits, event = Lock("lock"), Semaphore(0, "permits"), Event("event")
    full, empty = Channel(1, "full"), Channel(1, "empty")
    condition = Condition(lock, "condition")

    def in_condition():
        yield lock.acquire()
        yield condition.wait()

    def holder():
        yield lock.acquire()
        yield from forever()

    def timed():
        yield Timeout(50, Timeout(60, sub()))

    def sub():
        yield Timeout(70, forever())

    def limited():
        yield NewTask(forever(), name="descendant")
        yield from forever()

    def linking():
        yield NewTask(forever(), name="linked", linked=True)
        yield from forever()

    def main():
        yield full.put("item")
        for target, options in (
            (in_condition(), {}),
            (holder(), {}),
            (outcome(lock.acquire()), {"name": "wants_lock"}),
            (outcome(permits.acquire()), {"name": "granted"}),
            (outcome(permits.acquire()), {"name": "wants_permit"}),
            (outcome(event.wait()), {"name": "wants_event"}),
            (outcome(full.put("more")), {"name": "putter"}),
            (outcome(empty.get()), {"name": "getter"}),
            (outcome(Receive()), {"name": "receiver"}),
            (forever(), {"name": "stopped"}),
            (outcome(Timeout(40, Receive())), {"name": "timed_trap"}),
            (timed(), {}),
            (limited(), {"limits": Limits(max_tasks=5)}),
            (linking(), {}),
            (yields(0), {"name": "zombie"}),
        ):
            yield NewTask(target, **options)
        yield Send(4, "kept by the holder")
        yield from forever()

    kernel = make_kernel()
    kernel.spawn(main(), name="init")
    parked = kernel.spawn(yields(9), name="parked")
    signal(kernel, parked, STOP)
    while kernel.scheduler.runq:
        kernel.step()
    tasks = {task.name: task for task in kernel.table}
    signal(kernel, tasks["stopped"], STOP)
    kernel.spawn(outcome(permits.release()), name="releaser")
    kernel.step()
    signal(kernel, tasks["granted"], INT)  # held back, as the task has been given its permit
    kernel.audit()
    objects = {
        name: handle.kernel_object
        for name, handle in {
            "lock": lock, "permits": permits, "event": event, "full": full, "empty": empty, "condition": condition,
        }.items()
    }  # fmt: skip
    return SimpleNamespace(kernel=kernel, **objects, **{f"{name}_": task for name, task in tasks.items()})


def signal(kernel, task, number):
    kernel.kill(task, number, sender=None, reason=None, grace=1.0)


def move_to(queue):
    """Have the sleeping `stopped` task listed in a queue."""
    return lambda s: queue(s).append(s.stopped_)


def steal_the_lock(scene):
    scene.lock.owner = scene.limited_
    scene.limited_.owned = {scene.lock: None}


def forget_a_deadline(scene):
    scene.timed_.deadline = scene.timed_.deadline.outer


BREAKAGES = {
    # rule: {what it finds: how to bring that about}
    audit.the_dead_hold_nothing: {
        "'zombie' zombie> is dead and still owns": lambda s: setattr(s.zombie_, "deadline", s.timed_.deadline),
        "zombie' zombie> is dead and still owns something": lambda s: setattr(s.zombie_, "held", yields(1)),
    },
    audit.every_queued_waiter_waits_there: {
        "lock \"lock\" lists <task 12 'stopped'": move_to(lambda s: s.lock.queue),
        'semaphore "permits" lists': move_to(lambda s: s.permits.queue),
        'event "event" lists': move_to(lambda s: s.event.queue),
        'condition "condition" lists': move_to(lambda s: s.condition.queue),
        'channel "full" lists': move_to(lambda s: s.full.putters),
        'channel "empty" lists <task 12': move_to(lambda s: s.empty.queue),
        'channel "mailbox" lists': move_to(lambda s: s.receiver_.mailbox.queue),
        'event "event" counts 1 ghosts in a queue of 1, and there are 0': lambda s: setattr(s.event.queue, "dead", 1),
    },
    audit.nobody_waits_for_what_is_there: {
        'lock "lock" has what 1 tasks wait for': lambda s: (
            setattr(s.lock, "owner", None),
            s.holder_.owned.pop(s.lock),
        ),
        'semaphore "permits" has what 1 tasks': lambda s: setattr(s.permits, "value", 1),
        'semaphore "permits" has -1 permits': lambda s: setattr(s.permits, "value", -1),
        'event "event" has what 1 tasks': lambda s: setattr(s.event, "happened", True),
        'channel "empty" has what 1 tasks': lambda s: s.empty.items.append(1),
        'channel "empty" has what 1 tasks wait for': lambda s: s.empty.returned.append((1, 1)),
        'channel "empty" has what 1': lambda s: setattr(s.empty, "closed", True),
        'channel "full" has room, or is closed': lambda s: s.full.items.clear(),
        'channel "full" has room': lambda s: setattr(s.full, "closed", True),
        'channel "full" has 2 items, and room for 1': lambda s: s.full.items.append(2),
    },
    audit.owners_and_what_is_owned_agree: {
        'lock "lock" is held by <task 4': lambda s: s.holder_.owned.pop(s.lock),
        "'holder' blocked> owns": steal_the_lock,
        "'receiver' blocked> has a mailbox that it does not own": lambda s: s.receiver_.owned.clear(),
        "'getter' blocked> has a mailbox": lambda s: setattr(s.getter_, "mailbox", s.receiver_.mailbox),
    },
    audit.stand_ins_are_known_to_their_task: {
        "'stopped' blocked> holds an answer that nobody delivers": lambda s: setattr(s.stopped_, "held", yields(1)),
        "'granted' ready> holds an answer that nobody delivers": lambda s: setattr(
            s.granted_.pending, "gen", yields(1)
        ),
        "'granted' ready> has errors held back, and nothing": lambda s: setattr(s.granted_, "gen", s.granted_),
        "'granted' ready> has errors held back": lambda s: s.granted_.pending.errors.clear(),
        "'parked' blocked> is parked, and not stopped": lambda s: setattr(s.parked_, "stopped", None),
        "'stopped' blocked> is stopped, and nothing will park it": lambda s: setattr(
            s.stopped_, "gen", s.stopped_.stopped.gen
        ),
        "'stopped' blocked> is stopped, and nothing": lambda s: setattr(s.stopped_.stopped, "open", True),
    },
    audit.deadlines_are_in_force: {
        "'timed' blocked> is in 2 Timeouts, and 3 stand in": forget_a_deadline,
        "'timed_trap' blocked> is in 1 Timeouts, and 0": lambda s: setattr(s.timed_trap_, "gen", s.timed_trap_.gen.gen),
        "'timed' blocked> is in a Timeout that is not its own": lambda s: setattr(s.timed_.deadline, "task", s.linked_),
        "'timed' blocked> is in a Timeout": lambda s: s.kernel.timers.cancel(s.timed_.deadline.outer.alarm),
    },
    audit.links_are_between_the_living: {
        "'linking' blocked> has a link to <task 17 'zombie'": lambda s: s.linking_.family.links.update(
            {s.zombie_: None}
        ),
        "'linking' blocked> has a link to <task 4 'holder'": lambda s: s.linking_.family.links.update(
            {s.holder_: None}
        ),
    },
    audit.quotas_count_their_tasks: {
        "there are 2 tasks under a limit of 5, and 3 are counted": lambda s: setattr(s.limited_.quota, "count", 3),
        "there are 2 tasks under a limit of 1, and 2 are counted": lambda s: setattr(
            s.limited_.quota, "limits", Limits(max_tasks=1)
        ),
    },
    audit.nothing_is_being_closed: {
        "'holder' blocked> has been closed": lambda s: s.kernel.signals.closing.update({s.holder_: None}),
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


def test_objects_are_found_also_when_only_a_task_knows_them(make_kernel):
    """Their handles are gone: the one that waits, or holds, leads to them."""

    def main():
        for target in (outcome(Lock("held").acquire()), holds(Lock("owned"))):
            yield NewTask(target)
        yield NewTask(outcome(Channel(0, "waited for").get()))
        yield from forever()

    def holds(lock):
        yield lock.acquire()
        del lock
        yield from forever()

    kernel = make_kernel()
    kernel.spawn(main())
    while kernel.scheduler.runq:
        kernel.step()
    assert {thing.label for thing in audit.shared(kernel)} >= {'lock "owned"', 'channel "waited for"'}
