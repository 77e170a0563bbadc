"""The story of a failure: what a person reads, in at most 100 columns."""

from __future__ import annotations

import contextlib
import linecache
import os
import re
import sys
import unicodedata

import pytest

import pyos
from pyos import KILL, Cell, Channel, KillTask, Lock, NewTask, Receive, Send, Sleep, WaitTask, eventually
from pyos.check.footprint import Step
from pyos.check.race import Seen, find_race
from pyos.check.recorder import Row
from pyos.check.report import Failure
from pyos.check.story import tell
from tests.check.cases import crossed, late, lost_update, racy
from tests.kernel.programs import fails, yields

CODES = re.compile(r"\033\[[0-9;]*m")


def story(program, **options):
    """The story of a program's one failure."""
    (failure,) = pyos.check(program, **{"budget": 1000, **options}).failures
    return failure.story


def line_of(function, text):
    """The number of the first line with this text from the function's start on."""
    lines = linecache.getlines(sys.modules[function.__module__].__file__)
    start = function.__code__.co_firstlineno
    return next(number for number, line in enumerate(lines[start - 1 :], start) if text in line)


def test_it_tells_the_verdict_then_how_it_was_found_then_each_step():
    lines = story(crossed).splitlines()
    assert lines[0].startswith("deadlock: a cycle of waits: ")
    assert re.fullmatch(r"found by delay 1 in schedule \d+; 4 steps, 1 out of production's order \(\*\)", lines[1])
    assert re.fullmatch(r"step  where +1 work +2 work", lines[3])
    number = line_of(crossed, "first.acquire()")
    assert re.fullmatch(rf"   1  \S*cases\.py:{number} +Acquire\(a\) +\|", lines[4])
    assert re.fullmatch(rf"   2\* \S*cases\.py:{number} +\| +Acquire\(b\)", lines[5])
    assert re.fullmatch(rf"   3  \S*cases\.py:{number + 1} +\| +Acquire\(a\) blocks", lines[6])
    assert re.fullmatch(rf"   4  \S*cases\.py:{number + 1} +Acquire\(b\) blocks +\|", lines[7])


def test_columns_stay_below_their_heads():
    lines = story(crossed).splitlines()
    second = lines[3].index("2 work")
    assert lines[5].index("Acquire(b)") == second
    assert lines[4].rindex("|") == second


def test_the_wait_cycle_and_each_tasks_innermost_line_are_told():
    text = story(crossed)
    number = line_of(crossed, "second.acquire()")
    assert re.search(rf'\n  1 work, \S*cases\.py:{number} in work: lock "b" held by 2 \(work\)\n', text)
    assert re.search(rf'\n  2 work, \S*cases\.py:{number} in work: lock "a" held by 1 \(work\)\n', text)


def test_the_command_to_see_it_again_comes_last():
    (failure,) = pyos.check(crossed, seed=3).failures
    assert failure.story.endswith(f"to see it again:\n  pyos.check(crossed, seed=3, replay='{failure.replay}')")


# --- the racing pair


def races(program, **options):
    """What the story says about the race, in one line."""
    found = re.search(r"\n\nrace on (.*?)(\n\n|$)", story(program, **options), re.DOTALL)
    return None if found is None else " ".join(found[1].split())


def test_two_steps_that_race_on_a_python_variable_are_named():
    place = r"\S*cases\.py:\d+"
    expected = (
        rf"total: step 2 \(task 2, {place}\): reads total\[0\], before step 3 \(task 1, {place}\): writes total\[0\]"
    )
    assert re.fullmatch(expected, races(lost_update))


def test_two_steps_that_race_on_a_kernel_object_are_named():
    first, second = line_of(late, "ready.load()"), line_of(late, "ready.store(True)")
    expected = rf'cell "ready": step 2 \(task 2, \S+:{first}\): Load\(ready\), before \(task 1, \S+:{second}\): Store'
    assert re.match(expected, races(late))


