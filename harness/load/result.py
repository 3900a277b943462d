"""The result of a load run, with types from the collector to the report, and its JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

from harness.errors import ConfigError
from harness.load.measurements import CpuSample
from harness.load.outcomes import Ledger
from harness.load.overheads import Overhead
from harness.load.profile import Profile
from harness.load.typed import Damaged, read

SCHEMA = 3
"""The schema of a result; no other can be read."""

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


class ProcessSample(NamedTuple):
    """Seconds from the first request, percent of a core, and bytes of memory."""

    at: float
    percent: float
    rss: int


class LagSample(NamedTuple):
    """Seconds from the first request, and records that a group has not committed."""

    at: float
    behind: int


class StepP99(NamedTuple):
    """A step of a ramp: requests per second, and the median p99 of its seconds."""

    rate: float
    p99: float


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


@dataclass(frozen=True)
class Mark:
    """One condition that a run has met or not met.

    Attributes:
        fact: the observed value and its limit.
    """

    name: str
    met: bool
    fact: str


@dataclass(frozen=True)
class ProcessUse:
    """What one process of the stack used.

    Attributes:
        growth: the growth of its memory from the first to the last quarter, as a share.
    """

    samples: Sequence[ProcessSample]
    growth: float


@dataclass(frozen=True)
class Environment:
    """The facts that a reader needs for a comparison."""

    runtime: str
    dapr: str
    broker: str
    python: str
    system: str
    cores: int


@dataclass(frozen=True)
class Knee:
    """The steps of a ramp, and the rate at which the p99 has doubled; None if it never did."""

    steps: Sequence[StepP99]
    rate: float | None


@dataclass(frozen=True)
class Change:
    """One figure, before and now.

    Attributes:
        ratio: now / then, for the medians of the seconds.
        low: the lower bound of its 95 % interval.
        high: the upper bound.
        verdict: ``slower``, ``faster`` or ``noise``.
    """

    name: str
    figure: str
    then: float
    now: float
    ratio: float
    low: float
    high: float
    verdict: str


@dataclass(frozen=True)
class Comparison:
    """The changes since an earlier run.

    Attributes:
        earlier: when the earlier run began.
        problem: why there are no changes; "" if there are.
    """

    earlier: str
    changes: Sequence[Change] = ()
    problem: str = ""


@dataclass(frozen=True)
class Result:
    """A run: complete, or up to the point where it was cut short.

    Attributes:
        began: date and time in UTC.
        died: why it was cut short; "" if it was not.
        noise: the loopback echo before and after, in microseconds.
        generator: the CPU of each load process, in seconds from the first request.
        processes: what each process of the stack used.
        consumer_lag: by consumer group.
        names: the figures of each name.
        ledgers: what happened to acknowledged requests, by outcome.
        overheads: what names cost compared with others.
        validity: whether the figures can be trusted.
        valid: whether all of that was met, and the run was not cut short.
        thresholds: whether the budgets were kept.
        knee: of a ramp.
        late: milliseconds by which slots were opened late, at p99.
        comparison: with an earlier run.
    """

    profile: Profile
    began: str
    environment: Environment
    died: str
    noise: tuple[float, float]
    generator: Mapping[str, Sequence[CpuSample]]
    processes: Mapping[str, ProcessUse]
    consumer_lag: Mapping[str, Sequence[LagSample]]
    names: Names
    ledgers: Mapping[str, Ledger]
    overheads: Sequence[Overhead]
    validity: Sequence[Mark]
    valid: bool
    thresholds: Sequence[Mark]
    knee: Knee | None
    late: float
    comparison: Comparison | None = None
    schema: int = SCHEMA

    def json(self) -> str:
        """The text of a result's file."""
        return json.dumps(asdict(self), indent=1) + "\n"


def read_result(path: Path) -> Result:
    """A result written by `dapr-harness load`.

    Raises:
        ConfigError: it does not exist, is of another version, or is damaged.
    """
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read", last=str(error)) from None
    if not isinstance(data, dict) or "schema" not in data:
        raise ConfigError(f"{path} is not the result of a load run", expected="a report's .json")
    if data["schema"] != SCHEMA:
        raise ConfigError(
            f"{path} is a result of another version of dapr-harness",
            expected=f"schema {SCHEMA}",
            last=f"schema {data['schema']}",
            hint="run the profile again",
        )
    try:
        return read(Result, data)
    except Damaged as error:
        raise ConfigError(
            f"{path} is damaged", last=str(error), hint="run the profile again"
        ) from None
