"""One check in several processes: random strategies by seeds of their own, the exhaustive ones by the first choices.

Each process is forked from this one and checks its share; only numbers and choices come back. This process runs a
failing schedule again, and confirms, shrinks and tells it as always.

Partial order reduction has no shares, as what is left to run is only known from what was run. With `isolated` one
process does it alone, and the report says so: under dpor this one, in a portfolio the first, while the others sample.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import pickle
import signal
import traceback
from multiprocessing.connection import Connection, wait
from time import monotonic
from typing import Any

from pyos.check.explorer import Explorer
from pyos.check.report import Report
from pyos.errors import ProgramError

NEWS_EVERY = 0.2  # seconds between a process's messages


class Job:
    """One process, as this one sees it."""

    def __init__(self, explorer: Explorer, number: int, count: int) -> None:
        context = multiprocessing.get_context("fork")
        self.number = number
        self.report = Report(explorer.settings.strategy)
        self.news, there = context.Pipe(duplex=False)
        self.process = context.Process(target=work, args=(explorer, number, count, there))
        self.process.start()
        there.close()
        self.over = False

    def take_news(self) -> Any:
        """The next message, its report kept; None at the end."""
        try:
            message = self.news.recv()
        except EOFError:
            self.over = True
            self.news.close()
            return None
        self.report = message["report"]
        return message

    def stop(self) -> None:
        """End the process."""
        if self.process.is_alive():
            self.process.terminate()
        self.process.join()
        self.process.close()
        self.news.close()


def check_in_processes(explorer: Explorer, count: int) -> Report:
    """The check of `explorer`, which has been entered, in `count` processes; as `Explorer.check`."""
    is_reduced = explorer.settings.isolated and explorer.settings.strategy in ("portfolio", "dpor")
    if is_reduced and explorer.settings.strategy == "dpor":
        explorer.report.notes.append(f"one process was used instead of {count}, as dpor cannot be shared between them")
        return explorer.check()
    explorer.begin()
    report = explorer.report
    if report.failures:
        explorer.finish()
        return report
    budget = explorer.settings.budget
    if isinstance(budget, int):
        count = min(count, budget)
    jobs = [Job(explorer, number, count) for number in range(count)]
    try:
        while running := {job.news: job for job in jobs if not job.over}:
            for ready in wait(list(running)):
                read(explorer, running[ready], jobs)  # type: ignore[index]
            if explorer.is_over or is_complete(explorer, jobs):
                break
    finally:
        for job in jobs:
            job.stop()
    merge(report, jobs)
    report.complete = is_complete(explorer, jobs) and not explorer.stopped
    bounds = [job.report.bound for job in jobs if job.report.bound]
    report.bound = "" if report.complete else next(iter(bounds), "a process of the check ended before its time")
    if is_reduced and count > 1:
        report.notes.append(
            f"one of {count} processes did dpor, as it cannot be shared; the others took random samples"
        )
    explorer.finish()
    return report


def read(explorer: Explorer, job: Job, jobs: list[Job]) -> None:
    """Take one message of a process: how far it is, and the failing schedules it has found."""
    message = job.take_news()
    if message is None:
        return
    if isinstance(message["error"], ProgramError):
        raise message["error"]
    if message["error"]:
        raise RuntimeError(f"a process of the check has failed:\n{message['error']}")
    merge(explorer.report, jobs)
    for choices, found_by in message["failures"]:
        explorer.found_elsewhere(choices, found_by)
    if explorer.settings.progress is not None:
        explorer.settings.progress(explorer.report, explorer.spent)


def merge(report: Report, jobs: list[Job]) -> None:
    """The sums of what all have seen."""
    report.schedules = sum(job.report.schedules for job in jobs)
    report.blocked = sum(job.report.blocked for job in jobs)
    report.cut = sum(job.report.cut for job in jobs)
    report.outcomes.clear()
    for job in jobs:
        report.outcomes.update(job.report.outcomes)
    report.notes = next((list(job.report.notes) for job in jobs if job.report.notes), [])


def is_complete(explorer: Explorer, jobs: list[Job]) -> bool:
    """True once everything has been seen: by the first process alone where there are no shares, else by all."""
    if explorer.settings.isolated and explorer.settings.strategy in ("portfolio", "dpor"):
        return jobs[0].report.complete
    return all(job.report.complete for job in jobs)


# --- in the other process


def work(explorer: Explorer, number: int, count: int, pipe: Connection) -> None:
    """Check one share, and send what there is to know."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    budget = explorer.settings.budget
    if isinstance(budget, int):
        budget = budget // count + (number < budget % count)
    sender = Sender(pipe)
    settings = dataclasses.replace(
        explorer.settings, share=(number, count), budget=budget, progress=sender.progress, variables=False
    )
    try:
        with Explorer(explorer.program, explorer.identity, settings) as mine:
            mine.used_up = explorer.used_up
            signal.signal(signal.SIGINT, lambda *_: setattr(mine, "interrupted", True))
            sender.send(mine.check())
    except ProgramError as error:  # main has failed
        sender.send(Report(""), error)
    except BaseException:
        sender.send(Report(""), traceback.format_exc())


class Sender:
    """Sends reports, without what cannot travel."""

    def __init__(self, pipe: Connection) -> None:
        self.pipe = pipe
        self.last = monotonic()
        self.sent = 0  # failures

    def progress(self, report: Report, spent: float) -> None:
        """Send what is new, not too often."""
        if monotonic() - self.last > NEWS_EVERY or len(report.failures) > self.sent:
            self.last = monotonic()
            self.send(report)

    def send(self, report: Report, error: str | ProgramError = "") -> None:
        """Send a report."""
        new = report.failures[self.sent :]
        self.sent = len(report.failures)
        light = dataclasses.replace(report, failures=[])
        try:
            pickle.dumps(light.outcomes)
        except Exception:
            light.outcomes = type(light.outcomes)({repr(outcome): n for outcome, n in light.outcomes.items()})
        failures = [(failure.choices, failure.found_by) for failure in new]
        self.pipe.send({"report": light, "failures": failures, "error": error})
