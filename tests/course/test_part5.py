"""Part 5: the properties of a task, as the program shows them."""

import re

import pytest

from tests.course.running import BOOTED, PLAIN, output, run_program

PROGRAM = "part5_tasks/by_hand.py"


@pytest.fixture(scope="module")
def sections():
    """What the program says, by the number of the property."""
    return dict(re.findall(r"^(\d) .*\n((?:    .*\n)+)", output(PROGRAM), re.MULTILINE))


def test_a_task_begins_when_it_is_resumed_and_stands_still_at_a_yield(sections):
    created, suspended = re.findall(r"ann is (\w+), at line (\d+)", sections["1"])
    assert created == ("created", "1")
    assert suspended[0] == "suspended"
    assert int(suspended[1]) > 1


def test_tasks_resumed_in_any_order_keep_their_own_totals(sections):
    totals = {"ann": 0, "bob": 0}
    resumed = re.findall(r"(\w+) is sent (\d+) and answers (\d+)", sections["2"])
    for name, number, answer in resumed:
        totals[name] += int(number)
        assert int(answer) == totals[name]
    assert [name for name, *_ in resumed] == ["ann", "bob", "bob", "ann"]
    assert re.findall(r"\d+", sections["3"]) == [str(totals["ann"]), str(totals["bob"])]


def test_a_task_survives_an_error_that_it_catches(sections):
    assert sections["4"].strip() == "ann was told: not so fast; ann is suspended"


def test_a_closed_task_has_cleaned_up_and_cannot_be_resumed(sections):
    assert sections["5"].split("\n")[:2] == [
        "    bob cleans up; bob is closed",
        "    resuming bob raises StopIteration",
    ]


def test_ten_thousand_tasks_need_no_thread(sections):
    assert sections["6"].strip() == "10,000 of them are suspended, in 1 thread"


def test_it_says_the_same_without_pyos():
    assert output(PROGRAM, by=PLAIN) == output(PROGRAM, by=BOOTED)


def test_help_and_a_bad_option():
    assert "Part 5" in output(PROGRAM, "--help")
    refused = run_program(PROGRAM, "--nope")
    assert refused.returncode == 2
    assert refused.stderr == "by_hand: error: unrecognized arguments: --nope\n"
