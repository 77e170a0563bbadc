"""Syscalls: whatever is passed to a trap is an error in the task or has an answer; and what the small ones answer."""

import os
import random
from types import CoroutineType, GeneratorType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyos import (
    KILL,
    BadTrap,
    Cell,
    Channel,
    Choose,
    Condition,
    Event,
    Exec,
    Exit,
    GetTid,
    GetTime,
    KillTask,
    LimitExceeded,
    Limits,
    Lock,
    NewTask,
    ProgramError,
    Random,
    ReadWait,
    Sleep,
    TaskKilled,
    Tasks,
    WaitTask,
)
from pyos import run as run_for_real
from pyos.kernel.clock import VirtualClock
from pyos.manual import all_traps
from pyos.traps import Trap, arguments_of
from tests.kernel.garbage import GARBAGE
from tests.kernel.programs import fails, forever, outcome, sleeps, yields

# --- garbage

PLAUSIBLE = {
    "target": lambda: yields(0),
    "path": lambda: "/dev/null",
    "argv": lambda: (),
    "tid": lambda: 99,
    "signal": lambda: 15,
    "grace": lambda: 1.0,
    "file": lambda: 0,
    "seconds": lambda: 0.5,
    "wall": lambda: False,
    "options": lambda: "ab",
    "value": lambda: None,
    "name": lambda: None,
    "detached": lambda: False,
    "reason": lambda: None,
    "linked": lambda: False,
    "limits": lambda: None,
    "tids": lambda: (1,),
    "message": lambda: None,
    "lock": Lock,
    "event": Event,
    "condition": lambda: Condition(Lock()),
    "channel": lambda: Channel(9),
    "cell": lambda: Cell(0),
    "item": lambda: None,
    "n": lambda: 1,
}
ARGUMENTS = [(kind, name) for kind in all_traps() for name in arguments_of(kind)]


def trap_with(kind, **given):
    """A trap whose arguments are plausible but for the given ones; its class is not asked."""
    trap = object.__new__(kind)
    for name in arguments_of(kind):
        setattr(trap, name, given[name] if name in given else PLAUSIBLE[name]())
    return trap


def victim(trap, seen):
    """Yield the trap, note what comes of it, and prove that life goes on."""
    try:
        answer = yield trap
        seen.append(("answer", answer))
    except BaseException as error:
        seen.append(("error", error))
    seen.append((yield GetTid()))


def feed(makers):
    """As init: the names of those traps which a task could not yield and either go on or be blocked by."""
    lost = []
    for what, make in makers:
        seen = []
        tid = yield NewTask(victim(make(), seen), detached=True)
        yield
        yield
        blocked = [info.waiting_on for info in (yield Tasks()) if info.tid == tid]
        waits_for_a_reason = bool(blocked and blocked[0] and not seen)
        went_on = not blocked and seen[1:] == [tid]
        if not waits_for_a_reason and not went_on:
            lost.append(what)
        assert (yield KillTask(tid, KILL)) is bool(blocked)
        witness = yield NewTask(yields(2, "well"))
        assert (yield WaitTask(witness)).value == "well"
    yield Sleep(100)  # whatever was put among the timers is due in its turn
    return lost


@pytest.mark.parametrize(("kind", "argument"), ARGUMENTS)
def test_garbage_is_an_error_at_the_yield_or_has_an_answer(run, kind, argument):
    status = run(feed([(what, lambda make=make: trap_with(kind, **{argument: make()})) for what, make in GARBAGE]))
    assert status.error is None
    assert status.value == []


@settings(deadline=None)
@given(data=st.data())
def test_garbage_in_several_arguments_at_once(data):
    kind = data.draw(st.sampled_from(sorted({kind for kind, _ in ARGUMENTS}, key=str)))
    made = [(what, make()) for what, make in data.draw(st.lists(st.sampled_from(GARBAGE), min_size=6, max_size=6))]
    given = {name: value for name, (_, value) in zip(arguments_of(kind), made)}
    assert run_for_real(feed([(made, lambda: trap_with(kind, **given))]), clock=VirtualClock()) == []


