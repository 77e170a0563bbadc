"""A task's failure is its own, whatever it raises, however it is called, and whatever it says about time."""

import io
import math
import sys
from dataclasses import dataclass

import pytest

from pyos import (
    KILL,
    TERM,
    Deadlock,
    GetTid,
    GetTime,
    KernelPanic,
    KillTask,
    NewTask,
    ReadWait,
    Sleep,
    TaskExit,
    TaskKilled,
    Tasks,
    WaitTask,
)
from pyos.kernel.kernel import current_kernel, log_to_stderr
from pyos.observe.strace import Strace
from tests.kernel.programs import fails, outcome, stubborn

# --- what a task cannot do to it


@dataclass(frozen=True)
class Frozen(Exception):
    code: int = 3


class Unsettable(Exception):
    def __setattr__(self, name, value):
        raise ValueError("no attributes here")


class Unaskable(Exception):
    def __getattribute__(self, name):
        raise ValueError("no answer")


class Unclassed(Exception):
    @property
    def __class__(self):
        raise ValueError("no class")


class Unprintable(Exception):
    def __str__(self):
        raise ValueError("no text")

    __repr__ = __str__


class Unnoted(Exception):
    @property
    def __notes__(self):
        raise ValueError("no notes")


class Falling(Exception):
    def with_traceback(self, trace):
        raise ValueError("no traceback")


BAD_ERRORS = [
    Frozen,
    Unsettable,
    Unaskable,
    Unclassed,
    Unprintable,
    Unnoted,
    Falling,
    lambda: SyntaxError("message", ("file", 1, "not a column", "text")),
    lambda: SyntaxError("message", ("file", "not a line", None, None)),
    lambda: KernelPanic("says the task"),
    lambda: Deadlock("says the task"),
    lambda: ExceptionGroup("several", [Unprintable(), Unnoted()]),
    lambda: KeyError(GetTid),
]


def raises(error, at):
    """Raise `error` at a place of its own."""

    class File:
        def fileno(self):
            raise error

    if at == "subroutine":
        yield raises(error, "after a step")
    if at == "trap":
        yield ReadWait(File())
    if at == "after a step":
        yield
    if at == "clean-up":
        try:
            yield Sleep(math.inf)
        finally:
            raise error
    raise error


@pytest.mark.parametrize("at", ["the first step", "after a step", "subroutine", "trap", "clean-up"])
@pytest.mark.parametrize("make", BAD_ERRORS)
def test_whatever_a_task_raises_is_its_own_affair(run, log, make, at):
    error = make()
    caught = []

    def catcher():
        try:
            yield raises(error, at)
        except BaseException as found:
            caught.append(found)

    def main():
        tid = yield NewTask(raises(error, at))
        if at == "clean-up":
            yield
            yield KillTask(tid, KILL)
        yield Sleep(1)  # so that the error is logged
        dead = yield WaitTask(tid)
        if at != "clean-up":
            yield WaitTask((yield NewTask(catcher())))
        return dead, (yield GetTime())

    dead, now = run(main()).value
    assert now == 1.0
    assert len(log) == 1
    if at == "clean-up":
        assert dead.signal is KILL
        assert "task 2 (raises)" in log[0]
        assert "its clean-up raised" in log[0]
    else:
        assert dead.error is error
        assert caught == [error]
        assert log[0].startswith(f"task 2 (raises) died of an uncaught {type(error).__name__}\n")


class Mute(TaskExit, TaskKilled):
    def __init__(self):
        pass


class MuteKilled(TaskKilled):
    def __init__(self):
        pass


class MuteSystemExit(SystemExit):
    @property
    def code(self):
        raise GeneratorExit("no code")


class Unsent(TaskKilled):
    def __init__(self):
        super().__init__(TERM)
        del self.sender


ENDS_THAT_DO_NOT_SAY_HOW = [
    Mute,
    MuteKilled,
    MuteSystemExit,
    Unsent,
    lambda: TaskKilled("TERM"),
    lambda: TaskKilled(15),
    lambda: TaskKilled(TERM, sender=GetTid),
]


@pytest.mark.parametrize("make", ENDS_THAT_DO_NOT_SAY_HOW)
def test_an_end_that_does_not_say_how_is_an_error_like_any_other(run, log, make):
    error = make()

    def main():
        tid = yield NewTask(fails(error))
        yield Sleep(1)
        return (yield WaitTask(tid))

    status = run(main()).value
    assert (status.error, status.signal) == (error, None)
    assert len(log) == 1


class Broken:
    def write(self, text):
        raise LookupError("no stream")


