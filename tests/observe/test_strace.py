"""strace: one line a trap, with the time, the task, shortened arguments, and the result or error."""

import math
import socket
from types import GeneratorType

import pytest

from pyos import (
    CONT,
    KILL,
    STOP,
    Choose,
    Exec,
    Exit,
    GetTid,
    GetTime,
    KillTask,
    NewTask,
    Random,
    ReadWait,
    Sleep,
    Tasks,
    Timeout,
    WaitTask,
)
from pyos.kernel.clock import VirtualClock
from pyos.kernel.syscalls import HANDLERS
from pyos.observe.strace import Strace, print_to_stderr
from tests.kernel.programs import fails, forever, outcome, sleeps, yields


@pytest.fixture
def trace(run):
    """Run a program with strace, at a virtual time of 100 s; answers the lines."""

    def traced(target, **options):
        lines = []
        run(target, clock=VirtualClock(100.0), wrappers=[Strace(lines.append).wrap], **options)
        return lines

    return traced


def program(*traps):
    """Yield these traps, whatever comes of them."""
    for trap in traps:
        yield outcome(trap)


def test_a_trap_answered_at_once(trace):
    assert trace(program(GetTid())) == ["    0.000000 [   1] GetTid() = 1"]


def test_a_trap_that_blocks_is_printed_when_it_is_answered_with_how_long_it_took(trace):
    def main():
        yield NewTask(sleeps(0.25))
        yield Sleep(1.5)
        yield GetTid()

    assert trace(main()) == [
        "    0.000000 [   1] NewTask(target=<sleeps>) = 2",
        "    0.000000 [   2] Sleep(seconds=0.25) = None <0.250000>",
        "    0.000000 [   1] Sleep(seconds=1.5) = None <1.500000>",
        "    1.500000 [   1] GetTid() = 1",
    ]


def test_the_answer_of_a_wait_is_its_status(trace):
    def main():
        yield WaitTask((yield NewTask(yields(1, 7), name="kid")))
        yield WaitTask()

    assert trace(main())[1:] == [
        "    0.000000 [   1] WaitTask(tid=2) = ExitStatus(tid=2, name='kid', value=7, error=None, signal... <0.000000>",
        "    0.000000 [   1] WaitTask() = None",
    ]


def test_waiting_for_io(trace):
    here, there = socket.socketpair()

    def main():
        yield NewTask(late())
        yield ReadWait(here.fileno())

    def late():
        yield
        there.send(b"x")

    with here, there:
        assert trace(main())[1] == f"    0.000000 [   1] ReadWait(file={here.fileno()}) = None <0.000000>"


def test_an_error_is_the_result(trace):
    traps = [Sleep(-1), Sleep("x"), Choose(()), KillTask(1.5), Exec("/nowhere")]
    assert [line.partition("] ")[2] for line in trace(program(*traps))] == [
        "Sleep(seconds=-1) = ! ValueError: cannot sleep for -1 seconds",
        "Sleep(seconds='x') = ! TypeError: seconds are a number, not str",
        "Choose(options=()) = ! ValueError: there are no options to choose from",
        "KillTask(tid=1.5) = ! TypeError: a tid is an int, not float",
        "Exec(path='/nowhere') = ! FileNotFoundError: [Errno 2] no such program: '/nowhere'",
    ]


def test_an_error_of_a_program_that_is_loaded_is_the_result_of_exec(trace, tmp_path):
    (tmp_path / "bad.py").write_text("1 / 0")
    [line] = trace(program(Exec(str(tmp_path / "bad.py"))))
    assert line.endswith(") = ! ZeroDivisionError: division by zero")


def test_a_signal_is_the_result_of_the_trap_it_interrupts(trace):
    def main():
        tid = yield NewTask(forever())
        yield
        yield KillTask(tid, reason="enough")
        yield

    assert trace(main())[2] == (
        "    0.000000 [   2] Sleep(seconds=inf) = ! TaskKilled: TERM from task 1: enough <0.000000>"
    )


def test_a_signal_that_was_held_back_is_the_result_of_the_trap_it_is_raised_at(trace):
    """It was sent to a task that held an answer; the next trap that would block gets it instead."""

    def child():
        yield WaitTask(3)
        yield GetTid()
        yield Sleep(9)

    def main():
        tid = yield NewTask(child())
        yield NewTask(yields(1))
        yield
        yield
        yield KillTask(tid)
        yield

    lines = [line.partition("[   2] ")[2] for line in trace(main()) if "[   2]" in line]
    assert lines[1:] == ["GetTid() = 2", "Sleep(seconds=9) = ! TaskKilled: TERM from task 1"]


def test_a_trap_that_is_never_answered(trace):
    def main():
        tid = yield NewTask(forever())
        yield
        yield KillTask(tid, KILL)
        yield Exit(7)

    lines = trace(main())
    assert [line.partition("] ")[2] for line in lines[1:]] == [
        "Sleep(seconds=inf) = ? <0.000000>",
        "KillTask(tid=2, signal=<Signal.KILL: 9>) = True",
        "Exit(value=7) = ?",
    ]


def test_killing_oneself_has_no_answer(trace):
    lines = trace(program(KillTask(1, KILL)))
    assert [line.partition(" = ")[2] for line in lines] == ["?"]


def test_sleeping_for_no_time_is_answered(trace):
    assert trace(program(Sleep(0))) == ["    0.000000 [   1] Sleep(seconds=0) = None"]


