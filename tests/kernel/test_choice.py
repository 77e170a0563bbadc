"""The one place for choices: an exploring run queue in the unmodified kernel runs every schedule of small programs.

A schedule is the list of indices that `choose` answered. All are enumerated depth first by running the program again
and again: repeat a prefix, answer 0 after it, then go back to the last choice that has an option left. Index 0
everywhere is what production does, event for event.
"""

import contextlib
import functools
import math
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyos import KILL, TERM, BadTrap, Choose, GetTid, KillTask, NewTask, ReadWait, Sleep, Tasks, WaitTask
from pyos.kernel import choice
from pyos.kernel.clock import VirtualClock
from pyos.kernel.kernel import Kernel
from tests.kernel.programs import awaits, forever, outcome, sleeps, yields


class Schedule:
    """Answers the choices of one run: those of `prefix`, then 0; and notes what was asked."""

    def __init__(self, prefix=()):
        self.prefix = prefix
        self.taken = []  # (kind, index, how many options)
        self.ended = None  # False when its run stood still

    def choose(self, kind, options):
        place = len(self.taken)
        index = self.prefix[place] if place < len(self.prefix) else 0
        assert 0 <= index < len(options), "the run is not the same as before"
        self.taken.append((kind, index, len(options)))
        return index

    def next_prefix(self):
        """The prefix of the next schedule depth first; None after the last."""
        for place in reversed(range(len(self.taken))):
            _, index, count = self.taken[place]
            if index + 1 < count:
                return [index for _, index, _ in self.taken[:place]] + [index + 1]
        return None


class ExploringQueue:
    """A run queue that asks which task is next: the running one, which is kept first, or another from the head."""

    def __init__(self, choose):
        self.choose = choose
        self.tasks = []

    def append(self, task):
        self.tasks.append(task)

    def go_on(self, task):
        self.tasks.insert(0, task)

    def popleft(self):
        if self.tasks[0].status is not None:
            return self.tasks.pop(0)  # a dead task's entry is no choice
        ready = [task for task in self.tasks if task.status is None]
        task = ready[self.choose("step", ready)]
        self.tasks.remove(task)
        return task

    def __len__(self):
        return len(self.tasks)

    def __iter__(self):
        return iter(self.tasks)


def exploring_kernel(choose, **options):
    return Kernel(clock=VirtualClock(), runq=ExploringQueue(choose), choose=choose, log=[].append, **options)


def run_once(schedule, boot):
    """Boot a program with `boot(kernel)`, and step until all is over, or only what `boot` returned is left."""
    with exploring_kernel(schedule.choose) as kernel:
        stays = boot(kernel) or 0
        while kernel.table.alive > stays and kernel.step():
            kernel.audit()
        schedule.ended = kernel.table.alive == stays


def explore(boot):
    """Run every schedule of a program; yields each, once it has been run."""
    prefix = []
    while prefix is not None:
        schedule = Schedule(prefix)
        run_once(schedule, boot)
        yield schedule
        prefix = schedule.next_prefix()


def all_at_once(*programs):
    """Boot programs as tasks that are all there from the start, beside an init that sleeps for ever."""

    def boot(kernel):
        kernel.spawn(forever())
        kernel.step()
        for program in programs:
            kernel.spawn(program())
        return 1  # init stays

    return boot


# --- every schedule


def traced(order, name, n, trap=None):
    """n yields, noting each step."""

    def program():
        for _ in range(n):
            order.append(name)
            yield trap() if trap else None
        order.append(name)

    return program


def interleavings(counts):
    """In how many orders tasks with so many yields, hence one more step each, can run."""
    total = math.factorial(sum(counts) + len(counts))
    return total // math.prod(math.factorial(n + 1) for n in counts)


COUNTS = {(1, 1): 6, (2, 2): 20, (4, 4): 252, (1, 1, 1): 90, (1, 2, 3): 1260, (0, 0): 2, (0, 5): 7, (3, 1): 15}


