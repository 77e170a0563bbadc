"""Runs every contender of every workload, each time in a process of its own, interleaved, with progress.

In each round the contenders of a case follow each other directly, and backwards in every second round: what else the
machine does then hits all alike, and a ratio compares neighbours. The order of workloads is that of the reports.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from bench.results import Outcome, Results, this_system
from bench.workload import Contender, Workload

ROOT = Path(__file__).resolve().parent.parent
LONGEST = 300.0  # seconds that one run may take
OURS = "pyos"  # is measured even when the time is over

Log = Callable[[str], None]


class Job(NamedTuple):
    """One contender's program of one case."""

    workload: Workload
    case: str
    contender: Contender
    params: dict[str, int]
    options: list[str]  # for the interpreter

    @property
    def key(self) -> str:
        return f"{self.case}: {self.contender}"


class Failed(Exception):
    """A measurement went wrong; the message is the last line that it wrote."""


class Skipped(Exception):
    """A measurement did not take place; the message says why."""


class Runner:
    """One run of the benchmark. `only` names contenders or peers; none means all of them."""

    def __init__(
        self, workloads: Iterable[Workload], *, size: str, rounds: int, only: Iterable[str] = (), log: Log = print
    ) -> None:
        self.workloads = list(workloads)
        self.size = size
        self.rounds = rounds
        self.only = set(only)
        self.log = log
        self.results = Results(system=this_system())
        self.options: dict[str, list[str]] = {}
        self.programs: dict[str, list[str]] = {}  # what peers bring, by workload

    def run(self, peers: Iterable[str], budget: float | None = None) -> Results:
        """Measure; after `budget` seconds only pyos. Failures and what was skipped are in the results, with reasons."""
        end = None if budget is None else time.monotonic() + budget
        self.probe(peers)
        plan = [(workload, self.jobs(workload)) for workload in self.workloads]
        for workload, _ in plan:
            self.results.workloads[workload.name] = Outcome(self.size, self.rounds)
        total = self.rounds * sum(len(jobs) for _, jobs in plan)
        done = 0
        for turn in range(self.rounds):
            for _, jobs in plan:
                for job in in_order(jobs, turn):
                    done += 1
                    self.do(job, f"[{done}/{total}] round {turn + 1} of {self.rounds}", end)
        return self.results

    def probe(self, peers: Iterable[str]) -> None:
        """Ask each peer, in its own process, whether it runs here; its version is printed, or why it does not."""
        for peer in peers:
            try:
                answer = in_child([], "probe", peer)
            except (Failed, Skipped) as reason:
                self.results.peers[peer] = {"title": peer, "version": "", "skipped": str(reason)}
                self.log(f"{peer}: does not run here: {reason}")
                continue
            self.results.peers[peer] = {key: answer[key] for key in ("title", "version", "limit")}
            self.options[peer] = answer["options"]
            for workload, labels in answer["programs"].items():
                self.programs.setdefault(workload, []).extend(labels)
            self.log(f"{answer['title']}: {answer['version']} {' '.join(answer['options'])}".rstrip())

    def jobs(self, workload: Workload) -> list[Job]:
        """Every case at this size, by every contender that is wanted and can run."""
        labels = dict.fromkeys(self.programs.get(workload.name, []))
        wanted = [Contender.parse(label) for label in labels if not self.only or self.is_wanted(label)]
        return [
            Job(workload, case, contender, params, self.options[contender.peer])
            for case, shape in workload.cases.items()
            if (params := shape.params(self.size)) is not None
            for contender in wanted
        ]

    def is_wanted(self, label: str) -> bool:
        return label in self.only or Contender.parse(label).peer in self.only

    def do(self, job: Job, progress: str, end: float | None) -> None:
        """One measurement. What was skipped or failed once is not tried again."""
        outcome = self.results.workloads[job.workload.name]
        if job.key in outcome.skipped or job.key in outcome.failed:
            return
        said = f"{progress}  {job.workload.name}, {job.case}: {job.contender}"
        try:
            if end is not None and time.monotonic() > end and job.contender.peer != OURS:
                raise Skipped("the time is over")
            figures = measure(job)
        except Skipped as reason:
            outcome.skipped[job.key] = str(reason)
            self.log(f"{said}  skipped: {reason}")
        except Failed as reason:
            outcome.failed[job.key] = str(reason)
            self.log(f"{said}  FAILED: {reason}")
        else:
            outcome.add(job.case, str(job.contender), figures)
            self.log(f"{said}  {figures['cost']:.4g} {job.workload.unit}")


def in_order(jobs: list[Job], turn: int) -> Iterator[Job]:
    """Case by case, the contenders forwards or backwards."""
    for case in dict.fromkeys(job.case for job in jobs):
        of_case = [job for job in jobs if job.case == case]
        yield from of_case if turn % 2 == 0 else reversed(of_case)


def measure(job: Job) -> dict[str, float]:
    """One measurement in a process of its own."""
    answer = in_child(job.options, "measure", job.workload.name, job.case, str(job.contender), json.dumps(job.params))
    figures: dict[str, float] = answer["figures"]
    return figures


def in_child(options: list[str], *arguments: str, longest: float = LONGEST) -> Any:
    """The JSON that `bench.child` answers. Raises Skipped, or Failed with its last words; what it started ends too."""
    command = [sys.executable, *options, "-m", "bench.child", *arguments]
    child = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        out, err = child.communicate(timeout=longest)
    except subprocess.TimeoutExpired:
        raise Failed(f"it took longer than {longest:g} s") from None
    finally:
        end_group(child)
    lines = out.strip().splitlines()
    if child.returncode != 0 or not lines:
        last = (err.strip().splitlines() or ["it said nothing"])[-1]
        raise Failed(f"status {child.returncode}: {last}")
    answer = json.loads(lines[-1])
    if "skip" in answer:
        raise Skipped(answer["skip"])
    return answer


def end_group(child: subprocess.Popen[str]) -> None:
    """End the child and whatever it has left running: a server whose client has failed."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.communicate()