@pytest.mark.parametrize("outer", [None, 5])
@pytest.mark.parametrize(
    ("seconds", "answer"), [(0.25, "42 <0.250000>"), (2, "! TaskTimeout: not done within 1 s <1.000000>")]
)
def test_a_timeout_around_a_subroutine_is_printed_when_that_has_ended(trace, seconds, answer, outer):
    target = Timeout(1, sleeps(seconds, 42))
    lines = trace(program(target if outer is None else Timeout(outer, target)))
    line = lines[-1]
    assert line.startswith("    0.000000 [   1] Timeout(seconds=")
    assert line.endswith(f" = {answer}")
    assert [line.partition("] ")[2].partition("(")[0] for line in lines] == ["Sleep", "Timeout"]


def test_a_timeout_around_a_subroutine_that_never_ends_has_no_answer(trace):
    def main():
        tid = yield NewTask(program(Timeout(1, sleeps(9))))
        yield
        yield KillTask(tid, KILL)

    assert "    0.000000 [   2] Timeout(seconds=1, target=<sleeps>) = ? <0.000000>" in trace(main())


def test_stopping_oneself_is_answered(trace):
    def child():
        yield KillTask((yield GetTid()), STOP)

    def main():
        tid = yield NewTask(child())
        yield
        yield KillTask(tid, CONT)

    assert "    0.000000 [   2] KillTask(tid=2, signal=<Signal.STOP: 19>) = True" in trace(main())


def test_the_traps_of_clean_up_code_are_printed_too(trace):
    def child():
        try:
            yield Sleep(math.inf)
        finally:
            yield GetTime()

    def main():
        tid = yield NewTask(child())
        yield
        yield KillTask(tid, KILL)

    assert "    0.000000 [   2] GetTime() = 100.0" in trace(main())


class Bad:
    def __repr__(self):
        raise ValueError("no repr")


class BadError(Exception):
    def __str__(self):
        raise ValueError("no str")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (list(range(100)), "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16..."),
        ("x" * 60, "'" + "x" * 56 + "..."),
        ("two\nlines", r"'two\nlines'"),
        (Bad(), "a Bad (its repr raised ValueError)"),
    ],
)
def test_values_are_shortened_to_one_line(trace, value, shown):
    [line] = trace(program(Choose([value])))
    assert line.partition(" = ")[2] == shown


def test_a_repr_of_several_lines_becomes_one(trace):
    class Lines:
        def __repr__(self):
            return "<one\n  two>"

    [line] = trace(program(Choose([Lines()])))
    assert line.endswith("] Choose(options=[<one two>]) = <one two>")


@pytest.mark.parametrize(("error", "shown"), [(ValueError("a\nb"), "a b"), (BadError(), "(its str raised ValueError)")])
def test_errors_are_one_line_too(trace, tmp_path, error, shown):
    class Options(list):
        def __getitem__(self, index):
            raise error

    [line] = trace(program(Choose(Options([1]))))
    assert line.endswith(f" = ! {type(error).__name__}: {shown}")


def test_every_trap_is_traced_and_nothing_else(trace):
    """Bare yields and calls of subroutines are no traps."""

    def main():
        yield
        yield yields(3)
        yield outcome(3)
        yield Random()
        yield Tasks()

    assert [line.partition("] ")[2].partition("(")[0] for line in trace(main(), seed=1)] == ["Random", "Tasks"]


def test_a_traced_system_does_what_an_untraced_one_does(run):
    """Errors, signals and answers reach the same tasks, with the same tracebacks."""

    def main():
        seen = []
        for trap in (Sleep(-1), GetTid(), WaitTask(1)):
            seen.append(type((yield outcome(trap))))
        tid = yield NewTask(sleeps(5, "five"))
        dying = yield NewTask(fails(ValueError("x")))
        statuses = [(yield WaitTask(tid)), (yield WaitTask(dying))]
        return seen, [(status.value, repr(status.error)) for status in statuses], (yield GetTime())

    plain = run(main()).value
    assert run(main(), wrappers=[Strace([].append).wrap]).value == plain


def test_off_it_costs_nothing(make_kernel):
    """The handlers are the very functions that are declared; with it, each is wrapped once."""
    plain = make_kernel()
    assert {kind: plain.handlers[kind] for kind in HANDLERS} == HANDLERS
    traced = make_kernel(wrappers=[Strace([].append).wrap])
    assert not any(traced.handlers[kind] is HANDLERS[kind] for kind in HANDLERS)
    assert {k: h for k, h in traced.handlers.items() if k not in HANDLERS} == {
        k: h for k, h in plain.handlers.items() if k not in HANDLERS
    }


def test_a_blocked_task_costs_a_traced_system_one_object(make_kernel):
    """The stand-in steps aside once it has printed."""
    lines = []
    kernel = make_kernel(wrappers=[Strace(lines.append).wrap])

    def main():
        yield Sleep(1)
        yield Sleep(1)

    task = kernel.spawn(main())
    kernel.step()
    assert type(task.gen).__name__ == "Answered"
    kernel.step()
    assert (len(lines), type(task.gen).__name__, type(task.gen.gen)) == (1, "Answered", GeneratorType)
    kernel.step()
    assert len(lines) == 2
    assert list(kernel.table) == []


def test_lines_go_to_standard_error(capsys):
    print_to_stderr("a line")
    assert capsys.readouterr() == ("", "a line\n")
