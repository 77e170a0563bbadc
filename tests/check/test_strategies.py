"""Which schedules each strategy runs, what it promises, and how strategies share a budget."""

from __future__ import annotations

import math
import re
import time
from collections import Counter
from itertools import pairwise

import pytest

import pyos
from pyos import KILL, Choose, KillTask, NewTask, WaitTask
from pyos.check import explorer, settings
from pyos.check.harness import Harness
from pyos.check.settings import Settings
from pyos.check.strategies import Dfs, Elsewhere, Pct, Production, Random
from tests.check.cases import cells, crossed, family, ordered, racy
from tests.kernel.programs import yields


def schedules_of(program, strategy, most=100_000):
    """The choices of every run of a strategy, and the order in which tasks took their steps."""
    harness = Harness(program)
    steps = []
    seen = []

    def choose(kind, options):
        index = strategy.choose(kind, options)
        if kind == "step":
            steps.append(options[index].tid)
        return index

    while len(seen) < most and strategy.next():
        steps.clear()
        try:
            harness.run(choose)
        except Elsewhere:
            continue
        if getattr(strategy, "shares", 1) > 1 and strategy.is_elsewhere():
            continue
        seen.append((strategy.chosen, tuple(steps)))
    harness.kernel.close()
    return seen


def of(*lengths):
    """A program of tasks with so many bare yields."""
    return lambda: [yields(n) for n in lengths]


# --- dfs


@pytest.mark.parametrize(
    ("lengths", "count"), [((1,), 1), ((1, 1), 6), ((2, 2), 20), ((4, 4), 252), ((1, 1, 1), 90), ((1, 2, 3), 1260)]
)
def test_dfs_runs_every_schedule_once(lengths, count):
    steps = sum(n + 1 for n in lengths)
    assert count == math.factorial(steps) // math.prod(math.factorial(n + 1) for n in lengths)
    strategy = Dfs()
    seen = schedules_of(of(*lengths), strategy)
    assert len(seen) == count
    assert len({choices for choices, _ in seen}) == count
    assert strategy.complete
    assert strategy.bound == ""


def test_dfs_goes_through_what_a_program_chooses_as_well():
    def program():
        first = yield Choose("abc")
        second = (yield Choose([1, 2])) if first == "b" else 0
        return first, second

    expected = [("a", 0), ("b", 1), ("b", 2), ("c", 0)]
    assert pyos.check(program, strategy="dfs", budget=None).outcomes == dict.fromkeys(expected, 1)


def test_a_program_that_is_another_one_in_each_run_is_no_complete_search():
    runs = []

    def program():
        runs.append(1)
        return [yields(1) for _ in range(2 + len(runs) % 2)]

    (failure,) = pyos.check(program, strategy="dfs", budget=None).failures
    assert failure.kind == "nondeterminism"


def test_dfs_notices_when_there_are_other_options_than_before():
    strategy = Dfs()
    strategy.next()
    strategy.choose("step", "ab")
    strategy.choose("step", "ab")
    strategy.next()
    assert strategy.choose("step", "abc") == 0
    assert strategy.diverged == "choice 1 has 3 options, and had 2 before"


@pytest.mark.parametrize("shares", [2, 3, 7])
@pytest.mark.parametrize("program", [of(2, 2), of(1, 1, 1), of(4, 4), of(2, 2, 2), of(1)])
def test_shares_of_several_processes_are_all_and_do_not_overlap(program, shares):
    parts = [schedules_of(program, Dfs(share=(number, shares))) for number in range(shares)]
    together = Counter(choices for part in parts for choices, _ in part)
    assert together == Counter(choices for choices, _ in schedules_of(program, Dfs()))


def test_no_share_is_empty_where_there_is_enough_to_do():
    parts = [len(schedules_of(of(2, 2, 2), Dfs(share=(number, 2)))) for number in range(2)]
    assert min(parts) > 0.2 * sum(parts)


