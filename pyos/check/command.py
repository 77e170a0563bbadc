"""The command line: `python -m pyos check [OPTION...] PROGRAM [ARG...]`.

Exit code: 0 nothing found, 1 a failure, 2 anything wrong before the first run, 130 interrupted with nothing found. It
is the same where the reader of the report goes before its end, as `head` does.
What the program prints is not shown, as it runs thousands of times; with --pdb it is, and on standard error always.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import signal
import sys
from collections.abc import Iterator
from time import monotonic
from typing import TYPE_CHECKING, Any

from pyos.check.strategies import STRATEGIES
from pyos.kernel.kernel import log_to_stderr
from pyos.kernel.loader import Loader
from pyos.usage import UsageError, loaded

if TYPE_CHECKING:
    from pyos.check.explorer import Explorer
    from pyos.check.program import ProgramFile
    from pyos.check.report import Failure, Report
    from pyos.check.settings import Settings

OWN_OPTIONS = (
    "--strategy", "--budget", "--isolated", "--seed", "--depth", "--delays", "--max-steps", "--keep-going",
    "--no-leaks", "--replay", "--pdb", "--html", "--jobs",
)  # fmt: skip
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
QUIET = 2.0  # seconds before the first line of progress
PROGRESS_TTY, PROGRESS = 0.5, 10.0  # seconds between lines of progress, on a terminal and elsewhere


def add_to(commands: Any) -> None:
    """Add the command to the grammar."""
    check = commands.add_parser(
        "check",
        help="run a program under every schedule, or as many as the budget allows",
        allow_abbrev=False,
        description="Run a program under every schedule, or as many as the budget allows. Its main is a generator or "
        "async function (init), or a function that returns a list of generators, or (list, outcome function).",
    )
    check.add_argument("--strategy", choices=STRATEGIES, default="portfolio", help="which schedules (portfolio)")
    check.add_argument("--budget", type=budget, default=60.0, help="30s, 5m, 1h; 1000 schedules; or none (60s)")
    check.add_argument(
        "--isolated", action="store_true", help="tasks share kernel objects only: leave out what cannot matter"
    )
    check.add_argument("--seed", help="of random choices and of Random, a number or any text (0)")
    check.add_argument("--depth", type=int, default=3, help="of pct (3)")
    check.add_argument("--delays", type=int, default=2, help="most deviations of strategy delay (2)")
    check.add_argument("--max-steps", type=int, default=10_000, help="of one run; more is a livelock (10000)")
    check.add_argument("--keep-going", action="store_true", help="do not stop at the first failure; one of each kind")
    check.add_argument("--no-leaks", action="store_true", help="tasks and locks may be left at the end")
    check.add_argument("--replay", metavar="STRING", help="run one schedule again")
    check.add_argument("--pdb", action="store_true", help="open the debugger at the failing step")
    check.add_argument("--html", metavar="FILE", help="write the first failure as a page, step by step")
    check.add_argument("--jobs", type=int, default=1, metavar="N", help="processes (1)")
    check.add_argument("program", help="a Python file with a main")
    check.add_argument("args", nargs=argparse.REMAINDER, help="arguments for the program's main, as strings")
    check.set_defaults(run=check_program)


def budget(text: str) -> float | None:
    """A budget as it is typed: `30s` is a float of seconds, `1000` an int of schedules, `none` no limit."""
    if text == "none":
        return None
    if text.isdecimal():
        amount: float = int(text)
    else:
        try:
            amount = float(text[:-1]) * UNITS[text[-1:]]
        except (ValueError, KeyError):
            raise argparse.ArgumentTypeError(f"{text!r} is neither a time (30s, 5m) nor schedules (1000)") from None
    if not 0 < amount < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no budget")
    return amount


def check_program(options: argparse.Namespace) -> int:
    """Check a program file and print the report; answers the exit code."""
    from pyos.check.explorer import Explorer
    from pyos.check.isolation import NotIsolated
    from pyos.check.program import OtherThanBefore
    from pyos.check.replay import ReplayError, identity_of
    from pyos.check.report import innermost_line

    log = Log()
    with silence():
        _, program = loaded(Loader(log), options.program, lambda path: make_program(path, options, log), "check")
    seed = int(options.seed) if options.seed and options.seed.isdigit() else options.seed
    identity = identity_of(program, program.source, program.argv, seed)
    progress = Progress()
    try:
        settings = settings_of(options, seed, progress)
    except ValueError as error:
        raise UsageError(str(error)) from None
    with Explorer(program, identity, settings) as explorer:
        try:
            report = run(explorer, options.replay, options.jobs)
        except (NotIsolated, ReplayError) as error:
            raise UsageError(str(error)) from None
        except OtherThanBefore as error:
            raise UsageError(str(error), error.details) from None
        except KeyboardInterrupt as error:
            where = innermost_line(error)
            log(f"interrupted in the middle of a step, at {where[0]}:{where[1]}" if where else "interrupted")
            return 130
        finally:
            progress.clear()
        print_report(report, options, monotonic() - progress.start)
        if report.failures and options.html:
            write_page(options, report.failures[0])
        if report.failures and options.pdb:
            debug(explorer, report.failures[0])
    if report.failures:
        return 1
    return 130 if report.bound == "interrupted" else 0


def make_program(path: str, options: argparse.Namespace, log: Log) -> ProgramFile:
    """Compile the program; a note if our own options were typed after it."""
    from pyos.check.program import ProgramFile

    for arg in options.args:
        if arg.partition("=")[0] in OWN_OPTIONS:
            log(f"note: {arg} is taken as an argument of the program; options of check go before {options.program}")
    return ProgramFile(path, options.args, log)


def settings_of(options: argparse.Namespace, seed: int | str | None, progress: Progress) -> Settings:
    """The command line as settings."""
    from pyos.check.settings import Settings

    folder = os.path.dirname(os.path.abspath(options.html or ""))
    if options.html and not os.access(folder, os.W_OK):
        why = "its folder cannot be written to" if os.path.isdir(folder) else "there is no such folder"
        raise UsageError(f"cannot write {options.html}: {why}")
    if options.jobs < 1:
        raise UsageError(f"--jobs is at least 1, not {options.jobs}")
    return Settings(
        strategy=options.strategy,
        budget=options.budget,
        isolated=options.isolated,
        seed=seed,
        depth=options.depth,
        delays=options.delays,
        max_steps=options.max_steps,
        leaks=not options.no_leaks,
        keep_going=options.keep_going,
        progress=progress,
        home=os.path.dirname(os.path.abspath(options.program)),
        variables=options.html is not None,
        command=lambda text: replay_command(options, text),
    )


def replay_command(options: argparse.Namespace, text: str) -> str:
    """What to type to see a schedule again."""
    words = ["python", "-m", "pyos", "check"]
    words += [f"--seed={options.seed}"] if options.seed is not None else []
    words += [f"--max-steps={options.max_steps}"] if options.max_steps != 10_000 else []
    words += ["--no-leaks"] if options.no_leaks else []
    return shlex.join([*words, f"--replay={text}", options.program, *options.args])


def run(explorer: Explorer, replay: str | None, jobs: int) -> Report:
    """The check itself, or the replay of one schedule."""
    from pyos.check.jobs import check_in_processes

    with silence(), interruptible(explorer):
        if replay is not None:
            return explorer.replay(replay)
        return check_in_processes(explorer, jobs) if jobs > 1 else explorer.check()


def debug(explorer: Explorer, failure: Failure) -> None:
    """Open the debugger at the failing step."""
    from pyos.check.debugger import stop_at

    sys.stdout.flush()
    with explorer.witness.stopped_at_end(failure.choices) as harness:
        stop_at(harness, failure)


def print_report(report: Report, options: argparse.Namespace, seconds: float) -> None:
    """The report on standard output, in colours if that is a terminal."""
    from pyos.check.story import tell, wrapped

    color = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    lines = wrapped(f"{options.program}: {report.summary} ({seconds:.1f} s)")
    lines += report.note_lines
    lines += report.outcome_lines
    for failure in report.failures:
        lines += ["", tell(failure, color)]
    encoding = sys.stdout.encoding or "utf-8"
    say("\n".join(lines).encode(encoding, "backslashreplace").decode(encoding))


def write_page(options: argparse.Namespace, failure: Failure) -> None:
    """Write the HTML page of a failure."""
    from pyos.check.page import page

    try:
        with open(options.html, "w", encoding="utf-8") as file:
            file.write(page(failure))
    except OSError as error:
        raise UsageError(f"cannot write {options.html}: {error.strerror}") from None
    say(f"\nstep by step: {options.html}")


def say(text: str) -> None:
    """Print to the standard output, whose reader may have seen enough; what cannot be written otherwise is an error."""
    try:
        print(text, flush=True)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the rest is tried again and again
        if not isinstance(error, BrokenPipeError):
            raise UsageError(f"cannot write to standard output: {error.strerror}") from None


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """While inside, what the program prints goes nowhere."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