def test_a_deadlocks_race_is_the_pair_that_the_deviation_has_turned_round():
    assert re.match(
        r'lock "b": step 2 \(task 2, .*\): Acquire\(b\), before step 4 \(task 1, .*\): Acquire\(b\)', races(crossed)
    )


def test_a_race_on_a_global_and_on_an_attribute_is_seen():
    class Account:
        def __init__(self):
            self.balance = 0

    def program():
        account = Account()

        def pay():
            seen = account.balance
            yield
            account.balance = seen + 1

        eventually(lambda: account.balance == 2)
        return [pay(), pay()]

    assert "reads account.balance, before step 3" in races(program)
    assert "writes account.balance" in races(program)


def test_the_pair_is_one_that_the_deviation_has_turned_round_and_not_any_other():
    rows = [Row(1, 1, "a"), Row(2, 2, "b", choice=1, options=(1, 2)), Row(3, 3, "c"), Row(4, 1, "a")]
    steps = [Step((row.tid,)) for row in rows]
    for number, names in ((2, "xy"), (3, "x"), (4, "y")):
        for name in names:
            steps[number - 1].touch(("object", name))
    race = find_race(Seen(rows, steps, {("object", "y"): 'lock "y"'}), "assertion")
    assert (race.first.number, race.second.number, race.on) == (2, 4, 'lock "y"')


def test_messages_race_on_the_mailbox():
    def program():
        def tell_it(boss, what):
            yield Send(boss, what)

        yield NewTask(tell_it(1, "a"))
        yield NewTask(tell_it(1, "b"))
        got = []
        while len(got) < 2:
            got.append((yield Receive())[1])
        while (yield WaitTask()):
            pass
        assert got == ["a", "b"]

    assert "the mailbox of task 1: " in races(program)


def test_a_failure_that_is_no_race_names_none():
    assert races(lambda: [yields(2), fails(ValueError("x"))]) is None


# --- which of the accesses to a shared Python object race


def of_a_key_that_is_checked_and_then_written():
    def work(d):
        if d["first"] == 0:
            yield
            d["first"] += 1
            d["second"] = "x"

    d = {"first": 0, "second": 0}
    a = yield NewTask(work(d))
    b = yield NewTask(work(d))
    yield WaitTask(a)
    yield WaitTask(b)
    assert d["first"] <= 1


def of_an_attribute_that_is_not_the_last_one_written():
    class Account:
        def __init__(self):
            self.a, self.log = 100, 0

    def work(acc, n):
        seen = acc.a
        yield
        acc.a = seen - n
        acc.log += 1

    acc = Account()
    a = yield NewTask(work(acc, 10))
    b = yield NewTask(work(acc, 20))
    yield WaitTask(a)
    yield WaitTask(b)
    if acc.a != 70:
        raise ValueError(acc.a)


def of_a_check_outside_of_its_lock():
    accounts, lock = {"a": 100, "b": 0}, Lock("bank")

    def transfer(n):
        if accounts["a"] >= n:
            yield lock.acquire()
            accounts["a"] -= n
            accounts["b"] += n
            yield lock.release()

    one = yield NewTask(transfer(70))
    two = yield NewTask(transfer(60))
    yield WaitTask(one)
    yield WaitTask(two)
    assert accounts["a"] >= 0, accounts


def of_two_orders_of_one_lock():
    def work(lock, d):
        yield lock.acquire()
        d["z"] = d.get("y", 0)
        yield lock.release()

    d, lock = {}, Lock("l")
    child = yield NewTask(work(lock, d))
    yield lock.acquire()
    d["x"] = 1
    yield
    d["y"] = 2
    yield lock.release()
    yield WaitTask(child)
    assert d.get("z") == 2, d


def of_slots_by_number():
    slots, done = [0, 0, 0], [0]

    def fill(number):
        slots[number] = number
        seen = done[0]
        yield
        slots[number] += 1
        done[0] = seen + 1

    a = yield NewTask(fill(1))
    b = yield NewTask(fill(2))
    yield WaitTask(a)
    yield WaitTask(b)
    assert done[0] == 2, slots


