"""The cost of one operation compared with another that was measured in the same seconds."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate

from harness.load.model.budgets import SHARES
from harness.load.model.result import Interval, Overhead

RESAMPLED = 400
"""How often seconds are resampled for an interval."""

Rounds = Mapping[int, Sequence[float]]
"""Milliseconds by the second in which they were due."""


def overhead(
    name: str,
    beside: str,
    rounds: Mapping[str, Rounds],
    answered: Mapping[str, Rounds] | None = None,
) -> Overhead | None:
    """The overhead between two names of a run; None if they have fewer than two seconds in common.

    A second is a round: both sides had the same machine in it. Intervals are computed from
    resampled rounds (bootstrap, with a fixed seed), which are the same for both sides.

    Args:
        rounds: those of ``name``.
        answered: those of ``beside``; the same if None.
    """
    answered = rounds if answered is None else answered
    common = sorted(rounds.get(name, {}).keys() & answered.get(beside, {}).keys())
    if len(common) < 2:
        return None
    one, other = (
        _Side({second: each[second] for second in common})
        for each in (rounds[name], answered[beside])
    )
    # scipy's bootstrap resamples values; here, seconds are resampled, the same ones for both sides.
    draw = random.Random(1)  # noqa: S311 - resampling, not a secret
    drawn = [Counter(draw.choices(common, k=len(common))) for _ in range(RESAMPLED)]
    rows = [_compared(one, other, weights) for weights in (Counter(common), *drawn)]
    found = {key: _interval([row[key] for row in rows]) for key in rows[0]}
    return Overhead(name, beside, found.pop("difference"), found)


class _Side:
    """The sorted values of one name, and the round of each."""

    def __init__(self, rounds: Rounds) -> None:
        ordered = sorted((value, second) for second, values in rounds.items() for value in values)
        self._values = [value for value, _ in ordered]
        self._seconds = [second for _, second in ordered]
        self._sums = {second: (sum(values), len(values)) for second, values in rounds.items()}

    def figures(self, weights: Mapping[int, int]) -> dict[str, float]:
        """Mean and percentiles, with each round weighted by its count."""
        total = sum(weights[second] * each for second, (each, _) in self._sums.items())
        count = sum(weights[second] * each for second, (_, each) in self._sums.items())
        ranks = list(accumulate(weights[second] for second in self._seconds))
        found = {
            key: self._values[bisect_left(ranks, share * count)] for key, share in SHARES.items()
        }
        return {"mean": total / count, **found}


def _compared(one: _Side, other: _Side, weights: Mapping[int, int]) -> dict[str, float]:
    mine, theirs = one.figures(weights), other.figures(weights)
    ratios = {key: mine[key] / theirs[key] for key in mine}
    return {"difference": mine["mean"] - theirs["mean"], **ratios}


def _interval(values: Sequence[float]) -> Interval:
    """The first value is the figure, the others are resampled."""
    return Interval(values[0], *bounds(values[1:]))


def bounds(drawn: Sequence[float]) -> tuple[float, float]:
    """The bounds between which 95 % of the values lie."""
    ordered = sorted(drawn)
    # As many values are below the lower bound as above the upper one.
    beyond = int(len(ordered) * 0.025)
    return ordered[beyond], ordered[len(ordered) - 1 - beyond]
