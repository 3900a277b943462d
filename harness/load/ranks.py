"""Percentiles of a few values, where a histogram would be too much."""

from __future__ import annotations

import math
from collections.abc import Sequence


def ranked(ordered: Sequence[float], share: float) -> float:
    """The value that a share of all are not above: the nearest rank, never one in between.

    Args:
        ordered: values from the lowest to the highest, at least one.
        share: 0.99 for the p99: of a hundred values the 99th, of ten the last.
    """
    # The smallest rank whose share is enough; floats of 0.99 * 100 are a little above 99.
    return ordered[max(math.ceil(round(share * len(ordered), 9)) - 1, 0)]
