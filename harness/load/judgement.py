"""What a run is worth, and whether it has kept to its budgets. Pure functions of its figures."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.load.budgets import Budgets
from harness.load.overheads import Overhead

BUSY, LATE, ACHIEVED, MOVED = 80.0, 2.0, 0.99, 0.25
"""Percent of a core, milliseconds, share, share: beyond these a run says nothing."""


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


def thresholds(budgets: Budgets, overheads: Sequence[Overhead]) -> list[Mark]:
    """Budgets are ratios: what a name may cost beside another, at p50, p90 and p99.

    One is not kept when the whole interval of the ratio is above it: less may be noise.
    """
    marks = []
    for each in overheads:
        title = f"{each.name} / {each.beside}"
        for key, budget in budgets.get(title, {}).items():
            ratio = each.ratios[key]
            fact = f"{ratio}, at most {budget:g}"
            marks.append(Mark(f"{title}, {key}", ratio.low <= budget, fact))
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