def test_a_share_is_given_up_between_steps_and_never_inside_one():
    def program():
        def choosy():
            for _ in range(3):
                yield Choose("ab")

        return [choosy(), choosy()]

    parts = [pyos.check(program, strategy="dfs", budget=None)]
    for number in range(2):
        with explorer.Explorer(program, "x", Settings("dfs", None, share=(number, 2))) as one:
            parts.append(one.check())
    assert parts[0].schedules == parts[1].schedules + parts[2].schedules
    assert all(part.ok for part in parts)


# --- delay


@pytest.mark.parametrize("most", [0, 1, 2, 3])
def test_delay_runs_exactly_the_schedules_with_few_deviations(most):
    every = {choices for choices, _ in schedules_of(of(2, 2), Dfs())}
    wanted = {choices for choices in every if sum(map(bool, choices)) <= most}
    strategy = Dfs(most)
    assert Counter(choices for choices, _ in schedules_of(of(2, 2), strategy)) == Counter(wanted)
    assert strategy.complete == (wanted == every)


def test_delay_says_what_it_leaves_out_unless_that_is_nothing():
    assert re.match("at most 1 deviation from production order$", report_of("delay", delays=1).bound)
    assert re.match("at most 2 deviations from production order$", report_of("delay", delays=2).bound)
    assert report_of("delay", delays=9).complete
    assert report_of("delay", delays=9).bound == ""


def report_of(strategy, program=None, **options):
    return pyos.check(program or of(2, 2), strategy=strategy, **{"budget": None, **options})


def test_production_is_one_schedule_the_kernels_own():
    (seen,) = schedules_of(of(2, 2), Production())
    assert seen[1][:5] == (1, 2, 1, 2, 1)
    report = report_of("production")
    assert report.schedules == 1
    assert report.bound == "one schedule, production's"


# --- random


def test_random_schedules_are_reproduced_by_their_seed():
    one, same, other = (schedules_of(of(3, 3), Random(seed), 50) for seed in (7, 7, 8))
    assert one == same
    assert one != other
    texts = [schedules_of(of(3, 3), Random(seed), 50) for seed in ("a", "a", "b")]
    assert texts[0] == texts[1] != texts[2]


def test_random_comes_everywhere_and_never_to_an_end():
    strategy = Random(1)
    seen = schedules_of(of(1, 1), strategy, 500)
    assert len(seen) == 500
    assert len({choices for choices, _ in seen}) == 6
    assert not strategy.complete


@pytest.mark.parametrize("strategy", ["portfolio", "dfs", "dpor", "random", "pct", "delay", "production"])
def test_a_program_without_any_choice_is_complete_after_one_schedule(strategy):
    report = pyos.check(lambda: yields(3), strategy=strategy, budget=None)
    assert (report.schedules, report.complete) == (1, True)


def test_without_a_seed_it_is_0_and_the_report_says_so():
    assert report_of("random", budget=5).seed == 0
    assert report_of("random", budget=5, seed="x").seed == "x"


# --- pct


def test_pct_runs_the_task_of_highest_priority_until_it_falls_behind():
    seen = schedules_of(of(4, 4), Pct(1, 3), 200)
    orders = {steps for _, steps in seen[1:]}  # the first is the dry run
    assert orders == {(1, 1, 1, 1, 1), (2, 2, 2, 2, 2)}  # with one task left nothing is chosen


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_pct_has_at_most_so_many_switches_that_are_not_forced(depth):
    for _, steps in schedules_of(of(6, 6), Pct(depth, 5), 300)[1:]:
        assert sum(a != b for a, b in pairwise(steps)) <= depth - 1


def test_pct_is_reproduced_by_its_seed():
    one, same, other = (schedules_of(of(3, 3, 3), Pct(3, seed), 30) for seed in (7, 7, 8))
    assert one == same
    assert one != other


