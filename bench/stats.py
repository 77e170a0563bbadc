"""Medians, spread and ratios of figures that were measured in rounds. No figures of its own, and no I/O.

A series is one figure of one contender, by round; None where that round gave none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from bench.workload import Promise

Series = Sequence[float | None]


class Summary(NamedTuple):
    """The middle of a series and its extremes."""

    median: float
    low: float
    high: float

    @property
    def spread(self) -> float:
        """How far the extremes lie apart, as a part of the median; 0 for a single value."""
        return (self.high - self.low) / self.median if self.median else 0.0


def summary(series: Series) -> Summary | None:
    """Of the rounds that gave a figure; None if none did."""
    values = [value for value in series if value is not None]
    return Summary(median(values), min(values), max(values)) if values else None


def ratios(promise: Promise, of: Series, against: Series | None) -> list[float]:
    """The promised ratio in each round that has both figures: compared are neighbours in time, so that what else the
    machine does counts for both."""
    if against is None:
        return [value for value in of if value is not None]
    pairs = zip(of, against)
    return [promise.value(one, other) for one, other in pairs if one is not None and other]


def is_sensible(value: float | None) -> bool:
    """True for a figure that can have been measured: a finite number, not below 0."""
    return value is not None and math.isfinite(value) and value >= 0
