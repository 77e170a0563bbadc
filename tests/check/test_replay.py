"""Replay strings: a failing schedule is run again exactly, or it is said why it cannot be."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pyos
from pyos import Choose, Random
from pyos.check.replay import (
    ReplayError,
    decode,
    encode,
    first_that_differs,
    identity_of,
    marked_steps,
    marks_of,
)
from tests.check.cases import cells, crossed, lost_update, ordered
from tests.kernel.programs import yields

IDENTITY = "0123456789ab"


# --- the string


@given(st.lists(st.integers(0, 100)))
def test_choices_survive_encoding_but_for_the_zeros_at_the_end(choices):
    text = encode(IDENTITY, choices)
    assert text.startswith(f"pyos1:{IDENTITY}:")
    decoded = list(decode(text, IDENTITY))
    assert decoded == choices[: len(decoded)]
    assert not any(choices[len(decoded) :])
    assert not decoded or decoded[-1] != 0


@pytest.mark.parametrize(
    ("choices", "text"),
    [((), ""), ((0, 0), ""), ((0, 1, 0), "01"), ((10, 35), "az"), ((36, 1), "(10)1"), ((1295, 1296), "(zz)(100)")],
)
def test_choices_are_written_in_base_36(choices, text):
    assert encode(IDENTITY, choices) == f"pyos1:{IDENTITY}:{text}"


@pytest.mark.parametrize(
    "text", ["", "pyos1", "pyos1::", "pyos2:0123456789ab:0", "01", f"pyos1:{IDENTITY}:(1", "a:b:c:d"]
)
def test_what_is_no_replay_string_is_refused(text):
    with pytest.raises(ReplayError):
        decode(text, IDENTITY)


@pytest.mark.parametrize("choices", ["!", "0-1", "(", "()", "é", "(+1)", "(-1)", "(1_0)", "( 1)", "A", "٣"])
def test_what_is_no_choice_is_refused(choices):
    with pytest.raises(ReplayError, match="not a replay string"):
        decode(f"pyos1:{IDENTITY}:{choices}", IDENTITY)


def test_a_string_of_another_program_is_refused():
    (failure,) = pyos.check(crossed).failures
    with pytest.raises(ReplayError, match=r"of another program, or of another version: \w{12}, not \w{12}"):
        pyos.check(cells, replay=failure.replay)


def test_the_identity_is_of_source_arguments_seed_and_version(monkeypatch):
    source = b"def main(): ..."
    identities = {
        identity_of(crossed, source),
        identity_of(ordered, source),
        identity_of(crossed, source + b" "),
        identity_of(crossed, source, ["a"]),
        identity_of(crossed, source, ["a", ""]),
        identity_of(crossed, source, seed=1),
        identity_of(crossed, source, seed="1"),
    }
    assert len(identities) == 7
    assert all(re.fullmatch("[0-9a-f]{12}", identity) for identity in identities)
    assert identity_of(crossed, source) == identity_of(crossed, source)
    monkeypatch.setattr(pyos, "__version__", "9.9")
    assert identity_of(crossed, source) not in identities


def test_an_argument_that_is_told_by_its_address_does_not_change_the_identity():
    assert identity_of(crossed, args := b"", [repr(object())]) == identity_of(crossed, args, [repr(object())])


# --- running it again


@pytest.mark.parametrize("strategy", ["portfolio", "dfs", "random", "pct", "delay"])
def test_a_failure_is_found_again_by_its_string(strategy):
    (failure,) = pyos.check(crossed, strategy=strategy, budget=1000).failures
    report = pyos.check(crossed, replay=failure.replay)
    (again,) = report.failures
    assert report.schedules == 1
    assert (again.kind, again.message, again.choices) == (failure.kind, failure.message, failure.choices)
    assert [row.label for row in again.rows] == [row.label for row in failure.rows]
    assert again.found_by == "replay"


def test_a_replay_says_that_it_is_one_schedule():
    report = pyos.check(ordered, replay=encode(identity_of(ordered), (1,)))
    assert report.ok
    assert not report.complete
    assert report.bound == "one schedule, the one that was asked for"


def test_options_that_the_run_depends_on_are_in_the_command():
    def endless():
        while True:
            yield

    (failure,) = pyos.check(endless, max_steps=9, seed="s").failures
    assert failure.command == f"pyos.check(endless, seed='s', max_steps=9, replay={failure.replay!r})"


def test_choices_of_a_program_are_replayed_as_well():
    def program():
        first = yield Choose("abc")
        second = yield Choose([1, 2, 3, 4])
        assert (first, second) != ("c", 3)

    (failure,) = pyos.check(program, strategy="dfs").failures
    assert failure.replay.endswith(":22")
    assert len(pyos.check(program, replay=failure.replay).failures) == 1


def test_the_random_trap_answers_the_same_in_a_replay():
    def program():
        value = yield Random()
        raise ValueError(value)

    (failure,) = pyos.check(program, seed=5).failures
    (again,) = pyos.check(program, seed=5, replay=failure.replay).failures
    assert again.message == failure.message
    with pytest.raises(ReplayError):
        pyos.check(program, seed=6, replay=failure.replay)


# --- divergence


def test_a_choice_out_of_range_stops_the_replay():
    text = encode(identity_of(ordered), (1, 7))
    with pytest.raises(ReplayError, match="diverged from the schedule: choice 2 is 7, and there are only 2 options"):
        pyos.check(ordered, replay=text)


def test_choices_that_are_left_over_stop_the_replay():
    def program():
        return [yields(1), yields(1)]

    text = encode(identity_of(program), (0, 0, 0, 0, 0, 1))
    with pytest.raises(
        ReplayError, match=r"the schedule has 6 choices, and the run came to its end after \d; the last"
    ):
        pyos.check(program, replay=text)


def test_a_program_that_does_not_do_the_same_twice_stops_at_the_first_step_that_differs():
    runs = []

    def program():
        runs.append(1)
        yield
        yield pyos.Sleep(len(runs))

    report = pyos.check(program, replay=encode(identity_of(program), ()))
    (failure,) = report.failures
    assert failure.kind == "nondeterminism"
    assert re.search(
        r"step 2 was task 1 .*: Sleep\(1\), and with the same choices again .*: Sleep\(2\)", failure.message
    )


# --- in another process, under another hash seed

PROGRAM = """
    from pyos import Channel, Lock, NewTask, Sleep, WaitTask

    def work(name, first, second, log):
        yield first.acquire()
        yield log.put(name)
        yield second.acquire()
        yield second.release()
        yield first.release()

    def main(*names):
        locks = {name: Lock(name) for name in names}
        log = Channel(10, "log")
        tids = []
        for name, other in zip(names, names[1:] + names[:1]):
            tids.append((yield NewTask(work(name, locks[name], locks[other], log), name=name)))
        for tid in tids:
            yield WaitTask(tid)