@contextlib.contextmanager
def interruptible(explorer: Explorer) -> Iterator[None]:
    """While inside, the first SIGINT ends the check in order, with its report; the second as usual."""

    def interrupt(number: int, frame: Any) -> None:
        explorer.interrupted = True
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class Log:
    """Warnings of the loader, each once."""

    def __init__(self) -> None:
        self.seen: set[str] = set()

    def __call__(self, line: str) -> None:
        if line not in self.seen:
            self.seen.add(line)
            log_to_stderr(line)


class Progress:
    """Shows on standard error how far a long check is."""

    def __init__(self) -> None:
        self.start = monotonic()
        self.tty = sys.stderr.isatty()
        self.next = self.start + QUIET
        self.shown = False

    def __call__(self, report: Report, spent: float) -> None:
        now = monotonic()
        if now < self.next:
            return
        self.next = now + (PROGRESS_TTY if self.tty else PROGRESS)
        rate = report.schedules / (now - self.start)
        part = f", {min(spent, 1.0):.0%} of the budget" if spent else ""
        found = f", {len(report.failures)} found" if report.failures else ""
        line = f"{report.schedules:,} schedules, {rate:,.0f}/s{part}{found}"
        with contextlib.suppress(OSError):  # nobody may want to see it
            sys.stderr.write(f"\r{line}\033[K" if self.tty else f"{line}\n")
            sys.stderr.flush()
        self.shown = self.tty

    def clear(self) -> None:
        """Take the line away."""
        if self.shown:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
