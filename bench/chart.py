"""The one picture: each peer's cost of each headline, against that of pyos, on a logarithmic scale."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

from bench.report import best_of, case_title, headlines, limit_of
from bench.results import Results
from bench.workload import Workload

# Okabe and Ito's colours, which most people can tell apart, each with a shape of its own; black is for the limits
LOOKS = [
    ("#0072B2", "o"),
    ("#D55E00", "v"),
    ("#009E73", "^"),
    ("#CC79A7", "D"),
    ("#56B4E9", "s"),
    ("#999999", "P"),
    ("#F0E442", "X"),
]
OURS, LIMIT = "#E69F00", ("#000000", "|")


def points(results: Results, workloads: Sequence[Workload]) -> list[tuple[str, dict[str, float]]]:
    """For each headline: its title, and the cost of each peer (and of the nearest limit) against that of pyos."""
    rows = []
    for workload, case, outcome in headlines(results, workloads):
        ours = best_of(outcome, case, "pyos")
        costs = {peer: cost for peer in results.runtimes()[1:] if (cost := best_of(outcome, case, peer))}
        if limit := limit_of(results, outcome, case):
            costs["limit"] = limit[1]
        if ours and costs:
            rows.append((case_title(workload, case), {peer: cost / ours for peer, cost in costs.items()}))
    return rows


def draw(results: Results, workloads: Sequence[Workload], path: Path) -> None:
    """Write the chart as SVG, the same bytes for the same results."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot
    from matplotlib.ticker import FuncFormatter

    matplotlib.rcParams["svg.hashsalt"] = "pyos"
    matplotlib.rcParams["font.size"] = 9
    rows = points(results, workloads)[::-1]
    figure, axes = pyplot.subplots(figsize=(9, 1.2 + 0.33 * len(rows)), layout="constrained")
    axes.axvline(1, color=OURS, linewidth=3, zorder=1, label="pyos")
    for peer, (colour, marker) in {**dict(zip(results.runtimes()[1:], cycle(LOOKS))), "limit": LIMIT}.items():
        found = [(costs[peer], row) for row, (_, costs) in enumerate(rows) if peer in costs]
        label = "limit: bare loop, trampoline, epoll loop" if peer == "limit" else results.title(peer)
        size = 160 if peer == "limit" else 36
        x, y = [x for x, _ in found], [y for _, y in found]
        axes.scatter(x, y, color=colour, marker=marker, s=size, zorder=3, label=label)
    axes.set_yticks(range(len(rows)), [title for title, _ in rows])
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} ×"))
    axes.xaxis.set_minor_formatter(FuncFormatter(lambda value, _: ""))
    axes.grid(axis="both", color="#DDDDDD", linewidth=0.6, zorder=0)
    axes.set_axisbelow(True)
    axes.set_xlabel("cost against pyos (logarithmic; to the right of the line is dearer than pyos)")
    figure.legend(loc="outside upper center", ncols=4, frameon=False)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
