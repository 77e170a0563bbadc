"""Random programs: the kernel is sound after every step, its loop and single steps agree, and so does a simple model.

A program is data: a body is a list of instructions and a way to end, and `execute` runs it as a task or a subroutine.
"""

import math
from collections import Counter
from typing import Any, NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyos import (
    KILL,
    TERM,
    BadTrap,
    Choose,
    Deadlock,
    Exit,
    ExitStatus,
    GetTid,
    GetTime,
    KillTask,
    LimitExceeded,
    NewTask,
    Random,
    Sleep,
    TaskExit,
    TaskKilled,
    Tasks,
    WaitTask,
)
from pyos.kernel.clock import VirtualClock
from pyos.kernel.kernel import Kernel
from tests.conftest import assert_nothing_is_left

# --- programs


class Body(NamedTuple):
    steps: list[Any]
    end: tuple[Any, ...] = ("return", None)


class Boom(Exception):
    """What programs raise."""


class World:
    """What one run of a program has done."""

    def __init__(self, seed=None):
        self.seed = seed
        self.events = []  # (task, what, result), in order
        self.statuses = {}  # by tid
        self.targets = set()  # the tids that somebody has tried to kill
        self.log = []
        self.spawned = 0
        self.parents = {}  # of those that are not detached, by tid
        self.reaped = []  # (name of the parent, tid): who was waited for

    def note(self, *event):
        self.events.append(event)


def task(world, me, body):
    """Run a body as a task, and note how it ends."""
    try:
        value = yield from execute(world, me, body)
    except BaseException as error:
        world.note(me, "ended", type(error), error.value if isinstance(error, TaskExit) else str(error))
        raise
    world.note(me, "ended", None, value)
    return value


def execute(world, me, body):
    """Run a body, as the task `me` or a subroutine of it."""
    for step in body.steps:
        yield from INSTRUCTIONS[step[0]](world, me, *step[1:])
    how, value = body.end
    if how == "raise":
        raise Boom(value)
    if how == "exit":
        yield Exit(value)
    return value


def do_yield(world, me):
    world.note(me, "yielded", (yield))


def do_spin(world, me, times):
    tids = set()
    for _ in range(times):
        tids.add((yield GetTid()))
    world.note(me, "spun", tids)


def do_sleep(world, me, seconds):
    start = yield GetTime()
    yield Sleep(seconds)
    now = yield GetTime()
    world.note(me, "slept", seconds)
    assert now == start + seconds


def do_look(world, me):
    """Every answer that takes no time."""
    number = yield Random()
    assert 0 <= number < 1
    world.note(me, "looked", (yield GetTid()), (yield GetTime()), (yield Choose("abc")), (yield Tasks()))
    world.note(me, "drew", number if world.seed is not None else None)


def do_bad(world, me):
    try:
        yield me
    except BadTrap as error:
        world.note(me, "bad trap", str(error))


def do_spawn(world, me, detached, body):
    world.spawned += 1
    name = f"t{world.spawned}"
    try:
        tid = yield NewTask(task(world, name, body), name=name, detached=detached)
    except LimitExceeded as error:  # the system is shutting down
        world.note(me, "refused", str(error))
        return
    if not detached:
        world.parents[tid] = me
    world.note(me, "spawned", tid, name, detached)


def do_kill(world, me, tid, signal, grace):
    world.targets.add(tid)
    alive = yield KillTask(tid, signal, grace=grace)
    world.note(me, "killed", tid, signal, alive)


def do_wait(world, me, tid):
    try:
        status = yield WaitTask(tid)
    except ValueError as error:
        status = str(error)
    world.note(me, "waited", tid, told(status))
    if isinstance(status, ExitStatus) and world.parents.get(status.tid) == me:
        assert (yield WaitTask(status.tid)) is None, "a child that its parent has waited for is gone"


def do_call(world, me, how, body):
    try:
        if how == "yield":
            answer = yield execute(world, me, body)
        else:
            answer = yield from execute(world, me, body)
    except Boom as boom:
        answer = str(boom)
    world.note(me, "called", answer)