@pytest.mark.parametrize("counts", COUNTS)
@pytest.mark.parametrize("trap", [None, GetTid], ids=["bare yields", "traps answered at once"])
def test_every_schedule_of_tasks_that_yield_is_run_exactly_once(counts, trap):
    order = []
    boot = all_at_once(*(traced(order, name, n, trap) for name, n in enumerate(counts)))
    seen = set()
    runs = 0
    for _ in explore(boot):
        runs += 1
        seen.add(tuple(order))
        order.clear()
    assert runs == len(seen) == COUNTS[counts] == interleavings(counts)
    if len(counts) == 2:
        n, m = counts
        assert runs == math.comb(n + m + 2, n + 1)


@pytest.mark.parametrize(
    "trap", [lambda: Sleep(0), lambda: yields(1), lambda: awaits(GetTid()), lambda: outcome(GetTid()), lambda: "bad"]
)
def test_a_yield_is_one_step_whatever_is_called_on_the_way(trap):
    def program():
        with contextlib.suppress(BadTrap):
            yield yields(0)
            yield trap()
        yield from yields(1)

    assert sum(1 for _ in explore(all_at_once(program, program))) == 20


def test_every_option_of_every_choice_is_taken():
    seen = []

    def program():
        seen.append((yield Choose("abc")) + str((yield Choose([1, 2]))))

    runs = list(explore(all_at_once(program)))
    assert seen == ["a1", "a2", "b1", "b2", "c1", "c2"]
    assert len(runs) == 6


def test_the_bad_interleaving_is_found_and_run_again():
    """Two tasks add one to a counter, and yield between reading and writing it."""
    counter = [0]

    def adds():
        value = counter[0]
        yield
        counter[0] = value + 1

    def boot(kernel):
        counter[0] = 0
        return all_at_once(adds, adds)(kernel)

    results = [(counter[0], schedule) for schedule in explore(boot)]
    assert sorted(value for value, _ in results) == [1, 1, 1, 1, 2, 2]
    for value, schedule in results:
        run_once(Schedule([index for _, index, _ in schedule.taken]), boot)
        assert counter[0] == value


def test_killed_tasks_are_no_options():
    order = []

    def main():
        tids = []
        for name in "ab":
            tids.append((yield NewTask(traced(order, name, 1)())))
        for tid in tids:
            yield KillTask(tid, KILL)

    schedules = list(explore(lambda kernel: kernel.spawn(main()) and None))
    for schedule in schedules:
        assert max(count for _, _, count in schedule.taken) <= 3
    assert len(schedules) == len({tuple(schedule.taken) for schedule in schedules})


def test_the_schedules_that_stand_still_are_found():
    """Two tasks wait for each other if both have begun before one is over."""
    begun = []

    def waits(other):
        begun.append(other)
        yield
        if len(begun) == 2:
            yield WaitTask(other)
        begun.remove(other)

    def main():
        yield NewTask(waits(3))
        yield NewTask(waits(2))
        yield WaitTask(2)
        yield WaitTask(3)

    def boot(kernel):
        begun.clear()
        kernel.spawn(main())

    ended = [(schedule.ended, len(begun)) for schedule in explore(boot)]
    assert set(ended) == {(True, 0), (False, 2)}


# --- each kind of choice


def spying(index=0, kinds=("step", "event", "option")):
    """A chooser that answers `index` for these kinds, else 0, and its list of what it was asked."""
    asked = []

    def choose(kind, options):
        asked.append((kind, [getattr(option, "name", option) for option in options]))
        return index if kind in kinds else 0

    return choose, asked


def both_due(order, make_due):
    """A program in which a descriptor and a timer become due in the same round."""

    def reader(file):
        yield ReadWait(file)
        order.append("io")

    def main():
        left, right = socket.socketpair()
        with left, right:
            yield NewTask(sleeps(1), name="sleeper")
            yield NewTask(reader(left), name="reader")
            yield WaitTask((yield NewTask(yields(2), name="other")))
            right.send(b"x")
            make_due()
            yield
            for name in ("io", "timer"):
                yield from outcome(WaitTask({"io": 3, "timer": 2}[name]))

    return main()


