"""The lessons on the command line: each ends by itself, and its exercise can be begun, solved and got wrong."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pyos.lessons import show
from pyos.lessons.catalogue import LESSONS
from pyos.lessons.checker import CHECKS, failures
from tests.course.solutions.mistakes import MISTAKES
from tests.system import PYOS, ROOT, environment, pyos

SOLUTIONS = Path(__file__).parent / "solutions"
EVERY_LESSON = pytest.mark.parametrize("number", LESSONS)


def told(result, code, out=None, err=""):
    """A command ended with this code, and said this alone."""
    assert (result.returncode, result.stderr) == (code, err)
    if out is not None:
        assert result.stdout == out


# --- giving lessons


def test_there_are_eight_lessons_in_a_list():
    result = pyos("lesson")
    told(result, 0)
    assert re.findall(r"^(\d)  (.*)$", result.stdout, re.M) == [(n, lesson.title) for n, lesson in LESSONS.items()]
    assert list(LESSONS) == list("12345678")


@EVERY_LESSON
def test_a_lesson_explains_and_runs_its_programs_and_ends(number, tmp_path):
    result = pyos("lesson", number, cwd=tmp_path, stdin=subprocess.DEVNULL)
    told(result, 0)
    for shown in LESSONS[number].programs:
        assert show.explanation(shown.path).partition("\n")[0] in result.stdout
        for args in shown.runs:
            command = f"userland/course/{shown.path} {args}".strip().replace('"', "'")
            _, found, output = result.stdout.partition(command + "\n")
            assert found, command
            assert output.strip(), command
    assert "Traceback" not in result.stdout
    assert LESSONS[number].exercise in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_lesson_7_shows_what_a_stage_adds():
    before, after = "part7_os/stage5_management.py", "part7_os/stage6_waiting.py"
    lines = list(show.difference(before, after))
    assert "+            case WaitTask(tid):" in lines
    assert not any("import" in line or "ArgumentParser" in line for line in lines)
    assert len(lines) < len(show.code(after))
    out = pyos("lesson", "7").stdout
    assert out.index("--- part7_os/stage5_management.py\n+++ part7_os/stage6_waiting.py\n@@") < out.index(
        "stage6_waiting.py\nparent: waiting for task 2"
    )


def test_a_reader_that_has_gone_ends_a_lesson_quietly():
    with subprocess.Popen(
        [*PYOS, "lesson", "7"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        assert process.stdout.readline().startswith("Lesson 7: ")
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 141


def test_a_difference_between_equal_stages_is_nothing():
    assert list(show.difference("part7_os/stage5_management.py", "part7_os/stage5_management.py")) == []


def test_a_lesson_whose_program_fails_says_so(monkeypatch, capfd):
    lesson = LESSONS["5"]
    monkeypatch.setitem(vars(lesson), "programs", (show.Shown(lesson.programs[0].path, ("--nope",)),))
    assert show.give(lesson) == 1
    assert "unrecognized arguments: --nope" in capfd.readouterr().out


# --- usage


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        (["9"], "there is no lesson 9 (see pyos lesson)"),
        (["seven"], "there is no lesson seven (see pyos lesson)"),
        (["--start", "x.py"], "of which lesson? (pyos lesson N --start FILE, pyos lesson N --check FILE)"),
        (["7", "--check", "missing.py"], "cannot read missing.py: No such file or directory"),
        (["7", "--check", "."], "cannot read .: Is a directory"),
        (["7", "--start", "no/such/folder/x.py"], "cannot write no/such/folder/x.py: No such file or directory"),
        (
            ["7", "--start", "a", "--check", "b"],
            "argument --check: not allowed with argument --start (see pyos lesson --help)",
        ),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(args, complaint, tmp_path):
    told(pyos("lesson", *args, cwd=tmp_path), 2, "", f"pyos: {complaint}\n")


# --- starting


@pytest.mark.parametrize("command", [["lesson", "7", "--start"], ["new"]])
def test_a_file_that_exists_is_left_as_it_is(command, tmp_path):
    (tmp_path / "mine.py").write_text("my work")
    told(pyos(*command, "mine.py", cwd=tmp_path), 2, "", "pyos: mine.py exists already, and is left as it is\n")
    assert (tmp_path / "mine.py").read_text() == "my work"


def test_a_new_program_boots(tmp_path):
    result = pyos("new", "mine.py", cwd=tmp_path)
    told(result, 0, "mine.py is written: read it, change it, then: python3 -m pyos boot mine.py\n")
    assert pyos("boot", "mine.py", "Ada", cwd=tmp_path).stdout.startswith("Hello, Ada, from task 1")
    assert (tmp_path / "mine.py").read_text().count("#") >= 3


@EVERY_LESSON
def test_a_skeleton_is_written_and_does_not_pass(number, tmp_path):
    result = pyos("lesson", number, "--start", "mine.py", cwd=tmp_path)
    then = f"python3 -m pyos lesson {number} --check mine.py"
    told(result, 0, f"mine.py is written: read it, change it, then: {then}\n")
    assert "THIS_FILE" not in (tmp_path / "mine.py").read_text()
    result = pyos("lesson", number, "--check", "mine.py", cwd=tmp_path)
    told(result, 1)
    assert all(line.startswith("mine.py: ") for line in result.stdout.splitlines())


# --- checking


@EVERY_LESSON
def test_the_solution_passes(number, tmp_path):
    shutil.copy(SOLUTIONS / f"lesson{number}.py", tmp_path / "mine.py")
    result = pyos("lesson", number, "--check", "mine.py", cwd=tmp_path)
    told(result, 0, f"mine.py: passed, which is the end of lesson {number}\n")


@pytest.mark.parametrize(
    ("number", "mistake", "old", "new", "said"),
    [pytest.param(n, *mistake, id=f"{n} {mistake[0]}") for n, mistakes in MISTAKES.items() for mistake in mistakes],
)
def test_a_mistake_is_named(number, mistake, old, new, said, tmp_path):
    solution = (SOLUTIONS / f"lesson{number}.py").read_text()
    assert solution.count(old) == 1
    (tmp_path / "mine.py").write_text(solution.replace(old, new))
    lines = failures(number, str(tmp_path / "mine.py"), cpu=2)
    assert any(line.startswith(f"{tmp_path}/mine.py: {said}") for line in lines), lines
    assert not any("\n" in line for line in lines)


def test_every_exercise_has_three_mistakes():
    assert {number for number, mistakes in MISTAKES.items() if len(mistakes) >= 3} == set(LESSONS)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def broken(:\n", "mine.py:1: syntax error: invalid syntax"),
        ("x = '\0'\n", "null bytes"),
        ("x = 1\n", "mine.py: there is no Kernel and no Send"),
        ("def Kernel(): pass\n", "mine.py: there is no Send and no Receive"),
        ("\n1 / 0\n", "mine.py: it cannot be loaded: it raised ZeroDivisionError: division by zero (line 2)"),
        ("raise SystemExit(3)", "mine.py: it cannot be loaded: it raised SystemExit: 3 (line 1)"),
        ("raise KeyboardInterrupt", "mine.py: it cannot be loaded: it raised KeyboardInterrupt (line 1)"),
        ("raise GeneratorExit", "mine.py: it cannot be loaded: it raised GeneratorExit (line 1)"),
        ("import os\nos._exit(3)", "mine.py: it is loaded: it ended the whole process (exit code 3)"),
        ("x = []\nwhile True:\n    x.append(bytes(10**8))\n", "it cannot be loaded: it raised MemoryError (line 3)"),
        ("input()\n", "mine.py: it cannot be loaded: it raised EOFError: EOF when reading a line (line 1)"),
        ("while True:\n    pass\n", "mine.py: it is loaded: it ran for 1 s and did not come back"),
    ],
)
def test_a_file_that_cannot_be_checked_is_one_line(source, said, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(source)
    [line] = failures("7", str(path), cpu=1)
    assert said in line


def test_an_interrupt_raised_by_a_solution_is_one_line_for_each_check(tmp_path):
    (tmp_path / "mine.py").write_text("def take_turns(tasks):\n    raise KeyboardInterrupt\n")
    lines = failures("5", str(tmp_path / "mine.py"))
    assert lines
    assert all(line.endswith(": it raised KeyboardInterrupt (line 2)") for line in lines)


def test_a_file_that_waits_for_ever_is_one_line(tmp_path):
    (tmp_path / "mine.py").write_text("import threading\nthreading.Event().wait()\n")
    [line] = failures("7", str(tmp_path / "mine.py"), wall=3)
    assert line.startswith(f"{tmp_path}/mine.py: it")
    assert "waited for 3 s and did not come back" in line


def test_what_a_file_prints_is_not_taken_for_a_report(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text('print(\'{"done": true}\')\nimport os\nos.write(1, b"{}")\n')
    [line] = failures("7", str(path))
    assert "there is no Kernel" in line


def test_a_solution_may_be_called_like_a_module_that_it_imports(tmp_path):
    (tmp_path / "solutions").mkdir()
    shutil.copy(SOLUTIONS / "lesson4.py", tmp_path / "solutions/queue.py")
    assert failures("4", str(tmp_path / "solutions/queue.py")) == []


def test_a_failure_is_one_line_whatever_a_solution_answers(tmp_path):
    answer = "class Answer:\n    def __repr__(self):\n        return 'two\\nlines'\n"
    (tmp_path / "mine.py").write_text(answer + "def take_turns(tasks):\n    return Answer()\n")
    lines = failures("5", str(tmp_path / "mine.py"))
    assert lines[-1].endswith("no tasks return nothing: take_turns([]) must be [], and is two lines")


def test_the_checks_need_no_pyos_in_the_current_folder(tmp_path):
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    shutil.copy(SOLUTIONS / "lesson7.py", tmp_path)
    command = [sys.executable, "-m", "pyos", "lesson", "7", "--check", "lesson7.py"]
    result = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    told(result, 0)


def test_the_checks_stand_in_the_order_of_the_lessons():
    assert list(CHECKS) == list(LESSONS)