@pytest.mark.parametrize("stream", ["closed", "broken"])
def test_a_task_that_breaks_the_standard_error_harms_only_what_it_says(run, monkeypatch, stream):
    def breaks():
        broken = io.StringIO()
        broken.close()
        monkeypatch.setattr(sys, "stderr", broken if stream == "closed" else Broken())
        raise ValueError("unheard")
        yield

    def main():
        yield NewTask(breaks())
        yield Sleep(1)
        return "unharmed"

    assert run(main(), log=log_to_stderr).value == "unharmed"


@pytest.mark.parametrize("make", BAD_ERRORS)
def test_what_a_trap_raises_is_the_same_when_it_is_traced(run, make):
    error = make()

    def child():
        yield raises(error, "trap")

    def main():
        return (yield WaitTask((yield NewTask(child())))).error

    lines = []
    assert run(main(), wrappers=[Strace(lines.append).wrap]).value is error
    assert any(f"! {type(error).__name__}" in line for line in lines)


@pytest.mark.parametrize("name", [None, 3, "pyos.kernel.mine"])
def test_a_tasks_module_may_call_itself_anything(run, log, name):
    namespace = {"__name__": name}
    exec("def program():\n    yield\n    raise ValueError('mine')\n", namespace)

    def main():
        yield NewTask(namespace["program"]())
        yield Sleep(1)

    assert run(main()).ok
    assert log[0].startswith("task 2 (program) died of an uncaught ValueError")


class Name(str):
    """A name that cannot be printed."""

    __slots__ = ()

    def __format__(self, spec):
        raise ValueError("no format")

    def __str__(self):
        raise ValueError("no text")

    __repr__ = __str__


def test_a_name_or_reason_that_cannot_be_printed_is_taken_for_its_text(run, log):
    def main():
        yield NewTask(fails(ValueError()), name=Name("odd"))
        tid = yield NewTask(stubborn(), name=Name("late"))
        yield
        yield KillTask(tid, reason=Name("why"))
        yield Sleep(2)
        return [info.name for info in (yield Tasks())], (yield WaitTask(tid)).name

    names, name = run(main()).value
    assert names == ["main", "odd", "late"]
    assert type(name) is str
    assert log[0].startswith("task 2 (odd) died of an uncaught ValueError")
    assert log[1].startswith("task 3 (late) at ")


class Lying(float):
    """A number with an arithmetic of its own."""

    def __radd__(self, other):
        return "x"

    def __gt__(self, other):
        return True

    __ge__ = __lt__ = __le__ = __gt__

    def __eq__(self, other):
        return False

    __hash__ = float.__hash__


class Shifty(Lying):
    def __float__(self):
        return math.nan


def test_a_number_with_an_arithmetic_of_its_own_counts_for_its_value(run):
    order = []

    def main():
        for seconds in (5.0, Lying(3.0), 4, Lying(6.0), True + 1):
            yield NewTask(note(seconds))
        bad = [(yield outcome(Sleep(Shifty(1)))), (yield outcome(KillTask(2, grace=Shifty(1))))]
        yield KillTask((yield NewTask(stubborn())), grace=Lying(2.5))
        yield Sleep(20)
        return [type(error) for error in bad], order

    def note(seconds):
        yield Sleep(seconds)
        order.append(((yield GetTime()), (yield GetTid())))

    assert run(main()).value == ([ValueError, ValueError], [(2.0, 6), (3.0, 3), (4.0, 4), (5.0, 2), (6.0, 5)])


# --- bugs of its own


def buggy(error, kinds=(GetTime,)):
    """A wrapper that puts a bug into some handlers."""

    def wrap(kernel, kind, handler):
        def broken(kernel, task, trap):
            if kind in kinds:
                error(kernel)
            return handler(kernel, task, trap)

        return broken

    return wrap


def test_a_bug_in_a_handler_is_an_error_of_the_task_that_met_it(run):
    def main():
        error = yield outcome(GetTime())
        return type(error), (yield GetTid())

    assert run(main(), wrappers=[buggy(lambda kernel: 1 // 0)]).value == (ZeroDivisionError, 1)


@pytest.mark.breaks_kernels
@pytest.mark.parametrize("where", ["a task", "a subroutine", "clean-up"])
def test_a_panic_of_the_kernels_own_reaches_the_host_and_no_task(run, where):
    caught = []

    def clock():
        try:
            yield GetTime()
        except BaseException as error:
            caught.append(error)

    def cleans_up():
        try:
            yield Sleep(1)
        finally:
            yield from clock()

    def main():
        if where == "clean-up":
            tid = yield NewTask(cleans_up())
            yield
            yield KillTask(tid, KILL)
        yield clock() if where == "a subroutine" else GetTime()

    def breaks_and_audits(kernel):
        kernel.table.zombies += 1
        try:
            kernel.audit()
        finally:
            kernel.table.zombies -= 1

    with pytest.raises(KernelPanic, match="families_are_sound"):
        run(main(), wrappers=[buggy(breaks_and_audits)])
    assert caught == []
    assert current_kernel() is None
