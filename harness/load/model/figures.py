"""The figures of the names of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

REQUEST, REFERENCE, OUTCOME = "request", "reference", "outcome"
"""The kinds of a name: requests of the profile, what is alongside, where requests arrive."""

Summary = Mapping[str, float]
"""Count, and in milliseconds the mean, percentiles (``p50``, ``p99.9``) and maximum."""


class Second(NamedTuple):
    """Latencies of the requests that were due in one second; milliseconds from the due time."""

    second: int
    answered: int
    mean: float
    p50: float
    p90: float
    p99: float


class Traffic(NamedTuple):
    """What happened to the requests that were due in one second."""

    second: int
    offered: int
    ok: int
    failed: int
    lost: int


class Point(NamedTuple):
    """A point of a percentile plot."""

    percentile: float
    milliseconds: float


@dataclass(frozen=True)
class Counts:
    """How many requests were due, succeeded, failed and were lost, and each error's number."""

    offered: int = 0
    ok: int = 0
    failed: int = 0
    lost: int = 0
    errors: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Figures:
    """The figures of one name after the warm-up.

    Attributes:
        kind: ``request`` of the profile, ``reference`` alongside it, or ``outcome`` of requests.
        warmup: the counts of the warm-up, which nothing else includes.
        seconds: latencies by second, including the warm-up; the last one may be incomplete.
        traffic: counts by second, including the warm-up.
        intended: latencies from the due time; empty if nothing was measured.
        service: from the time at which requests were sent.
        wake: from the time at which their slots were opened.
        lag: how late slots were opened.
        histograms: HDR histograms as text, by distribution.
        curve: the percentiles of ``intended``.
    """

    kind: str
    offered: int
    ok: int
    failed: int
    lost: int
    errors: Mapping[str, int]
    warmup: Counts
    seconds: Sequence[Second]
    traffic: Sequence[Traffic]
    intended: Summary = field(default_factory=dict)
    service: Summary = field(default_factory=dict)
    wake: Summary = field(default_factory=dict)
    lag: Summary = field(default_factory=dict)
    histograms: Mapping[str, str] = field(default_factory=dict)
    curve: Sequence[Point] = ()

    def distribution(self, name: str) -> Summary:
        """One of the four distributions."""
        return {
            "intended": self.intended, "service": self.service, "wake": self.wake, "lag": self.lag,
        }[name]  # fmt: skip


Names = Mapping[str, Figures]
