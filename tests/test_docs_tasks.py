"""docs/tasks.md: its programs print what it says, its diagram is the kernel's table, and the table is the truth."""

import pytest

from pyos import CONT, INT, KILL, STOP, TERM, Channel, Exit, GetTid, KillTask, NewTask, Sleep, Timeout, WaitTask
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
        if task.status is None:  # not a dead task's entry
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


@pytest.mark.skip(reason="the table of moves does not yet know a running task that is stopped")
def test_every_move_of_the_table_happens_and_no_other(make_kernel, monkeypatch):
    book = Book()
    queue = Watched()
    queue.book = book
    kernel = make_kernel(runq=queue, log=lambda line: None)
    bury, forget = kernel.table.bury, kernel.table._forget

    def watched_bury(task, status, parent):
        book.buried(task, status)
        return bury(task, status, parent)

    def watched_forget(task):
        book.move(task, "reap")
        forget(task)

    monkeypatch.setattr(kernel.table, "bury", watched_bury)
    monkeypatch.setattr(kernel.table, "_forget", watched_forget)
    kernel.spawn(everything())
    while kernel.step():
        book.stepped()
        book.check(kernel)
    assert book.seen == set(MOVES)
    assert set(book.places.values()) == {"gone"}
