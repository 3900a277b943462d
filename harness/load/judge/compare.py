"""Compares two runs of one profile: what became slower, and whether that is more than noise."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence

from harness.core.errors import ConfigError
from harness.load.judge.overheads import bounds
from harness.load.model.profile import Profile
from harness.load.model.result import Change, Comparison, Result

ROUNDS = 1000
MIN_EFFECT = 0.05
"""A smaller change than this share is not reported, however certain it is."""


def require_comparable(then: Result, profile: Profile) -> None:
    """Check that a run of this profile can be compared with an earlier result.

    Raises:
        ConfigError: the runs have different profiles, or the earlier one is invalid.
    """
    for key in ("rates", "steps", "arrivals", "lanes", "warmup"):
        before, now = getattr(then.profile, key), getattr(profile, key)
        if before != now:
            raise ConfigError(
                f"the runs differ in {key}: they cannot be compared",
                expected=str(before),
                last=str(now),
            )
    if not then.valid:
        raise ConfigError("the earlier run is invalid: do not use its figures")


def compare(then: Result, now: Result) -> list[Change]:
    """Median and p99 of each name that both runs have.

    Raises:
        ConfigError: the runs have different profiles, or the earlier one is invalid.
    """
    require_comparable(then, now.profile)
    changes = []
    for name in sorted(then.names.keys() & now.names.keys()):
        for figure in ("p50", "p99"):
            one, other = (_counted(each, name, figure) for each in (then, now))
            if len(one) > 2 and len(other) > 2:
                changes.append(_change(name, figure, one, other))
    return changes


def _counted(result: Result, name: str, figure: str) -> list[float]:
    """The figure for each second after the warm-up."""
    warmup = result.profile.warmup
    return [getattr(row, figure) for row in result.names[name].seconds if row.second >= warmup]


def _change(name: str, figure: str, one: Sequence[float], other: Sequence[float]) -> Change:
    draw = random.Random(1)  # noqa: S311 - resampling, not a secret
    ratios = [
        statistics.median(draw.choices(other, k=len(other)))
        / statistics.median(draw.choices(one, k=len(one)))
        for _ in range(ROUNDS)
    ]
    then, now = statistics.median(one), statistics.median(other)
    low, high = bounds(ratios)
    return Change(name, figure, then, now, now / then, low, high, verdict(low, high))


def verdict(low: float, high: float) -> str:
    """``slower``, ``faster`` or ``noise``, by the interval of a ratio."""
    if low > 1 + MIN_EFFECT:
        return "slower"
    return "faster" if high < 1 - MIN_EFFECT else "noise"


def comparison(earlier: Result, now: Result) -> Comparison:
    """The changes since an earlier run of the same profile, or why there are none."""
    if not now.valid:
        return Comparison(earlier.began, problem="not compared: this run is invalid")
    changes = compare(earlier, now)
    least = "not compared: three seconds of one name in both runs are the least"
    return Comparison(earlier.began, changes, "" if changes else least)
