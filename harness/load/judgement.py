"""What a run is worth, and whether it has kept to its budgets. Pure functions of its figures."""

from __future__ import annotations

import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

BUSY, LATE, ACHIEVED, MOVED = 80.0, 2.0, 0.99, 0.25
"""Percent of a core, milliseconds, share, share: beyond these a run says nothing."""

ROUNDS = 1000


@dataclass(frozen=True)
class Mark:
    """One condition that a run has met or not.

    Attributes:
        fact: what was seen, with its bound.
    """

    name: str
    met: bool
    fact: str


def validity(
    cpu: Mapping[str, Sequence[float]],
    lag_p99: float,
    offered: int,
    sent: int,
    noise: tuple[float, float],
) -> list[Mark]:
    """Whether the generator, and the machine, were up to it.

    Args:
        cpu: percent of a core by load process, second by second.
        lag_p99: milliseconds by which slots were opened late.
        offered: requests that were due.
        sent: those of them that were sent.
        noise: the loopback echo before and after, in microseconds.
    """
    busiest = max((statistics.fmean(each) for each in cpu.values() if each), default=0.0)
    share, moved = sent / offered if offered else 0.0, abs(noise[1] / noise[0] - 1)
    return [
        Mark("generator CPU", busiest <= BUSY, f"{busiest:.0f} % of a core, at most {BUSY:.0f}"),
        Mark("scheduler lag", lag_p99 <= LATE, f"p99 {lag_p99:.2f} ms, at most {LATE:g}"),
        Mark(
            "achieved", share >= ACHIEVED, f"{share:.2%} of what was due, at least {ACHIEVED:.0%}"
        ),
        Mark(
            "noise",
            moved <= MOVED,
            f"loopback echo {noise[0]:.0f} us before, {noise[1]:.0f} after, at most {MOVED:.0%}",
        ),
    ]


@dataclass(frozen=True)
class Overhead:
    """What one thing costs beside another that was measured at the same time.

    Attributes:
        mean: the difference of the means, in milliseconds.
        low: and its interval of 95 %, from rounds of a second each.
        high: likewise.
        p50: the ratio of the medians.
        p99: the ratio of the 99th percentiles.
    """

    name: str
    beside: str
    mean: float
    low: float
    high: float
    p50: float
    p99: float


def bootstrap(values: Sequence[float]) -> tuple[float, float]:
    """A 95 % interval of the mean, from a fixed seed."""
    draw = random.Random(1)  # noqa: S311 - resampling, not a secret
    means = sorted(statistics.fmean(draw.choices(values, k=len(values))) for _ in range(ROUNDS))
    return means[int(ROUNDS * 0.025)], means[int(ROUNDS * 0.975)]


def overhead(name: str, beside: str, figures: Mapping[str, Any]) -> Overhead | None:
    """Of two names of a run, None when one was not measured."""
    if not all(figures.get(each, {}).get("intended", {}).get("count") for each in (name, beside)):
        return None
    one, other = figures[name], figures[beside]
    others = {second: mean for second, _, mean, _, _ in other["seconds"]}
    rounds = [mean - others[second] for second, _, mean, _, _ in one["seconds"] if second in others]
    low, high = bootstrap(rounds) if len(rounds) > 1 else (float("nan"), float("nan"))
    ratios = {key: one["intended"][key] / other["intended"][key] for key in ("p50", "p99")}
    mean = one["intended"]["mean"] - other["intended"]["mean"]
    return Overhead(name, beside, mean, low, high, ratios["p50"], ratios["p99"])


def thresholds(
    budgets: Mapping[str, Mapping[str, float]], overheads: Sequence[Overhead]
) -> list[Mark]:
    """Budgets are ratios: what a name may cost beside another, at p50 and p99."""
    marks = []
    for each in overheads:
        for key in ("p50", "p99"):
            budget = budgets.get(f"{each.name} / {each.beside}", {}).get(key)
            if budget is not None:
                ratio = getattr(each, key)
                marks.append(
                    Mark(
                        f"{each.name} / {each.beside}, {key}",
                        ratio <= budget,
                        f"{ratio:.2f}, at most {budget:g}",
                    )
                )
    return marks


def knee(rows: Sequence[tuple[float, float]]) -> float | None:
    """The rate at which the p99 is twice that of the lowest rate; None when it never is.

    Args:
        rows: requests per second and p99, a step each.
    """
    if not rows:
        return None
    first = rows[0][1]
    return next((rate for rate, p99 in rows if p99 > 2 * first), None)
