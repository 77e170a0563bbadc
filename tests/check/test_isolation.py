"""isolated=True is verified as far as it can be: what two tasks share and can change is named and refused."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property, partial
from typing import NamedTuple

import pytest

import pyos
from pyos import Cell, Channel, Lock, NewTask, Send, WaitTask
from pyos.check.isolation import NotIsolated
from tests.check.cases import cells, crossed, lost_update, ordered, racy

TABLE: dict[str, int] = {}
COUNTER = 0
LOCKS = (Lock("one"), Lock("two"))


def check(program):
    return pyos.check(program, isolated=True, strategy="dpor", budget=500)


def refused(program):
    """What a program is refused for."""
    with pytest.raises(NotIsolated) as caught:
        check(program)
    return str(caught.value)


# --- what is refused


def closes_over_a_list():
    box = []

    def work():
        box.append(1)
        yield

    return [work(), work()]


def assigns_a_variable():
    total = 0

    def work():
        nonlocal total
        total += 1
        yield

    return [work(), work()]


def assigns_a_global():
    def work():
        global COUNTER
        COUNTER += 1
        yield

    return [work(), work()]


def names_a_global():
    def work():
        TABLE["x"] = 1
        yield

    return [work(), work()]


def names_a_global_in_a_helper():
    def helper():
        return TABLE

    def work():
        helper()["x"] = 1
        yield

    return [work(), work()]


def is_given_a_list():
    def work(items):
        items.append(1)
        yield

    shared = []
    return [work(shared), work(shared)]


def is_given_things_with_a_list_inside():
    def work(thing):
        yield

    shared = []
    return [work({"a": (1, shared)}), work(deque([[shared]]))]


class Account:
    def __init__(self):
        self.balance = 0

    def pay(self):
        self.balance += 1
        yield


def is_a_method_of_an_object():
    account = Account()
    return [account.pay(), account.pay()]


def starts_children_that_share():
    box = []

    def work():
        box.append(1)
        yield

    for _ in range(2):
        yield NewTask(work())
    while (yield WaitTask()):
        pass


def shares_with_its_child():
    def work(box):
        box.append(1)
        yield

    box = []
    yield WaitTask((yield NewTask(work(box))))


def shares_with_its_grandchild():
    def work(box):
        box.append(1)
        yield

    def child(box):
        yield WaitTask((yield NewTask(work(box))))

    box = []
    yield WaitTask((yield NewTask(child(box))))


def is_given(*things):
    """A program of two tasks, each given one of these."""

    def work(thing):
        yield

    return lambda: [work(thing) for thing in things]


class Holder:
    __slots__ = ("held", "not_yet")

    def __init__(self, held):
        self.held = held


def steps_through_one_generator():
    def numbers():
        yield from range(10)

    def work(source):
        next(source)
        yield

    source = numbers()
    return [work(source), work(source)]


class Counted:
    made = 0
    known: dict[str, int] = {}

    def count(self):
        type(self).made += 1

    @classmethod
    def count_all(cls):
        value = cls.made
        yield
        cls.made = value + 1

    @staticmethod
    def look():
        return TABLE


class Made:
    number = 0


def assigns_a_class_attribute():
    def work():
        Made.number += 1
        yield

    def looks():
        assert Made.number < 5
        yield

    return [work(), looks()]


def assigns_an_attribute_of_the_class_of_an_object():
    class Ticket:
        last = 0

        def __init__(self):
            type(self).last += 1

        def again(self):
            self.__class__.last = 5

    def work():
        Ticket()
        yield

    return [work(), work()]


def names_a_global_in_a_method():
    class Log:
        def add(self):
            TABLE["x"] = 1

    def work():
        Log().add()
        yield

    return [work(), work()]


def has_a_list_in_a_class():
    class Log:
        lines: list[str] = []

    def work():
        Log.lines.append("")
        yield

    return [work(), work()]


def assigns_a_variable_that_another_reads():
    total = 0

    def work():
        nonlocal total
        total += 1
        yield

    def looks():
        assert total < 5
        yield

    return [looks(), work()]


SHARED, OWNED = [], Account()


@pytest.mark.parametrize(
    ("program", "name", "kind", "tasks"),
    [
        (closes_over_a_list, "box", "list", (1, 2)),
        (assigns_a_variable, "total (which is assigned to)", "cell", (1, 2)),
        (assigns_a_global, "COUNTER (which is assigned to)", "dict", (1, 2)),
        (names_a_global, "TABLE", "dict", (1, 2)),
        (names_a_global_in_a_helper, "TABLE", "dict", (1, 2)),
        (is_given_a_list, "items", "list", (1, 2)),
        (is_given_things_with_a_list_inside, "thing", "list", (1, 2)),
        (is_a_method_of_an_object, "self", "Account", (1, 2)),
        (starts_children_that_share, "box", "list", (1, 2)),
        (shares_with_its_child, "box", "list", (1, 2)),
        (shares_with_its_grandchild, "box", "list", (1, 2)),
        (lost_update, "total", "list", (1, 2)),
        (lambda: racy()[0], "total", "list", (1, 2)),
        (is_given(SHARED.append, SHARED.__len__), "thing", "list", (1, 2)),
        (is_given(OWNED.pay, OWNED.pay), "thing", "Account", (1, 2)),
        (is_given(partial(len, SHARED), partial(print, end=SHARED)), "thing", "list", (1, 2)),
        (is_given(partial(SHARED.append, 1), SHARED), "thing", "list", (1, 2)),
        (is_given(Holder(SHARED), Holder((SHARED,))), "thing", "list", (1, 2)),
        (steps_through_one_generator, "source", "generator", (1, 2)),
        (assigns_a_class_attribute, "Made (whose number is assigned to)", "type", (1, 2)),
        (lambda: [Counted.count_all(), Counted.count_all()], "Counted (whose made is assigned to)", "type", (1, 2)),
        (assigns_an_attribute_of_the_class_of_an_object, "Ticket (whose last is assigned to)", "type", (1, 2)),
        (names_a_global_in_a_method, "TABLE", "dict", (1, 2)),
        (has_a_list_in_a_class, "Log.lines", "list", (1, 2)),
        (assigns_a_variable_that_another_reads, "total (which is assigned to)", "cell", (1, 2)),
    ],
)
def test_what_two_tasks_share_and_can_change_is_named(program, name, kind, tasks):
    message = refused(program)
    assert message.startswith(f"{name!r} (a {kind}) is shared by tasks {tasks[0]} and {tasks[1]}: ")
    assert "isolated=True takes tasks that share kernel objects only" in message


# --- what is not


def shares_kernel_objects():
    lock, channel, cell = Lock(), Channel(3), Cell(0)
    pair = (lock, (channel,))

    def work(n):
        yield pair[0].acquire()
        yield channel.put(n)
        yield cell.store(n)
        yield lock.release()

    return [work(1), work(2)]


def shares_what_cannot_change():
    names, limits = ("a", "b"), frozenset({1, 2})

    def work(config, names=names):
        assert names[0] in config.names
        assert 1 in limits
        yield LOCKS[0].acquire()
        yield LOCKS[0].release()

    config = Config(3, ("a",))
    return [work(config), work(config)]


@dataclass(frozen=True)
class Config:
    size: int
    names: tuple[str, ...]


class Point(NamedTuple):
    x: int
    lock: Lock


def shares_a_named_tuple():
    def work(point):
        yield point.lock.acquire()
        yield point.lock.release()

    point = Point(1, Lock())
    return [work(point), work(point)]


def has_lists_of_its_own():
    def work():
        mine = []
        for n in range(2):
            mine.append(n)
            yield

    return [work(), work()]


def keeps_lists_for_itself():
    tids, results = [], []

    def work(n):
        yield
        return n

    for n in range(2):
        tids.append((yield NewTask(work(n))))
    for tid in tids:
        results.append((yield WaitTask(tid)).value)
    return tuple(results)


class Color(Enum):
    RED = 1
    BLUE = 2

    def other(self):
        return Color.BLUE if self is Color.RED else Color.RED


class Refused(Exception):
    def __init__(self, why):
        super().__init__(why)
        self.why = why


class Shape(ABC):
    sides = 0

    @abstractmethod
    def area(self): ...


@dataclass(order=True)
class Square(Shape):
    side: float = 1.0
    marks: list[str] = field(default_factory=list)

    sides = 4

    def area(self):
        self.marks.append("asked")
        return self.side**2

    @property
    def is_large(self):
        return self.side > 10

    @cached_property
    def twice(self):
        return 2 * self.side


def has_classes_of_the_programs():
    def work(cell):
        square = Square(2.0)
        square.side = 3.0
        try:
            if square.area() < 0 or square.is_large or square.twice < 0:
                raise Refused("no")
        except Refused:
            return
        yield cell.store((Color.RED.other(), Point(1, LOCKS[0]), Square(1.0) < square))

    cell = Cell(0)
    return [work(cell), work(cell)]


def is_given_what_is_its_own():
    def work(add, name, power, source, square, cell):
        add(name("a"))
        yield cell.store((power(2), next(source), square.area()))

    cell = Cell(0)
    return [
        work([].append, str.upper, POWER, (n for n in range(3)), Square(), cell),
        work([].append, str.upper, POWER, (n for n in range(3)), Square(), cell),
    ]


POWER = partial(pow, 3)


def keeps_the_generators_that_it_starts():
    def work(box):
        box.append(1)
        yield

    def starts(job):
        yield WaitTask((yield NewTask(job)))

    jobs = (work([]), work([]))
    helper = yield NewTask(starts(jobs[0]))
    child = yield NewTask(jobs[1])
    yield WaitTask(child)
    yield WaitTask(helper)


@pytest.mark.parametrize(
    "program",
    [
        has_classes_of_the_programs,
        is_given_what_is_its_own,
        keeps_the_generators_that_it_starts,
        cells,
        crossed,
        ordered,
        shares_kernel_objects,
        shares_what_cannot_change,
        shares_a_named_tuple,
        has_lists_of_its_own,
        keeps_lists_for_itself,
    ],
)
def test_what_only_one_task_has_or_nobody_can_change_is_allowed(program):
    report = check(program)
    assert report.schedules > 0
    assert report.schedules <= pyos.check(program, strategy="dfs", budget=500).schedules


def test_a_frozen_dataclass_with_a_list_in_it_is_refused():
    def program():
        def work(config):
            yield

        config = Config(1, [])
        return [work(config), work(config)]

    assert refused(program).startswith("'config' (a list) is shared")


def test_what_travels_in_a_message_is_the_programmers_promise():
    def program():
        def work(boss):
            yield Send(boss, [1])

        child = yield NewTask(work(1))
        yield pyos.Receive()
        yield WaitTask(child)

    check(program)


def test_without_isolated_nothing_is_looked_at():
    assert pyos.check(closes_over_a_list, strategy="dfs", budget=None).complete


def test_the_tasks_that_were_looked_at_are_not_run_again_by_that():
    started = []

    def program():
        def work():
            started.append(1)
            yield

        return [work()]

    pyos.check(program, strategy="production", budget=None)
    plain = len(started)
    started.clear()
    pyos.check(program, strategy="production", budget=None, isolated=True)
    assert len(started) == plain + 1
