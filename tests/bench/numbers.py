"""What is made of measured values."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence

Figures = dict[str, float]


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
