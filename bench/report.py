"""The results as tables: for the terminal, and as Markdown between the marks in README and docs/performance.md."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from bench.results import Outcome, Results
from bench.stats import is_sensible
from bench.workload import WHOLE, Workload

CHART = "docs/performance.svg"

Row = Sequence[str]


# --- numbers


def number(value: float) -> str:
    """Three digits, and no exponent."""
    if value >= 1000:
        return f"{value:,.0f}"
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}" if value >= 0.001 or value == 0 else f"{value:.1g}"


def percent(value: float) -> str:
    return f"{value * 100:.0f} %"


def in_seconds(value: float) -> str:
    return f"{value:.3f} s"


# --- what was found


def problems(results: Results) -> list[str]:
    """What went wrong: a workload without figures, a figure that cannot be, a program that failed. No judgement of
    speed."""
    found = []
    for name, outcome in results.workloads.items():
        if not any(outcome.series(case, "pyos") for case in outcome.cases):
            found.append(f"{name}: pyos has no figures")
        found += [f"{name}, {key}: {reason}" for key, reason in outcome.failed.items()]
        for case, contenders in outcome.cases.items():
            for contender, figures in contenders.items():
                found += [
                    f"{name}, {case}: {contender}: {figure} is {value}"
                    for figure, series in figures.items()
                    for value in series
                    if not is_sensible(value)
                ]
    return found


def promise_rows(results: Results, workloads: Iterable[Workload]) -> list[list[str]]:
    """A row for each promise: what, the bound, the median, its extremes, and whether it is kept."""
    rows = []
    for workload in workloads:
        outcome = results.workloads.get(workload.name)
        for promise in workload.promises:
            found = outcome.kept(promise) if outcome else None
            if found is None:
                rows.append([promise.what, promise.bound, "not measured", "", ""])
                continue
            ratio, kept = found
            extremes = f"{ratio.low:.2f}–{ratio.high:.2f}"
            rows.append([promise.what, promise.bound, f"{ratio.median:.2f}", extremes, "yes" if kept else "NO"])
    return rows


def case_rows(results: Results, workload: Workload, outcome: Outcome, case: str) -> list[list[str]]:
    """A row for each contender: its cost, spread, cost against pyos, CPU and wall time, and the workload's extras."""
    rows = []
    ours = outcome.summary(case, "pyos")
    for contender in outcome.cases[case]:
        cost = outcome.summary(case, contender)
        if cost is None:
            continue
        against = f"{cost.median / ours.median:.2f}" if ours and ours.median else ""
        times = [outcome.summary(case, contender, figure) for figure in ("cpu", "wall")]
        extras = [outcome.summary(case, contender, figure) for figure in workload.extras]
        rows.append(
            [results.title(contender), number(cost.median), percent(cost.spread), against]
            + [in_seconds(time.median) if time else "" for time in times]
            + [number(extra.median) if extra else "" for extra in extras]
        )
    return rows


def case_header(workload: Workload) -> list[str]:
    extras = [f"{figure}, {unit}" for figure, unit in workload.extras.items()]
    return ["", workload.unit, "spread", "× pyos", "CPU", "wall", *extras]


def case_title(workload: Workload, case: str) -> str:
    return workload.name if case == WHOLE else f"{workload.name}: {case}"


def versions(results: Results) -> list[str]:
    """One line for the machine, one for the peers."""
    system = results.system
    ran = [f"{peer['title']} {peer['version']}" for peer in results.peers.values() if "skipped" not in peer]
    lines = [
        f"{system['python']}, {system['system']}, {system['processor']}, {system['cores']} cores.",
        "; ".join(ran) + ".",
    ]
    return lines + [
        f"{name} does not run here: {peer['skipped']}." for name, peer in results.peers.items() if "skipped" in peer
    ]


def not_measured(outcome: Outcome) -> list[str]:
    """What was skipped or failed, a line for each reason."""
    reasons: dict[str, list[str]] = {}
    for key, reason in (outcome.skipped | outcome.failed).items():
        reasons.setdefault(reason, []).append(key)
    return [f"{reason}: {'; '.join(keys)}" for reason, keys in reasons.items()]


# --- tables


def text_table(header: Row, rows: Sequence[Row]) -> str:
    """Columns by spaces, the first to the left."""
    cells = [list(header), *map(list, rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    return "".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths))
        ).rstrip()
        + "\n"
        for row in cells
    )


