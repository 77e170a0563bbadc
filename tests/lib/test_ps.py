"""Tables of tasks, and how tasks ended, for people."""

import pytest

from pyos import KILL, TERM, ExitStatus, NewTask, TaskInfo, Tasks, WaitTask
from pyos.lib.exits import ending, exit_code, last_words
from pyos.lib.ps import table
from tests.kernel.programs import fails, sleeps, yields


def info(tid, name="task", waiting_on="", state="ready", program=""):
    return TaskInfo(tid, 1, name, state, waiting_on, (), program)


def test_a_table_has_a_header_and_a_row_for_each_task():
    tasks = [info(1, "init", "wait task 2", "blocked"), info(12345, "a long name", program="bin/x.py")]
    assert table(tasks).splitlines() == [
        "TID    PARENT  STATE    WAITING ON   NAME         PROGRAM",
        "1      1       blocked  wait task 2  init         -",
        "12345  1       ready    -            a long name  bin/x.py",
    ]
    assert table(tasks).endswith("\n")


def test_columns_are_as_wide_as_they_have_to_be():
    assert table([]) == "TID  PARENT  STATE  WAITING ON  NAME  PROGRAM\n"
    lines = table([info(1), info(2, "x" * 30)]).splitlines()
    assert {line.index("-") for line in lines[1:]} == {lines[0].index("WAITING")}
    assert [line.rindex("-") for line in lines[1:]] == [lines[0].index("PROGRAM")] * 2


def test_what_tasks_says_can_be_shown(run):
    def main():
        yield NewTask(yields(0), name="gone")
        yield NewTask(sleeps(5), name="sleeper")
        yield
        return table((yield Tasks()))

    assert run(main()).value.splitlines()[1:] == [
        "1    0       running  -           main     -",
        "2    1       zombie   -           gone     -",
        "3    1       blocked  sleep 5s    sleeper  -",
    ]


def died(error):
    """The status of a task that died of an error, with a traceback."""
    try:
        raise error
    except type(error) as caught:
        return ExitStatus(7, "task", error=caught)


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (ExitStatus(7, "task"), 0, "ended with 0"),
        (ExitStatus(7, "task", 3), 3, "ended with 3"),
        (ExitStatus(7, "task", True), 1, "ended with True"),
        (ExitStatus(7, "task", "text"), 0, "ended with 'text'"),
        (ExitStatus(7, "task", signal=TERM), 143, "was killed by TERM"),
        (ExitStatus(7, "task", signal=KILL), 137, "was killed by KILL"),
        (died(ValueError("x")), 1, "died of an uncaught ValueError"),
    ],
)
def test_how_a_task_ended(status, code, words):
    assert (exit_code(status), ending(status)) == (code, words)


def test_the_last_words_are_the_traceback(run):
    def main():
        return (yield WaitTask((yield NewTask(fails(ValueError("x"))))))

    words = last_words(run(main()).value)
    assert words.startswith("Traceback (most recent call last):\n")
    assert words.endswith("ValueError: x\n")
    assert "/pyos/" not in words
    assert last_words(ExitStatus(7, "task", 3)) == ""