def do_finally(world, me, body, clean_up):
    world.note(me, "entered")
    try:
        yield execute(world, me, body)
    finally:
        world.note(me, "cleaning up")
        yield execute(world, me, clean_up)
        world.note(me, "left")


def do_survive(world, me, body):
    try:
        yield execute(world, me, body)
    except TaskKilled as killed:
        world.note(me, "survived", str(killed))


INSTRUCTIONS = {name[3:]: function for name, function in list(globals().items()) if name.startswith("do_")}


def told(status):
    """An exit status in a form that compares equal from run to run."""
    if not isinstance(status, ExitStatus):
        return status
    return (*status[:3], type(status.error), str(status.error), status.signal)


# --- strategies

TIDS = st.sampled_from([2, 3, 4, 2, 3, 4, 5, 6, 1, 9])
ENDS = st.one_of(
    st.tuples(st.just("return"), st.integers(0, 9)),
    st.tuples(st.just("return"), st.integers(0, 9)),
    st.tuples(st.sampled_from(["raise", "exit"]), st.integers(0, 9)),
)
HARMLESS = [
    st.tuples(st.just("yield")),
    st.tuples(st.just("spin"), st.sampled_from([5, 62, 63, 64, 65, 200])),
    st.tuples(st.just("sleep"), st.sampled_from([0, 1, 2, 7])),
    st.tuples(st.just("look")),
    st.tuples(st.just("bad")),
]
WAITS = [st.tuples(st.just("wait"), st.none()), st.tuples(st.just("wait"), TIDS)]
KILLS = [
    st.tuples(st.just("kill"), TIDS, st.sampled_from([TERM, KILL]), st.sampled_from([1.0, 3.0, math.inf])),
    st.tuples(st.just("sleep"), st.just(1e6)),
]


def bodies(leaves):
    """Bodies of these leaves, nested in any way."""

    def body(steps):
        return st.builds(Body, st.lists(steps, max_size=6), ENDS)

    def nest(steps):
        return st.one_of(
            steps,
            st.tuples(st.just("spawn"), st.booleans(), body(steps)),
            st.tuples(st.just("call"), st.sampled_from(["yield", "yield from"]), body(steps)),
            st.tuples(st.just("finally"), body(steps), body(steps)),
            st.tuples(st.just("survive"), body(steps)),
        )

    return body(st.recursive(st.one_of(leaves), nest, max_leaves=15))


def programs(leaves):
    """Bodies for init, which starts with a few children."""

    def begun(children, body):
        return Body([("spawn", *child) for child in children] + body.steps, body.end)

    children = st.lists(st.tuples(st.booleans(), bodies(leaves)), min_size=2, max_size=4)
    return st.builds(begun, children, bodies(leaves))


SEEDS = st.sampled_from([None, 1, "seed"])
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


# --- running them


def run_in_a_loop(kernel):
    kernel.run()


def run_step_by_step(kernel):
    while kernel.step():
        kernel.audit()
    kernel.run()  # what is left is a standstill


def happens(body, how, seed=None):
    """Run a program; the world in which it happened."""
    world = World(seed)

    def wrap(kernel, kind, handler):
        def seen(kernel, task, trap):
            world.note(task.name, kind.__name__)
            return handler(kernel, task, trap)

        return seen

    with Kernel(clock=VirtualClock(), seed=seed, log=world.log.append, wrappers=[wrap]) as kernel:
        bury = kernel.table.bury

        def recorded(task, status, parent):
            assert task.tid not in world.statuses
            world.statuses[task.tid] = status
            world.note(task.name, "dead", told(status))
            return bury(task, status, parent)

        reap = kernel.table.reap

        def counted(parent, zombie):
            world.reaped.append((parent.name, zombie.tid))
            return reap(parent, zombie)

        kernel.table.bury = recorded
        kernel.table.reap = counted
        kernel.spawn(task(world, "init", body), name="init")
        try:
            how(kernel)
            world.deadlock = None
        except Deadlock as deadlock:
            world.deadlock = str(deadlock)
        world.end = kernel.clock.now(), kernel.table.last_tid
        for status in world.statuses.values():
            if status.error is not None and type(status.error) is not Boom:
                raise status.error  # an assertion of an instruction's
        kernel.audit()
        assert_nothing_is_left(kernel)
    return world