def markdown_table(header: Row, rows: Sequence[Row]) -> str:
    """Columns by bars, the first to the left."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)


def text(results: Results, workloads: Sequence[Workload]) -> str:
    """Everything, for the terminal."""
    parts = ["\n".join(versions(results)) + "\n"]
    for workload in workloads:
        outcome = results.workloads.get(workload.name)
        if outcome is None:
            continue
        parts.append(f"== {workload.name}: {workload.about}\n")
        for case in outcome.cases:
            title = f"-- {case}\n" if case != WHOLE else ""
            parts.append(title + text_table(case_header(workload), case_rows(results, workload, outcome, case)))
        parts += [f"not measured, {line}\n" for line in not_measured(outcome)]
    header = ["ratio, median of the rounds", "must be", "is", "extremes", "kept"]
    parts.append("== what is promised\n" + text_table(header, promise_rows(results, workloads)))
    return "\n".join(parts)


def promises_markdown(results: Results, workloads: Sequence[Workload]) -> str:
    """The promised ratios."""
    return markdown_table(["ratio", "must be", "is", "extremes", "kept"], promise_rows(results, workloads))


def figures_markdown(results: Results, workloads: Sequence[Workload]) -> str:
    """Every figure, a table a case."""
    parts = []
    for workload in workloads:
        outcome = results.workloads.get(workload.name)
        if outcome is None:
            continue
        parts.append(
            f"### {workload.name}\n\n{workload.about[0].upper()}{workload.about[1:]}; {outcome.rounds} rounds.\n"
        )
        for case in outcome.cases:
            title = f"**{case}**\n\n" if case != WHOLE else ""
            parts.append(title + markdown_table(case_header(workload), case_rows(results, workload, outcome, case)))
        parts += [f"Not measured, {line}.\n" for line in not_measured(outcome)]
    return "\n".join(parts)


def headlines(results: Results, workloads: Sequence[Workload]) -> Iterator[tuple[Workload, str, Outcome]]:
    """Every case that the README and the chart show."""
    for workload in workloads:
        outcome = results.workloads.get(workload.name)
        for case in outcome.cases if outcome else ():
            if outcome is not None and case in workload.cases and workload.cases[case].headline:
                yield workload, case, outcome


def headline_rows(results: Results, workloads: Sequence[Workload]) -> list[list[str]]:
    """A row for each headline, a column for each peer, and one for the limit; a peer's best program counts."""
    rows = []
    for workload, case, outcome in headlines(results, workloads):
        costs = [best_of(outcome, case, peer) for peer in results.runtimes()]
        cells = ["" if cost is None else number(cost) for cost in costs]
        limit = limit_of(results, outcome, case)
        nearest = f"{number(limit[1])} ({results.title(limit[0])})" if limit else ""
        rows.append([f"{case_title(workload, case)}, {workload.unit}", f"**{cells[0]}**", *cells[1:], nearest])
    return rows


def limit_of(results: Results, outcome: Outcome, case: str) -> tuple[str, float] | None:
    """What cannot be beaten here, the dearest if there are several: the nearest to a runtime."""
    costs = [(cost, peer) for peer in results.limits() if (cost := best_of(outcome, case, peer)) is not None]
    return (max(costs)[1], max(costs)[0]) if costs else None


def best_of(outcome: Outcome, case: str, peer: str) -> float | None:
    """The lowest cost among a peer's programs; pyos's own is the one without a variant."""
    own = outcome.summary(case, peer)
    if own is not None:
        return own.median
    labels = [label for label in outcome.cases[case] if label.split(" ")[0] == peer]
    return min((cost.median for label in labels if (cost := outcome.summary(case, label))), default=None)


def readme_markdown(results: Results, workloads: Sequence[Workload]) -> str:
    """What the README shows: the chart, the versions, the headlines."""
    header = ["", *(results.title(peer) for peer in results.runtimes()), "limit"]
    table = markdown_table(header, headline_rows(results, workloads))
    return f"![pyos beside its peers]({CHART})\n\n{table}\n" + " ".join(versions(results)) + "\n"


# --- files


def blocks(results: Results, workloads: Sequence[Workload]) -> dict[str, list[tuple[str, str]]]:
    """What stands between which marks of which file."""
    return {
        "README.md": [("bench", readme_markdown(results, workloads))],
        "docs/performance.md": [
            ("bench:ratios", promises_markdown(results, workloads)),
            ("bench:figures", figures_markdown(results, workloads)),
        ],
    }


def between_marks(document: str, mark: str, block: str) -> str:
    """The document with a new block between `<!-- mark:begin -->` and `<!-- mark:end -->`; ValueError without them."""
    begin, end = f"<!-- {mark}:begin -->\n", f"<!-- {mark}:end -->"
    before, found, rest = document.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found or not found_end:
        raise ValueError(f"there is no {begin.strip()} … {end}")
    return before + begin + block + end + after


def write_tables(
    results: Results, workloads: Sequence[Workload], root: Path, log: Callable[[str], None] = print
) -> None:
    """Renew the tables in README and docs."""
    for name, marked in blocks(results, workloads).items():
        path = root / name
        document = path.read_text()
        for mark, block in marked:
            document = between_marks(document, mark, block)
        path.write_text(document)
        log(f"{name}: the tables are written")
