"""What is made of measured values."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Bound:
    """Where a figure should be."""

    low: float = -math.inf
    high: float = math.inf

    def met(self, value: float) -> bool:
        """Whether it is."""
        return self.low <= value <= self.high

    def __str__(self) -> str:
        if self.low == -math.inf:
            return f"≤ {self.high:g}"
        return f"≥ {self.low:g}" if self.high == math.inf else f"{self.low:g} to {self.high:g}"


def at_most(high: float) -> Bound:
    """No more than this."""
    return Bound(high=high)


def at_least(low: float) -> Bound:
    """No less than this."""
    return Bound(low=low)


def around(middle: float, share: float) -> Bound:
    """Not farther away than a share of it."""
    return Bound(middle * (1 - share), middle * (1 + share))


@dataclass(frozen=True)
class Measure:
    """A figure that is held against something.

    Attributes:
        low: of its interval of 95 %, where there is one.
        high: likewise.
        anchor: what it is compared with, and whose word that is.
        gate: where it must be.
        moonshot: where we want it to be.
    """

    value: float
    anchor: str
    gate: Bound
    moonshot: Bound | None = None
    low: float | None = None
    high: float | None = None


Figures = dict[str, float | Measure]


def bootstrap(values: Sequence[float], rounds: int = 2000) -> tuple[float, float]:
    """A 95 % interval of the median, from a fixed seed."""
    draw = random.Random(1)
    medians = sorted(statistics.median(draw.choices(values, k=len(values))) for _ in range(rounds))
    return medians[int(rounds * 0.025)], medians[int(rounds * 0.975)]


def ratio(name: str, values: Sequence[float]) -> Figures:
    """The median of paired ratios and its interval."""
    low, high = bootstrap(values)
    return {
        f"{name} (median of pairs)": statistics.median(values),
        f"{name}, 95 % interval, low": low,
        f"{name}, 95 % interval, high": high,
    }


def milliseconds(values: Sequence[float], percentile: int) -> float:
    """A percentile of seconds."""
    return statistics.quantiles(values, n=100)[percentile - 1] * 1000
