"""Compares two runs of one profile: what became slower, and whether that is more than noise."""

from __future__ import annotations

import json
import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import ConfigError
from harness.load.overheads import bounds
from harness.load.result import COLUMNS

SCHEMA = 2
"""The schema of a result; no other can be read."""

ROUNDS = 1000
FELT = 0.05
"""A smaller change than this share is not reported, however certain it is."""


@dataclass(frozen=True)
class Change:
    """One figure, before and now.

    Attributes:
        ratio: now / then, for the medians of the seconds.
        low: the lower bound of its 95 % interval.
        high: the upper bound.
    """

    name: str
    figure: str
    then: float
    now: float
    ratio: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """``slower``, ``faster`` or ``noise``."""
        if self.low > 1 + FELT:
            return "slower"
        return "faster" if self.high < 1 - FELT else "noise"


def read_result(path: Path) -> dict[str, Any]:
    """A result written by `dapr-harness load`.

    Raises:
        ConfigError: it does not exist, or is not a result.
    """
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read", last=str(error)) from None
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise ConfigError(f"{path} is no result of a load run", expected="the .json of a report")
    return found


def require_comparable(then: Mapping[str, Any], profile: Mapping[str, Any]) -> None:
    """Check that a run of this profile can be compared with an earlier result.

    Raises:
        ConfigError: the runs have different profiles, or the earlier one is invalid.
    """
    for key in ("rates", "steps", "arrivals", "lanes", "warmup"):
        # As JSON, because one of them was read from a file, and JSON has no tuples.
        if json.dumps(then["profile"][key]) != json.dumps(profile[key]):
            raise ConfigError(
                f"the runs differ in {key}: they cannot be compared",
                expected=str(then["profile"][key]),
                last=str(profile[key]),
            )
    if not then["valid"]:
        raise ConfigError("the earlier run is invalid: do not use its figures")


def compare(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[Change]:
    """Median and p99 of each name that both runs have.

    Raises:
        ConfigError: the runs have different profiles, or the earlier one is invalid.
    """
    require_comparable(then, now["profile"])
    changes = []
    for name in sorted(then["names"].keys() & now["names"].keys()):
        for figure in ("p50", "p99"):
            one, other = (_counted(each, name, figure) for each in (then, now))
            if len(one) > 2 and len(other) > 2:
                changes.append(_change(name, figure, one, other))
    return changes


def _counted(result: Mapping[str, Any], name: str, figure: str) -> list[float]:
    """The figure for each second after the warm-up."""
    column, warmup = COLUMNS.index(figure), result["profile"]["warmup"]
    return [row[column] for row in result["names"][name]["seconds"] if row[0] >= warmup]


def _change(name: str, figure: str, one: Sequence[float], other: Sequence[float]) -> Change:
    draw = random.Random(1)  # noqa: S311 - resampling, not a secret
    ratios = [
        statistics.median(draw.choices(other, k=len(other)))
        / statistics.median(draw.choices(one, k=len(one)))
        for _ in range(ROUNDS)
    ]
    then, now = statistics.median(one), statistics.median(other)
    return Change(name, figure, then, now, now / then, *bounds(ratios))