@pytest.mark.parametrize("kind", [kind for kind in all_traps() if arguments_of(kind)])
def test_a_trap_without_its_arguments_is_an_attribute_error_in_the_task(run, kind):
    def main():
        return (yield outcome(object.__new__(kind)))

    error = run(main()).value
    assert type(error) is AttributeError
    assert error.name in arguments_of(kind)


@pytest.mark.parametrize("what", ["a subclass", "the base class"])
def test_only_the_traps_themselves_are_traps(run, what):
    class Own(GetTid):
        pass

    def main():
        return (yield outcome(Own() if what == "a subclass" else Trap()))

    assert type(run(main()).value) is BadTrap


def test_garbage_that_is_yielded_itself_is_a_bad_trap(run):
    def main():
        wrong = []
        for what, make in GARBAGE:
            value = make()
            if type(value) in (type(None), GetTid, Sleep) or what in ("yields", "finished"):
                continue  # this may be yielded
            try:
                yield value
                error = None
            except BaseException as raised:
                error = raised
            if type(error) is not BadTrap:
                wrong.append((what, error))
        return wrong, (yield GetTid())

    assert run(main()).value == ([], 1)


def test_what_an_argument_raises_shows_the_users_lines_only(run, log):
    class File:
        def fileno(self):
            return 1 // 0

    def main():
        yield ReadWait(File())

    run(main())
    lines = [line.strip() for line in log[0].splitlines()]
    assert [line.rpartition(" ")[2] for line in lines if line.startswith("File ")] == ["main", "fileno"]


def test_a_stop_iteration_of_an_argument_does_not_end_the_task_nor_return_from_its_subroutine(run):
    class Options(list):
        def __len__(self):
            raise StopIteration("mine")

    def sub():
        return (yield outcome(Choose(Options("ab")))), "sub ran on"

    def main():
        return (yield sub()), "main ran on"

    (error, sub_ran_on), main_ran_on = run(main()).value
    assert type(error) is RuntimeError
    assert str(error) == "an argument of Choose raised StopIteration"
    assert type(error.__cause__) is StopIteration
    assert (sub_ran_on, main_ran_on) == ("sub ran on", "main ran on")


# --- time and chance


def test_time_is_the_clocks_own(run):
    clock = VirtualClock(start=5.0, epoch=1000.0)

    def main():
        before = (yield GetTime()), (yield GetTime(wall=True))
        yield Sleep(2.5)
        return *before, (yield GetTime()), (yield GetTime(wall=True))

    assert run(main(), clock=clock).value == (5.0, 1005.0, 7.5, 1007.5)


def draw(n=20):
    """As init: what n times Random and n times Choose answer."""
    numbers = []
    options = []
    for _ in range(n):
        numbers.append((yield Random()))
        options.append((yield Choose("abcdef")))
    return numbers, options


@pytest.mark.parametrize("seed", [0, 7, "any text", 2**70])
def test_the_same_seed_gives_the_same_numbers_and_choices(run, seed):
    assert run(draw(), seed=seed).value == run(draw(), seed=seed).value


def test_another_seed_gives_other_numbers_and_choices(run):
    numbers, options = zip(*[run(draw(), seed=seed).value for seed in (1, 2, "1", None)])
    assert len(set(map(tuple, numbers))) == 4
    assert len(set(map(tuple, options))) == 4


def test_random_numbers_are_floats_from_0_to_1(run):
    numbers, _ = run(draw(1000), seed=1).value
    assert {type(number) for number in numbers} == {float}
    assert all(0 <= number < 1 for number in numbers)
    assert len(set(numbers)) == 1000


