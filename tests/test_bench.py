"""The benchmark: what it reports is what was measured, and each of its programs runs."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys

import pytest

from bench import __main__ as command
from bench import report
from bench.results import Outcome, Results
from bench.runner import ROOT, Failed, Runner, in_child
from bench.stats import is_sensible, ratios, summary
from bench.workload import WHOLE, Case, Contender, Promise, Workload, peers, workloads

KNOWN = workloads()


def results(**series):
    """The results of one workload, "talk", with these contenders' costs by round."""
    outcome = Outcome("full", 3, {WHOLE: {name: {"cost": list(costs)} for name, costs in series.items()}})
    titles = {"pyos": {"title": "pyos", "version": "1", "limit": False}, "other": {"title": "Other", "version": "2"}}
    system = {"python": "CPython 3.11", "system": "Linux", "processor": "a processor", "cores": 2}
    return Results(system, titles, {"talk": outcome})


def talk(*promises):
    return Workload("talk", "say a word", "ns/word", {WHOLE: Case({"words": 1})}, promises=list(promises))


# --- figures


def test_a_summary_is_the_median_and_the_extremes_of_what_was_measured():
    assert summary([3.0, None, 1.0, 10.0]) == (3.0, 1.0, 10.0)
    assert summary([3.0, None, 1.0, 10.0]).spread == 3
    assert summary([None]) is None


def test_a_ratio_compares_figures_of_the_same_round():
    faster = Promise("", against="other", at_least=2)
    assert ratios(faster, [1.0, 2.0, None], [3.0, 8.0, 9.0]) == [3.0, 4.0]
    cheaper = Promise("", against="other", at_most=2)
    assert ratios(cheaper, [1.0, 2.0], [4.0, 4.0]) == [0.25, 0.5]


@pytest.mark.parametrize(
    ("promise", "kept", "broken"),
    [
        (Promise("", against="other", at_least=2), 2.0, 1.99),
        (Promise("", against="other", at_most=0.45), 0.45, 0.46),
        (Promise("", at_most=10), 10, 11),
    ],
)
def test_a_promise_is_kept_up_to_its_bound(promise, kept, broken):
    assert promise.kept_by(kept)
    assert not promise.kept_by(broken)


def test_a_promise_that_is_not_kept_says_so():
    twice = talk(Promise("talk", against="other", at_least=2))
    slow = report.promise_rows(results(pyos=[5, 5, 6], other=[9, 9, 9]), [twice])
    assert slow == [["talk", "≥ 2 ×", "1.80", "1.50–1.80", "NO"]]
    unknown = report.promise_rows(results(pyos=[5]), [twice])
    assert unknown[0][2] == "not measured"


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -1.0])
def test_a_figure_that_cannot_be_is_a_problem(value):
    assert not is_sensible(value)
    assert report.problems(results(pyos=[1.0, value]))


def test_a_workload_without_figures_or_with_a_failure_is_a_problem():
    assert report.problems(results(other=[1.0])) == ["talk: pyos has no figures"]
    failed = results(pyos=[1.0])
    failed.workloads["talk"].failed["whole: other"] = "status 1"
    assert report.problems(failed) == ["talk, whole: other: status 1"]


def test_results_are_the_same_after_they_have_been_saved(tmp_path):
    kept = results(pyos=[1.0, 2.5], other=[3.0, 4.0])
    kept.save(tmp_path / "results.json")
    assert Results.load(tmp_path / "results.json") == kept
    assert "[1.0, 2.5]" in (tmp_path / "results.json").read_text()


def test_the_figures_of_workloads_that_were_not_run_are_kept(tmp_path):
    path = tmp_path / "results.json"
    before = results(pyos=[1.0])
    before.workloads = {"switch": before.workloads["talk"]}
    before.save(path)
    after = results(pyos=[2.0])
    after.workloads = {"syscall": after.workloads["talk"]}
    command.keep(after, path)
    assert {name: outcome.series(WHOLE, "pyos") for name, outcome in Results.load(path).workloads.items()} == {
        "switch": [1.0],
        "syscall": [2.0],
    }


# --- tables


def test_a_table_is_put_between_its_marks_and_nowhere_else():
    document = "before\n<!-- bench:begin -->\nold\n<!-- bench:end -->\nafter\n"
    assert report.between_marks(document, "bench", "new\n") == (
        "before\n<!-- bench:begin -->\nnew\n<!-- bench:end -->\nafter\n"
    )
    with pytest.raises(ValueError, match="bench:begin"):
        report.between_marks("nothing\n", "bench", "new\n")


def test_the_documents_show_the_results_that_are_kept():
    kept = Results.load(command.RESULTS)
    for name, marked in report.blocks(kept, list(KNOWN.values())).items():
        document = (ROOT / name).read_text()
        for mark, block in marked:
            assert report.between_marks(document, mark, block) == document, f"{name}: run make bench-table"
    assert (ROOT / report.CHART).read_text().startswith("<?xml")


def test_the_results_that_are_kept_are_of_five_rounds_and_without_problems():
    kept = Results.load(command.RESULTS)
    assert kept.workloads.keys() == KNOWN.keys()
    assert {(outcome.size, outcome.rounds) for outcome in kept.workloads.values()} == {("full", 5)}
    assert report.problems(kept) == []


# --- what is measured


def test_every_promise_is_about_cases_and_contenders_that_there_are():
    labels = {name: {str(contender) for contender in workload.programs} for name, workload in KNOWN.items()}
    for peer in peers():
        try:
            brought = in_child([], "probe", peer)
        except Exception:
            continue  # its library is not here
        for name, found in brought["programs"].items():
            labels[name] |= set(found)
    for name, workload in KNOWN.items():
        for promise in workload.promises:
            assert promise.case in workload.cases, promise
            assert promise.against_case in {None, *workload.cases}, promise
            assert promise.of in labels[name], promise
            if promise.against is not None and Contender.parse(promise.against).peer not in ("uvloop", "gevent"):
                assert promise.against in labels[name], promise


@pytest.mark.parametrize("name", KNOWN)
def test_each_workload_runs_on_pyos_and_on_what_needs_no_library(name):
    if name == "echo" and shutil.which("cc") is None:
        pytest.skip("the load client is a C program, and there is no compiler")
    runner = Runner([KNOWN[name]], size="tiny", rounds=1, log=lambda line: None)
    found = runner.run(["pyos", "asyncio", "bare", "ancestor", "trampoline", "epoll"])
    assert report.problems(found) == []
    outcome = found.workloads[name]
    assert set(outcome.cases) == set(KNOWN[name].cases)
    assert all(outcome.series(case, "pyos") for case in outcome.cases)


def test_a_contender_that_fails_is_told_with_its_last_words():
    with pytest.raises(Failed, match="KeyError: 'no such workload'"):
        in_child([], "measure", "no such workload", WHOLE, "pyos", json.dumps({}))


def test_a_workload_that_does_not_exist_is_named():
    done = subprocess.run(
        [sys.executable, "-m", "bench", "swithc"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "there is no workload swithc (choose from switch, " in done.stderr
