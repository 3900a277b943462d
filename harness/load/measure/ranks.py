"""Percentiles of a few values, for which a histogram would be too much."""

from __future__ import annotations

import math
from collections.abc import Sequence


def ranked(ordered: Sequence[float], share: float) -> float:
    """The nearest-rank percentile: never a value between two others.

    Args:
        ordered: at least one value, in ascending order.
        share: 0.99 for the p99: the 99th of a hundred values, the last of ten.
    """
    # The smallest sufficient rank; 0.99 * 100 as floats is a little above 99.
    return ordered[max(math.ceil(round(share * len(ordered), 9)) - 1, 0)]