@pytest.mark.parametrize(
    ("program", "first", "second", "on"),
    [
        (of_a_key_that_is_checked_and_then_written, "reads d['first']", "writes d['first']", "d"),
        (of_an_attribute_that_is_not_the_last_one_written, "reads acc.a", "writes acc.a", "acc"),
        (of_a_check_outside_of_its_lock, "reads accounts['a']", "writes accounts['a']", "accounts"),
        (of_two_orders_of_one_lock, "reads d.get('y', 0)", "writes d['y']", "d"),
        (of_slots_by_number, "reads done[0]", "writes done[0]", "done"),
    ],
)
def test_a_race_is_on_the_same_item_or_attribute(program, first, second, on):
    pair = re.fullmatch(
        r"(\w+): step \d+ \(task (\d), \S+\): (.*), before step \d+ \(task (\d), \S+\): (.*)", races(program)
    )
    assert (pair[1], pair[3], pair[5]) == (on, first, second)
    assert pair[2] != pair[4]


def test_to_make_a_task_of_an_object_or_to_read_it_after_its_end_is_no_race():
    def program():
        def work(d):
            d["a"] = 1
            yield
            d["b"] = 2

        d = {}
        yield WaitTask((yield NewTask(work(d))))
        kept = [d, 0]
        yield
        assert not kept[0]["b"]

    assert races(program) is None


def test_to_load_an_objects_name_is_no_read_of_it():
    def program():
        def work(d):
            kept = d
            yield
            other = kept
            yield
            seen = other is d
            return seen

        def store(d):
            yield
            yield
            d["a"] = 1

        d = {}
        a, b = (yield NewTask(work(d))), (yield NewTask(store(d)))
        yield WaitTask(a)
        yield WaitTask(b)
        assert not d

    assert races(program) is None


def test_to_go_through_a_whole_object_races_with_a_write_of_one_item():
    def program():
        items = {"a": 1}

        def total():
            yield
            return sum(items.values())

        def add():
            yield
            yield
            items["b"] = 2

        a, b = (yield NewTask(total())), (yield NewTask(add()))
        status = yield WaitTask(a)
        yield WaitTask(b)
        assert status.value == 3

    assert re.search(r"reads items.values\(\), before .* writes items\['b'\]", races(program))


def test_what_is_missing_when_it_is_read_races_with_the_write_that_was_still_to_come():
    def program():
        settings = {}

        def prepare():
            yield
            settings["url"] = "x"

        def use():
            yield
            yield
            settings["url"]

        return [prepare(), use()]

    assert re.search(r"^settings: .* reads settings\['url'\], before .* writes settings\['url'\]", races(program))


def test_a_local_that_only_its_own_task_closes_over_is_no_other_tasks():
    def program():
        def work(number):
            mine = [number]
            yield
            both = [mine[0] for _ in range(2)]
            yield
            mine = both

        a = yield NewTask(work(1))
        b = yield NewTask(work(2))
        yield WaitTask(a)
        yield WaitTask(b)
        raise ValueError("no race")

    assert races(program) is None


def test_a_race_is_told_by_the_name_that_says_more_than_self():
    class Account:
        def __init__(self):
            self.balance = 0

        def pay(self, amount):
            self.balance = amount

    def program():
        account = Account()

        def pay():
            seen = account.balance
            yield
            account.pay(seen + 1)

        a = yield NewTask(pay())
        b = yield NewTask(pay())
        yield WaitTask(a)
        yield WaitTask(b)
        if account.balance != 2:
            raise ValueError(account.balance)

    assert re.search("^account: .* reads account.balance, before .* writes self.balance", races(program))


def test_each_item_that_a_loop_goes_through_in_one_step_is_seen():
    def program():
        slots = [0, 0, 0]

        def add_up():
            total = 0
            for number in range(3):
                total += slots[number]
            yield
            slots[0] = total

        def fill():
            slots[2] = 7
            yield

        a = yield NewTask(add_up())
        b = yield NewTask(fill())
        yield WaitTask(a)
        yield WaitTask(b)
        assert slots[0] == 7

    assert re.search(r"reads slots\[number\], before .* writes slots\[2\]", races(program))


