"""The vocabulary of traps: one handler for each, one documentation for all, plain values that nobody writes to."""

import inspect
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import pyos
from pyos import manual, traps
from pyos.kernel.syscalls import bind
from pyos.kernel.syscalls.binding import HANDLERS, handles
from pyos.traps import Trap, arguments_of
from tests.kernel.programs import outcome, yields

ROOT = Path(__file__).parent.parent
TRAPS = manual.all_traps()
NAMES = [kind.__name__ for kind in TRAPS]


@pytest.fixture
def examples(tmp_path):
    """A trap of each kind that can be answered, by its name."""
    program = tmp_path / "program.py"
    program.write_text("def main(*argv):\n    yield\n")
    left, right = socket.socketpair()
    right.send(b"x")
    with left, right:
        yield {
            "GetTid": pyos.GetTid(),
            "NewTask": pyos.NewTask(yields(1), name="child", detached=True),
            "Exec": pyos.Exec(str(program), "a", "b", name="named", detached=True),
            "Exit": pyos.Exit([1]),
            "KillTask": pyos.KillTask(99, 9, reason="why", grace=2),  # as numbers that a handler makes more of
            "WaitTask": pyos.WaitTask(99),
            "ReadWait": pyos.ReadWait(left),
            "WriteWait": pyos.WriteWait(left),
            "Sleep": pyos.Sleep(1),
            "GetTime": pyos.GetTime(wall=True),
            "Random": pyos.Random(),
            "Choose": pyos.Choose(["x", "y"]),
            "Tasks": pyos.Tasks(),
        }


def attributes(trap):
    return {name: getattr(trap, name) for name in arguments_of(type(trap))}


# --- declarations


def test_there_is_an_example_of_every_trap(examples):
    assert {name: type(trap) for name, trap in examples.items()} == {kind.__name__: kind for kind in TRAPS}


@pytest.mark.parametrize("kind", TRAPS)
def test_every_trap_is_exported(kind):
    assert getattr(pyos, kind.__name__) is kind
    assert kind.__name__ in pyos.__all__


def test_what_is_exported_exists_and_is_named_once():
    assert all(hasattr(pyos, name) for name in pyos.__all__)
    assert len(set(pyos.__all__)) == len(pyos.__all__)


@pytest.mark.parametrize("name", NAMES)
def test_every_trap_has_slots_for_its_arguments_and_nothing_else(examples, name):
    trap = examples[name]
    assert not hasattr(trap, "__dict__")
    assert all("__slots__" in vars(kind) for kind in type(trap).__mro__ if issubclass(kind, Trap))
    with pytest.raises(AttributeError):
        trap.answer = 3
    parameters = list(inspect.signature(type(trap)).parameters) if arguments_of(type(trap)) else []
    assert arguments_of(type(trap)) == parameters


@pytest.mark.parametrize("name", NAMES)
def test_the_repr_of_a_trap_tells_its_name_and_its_arguments(examples, name):
    trap = examples[name]
    given = ", ".join(f"{argument}={value!r}" for argument, value in attributes(trap).items())
    assert repr(trap) == f"{name}({given})"


def test_a_repr_looks_like_what_was_written():
    assert repr(pyos.Sleep(0.5)) == "Sleep(seconds=0.5)"
    assert repr(pyos.GetTid()) == "GetTid()"
    assert repr(pyos.KillTask(7, reason="x")) == "KillTask(tid=7, signal=<Signal.TERM: 15>, reason='x', grace=1.0)"


@pytest.mark.parametrize("kind", TRAPS)
def test_every_trap_says_in_one_docstring_what_it_does(kind):
    assert "__doc__" in vars(kind)
    first, _, rest = inspect.getdoc(kind).partition("\n")
    assert first.endswith(".")
    assert len(first) <= 120
    assert not rest or rest.startswith("\n")
    if arguments_of(kind) and kind not in (pyos.Exit, pyos.GetTime, pyos.WriteWait):  # these say it in a line
        assert "Errors: " in rest


# --- handlers


def test_traps_and_handlers_match_one_to_one():
    table = bind()
    assert set(table) == set(TRAPS)
    assert len(set(table.values())) == len(TRAPS)
    for kind, handler in table.items():
        assert inspect.get_annotations(handler)["trap"].partition("[")[0] == kind.__name__


@pytest.mark.parametrize("kind", TRAPS)
def test_binding_complains_of_a_trap_without_a_handler(monkeypatch, kind):
    monkeypatch.delitem(HANDLERS, kind)
    with pytest.raises(LookupError, match=rf"traps without a handler: .*{kind.__name__}.*; handlers .*: none"):
        bind()


def test_binding_complains_of_a_handler_without_a_trap(monkeypatch):
    class Unheard(Trap[None]):
        __slots__ = ()

    monkeypatch.setitem(HANDLERS, Unheard, HANDLERS[pyos.GetTid])
    with pytest.raises(LookupError, match=r"without a handler: none; handlers without a trap: .*Unheard"):
        bind()


def test_a_new_trap_is_noticed(monkeypatch):
    class Fresh(Trap[None]):
        """Not yet handled."""

        __slots__ = ()

    monkeypatch.setattr(traps, "Fresh", Fresh, raising=False)
    assert Fresh in manual.all_traps()
    with pytest.raises(LookupError, match="Fresh"):
        bind()


def test_a_second_handler_for_a_trap_is_refused():
    before = dict(HANDLERS)
    with pytest.raises(LookupError, match="Sleep has two handlers"):
        handles(pyos.Sleep)(lambda kernel, task, trap: None)
    assert before == HANDLERS