@quick
@given(body=programs(HARMLESS + WAITS + KILLS), seed=SEEDS)
def test_the_loop_and_single_steps_do_the_same(body, seed):
    loop, steps = (happens(body, how, seed) for how in (run_in_a_loop, run_step_by_step))
    assert loop.events == steps.events
    assert loop.end == steps.end
    assert loop.deadlock == steps.deadlock
    assert [line.partition("\n")[0] for line in loop.log] == [line.partition("\n")[0] for line in steps.log]


# --- what must be true of any program


@quick
@given(body=programs(HARMLESS + WAITS + KILLS))
def test_whatever_programs_do_nothing_is_lost(body):
    world = happens(body, run_step_by_step)
    assert sorted(world.statuses) == list(range(1, world.end[1] + 1)), (
        "every task has ended once, and no tid is left out"
    )
    the_dead_do_nothing(world)
    who_waits_is_told_the_truth_and_of_each_child_once(world)
    a_status_is_what_the_task_has_seen(world)
    nobody_is_killed_unasked(world)
    no_clean_up_is_left_undone_without_a_word(world)
    no_error_is_lost(world)


def the_dead_do_nothing(world):
    dead = set()
    for name, what, *_ in world.events:
        assert name not in dead
        if what == "dead":
            dead.add(name)


def heard(world):
    """(who, tid asked for, status) of each wait that was answered with a status."""
    for name, what, *result in world.events:
        if what == "waited" and isinstance(result[1], tuple):
            yield name, *result


def who_waits_is_told_the_truth_and_of_each_child_once(world):
    by_parents = Counter()
    for name, asked, status in heard(world):
        tid = status[0]
        assert status == told(world.statuses[tid])
        assert asked in (None, tid)
        assert asked is not None or world.parents[tid] == name, "the next child to exit is the waiting task's own"
        if world.parents.get(tid) == name:
            by_parents[name, tid] += 1
    assert all(times == 1 for times in by_parents.values())
    killed = {status.name for status in world.statuses.values() if status.signal is KILL}
    assert {pair for pair in world.reaped if pair[0] not in killed} <= set(by_parents), "no status is lost on its way"


def a_status_is_what_the_task_has_seen(world):
    ends = {name: result for name, what, *result in world.events if what == "ended"}
    for status in world.statuses.values():
        error, value = ends.get(status.name, (None, None))
        if status.signal is TERM:
            assert status.name not in ends or (error is TaskKilled and value.startswith("TERM")), "or it never started"
        elif status.signal is None:
            assert status.name in ends
            assert (status.error is None) == (error in (None, TaskExit))
            assert value == (str(status.error) if status.error is not None else status.value)
        assert (status.error is not None) + (status.signal is not None) + (status.value is not None) <= 1


def nobody_is_killed_unasked(world):
    """Before the system shuts down."""
    for name, what, *_ in world.events:
        if what == "dead":
            status = next(status for status in world.statuses.values() if status.name == name)
            if status.signal is not None and not world.deadlock:
                assert status.tid in world.targets
            if name == "init":
                return


def no_clean_up_is_left_undone_without_a_word(world):
    left = Counter(name for name, what, *_ in world.events if what == "entered")
    left.subtract(name for name, what, *_ in world.events if what == "cleaning up")
    for name in +left:
        assert [line for line in world.log if f"({name}), in " in line and "abandoned" in line]


def no_error_is_lost(world):
    told_of = {status[0] for _, _, status in heard(world)}
    for tid, status in world.statuses.items():
        if status.error is not None:
            logged = [line for line in world.log if line.startswith(f"task {tid} ({status.name}) died of an uncaught")]
            assert len(logged) <= 1
            assert logged or tid in told_of


# --- a simple model: without signals and strangers, what becomes of a task is written in its body


def predicted(body):
    """How a body ends: ("return" or "exit" or "raise", value); a subroutine that exits ends its task."""
    for step in body.steps:
        if step[0] == "call":
            how, value = predicted(step[2])
            if how == "exit":
                return how, value
        elif step[0] == "survive":
            how, value = predicted(step[1])
            if how != "return":
                return how, value
        elif step[0] == "finally":
            first, last = predicted(step[1]), predicted(step[2])
            if last[0] != "return":
                return last
            if first[0] != "return":
                return first
    return body.end