def test_to_take_an_item_out_of_a_dict_races_with_the_use_of_that_item_only():
    def program():
        items, taken = {"a": 1, "b": 2}, []

        def take(key):
            items["b" if key == "a" else "a"]
            if key in items:
                yield
                taken.append(items.pop("a", None))

        a = yield NewTask(take("a"))
        b = yield NewTask(take("a"))
        yield WaitTask(a)
        yield WaitTask(b)
        if items.get("a") or None in taken:
            raise ValueError(taken)

    assert "writes items.pop('a', None)" in races(program)


# --- steps


def test_a_blocked_step_says_which_step_brought_the_answer():
    def program():
        channel = Channel(name="work")

        def get():
            item = yield channel.get()
            assert item == 6

        def put():
            yield channel.put(7)

        return [get(), put()]

    text = story(program)
    assert "Get(work) blocks until 2 = 7" in text
    assert "Put(work, 7)" in text
    assert "raises AssertionError" in text


def test_an_error_answer_a_death_and_the_passing_of_time_are_told():
    def program():
        lock = Lock("door")
        yield Sleep(2.5)
        with contextlib.suppress(PermissionError):
            yield lock.release()
        child = yield NewTask(yields(5), name="child")
        yield
        yield KillTask(child, KILL)
        raise ValueError("end")

    text = story(program)
    assert re.search(r"\n +2\.5 s\n", text)
    assert "Release(door) raises PermissionError: task 1" in " ".join(text.replace("|", " ").split())
    assert "task 2 (child) is killed by KILL" in text
    assert "raises ValueError: end" in text
    assert 'raise ValueError("end")\nValueError: end\n' in text


def test_a_yield_that_is_no_trap_says_what_was_raised():
    def program():
        try:
            yield 5
        except TypeError:
            raise LookupError from None

    assert "yield raises BadTrap: yielded 5" in story(program)


def test_things_are_told_by_name_and_never_by_address():
    class Thing:
        def __init__(self):
            self.size = 3

    def program():
        channel, cell, lock = Channel(3), Cell(0), Lock()
        yield channel.put(Thing())
        yield channel.put([object()] * 20)
        yield cell.store(program)
        yield lock.acquire()
        child = yield NewTask(yields(1))
        yield WaitTask(child)
        raise ValueError(child)

    text = story(program)
    assert "0x" not in text
    assert "Put(channel #1, Thing(size=3))" in text
    assert "Acquire(lock #3)" in text
    assert "NewTask(yields()) = 2" in text
    assert "WaitTask(2) blocks until" in text


def test_paths_are_relative_to_here():
    text = story(crossed)
    assert os.getcwd() not in text
    assert os.path.relpath(sys.modules[crossed.__module__].__file__)[-20:] in text


# --- size


def of_many_tasks(n):
    def program():
        forks = [Lock(f"fork {i}") for i in range(n)]

        def philosopher(i):
            yield forks[i].acquire()
            yield
            yield forks[(i + 1) % n].acquire()

        return [philosopher(i) for i in range(n)]

    return program


def of_long_words():
    def program():
        channel = Channel(1, "a channel with quite a long name, which nobody has shortened")

        def a_function_with_a_name_that_is_rather_too_long_for_any_column():
            yield channel.put("x" * 200)
            raise ValueError("because " + "of this " * 30)

        yield NewTask(a_function_with_a_name_that_is_rather_too_long_for_any_column(), name="y" * 150)
        yield NewTask(a_function_with_a_name_that_is_rather_too_long_for_any_column(), linked=True)
        yield Sleep(5)

    return program


def of_a_deep_stack():
    def dig(depth):
        if depth:
            yield from dig(depth - 1)
        else:
            yield
            raise ValueError("bottom")

    return lambda: [dig(50)]


def livelock():
    while True:
        yield


