"""The guards around real time, chance, threads, processes and sockets: who is caught, who is let through."""

from __future__ import annotations

import _thread
import gc
import os
import random
import secrets
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import pytest

import pyos
from pyos import Channel, NewTask, WaitTask
from pyos.check import tracing
from pyos.check.guards import WATCHED, guarded
from pyos.check.harness import Harness
from pyos.check.source import hashes_alike, source_of, unordered, value_of
from pyos.kernel.choice import first


def verdict(act):
    """What a check says of a program that does this in its second step: None if nothing."""

    def program():
        yield
        act()

    report = pyos.check(program, budget=5)
    return report.failures[0].message if report.failures else None


@pytest.mark.parametrize(
    "act",
    [
        lambda: uuid.uuid4().hex,
        lambda: secrets.token_hex(4),
        lambda: random.choice("ab"),
        lambda: random.randint(1, 6),
        lambda: random.gauss(0, 1),
        lambda: random.SystemRandom().random(),
        lambda: time.perf_counter_ns() + 1,
        lambda: random.seed(None),
        lambda: time.process_time() + 1,
        lambda: time.localtime().tm_year,
        lambda: time.strftime("%H"),
        lambda: os.fork() or os._exit(0),
        lambda: os.system("true"),
        lambda: os.popen("true").close(),
        lambda: _thread.start_new_thread(int, ()),
    ],
)
def test_what_draws_on_behalf_of_the_program_is_reported_at_the_programs_line(act):
    assert verdict(act).startswith(f"{__file__}:{act.__code__.co_firstlineno}: ")


@pytest.mark.parametrize(
    "act", [lambda: time.localtime(0), lambda: time.ctime(0), lambda: time.strftime("%H", time.gmtime(0))]
)
def test_a_time_that_is_given_may_be_made_another_form_of(act):
    assert verdict(act) is None


def test_a_pool_of_threads_is_reported_at_the_programs_line():
    def act():
        with ThreadPoolExecutor(1) as pool:
            pool.submit(int).result()

    assert verdict(act).startswith(f"{__file__}:{act.__code__.co_firstlineno + 2}: Thread.start() is not under")


def test_a_seed_given_outside_the_program_does_not_count():
    random.seed(3)

    def program():
        yield
        random.random()

    assert not pyos.check(program, budget=5).ok


def test_a_seed_given_by_one_run_does_not_count_in_the_next():
    runs = []

    def program():
        runs.append(1)
        if len(runs) == 1:
            random.seed(3)
        yield
        random.random()

    before = random.getstate()
    report = pyos.check(program, budget=5)
    random.setstate(before)
    assert report.failures[0].kind == "nondeterminism"


def test_a_seed_counts_for_its_run_only():
    seeds = [7, None]

    def program():
        if seed := seeds.pop(0):
            random.seed(seed)
        yield
        random.random()

    harness, before = Harness(program), random.getstate()
    with guarded([harness]):
        harness.run(first)
        assert harness.failure is None
        harness.run(first)
        assert harness.failure is not None
    harness.kernel.close()
    random.setstate(before)


def test_a_callback_of_the_collector_may_ask_for_the_time():
    def callback(phase, info):
        time.perf_counter()
        monotonic()

    def program():
        yield
        gc.collect()

    gc.callbacks.append(callback)
    try:
        report = pyos.check(program, budget=5)
    finally:
        gc.callbacks.remove(callback)
    assert report.ok


def test_another_thread_may_do_what_it_likes():
    stop, seen = threading.Event(), []

    def clock():
        while not stop.is_set():
            seen.append(time.monotonic())
            time.sleep(0)

    thread = threading.Thread(target=clock)
    thread.start()
    try:
        report = pyos.check(two_children, strategy="dfs", budget=None)
    finally:
        stop.set()
        thread.join()
    assert report.ok
    assert report.complete
    assert seen


def two_children():
    def child():
        yield

    tids = []
    for _ in range(2):
        tids.append((yield NewTask(child())))
    for tid in tids:
        yield WaitTask(tid)


def test_outside_the_steps_of_a_run_nothing_is_reported():
    def program():
        return [two_children()], lambda: len(str(uuid.UUID(int=5)))

    assert pyos.check(program, budget=5).ok