def test_the_seed_has_nothing_to_do_with_pythons_own_random_numbers(run):
    def main():
        random.seed(99)
        answer = yield Random()
        return answer, random.random()

    expected = random.Random(1).random(), random.Random(99).random()
    assert run(main(), seed=1).value == expected


def test_without_a_seed_the_first_option_is_chosen(run):
    assert run(draw(5)).value[1] == ["a"] * 5


def test_with_a_seed_every_option_is_chosen_sometimes(run):
    assert set(run(draw(200), seed=1).value[1]) == set("abcdef")


@pytest.mark.parametrize("options", ["xy", b"xy", ["x", 1], ("x",), range(3, 9), range(10**30), memoryview(b"xy")])
def test_any_sequence_has_options(run, options):
    def main():
        return (yield Choose(options))

    assert run(main()).value == options[0]


@pytest.mark.parametrize("options", [{"a", "b"}, {"a": 1}, iter("ab"), 3, None, GetTid])
def test_what_is_no_sequence_has_no_options(run, options):
    def main():
        return (yield outcome(Choose(options)))

    error = run(main()).value
    assert type(error) is TypeError
    assert str(error) == f"options are a sequence, not {type(options).__name__}"


@pytest.mark.parametrize("options", ["", (), [], b"", range(0)])
def test_nothing_to_choose_from_is_a_value_error(run, options):
    def main():
        return type((yield outcome(Choose(options))))

    assert run(main()).value is ValueError


# --- Exec


@pytest.fixture
def program(tmp_path):
    """Write a program; its path as a string."""

    def write(source, name="program.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(source)
        return str(path)

    return write


ARGUMENTS_BACK = "def main(*argv):\n    return argv\n    yield\n"
WAITS = "from pyos import Sleep\ndef main():\n    yield Sleep(1)\n"


def status_of(exec_trap):
    """As a subroutine: how the program ended."""
    return (yield WaitTask((yield exec_trap)))


def test_a_program_gets_its_arguments_and_its_value_is_its_status(run, program):
    def main():
        return (yield status_of(Exec(program(ARGUMENTS_BACK), "a", "-b", "")))

    status = run(main()).value
    assert (status.tid, status.name, status.value) == (2, "program", ("a", "-b", ""))


def test_a_programs_tasks_know_its_name_and_path(run, program):
    source = "from pyos import NewTask\n" + WAITS + "def child():\n    yield Sleep(1)\n"
    source = source.replace("yield Sleep(1)\n", "yield NewTask(child())\n    yield Sleep(1)\n", 1)

    def main():
        yield Exec(program(source, "some.name.py"))
        yield Exec(program(source), name="given")
        yield
        yield
        return {(info.name, info.program) for info in (yield Tasks())}

    assert {(name, os.path.basename(path)) for name, path in run(main()).value} == {
        ("main", ""),
        ("some.name", "some.name.py"),
        ("given", "program.py"),
        ("child", "some.name.py"),
        ("child", "program.py"),
    }


def test_a_path_is_tried_from_here_and_then_from_the_booted_programs_folder(run, program, tmp_path, monkeypatch):
    for folder in ("here", "home"):
        source = f"def main():\n    return {folder!r}\n    yield\n"
        program(source, f"{folder}/both.py")
        program(source, f"{folder}/{folder}.py")
    monkeypatch.chdir(tmp_path / "here")

    def main():
        values = []
        for name in ("both.py", "here.py", "home.py"):
            values.append((yield status_of(Exec(name))).value)
        return values, (yield outcome(Exec("neither.py")))

    values, error = run(main(), home=str(tmp_path / "home")).value
    assert values == ["here", "here", "home"]
    assert type(error) is FileNotFoundError


def test_every_exec_is_a_fresh_namespace(run, program):
    source = "seen = []\ndef main(word):\n    seen.append(word)\n    return seen\n    yield\n"

    def main():
        path = program(source)
        return (yield status_of(Exec(path, "a"))).value, (yield status_of(Exec(path, "b"))).value

    assert run(main()).value == (["a"], ["b"])


def test_a_program_is_its_callers_child_and_starts_after_its_slice(run, program):
    def main():
        tid = yield Exec(program("print('ran')\n" + WAITS))
        states = [(info.tid, info.parent, info.state) for info in (yield Tasks())]
        return tid, states, (yield WaitTask()).tid

    assert run(main()).value == (2, [(1, 0, "running"), (2, 1, "ready")], 2)


def test_a_detached_program_is_nobodys_to_wait_for(run, program):
    def main():
        yield Exec(program(WAITS), detached=True)
        return (yield WaitTask())

    assert run(main()).value is None


def test_a_path_may_be_a_path_object(run, program, tmp_path):
    program(ARGUMENTS_BACK)

    def main():
        return (yield status_of(Exec(tmp_path / "program.py"))).ok

    assert run(main()).value


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("x = = 1\n", SyntaxError),
        ("", ProgramError),
        ("def main(): pass\n", ProgramError),
        ("from pyos import kernel\n", ProgramError),
        ("__import__('pyos' + '.kernel')\n", ProgramError),
        ("def main(needed):\n    yield\n", ProgramError),
        ("1 / 0\n", ZeroDivisionError),
        ("raise MemoryError\n", MemoryError),
        ("import no_such_module_anywhere\n", ModuleNotFoundError),
        ("next(iter(()))\n", RuntimeError),
        ("import sys\nsys.exit('not here')\n", ProgramError),
        ("raise KeyboardInterrupt\n", ProgramError),
        ("raise GeneratorExit\n", ProgramError),
        ("import asyncio\nraise asyncio.CancelledError\n", ProgramError),
        ("import pyos\nraise pyos.TaskKilled(pyos.TERM)\n", ProgramError),
        ("class Odd(BaseException): pass\nraise Odd\n", ProgramError),
    ],
)
def test_a_program_that_cannot_be_run_is_an_error_in_its_caller(run, log, program, source, error):
    def main():
        first = yield outcome(Exec(program(source)))
        return first, len((yield Tasks())), (yield status_of(Exec(program(ARGUMENTS_BACK), "next"))).value

    raised, tasks, value = run(main()).value
    assert type(raised) is error
    assert (tasks, value) == (1, ("next",))
    assert log == []