def of_wide_characters(n):
    def program():
        lock, channel = Lock("鎖" * 30), Channel(1, "通" * 9)

        def 仕事():
            yield
            yield lock.acquire()
            yield channel.put("日本語" * 40 + "x" * 50)
            raise ValueError("漢字x" * 30)

        return [仕事() for _ in range(n)]

    return program


PROGRAMS = [
    crossed,
    lost_update,
    late,
    *map(of_many_tasks, (2, 3, 4, 5, 16, 17, 40)),
    of_long_words(),
    of_a_deep_stack(),
    livelock,
    of_wide_characters(2),
    of_wide_characters(7),
]


def columns(line):
    return sum(1 + (unicodedata.east_asian_width(char) in "WF") for char in line)


@pytest.mark.parametrize("program", PROGRAMS)
def test_no_line_is_wider_than_100_columns_but_the_command(program):
    text = story(program, max_steps=3000)
    body, _, command = text.partition("to see it again:\n")
    assert command
    assert max(map(columns, body.splitlines())) <= 100


def test_wide_characters_take_two_columns():
    """What stands beside them is where it is without them."""
    lines = [line for line in story(of_wide_characters(2)).splitlines() if line.endswith("|")]
    assert any("通" in line for line in lines)
    assert len({columns(line) for line in lines}) == 1


def test_the_line_above_a_story_is_not_wider_either():
    report = pyos.check(crossed, strategy="delay", delays=0)
    report.bound = "for a reason that is told in very many words, " * 4
    assert max(map(len, str(report).splitlines())) <= 100
    assert chr(10) not in report.summary


@pytest.mark.parametrize("program", PROGRAMS)
def test_colours_change_nothing_but_the_colour(program):
    (failure,) = pyos.check(program, budget=1000, max_steps=3000).failures
    plain, colored = tell(failure), tell(failure, color=True)
    assert "\033" not in plain
    assert "\033[31m" in colored
    assert CODES.sub("", colored) == plain


def test_many_tasks_have_lanes_which_are_free_again_once_a_task_has_ended():
    def program():
        def short():
            yield

        for _ in range(20):
            yield WaitTask((yield NewTask(short())))
        raise ValueError("end")

    text = story(program)
    assert "\nstep  where" in text
    assert re.search(r"\n +\d+  \S+ +\| o +21 short: yield\n", text)
    assert re.search(r"\n +\d+  \S+ +o +1 program: raises ValueError: end\n", text)


def test_a_task_without_a_lane_is_marked():
    assert re.search(r"(\| ){15}o  16 philosopher: Acquire\(fork 15\)", story(of_many_tasks(17)))
    assert re.search(r"(\| ){16}\+17 philosopher: Acquire\(fork 16\)", story(of_many_tasks(17)))


def test_a_long_run_is_elided_in_the_middle():
    lines = story(livelock, max_steps=3000).splitlines()
    steps = [line for line in lines if re.match(r" *\d+[ *] ", line)]
    assert len(steps) == 60
    assert steps[0].split()[0] == "1"
    assert steps[-1].split()[0] == "3000"
    assert " ...  2940 more steps" in lines


def test_deviations_in_the_middle_of_a_long_run_are_shown():
    def program():
        state = []

        def first():
            for _ in range(60):
                yield
            state.append("first")
            for _ in range(60):
                yield

        def second():
            for _ in range(60):
                yield
            assert state, "too early"

        return [first(), second()]

    text = story(program, strategy="delay", delays=1)
    assert " more steps" in text
    assert len(re.findall(r"\n *\d+\* ", text)) == 1


def test_a_failure_without_a_run_has_a_story():
    assert tell(Failure("error", "what")).startswith("error: what\nfound by ")


def test_a_report_says_what_was_seen_in_words():
    report = pyos.check(racy, strategy="dfs", budget=None)
    assert str(report).splitlines() == [
        "6 schedules by dfs, complete: every schedule that matters; nothing found",
        "outcomes:",
        "  4 x 1",
        "  2 x 2",
    ]
    bounded = pyos.check(racy, strategy="random", budget=5)
    assert str(bounded).startswith("5 schedules by random, not complete: 5 schedules used up, a random sample; nothing")
