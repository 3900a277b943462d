"""Time that flows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Flow:
    """Time that flows.

    Attributes:
        speed: seconds per second of the real clock.
        since: the moment at which it began to flow.
        real: the same by the monotonic clock, in nanoseconds.
    """

    speed: float
    since: int
    real: int

    def now(self, real: int) -> int:
        """The moment that it is."""
        return self.since + int((real - self.real) * self.speed)
