"""What every program of parts 1 to 4 does: it explains itself, and complains in one line."""

import ast
import subprocess
import sys

import pytest

from tests.course.programs import PROGRAMS, ROOT, boot, done

FILES = {  # the arguments of each program that reads a file, with FILE for it
    "follow": ["FILE"],
    "pipeline": ["x", "FILE"],
    "grep": ["x", "FILE"],
    "logreport": ["FILE"],
    "cofollow": ["FILE"],
    "copipe": ["x", "FILE"],
    "broadcast": ["FILE", "x"],
    "stages": ["FILE"],
    "events": ["FILE"],
    "buses": ["FILE"],
    "xmlbench": ["FILE"],
    "cothread": ["FILE"],
    "coprocess": ["FILE"],
}
every_program = pytest.mark.parametrize("name", PROGRAMS)


@every_program
@pytest.mark.pyos
def test_help_explains_the_program(name, capsys):
    status = yield done(name, "--help")
    out, err = capsys.readouterr()
    assert (status.ok, status.value, err) == (True, 0, "")
    assert out.startswith(f"usage: {name} ")
    with open(PROGRAMS[name]) as file:
        text = ast.get_docstring(ast.parse(file.read()))
    assert text.startswith(f"{name}: ")
    assert text in out
    assert f"python -m pyos boot {'--seed 1 ' if name == 'makefeed' else ''}{PROGRAMS[name][len(ROOT) + 1 :]}" in text


@every_program
@pytest.mark.pyos
def test_a_bad_argument_is_one_line_and_status_2(name, capsys):
    status = yield done(name, "--no-such-option")
    out, err = capsys.readouterr()
    assert (status.ok, status.value, out) == (True, 2, "")
    assert err.startswith(f"{name}: ")
    assert err.endswith(f"(see {name} --help)\n")
    assert err.count("\n") == 1


@pytest.mark.parametrize("name", FILES)
@pytest.mark.pyos(clock="real")
def test_a_file_that_is_not_there_is_one_line_and_status_1(name, tmp_path, capsys):
    missing = str(tmp_path / "missing")
    status = yield done(name, *(missing if arg == "FILE" else arg for arg in FILES[name]))
    err = capsys.readouterr().err
    assert (status.ok, status.value) == (True, 1)
    assert err == f"{name}: {missing}: No such file or directory\n"


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        (["countdown", "many"], "argument N: a whole number is needed, not 'many'"),
        (["countdown", "2", "--every", "nan"], "argument --every: a number of seconds is needed, not 'nan'"),
        (["pipeline", "a(", "log"], "argument PATTERN: 'a(' is no regular expression: missing ), unterminated subp"),
        (["stages", "log", "--batch", "0"], "argument --batch: a number above 0 is needed"),
        (["buses", "feed", "--parser", "lxml"], "argument --parser: invalid choice: 'lxml'"),
        (["makefeed", "feed", "--buses", "1", "--megabytes", "1"], "argument --megabytes: not allowed with"),
    ],
)
@pytest.mark.pyos
def test_the_line_says_what_is_wrong(argv, complaint, capsys):
    assert (yield done(*argv)).value == 2
    assert f"{argv[0]}: {complaint}" in capsys.readouterr().err


def test_a_complaint_is_the_exit_code_of_boot():
    result = boot("follow", "/no/such/log")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "follow: /no/such/log: No such file or directory\n"
    assert boot("follow").returncode == 2


def test_a_reader_that_has_gone_ends_a_program_quietly(tmp_path):
    log = tmp_path / "log"
    log.write_text("line\n" * 10_000)
    command = [sys.executable, "-m", "pyos", "boot", PROGRAMS["follow"], str(log), "--from-start"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "line\n"
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 141
