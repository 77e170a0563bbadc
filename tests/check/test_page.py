"""What is in the page of a failure; how it looks and answers to keys is tested in a browser (tests/web)."""

from __future__ import annotations

import json
import re

import pytest

import pyos
from pyos import Cell, Channel, NewTask, WaitTask
from pyos.check.explorer import Explorer
from pyos.check.page import data_of, page
from pyos.check.recorder import MOST_STACKS
from pyos.check.settings import Settings
from tests.check.cases import crossed, lost_update
from tests.kernel.programs import fails, yields


@pytest.fixture
def found():
    """The one failure of a program, recorded with its variables."""

    def check(program, **options):
        with Explorer(program, "0123456789ab", Settings(variables=True, budget=500, **options)) as explorer:
            (failure,) = explorer.check().failures
        return failure

    return check


def data_in(text):
    """What a page's script reads."""
    return json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', text, re.DOTALL)[1])


def stack_at(data, tid, number):
    """A task's stack after a step, as the page finds it."""
    for row in reversed(data["rows"][:number]):
        if str(tid) in row["stacks"]:
            return row["stacks"][str(tid)]
    return None


def test_the_page_is_self_contained(found):
    text = page(found(crossed))
    assert not re.search(r"(src|href|url|import)\s*[=(]\s*[\"']?(https?:|//|\w+/)", text)
    assert "@@DATA@@" not in text
    assert text.count("<script") == text.count("</script>") == 2


def test_it_has_what_the_story_has(found):
    failure = found(crossed)
    data = data_in(page(failure))
    assert data == json.loads(json.dumps(data_of(failure)))
    assert data["kind"] == "deadlock"
    assert data["message"].startswith("a cycle of waits: ")
    assert data["command"] == failure.command
    assert [row["text"] for row in data["rows"]] == [
        "Acquire(a)",
        "Acquire(b)",
        "Acquire(a) blocks",
        "Acquire(b) blocks",
    ]
    assert [row["choice"] > 0 for row in data["rows"]] == [False, True, False, False]
    assert data["race"] == {"first": 2, "second": 4}
    assert data["raceInWords"] in failure.story.replace("\n  ", " ")


def test_each_step_has_the_stacks_that_have_changed(found):
    def program():
        def sub(n):
            yield
            yield from yields(1, n)

        def work(n):
            total = 0
            for i in range(2):
                yield sub(i)
                total += i
            raise ValueError(n)

        yield NewTask(work(5), linked=True)
        yield WaitTask()

    data = data_in(page(found(program)))
    number = next(row["number"] for row in data["rows"] if row["tid"] == 2)
    stack = stack_at(data, 2, number)
    assert [frame[1].rpartition(".")[2] for frame in stack] == ["work", "sub"]
    assert stack[0][2].items() >= {"n": "5", "total": "0", "i": "0"}.items()
    assert stack[1][2]["n"] == "0"
    changed = [row["number"] for row in data["rows"] if "1" in row["stacks"]]
    assert changed == [row["number"] for row in data["rows"] if row["tid"] == 1][: len(changed)]


def test_the_sources_of_the_frames_are_in_it(found):
    data = data_in(page(found(crossed)))
    frame = stack_at(data, 1, 4)[-1]
    path, _, line = frame[0].rpartition(":")
    assert data["sources"][path][int(line) - 1].strip() == "yield second.acquire()"


def test_a_task_that_never_ran_is_in_it_without_a_step(found):
    data = data_in(page(found(lambda: [fails(ValueError("x")), yields(3)])))
    first, second = data["tasks"]
    assert first == {"tid": 1, "name": "fails", "born": 1, "first": 1, "last": 1, "ended": True, "steps": [1]}
    assert second == {"tid": 2, "name": "yields", "born": 1, "first": 2, "last": 2, "ended": False, "steps": []}
    assert "ValueError: x" in data["traceback"]


def test_text_of_the_programs_cannot_end_the_script(found):
    def program():
        text = "</script><!-- \u2028 \ud800"
        channel = Channel(1, text)
        yield channel.put(text)
        raise ValueError(text)

    text = page(found(program))
    assert text.count("</script>") == 2
    assert "ValueError: </script><!-- " in data_in(text)["message"]
    text.encode("utf-8")


def test_a_very_long_run_keeps_the_variables_of_its_beginning(found):
    def program():
        cell = Cell(0)
        for n in range(10**6):
            yield cell.store(n)

    failure = found(program, max_steps=MOST_STACKS + 500)
    data = data_in(page(failure))
    assert len(data["rows"]) == MOST_STACKS + 500
    assert data["stacksUntil"] == MOST_STACKS
    assert stack_at(data, 1, MOST_STACKS)[0][2]["n"] == str(MOST_STACKS - 1)
    assert not any(row["stacks"] for row in data["rows"][MOST_STACKS:])


def test_a_failure_that_was_recorded_without_variables_has_a_page_too():
    (failure,) = pyos.check(lost_update).failures
    data = data_in(page(failure))
    assert data["sources"] == {}
    assert [row["stacks"] for row in data["rows"]] == [{}] * 4
    assert data["raceInWords"].startswith("race on total: ")