@pytest.mark.parametrize(("index", "first"), [(0, "reader"), (1, "sleeper")])
def test_due_io_and_a_due_timer_are_a_choice_io_first(index, first):
    ended = []
    choose, asked = spying(index, kinds=("event",))
    clock = VirtualClock()

    with Kernel(clock=clock, choose=choose) as kernel:
        end = kernel.end
        kernel.end = lambda task, *rest, **error: ended.append(task.name) or end(task, *rest, **error)
        kernel.spawn(both_due([], functools.partial(setattr, clock, "time", 1.0)))
        kernel.run()
    assert asked == [("event", ["io", "timer"])]
    assert next(name for name in ended if name in ("reader", "sleeper")) == first


def test_the_options_of_a_step_are_the_running_task_and_then_the_run_queue():
    choose, asked = spying()

    def main():
        yield NewTask(yields(1), name="a")
        yield NewTask(yields(0), name="b")
        yield
        yield GetTid()

    with exploring_kernel(choose) as kernel:
        kernel.spawn(main())
        while kernel.step():
            pass
    assert asked == [
        ("step", ["main"]),
        ("step", ["main", "a"]),
        ("step", ["main", "a", "b"]),  # it has yielded its turn
        ("step", ["a", "b", "main"]),
        ("step", ["b", "main", "a"]),
        ("step", ["main", "a"]),
        ("step", ["main", "a"]),
        ("step", ["a"]),
    ]


def test_every_kind_of_choice_is_asked_of_choose_in_one_run():
    choose, asked = spying()
    with exploring_kernel(choose) as kernel:

        def main():
            yield Choose("xy")
            yield both_due([], functools.partial(setattr, kernel.clock, "time", 1.0))

        kernel.spawn(main())
        while kernel.step():
            pass
    assert {kind for kind, _ in asked} == {"step", "event", "option"}
    assert ("option", ["x", "y"]) in asked


def test_production_asks_for_options_and_events_only():
    choose, asked = spying()
    with Kernel(clock=VirtualClock(), choose=choose) as kernel:

        def main():
            for _ in range(5):
                yield NewTask(yields(100), detached=True)
            yield Choose("xy")
            yield Sleep(1)

        kernel.spawn(main())
        kernel.run()
    assert asked == [("option", ["x", "y"])]


# --- production's choosers


def test_without_a_seed_the_first_option_is_taken(run):
    def main():
        return (yield Choose("abc")), (yield Choose(range(5, 9))), (yield Choose([None]))

    assert run(main()).value == ("a", 5, None)


def test_a_seed_makes_any_option_possible_and_repeats_itself(run):
    def main():
        taken = []
        for _ in range(100):
            taken.append((yield Choose("abc")))
        return "".join(taken)

    first, again, other = (run(main(), seed=seed).value for seed in (1, 1, "2"))
    assert first == again != other
    assert set(first) == set(other) == set("abc")


def test_a_seed_changes_no_other_choice():
    choose = choice.seeded(None)
    assert choose("step", [1, 2, 3]) == choose("event", [1, 2]) == choice.first("option", "abc") == 0


# --- index 0 everywhere is production


class Recorder:
    """Notes every trap with its time, task and result, as a wrapper of the handlers."""

    def __init__(self):
        self.events = []

    def note(self, *event):
        self.events.append(event)

    def wrap(self, kernel, kind, handler):
        def handle(kernel, task, trap):
            try:
                answer = handler(kernel, task, trap)
            except BaseException as error:
                self.note(kernel.clock.now(), task.tid, kind.__name__, repr(error))
                raise
            self.note(kernel.clock.now(), task.tid, kind.__name__, repr(answer))
            return answer

        return handle


def in_three_ways(program):
    """Run `program(note)` as init by `run`, by single steps, and under the explorer at index 0; what each has seen."""
    seen = []
    for way in ("run", "step", "explore"):
        recorder = Recorder()
        options = {"clock": VirtualClock(), "log": recorder.note, "wrappers": [recorder.wrap]}
        if way == "explore":
            options |= {"runq": ExploringQueue(choice.first), "choose": choice.first}
        with Kernel(**options) as kernel:
            kernel.spawn(program(recorder.note))
            if way == "run":
                kernel.run()
            else:
                while kernel.step():
                    kernel.audit()
            recorder.note("init", repr(kernel.init_status), kernel.clock.now())
        seen.append(recorder.events)
    return seen