@pytest.mark.parametrize("name", NAMES)
def test_no_handler_writes_to_a_trap_so_that_it_may_be_yielded_again(run, examples, name):
    trap = examples[name]
    before = attributes(trap)
    answers = []

    def again():
        for _ in range(2):
            try:
                answers.append(type((yield trap)))
            except pyos.TaskExit as exit:
                answers.append(type(exit))
            except ValueError as error:  # the target has started by now
                answers.append(type(error))
            yield

    def main():
        yield pyos.WaitTask((yield pyos.NewTask(again())))

    assert run(main()).ok
    after = attributes(trap)
    assert list(after) == list(before)
    assert all(after[argument] is before[argument] for argument in before)
    expected = {"NewTask": [int, ValueError], "Exit": [pyos.TaskExit] * 2}
    assert answers == expected.get(name, answers[:1] * 2)
    if name == "Choose":
        assert trap.options == ["x", "y"]


@pytest.mark.parametrize("name", NAMES)
def test_a_trap_may_be_awaited(run, examples, name):
    async def awaits():
        try:
            return await examples[name]
        except pyos.TaskExit as exit:
            return exit.value

    def yields_it():
        return (yield outcome(examples[name]))

    def main():
        status = yield pyos.WaitTask((yield pyos.NewTask(awaits())))
        other = None
        if name in ("WaitTask", "KillTask", "GetTime", "Choose", "Sleep", "ReadWait", "WriteWait"):
            other = yield pyos.WaitTask((yield pyos.NewTask(yields_it())))
        return status, other

    status, other = run(main()).value
    assert status.error is None
    if other is not None and name != "GetTime":
        assert status.value == other.value
    assert type(status.value) is {
        "GetTid": int,
        "NewTask": int,
        "Exec": int,
        "Exit": list,
        "KillTask": bool,
        "GetTime": float,
        "Random": float,
        "Choose": str,
        "Tasks": list,
    }.get(name, type(None))


# --- documentation


def test_the_table_in_the_readme_is_the_manuals():
    assert manual.trap_table() in (ROOT / "README.md").read_text()


def test_the_table_has_a_row_for_every_trap():
    rows = manual.trap_table().splitlines()[2:]
    assert [row.split("(")[0] for row in rows] == [f"| `{name}" for name in NAMES]


@pytest.mark.parametrize("kind", TRAPS)
def test_the_manual_has_a_page_for_every_trap(kind):
    page = manual.page(kind.__name__)
    assert page.splitlines()[0] == manual.signature(kind)
    assert page.endswith(inspect.getdoc(kind))
    assert f"{kind.__name__} " in manual.page(None)
    assert manual.page(kind.__name__.lower()) is None


def test_a_signature_is_written_as_in_a_program():
    assert manual.signature(pyos.KillTask) == "KillTask(tid, signal=TERM, *, reason=None, grace=1.0)"
    assert manual.signature(pyos.Exec) == "Exec(path, *argv, name=None, detached=False)"
    assert manual.signature(pyos.GetTid) == "GetTid()"


# --- types

TYPED = """
from typing import assert_type

from pyos import *
from pyos.lib.sockets import Socket

def child() -> Program:
    yield

async def main(socket: Socket) -> None:
    assert_type(await GetTid(), int)
    assert_type(await NewTask(child()), int)
    assert_type(await NewTask(main(socket), name="again", detached=True), int)
    assert_type(await Exec("path", "a"), int)
    assert_type(await KillTask(3, KILL, reason="x"), bool)
    assert_type(await WaitTask(), ExitStatus | None)
    assert_type(await ReadWait(socket), None)
    assert_type(await WriteWait(0), None)
    assert_type(await Sleep(1), None)
    assert_type(await GetTime(wall=True), float)
    assert_type(await Random(), float)
    assert_type(await Choose(["a", "b"]), str)
    assert_type(await Choose(range(3)), int)
    assert_type(await Tasks(), list[TaskInfo])
    assert_type(await Exit(3), None)
    assert_type(await number(), int)

async def number() -> int:
    return await GetTid()
"""
MISTAKES = """
from typing import assert_type
from pyos import GetTid, KillTask, NewTask, ReadWait, Sleep

async def main() -> None:
    text: str = await GetTid()
    await Sleep("1")
    await KillTask("2")
    await ReadWait("file")
    await NewTask(main)
    await Sleep(1, 2)
    assert_type(await GetTid(), str)
"""


@pytest.fixture(scope="module")
def mypy(tmp_path_factory):
    """What mypy says of a piece of source, by line number."""
    pytest.importorskip("mypy", reason="mypy is not installed (extra `dev`)")
    folder = tmp_path_factory.mktemp("mypy")

    def check(source):
        path = folder / "snippet.py"
        path.write_text(source)
        result = subprocess.run(
            [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", str(path)],
            env={**os.environ, "MYPYPATH": str(ROOT)},
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert result.stderr == ""
        lines = [line.split(":", 2) for line in result.stdout.splitlines()]
        return {int(number): message.strip() for _, number, message in lines}

    return check


def test_awaited_traps_have_the_types_of_their_answers(mypy):
    assert mypy(TYPED) == {}
    assert all(f"await {name}(" in TYPED for name in NAMES)


def test_wrong_arguments_and_answers_are_type_errors(mypy):
    said = mypy(MISTAKES)
    assert set(said) == {6, 7, 8, 9, 10, 11, 12}
    assert all(message.startswith("error: ") for message in said.values())
