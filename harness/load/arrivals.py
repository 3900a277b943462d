"""When requests are due: known before the first one is sent, whatever the system does."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

KINDS = ("constant", "poisson")


@dataclass(frozen=True)
class Step:
    """A stretch of a run with one rate.

    Attributes:
        rate: requests per second.
        seconds: how long.
    """

    rate: float
    seconds: float


def arrivals(steps: Sequence[Step], kind: str, seed: str) -> Iterator[float]:
    """Seconds from the start at which requests are due.

    Args:
        steps: one after the other.
        kind: ``constant``: evenly spaced; ``poisson``: independent of each other, as users are.
        seed: the same seed gives the same times.
    """
    draw = random.Random(seed)  # noqa: S311 - a schedule, not a secret
    begun = 0.0
    for step in steps:
        gap = 1.0 / step.rate
        # Each lane begins at a moment of its own, or lanes would fire in step with each other.
        at = draw.random() * gap if kind == "constant" else draw.expovariate(step.rate)
        while at < step.seconds:
            yield begun + at
            at += gap if kind == "constant" else draw.expovariate(step.rate)
        begun += step.seconds


def offered(steps: Sequence[Step]) -> float:
    """How many requests are due in all, on average, of a rate of one or of what steps say."""
    return sum(step.rate * step.seconds for step in steps)