def test_what_is_guarded_works_as_before_and_is_restored():
    originals = [getattr(owner, name) for owner, name, _ in WATCHED]
    with guarded([]):
        assert time.monotonic() <= time.monotonic()
        assert 1 <= random.randint(1, 6) <= 6
        assert random.Random(5).random() == random.Random(5).random()
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()
        assert [getattr(owner, name) for owner, name, _ in WATCHED] != originals
    assert [getattr(owner, name) for owner, name, _ in WATCHED] == originals


def test_the_guards_are_restored_when_the_check_raises():
    originals = [getattr(owner, name) for owner, name, _ in WATCHED]

    def program():
        raise LookupError

    with pytest.raises(LookupError):
        pyos.check(program)
    assert [getattr(owner, name) for owner, name, _ in WATCHED] == originals


def test_a_debugger_that_traces_is_left_alone():
    def trace(frame, event, arg):
        return None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        report = pyos.check(two_children, budget=20)
        still = sys.gettrace()
    finally:
        sys.settrace(before)
    assert still is trace
    assert report.ok


def test_tracing_ends_with_the_check():
    before = sys.gettrace(), sys.getprofile()
    pyos.check(two_children, budget=20)
    assert (sys.gettrace(), sys.getprofile()) == before


def test_a_program_that_computes_is_followed_only_so_far(monkeypatch):
    monkeypatch.setattr(tracing, "MOST_EVENTS", 50)
    before = sys.gettrace(), sys.getprofile()

    def program():
        total = 0
        for n in range(1000):
            total += n
        yield
        monotonic()  # too late to be seen
        return total

    report = pyos.check(program, strategy="production")
    assert report.ok
    assert report.outcomes == {499500: 1}
    assert (sys.gettrace(), sys.getprofile()) == before


class Hostile:
    """Whatever is asked of it raises."""

    def __getattribute__(self, name):
        raise RuntimeError(name)

    def __repr__(self):
        raise RuntimeError("repr")

    def __eq__(self, other):
        raise RuntimeError("eq")

    __hash__ = None


def test_objects_that_answer_with_errors_do_not_disturb_the_check():
    def program():
        thing, channel = Hostile(), Channel(2)

        def work():
            same = thing
            yield channel.put(same)

        for _ in range(2):
            yield NewTask(work())
        while (yield WaitTask()):
            pass
        raise ValueError("end")

    (failure,) = pyos.check(program, budget=20).failures
    assert failure.kind == "error"
    assert "a Hostile (its repr raised RuntimeError)" in " ".join(failure.story.replace("|", " ").split())


# --- what is read off the source


def test_accesses_of_a_line_are_read_off_its_source(tmp_path):
    path = tmp_path / "program.py"
    lines = [
        "box[0] = seen + 1",
        "self.total += 1",
        "queue.append(item)",
        "value = table.get(key).name",
        "x = yield cell.load()",
        "yield account.lock.acquire()",
    ]
    path.write_text("\n".join(lines))
    source = source_of(str(path))
    found = {line: {(a.text, a.write) for a in accesses} for line, accesses in source.accesses.items()}
    assert found[1] == {("box[0]", True), ("seen", False)}
    assert found[2] == {("self.total", True), ("self.total", False)}
    assert found[3] == {("queue.append()", True), ("item", False)}
    assert ("table.get(key)", False) in found[4]
    assert found[6] == {("account.lock.acquire()", False)}  # it builds a trap
    assert source.yields == {5, 6}


@pytest.mark.parametrize(
    ("value", "is_unordered"),
    [
        ({1, 2, 3}, False),
        ({1.5, True}, False),
        ({(1, 2), (3, 4)}, False),
        ({"a"}, False),
        ({"a", "b"}, True),
        (frozenset({b"a", b"b"}), True),
        ({("a", 1), ("b", 2)}, True),
        ({None, 1}, True),
        (["a", "b"], False),
        ({"a": 1, "b": 2}, False),
    ],
)
def test_sets_are_unordered_where_hashes_differ_between_processes(value, is_unordered):
    assert unordered(value) == is_unordered


def test_values_are_found_without_running_code_of_the_programs():
    import ast

    class Trap:
        @property
        def names(self):
            raise AssertionError("a property is code")

    def of(text):
        return value_of(ast.parse(text, mode="eval").body, {"a": {"x", "y"}, "b": ["p", "q"], "t": Trap()})

    assert of("a") == {"x", "y"}
    assert of("set(b)") == {"p", "q"}
    assert of("{'m', 'n'}") == {"m", "n"}
    assert of("a | unknown") == {"x", "y"}
    assert of("t.names") is None
    assert of("f(a)") is None
    assert not hashes_alike("a")