def test_pct_finds_a_bug_of_its_depth_as_often_as_it_promises():
    def program():
        state = []

        def first():
            for _ in range(8):
                yield
            state.append(1)

        def second():
            for _ in range(8):
                yield
            assert state, "second has overtaken first"

        return [first(), second()]

    strategy = Pct(1, 11)
    harness = Harness(program)
    found = 0
    for _ in range(400):
        strategy.next()
        harness.run(strategy.choose)
        found += harness.failure is not None
    harness.kernel.close()
    promised = float(re.search(r"at least (\S+)$", strategy.bound)[1])
    assert promised == 0.5
    assert found / 400 > promised * 0.8


def test_pct_finds_by_its_changes_what_priorities_alone_cannot():
    def program():
        at = [""]

        def works():
            for step in range(6):
                at[0] = f"step {step}"
                yield
            at[0] = "the end"

        def looks():
            assert at[0] != "step 3", "it has come in between"
            for _ in range(6):  # the dry run is as long as any, so that nothing is left to chance
                yield

        return [works(), looks()]

    def found_by(depth):
        strategy, harness = Pct(depth, 3), Harness(program)
        failures = 0
        for _ in range(400):
            strategy.next()
            harness.run(strategy.choose)
            failures += harness.failure is not None
        harness.kernel.close()
        return failures / 400, float(re.search(r"at least (\S+)$", strategy.bound)[1])

    assert found_by(1)[0] == 0
    found, promised = found_by(2)
    assert found >= promised * 0.8


def test_pct_counts_tasks_that_are_never_ready_together():
    def program():
        for _ in range(5):
            yield WaitTask((yield NewTask(yields(3))))

    strategy = Pct(2, 0)
    schedules_of(program, strategy, 3)
    assert strategy.tasks >= 5


def test_pct_says_its_bound():
    strategy = Pct(3, 0)
    schedules_of(of(4, 4), strategy, 5)
    horizon = strategy.horizon
    assert 8 <= horizon <= 10
    assert (
        strategy.bound == f"a bug of depth 3 is hit by a run with a probability of at least {1 / (2 * horizon**2):.2g}"
    )


# --- portfolio


def strategies_of(monkeypatch, program, **options):
    """The names of the strategies of a portfolio in the order of their runs."""
    names = []
    original = explorer.Explorer._runs

    def runs(self, strategy):
        for number in original(self, strategy):
            names.append(strategy.name)
            yield number

    monkeypatch.setattr(explorer.Explorer, "_runs", runs)
    report = pyos.check(program, **options)
    return names, report


def test_a_portfolio_begins_with_production_and_few_deviations_and_then_takes_turns(monkeypatch):
    names, report = strategies_of(monkeypatch, of(8, 8, 8), budget=2000)
    assert report.schedules == len(names) == 2000
    order = list(dict.fromkeys(names))
    assert order == ["production", "delay 1", "delay 2", "random", "pct 2", "pct 3", "dfs"]
    assert names[0] == "production"
    assert names.count("delay 1") + names.count("delay 2") <= 0.25 * 2000 + 1
    counts = Counter(names)
    turns = [counts[name] for name in ("random", "pct 2", "pct 3", "dfs")]
    assert max(turns) - min(turns) <= explorer.BATCH


def test_a_portfolio_of_isolated_tasks_has_partial_order_reduction(monkeypatch):
    def program():
        return [stores(pyos.Cell(0)) for _ in range(3)]

    def stores(cell):
        for n in range(6):
            yield cell.store(n)

    names, report = strategies_of(monkeypatch, program, budget=3000, isolated=True)
    assert report.complete
    assert names[-1] == "dpor"
    assert names.count("dpor") == 1


@pytest.mark.parametrize("strategy", ["portfolio", "dfs", "dpor", "delay"])
def test_a_portfolio_and_the_exhaustive_strategies_say_when_they_have_seen_everything(strategy):
    report = report_of(strategy, family, delays=9)
    assert report.complete
    assert report.bound == ""
    assert report.schedules >= 11


@pytest.mark.parametrize("strategy", ["portfolio", "dfs", "dpor", "random", "pct", "delay"])
@pytest.mark.parametrize("budget", [1, 7, 100])
def test_a_budget_of_schedules_is_kept_exactly(strategy, budget):
    report = report_of(strategy, of(9, 9, 9), budget=budget, delays=5)
    assert report.schedules == budget
    assert not report.complete
    assert f"{budget} schedules used up" in report.bound


