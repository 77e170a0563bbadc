"""What a run of the benchmark has found, and its file. Everything reported is derived from this.

{"system": {...}, "peers": {name: {"title", "version", "limit"}},
 "workloads": {name: {"size", "rounds", "cases": {case: {contender: {figure: [by round]}}},
                      "skipped": {"case: contender": reason}, "failed": {"case: contender": reason}}}}
"""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.stats import Series, Summary, ratios, summary
from bench.workload import Promise

Figures = dict[str, list[float | None]]


@dataclass
class Outcome:
    """One workload's figures."""

    size: str
    rounds: int
    cases: dict[str, dict[str, Figures]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def add(self, case: str, contender: str, figures: dict[str, float]) -> None:
        """Add one round's figures of one contender."""
        series = self.cases.setdefault(case, {}).setdefault(contender, {})
        for figure, value in figures.items():
            series.setdefault(figure, []).append(round_off(value))

    def series(self, case: str, contender: str, figure: str = "cost") -> Series:
        """One figure by round; empty if it was not measured."""
        return self.cases.get(case, {}).get(contender, {}).get(figure, [])

    def summary(self, case: str, contender: str, figure: str = "cost") -> Summary | None:
        return summary(self.series(case, contender, figure))

    def kept(self, promise: Promise) -> tuple[Summary, bool] | None:
        """The promised ratio, and whether its median is within the bound; None if it was not measured."""
        against = None
        if promise.is_ratio:
            against = self.series(promise.against_case or promise.case, promise.against or promise.of, promise.figure)
        found = summary(ratios(promise, self.series(promise.case, promise.of, promise.figure), against))
        return None if found is None else (found, promise.kept_by(found.median))


@dataclass
class Results:
    """A whole run's."""

    system: dict[str, Any] = field(default_factory=dict)
    peers: dict[str, dict[str, Any]] = field(default_factory=dict)
    workloads: dict[str, Outcome] = field(default_factory=dict)

    def title(self, contender: str) -> str:
        """A contender as tables name it."""
        peer, _, variant = contender.partition(" ")
        return f"{self.peers.get(peer, {}).get('title', peer)} {variant}".rstrip()

    def runtimes(self) -> list[str]:
        """The peers that are runtimes, pyos first."""
        return [name for name, peer in self.peers.items() if not peer.get("limit") and "skipped" not in peer]

    def limits(self) -> list[str]:
        """The peers that are no runtimes, but what none in Python can beat."""
        return [name for name, peer in self.peers.items() if peer.get("limit")]

    def save(self, path: Path) -> None:
        text = json.dumps(asdict(self), indent=1, ensure_ascii=False)
        path.write_text(unbroken(text) + "\n")

    @classmethod
    def load(cls, path: Path) -> Results:
        """Raises OSError, ValueError for a file that is none of ours."""
        raw = json.loads(path.read_text())
        outcomes = {name: Outcome(**outcome) for name, outcome in raw["workloads"].items()}
        return cls(raw["system"], raw["peers"], outcomes)


def round_off(value: float) -> float:
    """Six digits: more would be noise."""
    return float(f"{value:.6g}")


def unbroken(text: str) -> str:
    """JSON with each list of numbers on one line."""
    lines: list[str] = []
    for line in text.split("\n"):
        inside = bool(lines) and lines[-1].count("[") > lines[-1].count("]")
        if inside:
            lines[-1] += line.strip() + ("" if line.strip().startswith("]") else " ")
        else:
            lines.append(line)
    return "\n".join(lines).replace(", ]", "]").replace(" ]", "]")


def this_system() -> dict[str, Any]:
    """What the figures were measured on."""
    processor = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as lines:
            processor = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "processor": processor,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    }
