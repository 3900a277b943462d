"""The profile of a run: which users, how many requests a second, for how long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, get_args

from pydantic import Field

from harness.core.errors import ConfigError, did_you_mean
from harness.core.files import read_toml
from harness.load.model.budgets import Budgets, refused
from harness.load.model.typed import AtLeastOne, Checked, Damaged, Positive, one_of, read

LONGEST = 900.0
"""The maximum duration of a run, in seconds."""

MOST = 500_000
"""The maximum number of requests in a run."""

Arrivals = Literal["constant", "poisson"]
KINDS = get_args(Arrivals)
"""The kinds of arrivals."""

PERCENTILES = (50.0, 75.0, 90.0, 99.0, 99.9, 99.99)
"""The percentiles of a latency that results contain."""

LATENESS = ("mean", *(f"p{each:g}" for each in PERCENTILES), "max")
"""The figures that can have a limit."""

Lateness = Annotated[str, one_of(LATENESS)]

LATE = {"p99": 500.0, "max": 1500.0}
"""The default limits for a request and its outcome, in milliseconds from the due time."""

Name = Annotated[str, Field(min_length=1)]


class Step(NamedTuple):
    """A part of a run with a constant rate.

    Attributes:
        rate: requests per second.
        seconds: its duration.
    """

    rate: Positive
    seconds: Positive


@dataclass(frozen=True)
class RawKafka:
    """Events of Kafka's own client alongside the load: their topic, and how many per second."""

    topic: Name
    rate: Positive


@dataclass(frozen=True)
class Profile(Checked):
    """A run.

    Attributes:
        name: the file's name.
        about: a one-sentence description.
        rates: requests per second by user class.
        steps: the factors for the rates, and for how many seconds each applies.
        warmup: seconds from the start that are not counted.
        arrivals: ``constant`` or ``poisson``.
        seed: the seed of the times at which requests are due.
        lanes: the number of users of each class, over which its rate is spread.
        max_in_flight: the limit for each user.
        errors: the share of requests that may fail.
        twice: the share of acknowledged requests that may arrive more than once.
        late: limits for each name, in milliseconds from the due time, by figure; {} for none.
        raw_kafka: measures events of Kafka's own client alongside the load.
        knee: in a ramp, the requests whose p99 is observed.
        pairs: names that are compared, besides those that user classes declare.
        budgets: the maximum ratios of this profile, by ``name / beside``; it must measure them.
    """

    name: str
    rates: Annotated[Mapping[str, Positive], Field(min_length=1)]
    steps: Annotated[tuple[Step, ...], Field(min_length=1)]
    about: str = ""
    warmup: float = 2.0
    arrivals: Arrivals = "poisson"
    seed: int = 1
    lanes: AtLeastOne = 1
    max_in_flight: AtLeastOne = 256
    errors: float = 0.0
    twice: float = 0.0
    late: Mapping[Lateness, Positive] = field(default_factory=lambda: dict(LATE))
    raw_kafka: RawKafka | None = None
    knee: str = ""
    pairs: tuple[tuple[Name, Name], ...] = ()
    budgets: Budgets = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Its duration."""
        return sum(step.seconds for step in self.steps)

    @property
    def requests(self) -> float:
        """The average number of requests it sends."""
        beside = self.raw_kafka.rate * self.seconds if self.raw_kafka else 0
        return sum(self.rates.values()) * offered(self.steps) + beside


def offered(steps: Sequence[Step]) -> float:
    """The average total number of due requests, for a rate of one or for the rates of the steps."""
    return sum(step.rate * step.seconds for step in steps)


def read_profile(folder: Path, name: str) -> Profile:
    """Read a profile by its name.

    Raises:
        ConfigError: it does not exist, or a field is unknown, invalid or out of bounds.
    """
    known = sorted(path.stem for path in folder.glob("*.toml"))
    file = folder / f"{name}.toml"
    if name not in known:
        raise ConfigError(f"no load profile is named {name!r}", hint=did_you_mean(name, known))
    body = read_toml(file)
    if "name" in body:
        raise ConfigError(f"{file}: name is unknown", hint="a profile has the name of its file")
    try:
        made = read(Profile, {"name": name, **body})
    except Damaged as error:
        raise refused(file, error) from None
    _require_bounds(file, made)
    return made


def _require_bounds(file: Path, made: Profile) -> None:
    wrong = {
        f"{made.seconds:g} s, the bound is {LONGEST:g}": made.seconds > LONGEST,
        f"{made.requests:.0f} requests, the bound is {MOST}": made.requests > MOST,
        f"a warm-up of {made.warmup:g} s leaves nothing of {made.seconds:g} s": made.warmup
        >= made.seconds,
    }
    for what, is_wrong in wrong.items():
        if is_wrong:
            raise ConfigError(f"{file}: {what}", hint="load is bounded; change the profile")