"""


@pytest.fixture
def in_process(tmp_path):
    """Check the program in a process of its own, under a hash seed; answers what it prints."""
    (tmp_path / "program.py").write_text(textwrap.dedent(PROGRAM))

    def check(hash_seed, *options):
        command = [sys.executable, "-m", "pyos", "check", *options, "program.py", "ann", "bob", "cyd"]
        environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed)}
        options = {"capture_output": True, "text": True, "timeout": 100}
        result = subprocess.run(command, cwd=tmp_path, env=environment, check=False, **options)
        assert result.returncode == 1, result.stdout + result.stderr
        return result.stdout

    return check


def test_a_replay_in_another_process_under_another_hash_seed_is_the_same(in_process):
    found = in_process(1, "--strategy=random", "--seed=4")
    replay = re.search(r"--replay=(\S+)", found)[1]
    for hash_seed in (2, 3):
        again = in_process(hash_seed, "--seed=4", f"--replay={replay}")
        assert run_told_in(again) == run_told_in(found)
    assert "race on lock" in found


def run_told_in(text):
    """The steps and what follows."""
    return text[text.index("step  where") :]


@pytest.mark.parametrize("strategy", ["random", "pct", "portfolio"])
def test_the_same_seed_finds_the_same_under_every_hash_seed(in_process, strategy):
    one, two = (in_process(hash_seed, f"--strategy={strategy}", "--seed=9") for hash_seed in (1, 2))
    timed = re.compile(r" \(\d+\.\d s\)")
    assert timed.sub("", one) == timed.sub("", two)


def test_a_lost_update_is_replayed_without_any_choice():
    (failure,) = pyos.check(lost_update).failures
    assert failure.replay.endswith(":")
    assert failure.choices == ()


# --- marks: what was run is compared with what was run when the string was made


def test_a_mark_is_a_hexadecimal_digit_after_each_of_the_first_steps_and_ever_fewer_after_them():
    assert marked_steps(70) == [*range(1, 17), 20, 24, 28, 32, 40, 48, 56, 64]
    assert marked_steps(3) == [1, 2, 3]
    assert len(marked_steps(10_000)) < 60
    assert re.fullmatch("[0-9a-f]{5}", marks_of(["a", "b", "c"]))


@given(st.lists(st.sampled_from("abc"), max_size=40), st.lists(st.sampled_from("abc"), max_size=40))
def test_marks_of_another_run_differ_at_the_first_step_that_does_or_later(then, now):
    differs = first_that_differs(marks_of(then), now)
    if then == now:
        assert differs is None
    elif differs is not None:
        first, last = differs
        real = next((i for i, (a, b) in enumerate(zip(then, now)) if a != b), min(len(then), len(now))) + 1
        assert last >= real
        assert 1 <= first <= last <= len(now) + 1


def test_a_run_without_marks_is_compared_with_nothing():
    assert first_that_differs("", ["a"]) is None


def test_the_hash_of_a_string_begins_with_the_programs_and_goes_on_with_its_runs():
    (failure,) = pyos.check(crossed).failures
    hashed = failure.replay.split(":")[1]
    assert hashed.startswith(identity_of(crossed))
    assert hashed[12:] == marks_of([row.mark for row in failure.rows])
    without = failure.replay.replace(hashed, hashed[:12])
    assert pyos.check(crossed, replay=without).failures[0].kind == failure.kind


STEPS = {
    "at another line": ("\n    yield cell.store(1)", r"now task 1 .*helper.py:3: Store\("),
    "another trap": ("    yield cell.load()\n    yield cell.store(1)", r"now task 1 .*helper.py:2: Load\("),
    "an end that comes too early": ("    raise ValueError", "now task 1 .*helper.py:2: its end"),
}


@pytest.mark.parametrize(("body", "message"), STEPS.values(), ids=STEPS)
def test_what_the_program_imports_has_changed_and_the_first_step_that_differs_is_named(tmp_path, body, message):
    helper, program = tmp_path / "helper.py", tmp_path / "program.py"
    helper.write_text("def write(cell):\n    yield cell.store(1)\n")
    program.write_text(
        textwrap.dedent(
            """
            from helper import write
            from pyos import Cell

            def main():
                cell = Cell(0, "cell")
                yield
                yield from write(cell)
                yield
                assert (yield cell.load()) == 2
            """
        )
    )

    def check(*options):
        command = [sys.executable, "-B", "-m", "pyos", "check", *options, str(program)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)

    replay = re.search(r"--replay=(\S+)", check().stdout)[0]
    assert check(replay).returncode == 1
    helper.write_text(f"def write(cell):\n{body}\n    yield from ()\n")
    changed = check(replay)
    assert changed.returncode == 2
    assert "Traceback" not in changed.stderr
    assert re.search(
        f"the program has diverged from the schedule at step 2, which was another .*: {message}", changed.stderr
    )


def test_a_program_in_another_folder_is_replayed_as_well(tmp_path):
    texts = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / "program.py"
        path.write_text(textwrap.dedent(PROGRAM))
        command = [sys.executable, "-m", "pyos", "check", *texts, str(path), "ann", "bob"]
        found = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
        assert found.returncode == 1, found.stderr
        texts = re.findall(r"--replay=\S+", found.stdout)
