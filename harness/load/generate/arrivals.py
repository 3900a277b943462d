"""When requests are due: computed before the first one is sent, independent of the system."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from harness.load.model.profile import Step


def arrivals(steps: Sequence[Step], kind: str, seed: str) -> Iterator[float]:
    """The times at which requests are due, in seconds from the start.

    Args:
        steps: consecutive steps.
        kind: ``constant``: evenly spaced; ``poisson``: independent of each other, like real users.
        seed: the same seed gives the same times.
    """
    draw = random.Random(seed)  # noqa: S311 - a schedule, not a secret
    begun = 0.0
    for step in steps:
        gap = 1.0 / step.rate
        # Each lane starts at a different time, so that lanes do not send in lockstep.
        at = draw.random() * gap if kind == "constant" else draw.expovariate(step.rate)
        while at < step.seconds:
            yield begun + at
            at += gap if kind == "constant" else draw.expovariate(step.rate)
        begun += step.seconds