def reached(body):
    """The bodies of the tasks that a body spawns before it ends."""
    for step in body.steps:
        if step[0] == "spawn":
            yield step[2]
            continue
        for part in step:
            if isinstance(part, Body):
                yield from reached(part)
        if predicted(Body([step]))[0] != "return":
            return


def family(body):
    """The predicted end of a task and of all that come from it, as a Counter."""
    ends = Counter([predicted(body)])
    for child in reached(body):
        ends += family(child)
    return ends


@quick
@given(body=bodies(HARMLESS), how=st.sampled_from([run_in_a_loop, run_step_by_step]))
def test_tasks_that_are_left_alone_end_as_their_programs_say(body, how):
    quiet = Body([("spawn", False, body), ("sleep", 1e6)])  # an init that outlives them all
    world = happens(quiet, how)
    assert world.statuses.pop(1).ok
    found = Counter(
        ("raise", int(str(status.error))) if status.error is not None else ("ended", status.value)
        for status in world.statuses.values()
    )
    expected = Counter()
    for (end, value), times in family(body).items():
        expected[(end if end == "raise" else "ended"), value] += times
    assert found == expected
    assert not [status for status in world.statuses.values() if status.signal is not None]


@quick
@given(
    delays=st.lists(st.sampled_from([0, 1, 1, 2, 3, 5]), max_size=12),
    how=st.sampled_from([run_in_a_loop, run_step_by_step]),
)
def test_children_are_waited_for_in_the_order_of_their_deadlines(delays, how):
    steps = [("spawn", False, Body([("sleep", delay)], ("return", n))) for n, delay in enumerate(delays)]
    world = happens(Body(steps + [("wait", None)] * (len(delays) + 1)), how)
    values = [result[1] and result[1][2] for name, what, *result in world.events if what == "waited"]
    assert values == [n for _, n in sorted((delay, n) for n, delay in enumerate(delays))] + [None]
    assert world.end[0] == max(delays, default=0)


@quick
@given(
    victims=st.lists(
        st.tuples(st.sampled_from([1, 2, 3]), st.sampled_from([1.5, 2.5, 9.0]), st.sampled_from([TERM, KILL])),
        max_size=8,
    ),
    how=st.sampled_from([run_in_a_loop, run_step_by_step]),
)
def test_a_kill_ends_a_sleeper_unless_it_has_woken(victims, how):
    steps = []
    for n, (wakes, _, _) in enumerate(victims):
        steps.append(("spawn", False, Body([("sleep", wakes)], ("return", n))))
    for n, (_, killed, signal) in enumerate(victims):
        steps.append(("spawn", True, Body([("sleep", killed), ("kill", n + 2, signal, 1.0)])))
    world = happens(Body([*steps, ("sleep", 20)]), how)
    for n, (wakes, killed, signal) in enumerate(victims):
        status = world.statuses[n + 2]
        assert (status.value, status.signal) == ((n, None) if wakes < killed else (None, signal))
    answers = [result[-1] for _, what, *result in world.events if what == "killed"]
    assert sum(answers) == sum(killed < wakes for wakes, killed, _ in victims)


def test_the_programs_are_worth_running():
    """What random bodies are made of is all there is, and much of it happens."""
    seen = Counter()

    @settings(quick, max_examples=40, database=None, derandomize=True)
    @given(body=programs(HARMLESS + WAITS + KILLS))
    def collect(body):
        world = happens(body, run_in_a_loop)
        seen.update(what for _, what, *_ in world.events)
        seen["deadlock"] += world.deadlock is not None
        seen["signal"] += any(status.signal for status in world.statuses.values())

    collect()
    assert set(INSTRUCTIONS) == {
        "yield",
        "spin",
        "sleep",
        "look",
        "bad",
        "spawn",
        "kill",
        "wait",
        "call",
        "finally",
        "survive",
    }
    for what in (
        "yielded",
        "spun",
        "slept",
        "looked",
        "bad trap",
        "spawned",
        "killed",
        "waited",
        "called",
        "left",
        "signal",
    ):
        assert seen[what] > 0, what
