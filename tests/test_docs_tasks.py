"""docs/tasks.md: its programs print what it says, its diagram is the kernel's table, and the table is the truth."""

import math
import random

import pytest

from pyos import (
    CONT,
    INT,
    KILL,
    STOP,
    TERM,
    Channel,
    Exit,
    GetTid,
    KillTask,
    NewTask,
    Signal,
    Sleep,
    Tasks,
    Timeout,
    WaitTask,
)
from pyos.kernel.choice import Fifo
from pyos.kernel.signalling import PARKED
from pyos.kernel.tasks import MOVES
from tests.docs import TASKS, blocks, diagram, output_of, programs
from tests.kernel.programs import fails, forever, outcome, sleeps, yields

PROGRAMS = programs(TASKS)


@pytest.mark.parametrize(("code", "expected"), PROGRAMS, ids=[str(n) for n in range(len(PROGRAMS))])
def test_a_program_prints_what_the_document_says(code, expected, capsys):
    assert expected
    assert output_of(code, capsys) == expected


def test_there_are_programs():
    assert len(PROGRAMS) >= 5


def test_the_diagram_is_drawn_from_the_table_of_moves():
    assert [text for language, text in blocks(TASKS) if language == "mermaid"] == [diagram()]


# --- the table


class Watched(Fifo):
    """A run queue that tells what it is asked to do."""

    book = None

    def append(self, task):
        self.book.is_ready(task)
        super().append(task)

    def go_on(self, task):
        self.book.is_ready(task)
        super().appendleft(task)

    def popleft(self):
        task = super().popleft()
        self.book.resumed(task)
        return task


class Book:
    """Where each task is, move by move: a move that is not in the table is an error."""

    def __init__(self):
        self.places = {}
        self.seen = set()
        self.running = None

    def move(self, task, event):
        place = self.places.get(task, "new")
        assert (place, event) in MOVES, f"{task} is {place}, and there is no {event}"
        self.seen.add((place, event))
        self.places[task] = MOVES[place, event]

    def is_ready(self, task):
        place = self.places.get(task, "new")
        self.move(task, {"new": "start", "running": "yield", "blocked": "wake", "stopped": "continue"}[place])

    def resumed(self, task):
        self.stepped()  # a task that was parked, or had died: neither counts as a step
        if task.status is None:
            self.running = task
            self.move(task, "resume")

    def stepped(self):
        task, self.running = self.running, None
        if task is not None and self.places[task] == "running":
            assert task.wait is not None
            self.move(task, "park" if task.wait is PARKED else "block")

    def buried(self, task, status):
        self.move(task, "end" if self.places[task] == "running" and status.signal is not KILL else "kill")

    def check(self, kernel):
        """What is in the book must be what the tasks themselves say."""
        for task in kernel.table:
            place = "stopped" if task.wait is PARKED else task.state
            assert self.places[task] == place, task


def everything():
    """A program in which every move happens."""
    channel = Channel()
    tids = []
    for target in (forever(), yields(9), outcome(channel.get()), sleeps(1), fails(ValueError()), outcome(Exit(1))):
        tids.append((yield NewTask(target)))
    yield KillTask((yield NewTask(forever())), TERM)  # it has never run
    yield KillTask(tids[1], STOP)
    yield
    yield channel.put(1)
    yield KillTask(tids[2], STOP)
    yield KillTask(tids[0], STOP)
    yield Sleep(0.5)
    yield KillTask(tids[1], CONT)
    yield KillTask(tids[0], INT)
    yield KillTask(tids[0], CONT)
    yield KillTask(tids[2], KILL)
    yield KillTask((yield NewTask(yields(0))), KILL)
    blocked = yield NewTask(forever())
    yield Timeout(9, WaitTask(tids[1]))
    yield KillTask(blocked, KILL)
    yield KillTask(tids[3], TERM)
    yield outcome(Timeout(0.1, forever()))
    yield NewTask(kills_itself())
    yield NewTask(yields(2), detached=True)
    while (yield WaitTask()) is not None:
        pass


