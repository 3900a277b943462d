"""The result of a load run, with types from the collector to the report, and its JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from harness.core.errors import ConfigError
from harness.load.model.figures import Names
from harness.load.model.measurements import CpuSample
from harness.load.model.profile import Profile
from harness.load.model.typed import Checked, Damaged, read

SCHEMA = 4
"""The schema of a result; no other can be read."""

NAMED = 20
"""The number of lost requests that a report lists; the others are only counted."""


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
class Ledger:
    """What happened to the acknowledged requests of one outcome, over the whole run.

    Attributes:
        acknowledged: the number of requests, including the warm-up: its losses count too.
        lost: the number that did not arrive.
        twice: how often one arrived again.
        early: the number that arrived before they were due.
        lost_ids: the first `NAMED` of the lost requests.
        problem: why this cannot be determined; "" if it can.
    """

    acknowledged: int
    lost: int = 0
    twice: int = 0
    early: int = 0
    lost_ids: Sequence[str] = ()
    problem: str = ""


@dataclass(frozen=True)
class Interval:
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half the width of the interval, as a share of the figure."""
        return (self.high - self.low) / 2 / self.value

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


@dataclass(frozen=True)
class Overhead:
    """The cost of ``name`` compared with ``beside``.

    Attributes:
        mean: the difference of the means, in milliseconds.
        ratios: the ratios of the means (``mean``) and percentiles (``p50``, ``p90``, ``p99``).
    """

    name: str
    beside: str
    mean: Interval
    ratios: Mapping[str, Interval]


@dataclass(frozen=True)
class Criterion:
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
class Result(Checked):
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
    validity: Sequence[Criterion]
    valid: bool
    thresholds: Sequence[Criterion]
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
