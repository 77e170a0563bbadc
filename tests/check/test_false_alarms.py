"""What a check must not blame on the program."""

from __future__ import annotations

import gc
import time

import pytest

import pyos
from pyos import Choose, Event, Program


@pytest.fixture
def _timed_collections():
    def times(phase: str, info: dict[str, int]) -> None:
        time.perf_counter()

    gc.callbacks.append(times)
    yield
    gc.callbacks.remove(times)


@pytest.mark.usefixtures("_timed_collections")
def test_a_callback_of_the_garbage_collector_may_ask_for_the_time():
    def program() -> Program:
        yield
        gc.collect(0)
        yield

    assert pyos.check(program, strategy="dfs").ok


def test_the_choices_of_a_clean_up_between_two_runs_are_none_of_a_schedule():
    def waits(never: Event) -> Program:
        try:
            yield never.wait()
        finally:
            yield Choose("xy")

    def program() -> list[Program]:
        never = Event("never")
        return [waits(never), waits(never)]

    report = pyos.check(program, strategy="dfs", budget=None, keep_going=True)
    assert [failure.kind for failure in report.failures] == ["deadlock"]
    assert (report.complete, report.schedules) == (True, 2)
