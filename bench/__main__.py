"""The benchmark's command line: `python -m bench [WORKLOAD…]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench import chart, report
from bench.results import Results
from bench.runner import ROOT, Runner
from bench.workload import Workload, peers, workloads

RESULTS = ROOT / "bench" / "results.json"
QUICK_BUDGET = 40.0  # seconds until only pyos is measured, so that a quick run ends within a minute


def grammar(known: dict[str, Workload]) -> argparse.ArgumentParser:
    """The command line's grammar."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="pyos beside its peers, in one run.")
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=f"all, or some of: {', '.join(known)}")
    parser.add_argument("--quick", action="store_true", help="small and once, within a minute")
    parser.add_argument("--rounds", type=int, help="how often each is measured (default 5, with --quick 1)")
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="only this peer or contender; may be repeated"
    )
    parser.add_argument(
        "--save", action="store_true", help=f"keep the figures of the workloads run in {RESULTS.relative_to(ROOT)}"
    )
    parser.add_argument(
        "--table", action="store_true", help="measure nothing: write the tables and the chart from that file"
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Measure, report, and say by the exit code whether every program ran and every figure can be: 0, or 1."""
    known = workloads()
    parser = grammar(known)
    options = parser.parse_args(argv)
    if unknown := set(options.workloads) - known.keys():
        parser.error(f"there is no workload {', '.join(sorted(unknown))} (choose from {', '.join(known)})")
    if options.table:
        return write_tables(known)
    chosen = [known[name] for name in known if not options.workloads or name in options.workloads]
    rounds = options.rounds or (1 if options.quick else 5)
    runner = Runner(chosen, size="quick" if options.quick else "full", rounds=rounds, only=options.only, log=progress)
    results = runner.run(peers(), QUICK_BUDGET if options.quick else None)
    print(report.text(results, chosen))
    if options.save:
        keep(results)
    found = report.problems(results)
    for problem in found:
        print(f"bench: {problem}", file=sys.stderr)
    return 1 if found else 0


def progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def keep(results: Results, path: Path = RESULTS) -> None:
    """Replace the figures of the workloads that were run; those of others stay."""
    try:
        before = Results.load(path).workloads
    except FileNotFoundError:
        before = {}
    results.workloads = {
        name: results.workloads.get(name) or before[name]
        for name in workloads()
        if name in results.workloads or name in before
    }
    results.save(path)


def write_tables(known: dict[str, Workload]) -> int:
    """Write README's and docs' tables and the chart from the results that were kept."""
    try:
        results = Results.load(RESULTS)
    except FileNotFoundError:
        print("bench: there are no results yet: run make bench", file=sys.stderr)
        return 1
    report.write_tables(results, list(known.values()), ROOT)
    chart.draw(results, list(known.values()), ROOT / report.CHART)
    return 0


if __name__ == "__main__":
    sys.exit(main())