def test_a_signal_sent_while_a_program_is_loaded_is_the_callers_own(program):
    """The top level has not yielded between two signals: its caller, the running task, gets KILL."""
    source = program("import signal\nfor _ in 'ab':\n    signal.raise_signal(signal.SIGTERM)\n")
    seen = []

    def main():
        try:
            yield Exec(source)
        except BaseException as error:
            seen.append(error)
            raise

    with pytest.raises(SystemExit):
        run_for_real(main())
    assert [(type(error), error.signal) for error in seen] == [(TaskKilled, KILL)]


@pytest.mark.parametrize("path", [3, None, b"program.py", ["program.py"]])
def test_a_path_of_another_kind_is_a_type_error(run, path):
    def main():
        return (yield outcome(Exec(path)))

    error = run(main()).value
    assert type(error) is TypeError
    assert str(error).startswith("the path of a program is a string")


def test_an_error_while_loading_shows_the_callers_line_and_the_programs(run, log, program):
    def main():
        yield Exec(program("def f():\n    return 1 / 0\nf()\n"))

    run(main())
    lines = [line.strip() for line in log[0].splitlines() if line.startswith("  File ")]
    assert [line.rpartition(" ")[2] for line in lines] == ["main", "<module>", "f"]


def test_a_program_for_which_there_is_no_room_is_closed(run, program):
    def main():
        yield NewTask(forever())
        return (yield outcome(Exec(program(ARGUMENTS_BACK))))

    assert type(run(main(), limits=Limits(max_tasks=2)).value) is LimitExceeded