def the_family(note):
    """Traps, sleeps, subroutines, kills, errors, a full budget, clean-up that yields, and a shutdown."""

    def child(n):
        try:
            for k in range(70 * n):
                yield GetTid() if k % 3 else yields(k % 2)
            note("child", n, (yield Sleep(n / 2)))
            yield outcome("bad")
            yield from yields(n)
            raise ValueError(n)
        finally:
            note("child over", n, (yield GetTid()))

    def stays(n):
        try:
            while True:
                yield Sleep(1)
        finally:
            yield Sleep(n)

    tids = []
    for n in range(5):
        tids.append((yield NewTask(child(n))))
    for n in range(3):
        yield NewTask(stays(n))
    for n, tid in enumerate(tids):
        yield from yields(n)
        yield KillTask(tid, KILL if n % 2 else TERM)
    while len(tids) > 2:
        tids.pop()
        note("status", repr((yield WaitTask())))
    note(len((yield Tasks())))
    yield Sleep(2)


def the_pipe(note):
    """I/O becomes ready while other tasks keep the machine busy."""

    def reader(file):
        yield ReadWait(file)
        note("read", file.recv(9))

    def busy(name):
        for n in range(200):
            note(name, n)
            yield

    left, right = socket.socketpair()
    with left, right:
        tid = yield NewTask(reader(left))
        for name in "ab":
            yield NewTask(busy(name))
        yield NewTask(forever())
        yield KillTask(5, KILL)  # an entry of a dead task counts in its turn
        yield from yields(10)
        right.send(b"data")
        yield WaitTask(tid)
        yield WaitTask(3)


@pytest.mark.parametrize("program", [the_family, the_pipe])
def test_index_0_everywhere_is_the_production_run_event_for_event(program):
    run, step, explored = in_three_ways(program)
    assert len(run) > 100
    assert run == step
    assert run == explored


leaves = st.one_of(
    st.sampled_from(["yield", "wait", "bad", "error", "raise", "choose", "tasks", "clean up"]),
    st.tuples(st.just("traps"), st.integers(1, 130)),
    st.tuples(st.just("sleep"), st.sampled_from([0, 0.5, 1, 2])),
    st.tuples(st.just("kill"), st.integers(1, 9), st.sampled_from([TERM, KILL])),
)
programs = st.recursive(
    st.lists(leaves, max_size=6),
    lambda inner: st.lists(st.one_of(leaves, st.tuples(st.sampled_from(["spawn", "call"]), inner)), max_size=6),
    max_leaves=30,
)


def interpreter(operations, note):
    """A task that does what a list of operations says."""
    try:
        for operation in operations:
            note(operation)
            match operation:
                case "yield":
                    yield
                case "wait":
                    note(repr((yield WaitTask())))
                case "bad" | "error":
                    note(repr((yield from outcome(Sleep(-1) if operation == "error" else operation))))
                case "raise":
                    raise ValueError
                case "choose":
                    yield Choose("ab")
                case "tasks":
                    note([(info.tid, info.state) for info in (yield Tasks())])
                case "clean up":
                    try:
                        yield Sleep(1)
                    finally:
                        yield Sleep(0.25)
                case ("traps", n):
                    for _ in range(n):
                        yield GetTid()
                case ("sleep", seconds):
                    yield Sleep(seconds)
                case ("kill", tid, signal):
                    yield KillTask(tid, signal)
                case ("spawn", inner):
                    yield NewTask(interpreter(inner, note))
                case ("call", inner):
                    note(repr((yield outcome(interpreter(inner, note)))))
    finally:
        note("over", (yield GetTid()))


@settings(deadline=None, max_examples=150)
@given(programs)
def test_index_0_everywhere_is_production_for_any_program(operations):
    run, step, explored = in_three_ways(lambda note: interpreter(operations, note))
    assert run == step
    assert run == explored