def kills_itself():
    yield KillTask((yield GetTid()), KILL)


def stops(tid=None):
    yield KillTask(tid or (yield GetTid()), STOP)


def stops_when_closed(tid):
    try:
        yield Sleep(math.inf)
    finally:
        yield KillTask(tid, STOP)


def kills(tid):
    yield
    yield KillTask(tid, KILL)
    yield Sleep(1)


def everything_about_stop():
    """STOP moves nobody by itself, wherever it finds its task: who comes up and is stopped is parked."""
    itself = yield NewTask(stops())
    caused = yield NewTask(kills(itself + 2))
    yield NewTask(stops_when_closed(caused))
    unborn = yield NewTask(forever())
    asleep = yield NewTask(outcome(Sleep(1)))
    waits_on = yield NewTask(outcome(Sleep(9)))
    yield KillTask(unborn, STOP)
    yield
    yield KillTask(asleep, STOP)
    yield KillTask(waits_on, STOP)
    yield Sleep(2)
    assert {info.tid for info in (yield Tasks()) if info.waiting_on == PARKED.describe(None)} == {
        itself,
        caused,
        unborn,
        asleep,
    }
    yield KillTask(asleep, INT)  # stays parked
    yield KillTask(waits_on, INT)  # wakes, and is parked with it
    yield
    yield KillTask(waits_on, CONT)
    for tid in (itself, caused, unborn, asleep):
        yield KillTask(tid, TERM)  # lets it go on
    while (yield WaitTask()) is not None:
        pass


def storm(seed):
    """Signals at random."""
    dice = random.Random(seed)
    channel = Channel(1)

    def puppet():
        for _ in range(dice.randrange(9)):
            yield outcome(dice.choice([Sleep(1), channel.put(1), channel.get(), yields(2), GetTid()]))
            if dice.random() < 0.3:
                yield KillTask(dice.randrange(2, 9), dice.choice(list(Signal)))

    for _ in range(7):
        yield NewTask(puppet(), detached=dice.random() < 0.3)
    for _ in range(30):
        yield dice.choice([None, None, Sleep(0.5)])
        yield KillTask(dice.randrange(2, 9), dice.choice([STOP, STOP, CONT, INT, TERM, KILL]))


def moves_of(program, make_kernel, monkeypatch):
    """Run a program, and check every move of every task."""
    book = Book()
    queue = Watched()
    queue.book = book
    kernel = make_kernel(runq=queue, log=lambda line: None)
    bury, reap, forget = kernel.table.bury, kernel.table.reap, kernel.table._forget

    def watched_bury(task, status, parent):
        book.buried(task, status)
        return bury(task, status, parent)

    def watched_forget(task):
        book.move(task, "reap")
        forget(task)

    def watched_reap(parent, zombie):
        book.move(zombie, "reap")
        reap(parent, zombie)

    monkeypatch.setattr(kernel.table, "bury", watched_bury)
    monkeypatch.setattr(kernel.table, "reap", watched_reap)
    monkeypatch.setattr(kernel.table, "_forget", watched_forget)
    task = kernel.spawn(program)
    while kernel.step():
        book.stepped()
        book.check(kernel)
    assert task.status is None or task.status.error is None
    assert set(book.places.values()) == {"gone"}
    return book.seen


def test_every_move_of_the_table_happens(make_kernel, monkeypatch):
    assert moves_of(everything(), make_kernel, monkeypatch) == set(MOVES)


def test_a_stopped_task_makes_no_move_that_is_not_in_the_table(make_kernel, monkeypatch):
    seen = moves_of(everything_about_stop(), make_kernel, monkeypatch)
    assert {("running", "park"), ("stopped", "continue"), ("stopped", "kill")} <= seen


@pytest.mark.parametrize("seed", range(50))
def test_no_storm_of_signals_makes_a_move_that_is_not_in_the_table(seed, make_kernel, monkeypatch):
    moves_of(storm(seed), make_kernel, monkeypatch)
