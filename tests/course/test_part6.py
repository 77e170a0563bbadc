"""Part 6: the toy CPU and its operating system."""

import ast
from itertools import groupby

import pytest

from tests.course.running import COURSE, PLAIN, load, output, run_program

PROGRAM = "part6_machine/machine.py"


@pytest.fixture(scope="module")
def machine():
    return load(PROGRAM)


def run_all(machine, *texts, quantum=16):
    """Run programs, named 0, 1, …, to their end."""
    computer = machine.OS(machine.CPU(), quantum)
    for number, text in enumerate(texts):
        computer.start(str(number), machine.assemble(text))
    while computer.ready:
        computer.step()


def test_the_cpu_and_the_system_have_about_forty_lines_each():
    tree = ast.parse((COURSE / PROGRAM).read_text())
    lines = {node.name: node.end_lineno - node.lineno + 1 for node in tree.body if isinstance(node, ast.ClassDef)}
    assert 30 <= lines["CPU"] <= 45
    assert 30 <= lines["Process"] + lines["OS"] <= 45


def test_three_programs_share_the_cpu_and_all_end():
    lines = output(PROGRAM).splitlines()
    assert [line.split()[1] for line in lines if line.startswith("countdown:")] == ["3", "2", "1"]
    assert [line.split()[1] for line in lines if line.startswith("powers:")] == ["2", "4", "8"]
    assert [line for line in lines if line.startswith("hog:")] == ["hog: 0"]
    assert {line.split()[0] for line in lines if line.endswith("has ended")} == {"countdown", "powers", "hog"}
    turns = [name for name, _ in groupby(line.split()[0].rstrip(":") for line in lines)]
    assert len(turns) > 9, "they take turns"


def test_the_timer_interrupts_a_program_that_never_traps():
    lines = output(PROGRAM).splitlines()
    assert lines.index("hog is interrupted by the timer") < lines.index("countdown has ended")


def test_each_program_finds_its_registers_as_it_left_them(machine, capsys):
    counts = "set n {0}\nagain: add sum n\ntrap yield\nsub n 1\njumpif n again\ntrap print sum\ntrap exit"
    run_all(machine, counts.format(4), counts.format(5), counts.format(6))
    printed = [line for line in capsys.readouterr().out.splitlines() if ":" in line]
    assert printed == ["0: 10", "1: 15", "2: 21"]


@pytest.mark.parametrize("quantum", [1, 2, 3, 7, 100])
def test_the_length_of_a_turn_changes_no_result(machine, capsys, quantum):
    run_all(machine, "set n 5\nagain: add sum n\nsub n 1\njumpif n again\ntrap print sum\ntrap exit", quantum=quantum)
    assert "0: 15\n" in capsys.readouterr().out


@pytest.mark.parametrize(("mistake", "reason"), [("set n 1", "ran past its end"), ("trap fly", "bad trap: fly")])
def test_a_mistake_ends_its_own_program_only(machine, capsys, mistake, reason):
    run_all(machine, mistake, "trap yield\ntrap print 7\ntrap exit")
    out = capsys.readouterr().out
    assert reason in out
    assert out.endswith("1: 7\n1 has ended\n")


def test_a_program_of_ones_own_runs(tmp_path):
    own = tmp_path / "own"
    own.write_text("set n 2\nmore: trap print n\nsub n 1\njumpif n more\ntrap exit\n")
    assert output(PROGRAM, str(own)) == f"{own}: 2\n{own}: 1\n{own} has ended\n"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("set n", "line 1: no instruction set with 1 operands"),
        ("trap exit\nfly n 1", "line 2: no instruction fly with 2 operands"),
        ("jumpif n nowhere", "line 1: no label nowhere"),
    ],
)
def test_a_mistake_in_a_program_is_one_line_with_its_place(tmp_path, text, complaint):
    own = tmp_path / "own"
    own.write_text(text)
    refused = run_program(PROGRAM, str(own))
    assert (refused.returncode, refused.stderr) == (2, f"machine: error: {own}: {complaint}\n")


def test_a_file_that_is_missing_is_one_line():
    refused = run_program(PROGRAM, "/nowhere/own")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == "machine: error: cannot read /nowhere/own: No such file or directory\n"


def test_it_runs_without_pyos_and_has_help():
    assert output(PROGRAM, by=PLAIN) == output(PROGRAM)
    assert "toy CPU" in output(PROGRAM, "--help")
