"""isolated=True is verified as far as it can be: what two tasks share and can change is named and refused."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
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


@pytest.mark.parametrize(
    "program",
    [
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