def test_a_forgotten_yield_in_a_program_is_warned_of(run, log, program):
    def main():
        yield status_of(Exec(program("from pyos import Sleep\ndef main():\n    Sleep(1)\n    yield\n")))

    run(main())
    assert [line.rpartition("program.py")[2] for line in log] == [
        ":3: Sleep(...) does nothing without yield: `yield Sleep(...)`"
    ]


# --- WaitTask and Exit


def test_the_parents_wait_for_any_child_and_a_strangers_for_that_one_both_get_its_status(run):
    def stranger(tid):
        return (yield WaitTask(tid))

    def main():
        tid = yield NewTask(sleeps(1, "dead"))
        other = yield NewTask(stranger(tid))
        first = yield WaitTask()
        second = yield WaitTask(other)
        return first.value, second.value.value, (yield WaitTask(tid))

    assert run(main()).value == ("dead", "dead", None)


def test_a_child_that_dies_while_its_parent_waits_for_another_stays_a_zombie(run):
    def main():
        early = yield NewTask(sleeps(1, "early"))
        late = yield NewTask(sleeps(2, "late"))
        second = (yield WaitTask(late)).value
        states = [info.state for info in (yield Tasks())]
        return second, states, (yield WaitTask()).value, (yield WaitTask(early))

    assert run(main()).value == ("late", ["running", "zombie"], "early", None)


@pytest.mark.parametrize("relation", ["parent", "sibling", "grandchild", "detached"])
def test_anybody_can_be_waited_for(run, relation):
    seen = []

    def waiter(tid):
        seen.append((yield WaitTask(tid)).value)

    def mother(child):
        yield NewTask(child)
        yield Sleep(1)
        return "mother"

    def main():
        if relation == "parent":
            yield NewTask(mother(waiter(2)))
        else:
            target = sleeps(5, "child")
            tid = yield NewTask(mother(target) if relation == "grandchild" else target, detached=relation == "detached")
            yield
            yield NewTask(waiter(tid + 1 if relation == "grandchild" else tid))
        yield Sleep(10)

    run(main())
    assert seen == ["mother" if relation == "parent" else "child"]


def test_a_task_that_does_not_exist_yet_is_not_waited_for(run):
    def main():
        answer = yield WaitTask(2)
        return answer, (yield NewTask(yields(0)))

    assert run(main()).value == (None, 2)


@pytest.mark.parametrize("how", ["value", "error", "killed", "exit"])
def test_a_status_tells_how_it_ended_to_who_waits_and_to_who_comes_later(run, how):
    ends = {
        "value": lambda: sleeps(1, 7),
        "error": lambda: fails(KeyError("k")),
        "killed": forever,
        "exit": lambda: outcome(Exit(8)),
    }

    def waiter(tid):
        return (yield WaitTask(tid))

    def main():
        tid = yield NewTask(ends[how]())
        other = yield NewTask(waiter(tid))
        yield
        if how == "killed":
            yield KillTask(tid)
        yield Sleep(5)
        return (yield WaitTask(tid)), (yield WaitTask(other)).value

    late, early = run(main()).value
    assert late == early
    assert late.tid == 2
    told = {
        "value": late.value == 7 and late.ok,
        "error": type(late.error) is KeyError,
        "killed": late.signal == 15 and not late.ok,
        "exit": late.value == 8 and late.ok,
    }
    assert told[how]


@pytest.mark.parametrize("value", [None, 0, 3, "text", [1], KeyError("an error may be a value")])
def test_any_value_can_be_exited_with(run, value):
    def main():
        yield Exit(value)

    status = run(main())
    assert status.value is value
    assert status.ok


def test_handlers_and_calls_are_the_whole_table(make_kernel):
    """What else could be dispatched on would be a second door."""
    kinds = set(make_kernel().handlers) - set(all_traps())
    assert {kind.__name__ for kind in kinds} == {"generator", "coroutine", "Skip"}
    assert {GeneratorType, CoroutineType} < kinds