def test_a_budget_that_is_just_enough_is_complete():
    assert report_of("dfs", of(1, 1), budget=6).complete
    assert not report_of("dfs", of(1, 1), budget=5).complete


def test_a_budget_in_seconds_is_kept(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(settings, "monotonic", lambda: clock.__setitem__(0, clock[0] + 0.01) or clock[0])
    report = report_of("random", of(3, 3), budget=1.0)
    assert 20 < report.schedules < 100
    assert report.bound == "1 s used up, a random sample"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"budget": True}, TypeError),
        ({"budget": "60"}, TypeError),
        ({"budget": 0}, ValueError),
        ({"budget": -1.0}, ValueError),
        ({"budget": math.nan}, ValueError),
        ({"strategy": "guess"}, ValueError),
        ({"depth": 0}, ValueError),
        ({"depth": 1.5}, TypeError),
        ({"delays": -1}, ValueError),
        ({"max_steps": 0}, ValueError),
    ],
)
def test_options_that_make_no_sense_are_refused(options, error):
    with pytest.raises(error):
        pyos.check(family, **options)


def test_progress_is_told_on_the_way():
    told = []
    report_of("dfs", of(4, 4, 1), budget=1000, progress=lambda report, spent: told.append((report.schedules, spent)))
    assert told == [(256, 0.256), (512, 0.512), (768, 0.768)]


def test_the_first_failure_ends_the_check_unless_it_is_to_go_on():
    first = report_of("dfs", crossed)
    assert len(first.failures) == 1
    assert first.bound == "stopped at the first failure"
    every = report_of("dfs", crossed, keep_going=True)
    assert len(every.failures) == 1
    assert every.complete
    assert every.outcomes == {
        None: every.schedules - every.outcomes["deadlock"],
        "deadlock": every.outcomes["deadlock"],
    }
    assert every.schedules > first.schedules


def test_without_isolation_the_report_says_what_it_would_gain():
    (note,) = report_of("dpor", cells).notes
    assert re.match(
        r"every pair of steps was taken as dependent; with isolated=True \d+ of \d+ pairs in production's", note
    )
    assert report_of("dpor", cells, isolated=True).notes == []


def test_dpor_needs_fewer_runs_where_tasks_are_isolated():
    assert report_of("dpor", cells).schedules == report_of("dfs", cells).schedules == 20
    assert report_of("dpor", cells, isolated=True).schedules == 4
    assert report_of("dpor", ordered, isolated=True).complete


def test_outcomes_are_counted_also_those_that_cannot_be_hashed():
    assert report_of("dfs", racy).outcomes == {1: 4, 2: 2}

    def program():
        yield
        return [1, {"a": 2}]

    assert report_of("dfs", program).outcomes == {"[1, {'a': 2}]": 1}


def test_one_kernel_serves_all_schedules():
    """A dry measure of what a reset costs: a schedule takes far less than booting a kernel."""
    from pyos.kernel.clock import VirtualClock
    from pyos.kernel.kernel import Kernel

    start = time.process_time()
    for _ in range(20):
        Kernel(clock=VirtualClock()).close()
    boot = (time.process_time() - start) / 20
    harness, strategy = Harness(of(1, 1)), Dfs()
    start = time.process_time()
    while strategy.next():
        harness.run(strategy.choose)
    schedule = (time.process_time() - start) / 6
    harness.kernel.close()
    assert schedule < boot


def test_a_ready_task_that_is_killed_is_no_option_any_more():
    def program():
        child = yield NewTask(yields(1))
        yield KillTask(child, KILL)

    assert report_of("dfs", program).schedules == 3  # the child is killed before its first step, its second, its end


def test_children_take_part_like_the_first_tasks():
    def program():
        tids = []
        for _ in range(2):
            tids.append((yield NewTask(yields(0))))
        for tid in tids:
            yield WaitTask(tid)

    assert report_of("dfs", program).schedules == 11
