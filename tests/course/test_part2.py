"""Part 2, dataflow: push sources and sinks, branches and joints, filters, throttles, batches, and what a send costs."""

import re

import pytest

from pyos import KillTask, NewTask, Sleep, WaitTask
from tests.course.programs import boot, done, lines, program, ticks


@pytest.fixture
def log(tmp_path):
    """A log that is empty so far."""
    (tmp_path / "access.log").touch()
    return str(tmp_path / "access.log")


def append(path, *texts):
    with open(path, "a") as file:
        file.writelines(f"{text}\n" for text in texts)


@pytest.mark.pyos
def test_a_source_pushes_lines_as_they_come_and_closes_its_sink(log, capsys):
    tid = yield program("cofollow", log, "--lines", 2)
    yield Sleep(10)
    append(log, "one")
    yield Sleep(1)
    assert lines(capsys.readouterr().out) == ["one"]
    append(log, "two", "three")
    assert (yield WaitTask(tid)).ok
    assert lines(capsys.readouterr().out) == ["two", "printer: closed"]


@pytest.mark.pyos
def test_a_killed_source_closes_its_sink(log, capsys):
    tid = yield program("cofollow", log)
    yield Sleep(10)
    yield KillTask(tid)
    yield WaitTask(tid)
    assert lines(capsys.readouterr().out) == ["printer: closed"]


@pytest.mark.pyos
def test_a_push_pipeline_filters(log, capsys):
    append(log, "a 404", "a 200", "the last 404", "one 404 too many")
    assert (yield done("copipe", " 404$", log, "--from-start", "--lines", 3)).ok
    assert lines(capsys.readouterr().out) == ["a 404", "the last 404"]


@pytest.mark.pyos
def test_a_push_pipeline_goes_on_through_truncation(log, capsys):
    tid = yield program("copipe", ".", log, "--lines", 2)
    yield Sleep(1)
    append(log, "a long line before")
    yield Sleep(2)
    with open(log, "w") as file:
        file.write("after\n")
    assert (yield WaitTask(tid)).ok
    assert lines(capsys.readouterr().out) == ["a long line before", "after"]


@pytest.mark.pyos
def test_a_flow_branches_and_joins(log, capsys):
    append(log, "alpha beta", "beta", "gamma", "alpha")
    assert (yield done("broadcast", log, "alpha", "b.ta", "--from-start", "--lines", 4)).ok
    assert lines(capsys.readouterr().out) == [
        "alpha: alpha beta",
        "b.ta: alpha beta",
        "b.ta: beta",
        "alpha: alpha",
    ]


@pytest.mark.pyos
def test_batches_are_sent_on_full_and_the_rest_at_the_end(log, capsys):
    append(log, *"abcde")
    assert (yield done("stages", log, "--only", "[^b]", "--batch", 3, "--from-start", "--lines", 5)).ok
    assert lines(capsys.readouterr().out) == ["a batch of 3:", "  a", "  c", "  d", "a batch of 1:", "  e"]


@pytest.mark.pyos
def test_a_throttle_goes_by_the_kernels_clock(log, capsys):
    def writer():
        for number in range(6):
            append(log, str(number))
            yield Sleep(4)

    tid = yield program("stages", log, "--every", 10, "--batch", 10, "--from-start", "--lines", 6)
    yield NewTask(writer())
    assert (yield WaitTask(tid)).ok
    # written at 0, 4, 8, 12, 16 and 20 s: one passes in 10 s, and the last is sent on at the end
    assert lines(capsys.readouterr().out) == ["a batch of 3:", "  0", "  3", "  5"]


@pytest.mark.pyos
def test_others_run_while_sends_are_measured(capsys):
    turns = []
    yield NewTask(ticks(turns))
    assert (yield done("cobench", "--items", 30_000, "--rounds", 1)).ok
    assert len(turns) >= 9
    title, *rows = lines(capsys.readouterr().out)
    assert title.startswith("one send to a")
    costs = {row[:28].rstrip(): row[28:].split() for row in rows}
    assert list(costs) == ["coroutine", "object with a send method", "function that is a closure"]
    assert all(float(nanoseconds) > 0 and float(ratio) > 0 for nanoseconds, ratio in costs.values())
    assert costs["coroutine"][1] == "1.00"


def test_the_programs_run_on_a_simulated_log(tmp_path):
    log = tmp_path / "new.log"
    assert boot("logsim", log, "--lines", 40, "--every", 0).returncode == 0
    result = boot("copipe", " 404 ", log, "--from-start", "--lines", 40)
    missing = [line for line in log.read_text().splitlines() if re.search(" 404 ", line)]
    assert missing
    assert (result.returncode, result.stderr, lines(result.stdout)) == (0, "", missing)
