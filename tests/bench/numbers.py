"""What is made of measured values."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Bound:
    """Where a figure should be."""

    low: float = -math.inf
    high: float = math.inf

    @classmethod
    def of(cls, low: float | None, high: float | None) -> Bound:
        """From its ends in a file, where None is without end."""
        return cls(-math.inf if low is None else low, math.inf if high is None else high)

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
        gate: where it must be, if that has been decided.
        moonshot: where we want it to be.
        values: what it is the median of, where it is one.
    """

    value: float
    anchor: str
    gate: Bound | None = None
    moonshot: Bound | None = None
    low: float | None = None
    high: float | None = None
    values: tuple[float, ...] = ()

    @property
    def broken(self) -> bool:
        """Whether the whole interval is outside the gate; without an interval, it is not known."""
        if self.gate is None or self.low is None or self.high is None:
            return False
        return self.low > self.gate.high or self.high < self.gate.low


Figures = dict[str, float | Measure]


def bootstrap(values: Sequence[float], rounds: int = 2000) -> tuple[float, float]:
    """A 95 % interval of the median, from a fixed seed."""
    draw = random.Random(1)
    medians = sorted(statistics.median(draw.choices(values, k=len(values))) for _ in range(rounds))
    return medians[int(rounds * 0.025)], medians[int(rounds * 0.975)]


def paired(
    values: Sequence[float],
    anchor: str,
    gate: Bound | None = None,
    moonshot: Bound | None = None,
) -> Measure:
    """The median of paired ratios with its interval, held against an anchor of the same run."""
    low, high = bootstrap(values)
    return Measure(statistics.median(values), anchor, gate, moonshot, low, high, tuple(values))


def alternated(rounds: int, first: Callable[[], T], second: Callable[[], T]) -> list[tuple[T, T]]:
    """Both sides in turn, A B B A, so that what slows the machine down slows both of them."""
    found = []
    for number in range(rounds):
        if number % 2 == 0:
            one, other = first(), second()
        else:
            other, one = second(), first()
        found.append((one, other))
    return found


def short(value: float) -> str:
    """A figure with three digits, and as many more as it has before the point."""
    return f"{value:.3g}" if abs(value) < 999.5 else f"{value:.0f}"


def milliseconds(values: Sequence[float], percentile: int) -> float:
    """A percentile of seconds."""
    return statistics.quantiles(values, n=100)[percentile - 1] * 1000
