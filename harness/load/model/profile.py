"""The profile of a run: which users, how many requests a second, for how long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.core.errors import ConfigError, did_you_mean
from harness.core.files import read_toml
from harness.load.model.budgets import Budgets, require_budgets
from harness.load.model.declared import Pair

LONGEST = 900.0
"""The maximum duration of a run, in seconds."""

MOST = 500_000
"""The maximum number of requests in a run."""

FIELDS = {
    "about": str, "warmup": (int, float), "arrivals": str, "seed": int, "lanes": int,
    "steps": list, "rates": dict, "max_in_flight": int, "errors": (int, float),
    "twice": (int, float), "late": dict, "raw_kafka": dict, "knee": str, "pairs": list,
    "budgets": dict,
}  # fmt: skip


KINDS = ("constant", "poisson")
"""The kinds of arrivals."""

PERCENTILES = (50.0, 75.0, 90.0, 99.0, 99.9, 99.99)
"""The percentiles of a latency that results contain."""

LATENESS = ("mean", *(f"p{each:g}" for each in PERCENTILES), "max")
"""The figures that can have a limit."""

LATE = {"p99": 500.0, "max": 1500.0}
"""The default limits for a request and its outcome, in milliseconds from the due time."""


@dataclass(frozen=True)
class Step:
    """A part of a run with a constant rate.

    Attributes:
        rate: requests per second.
        seconds: its duration.
    """

    rate: float
    seconds: float


@dataclass(frozen=True)
class RawKafka:
    """Events of Kafka's own client alongside the load: their topic, and how many per second."""

    topic: str
    rate: float


@dataclass(frozen=True)
class Profile:
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
    rates: Mapping[str, float]
    steps: tuple[Step, ...]
    about: str = ""
    warmup: float = 2.0
    arrivals: str = "poisson"
    seed: int = 1
    lanes: int = 1
    max_in_flight: int = 256
    errors: float = 0.0
    twice: float = 0.0
    late: Mapping[str, float] = field(default_factory=lambda: dict(LATE))
    raw_kafka: RawKafka | None = None
    knee: str = ""
    pairs: tuple[Pair, ...] = ()
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
    for key, value in body.items():
        if key not in FIELDS:
            raise ConfigError(
                f"{file}: a profile has no field {key!r}", hint=did_you_mean(key, list(FIELDS))
            )
        if not isinstance(value, FIELDS[key]) or isinstance(value, bool):  # type: ignore[arg-type]  # of several types
            raise ConfigError(f"{file}: {key} is {value!r}", expected=str(FIELDS[key]))
    if not body.get("rates") or not body.get("steps"):
        raise ConfigError(f"{file} has no rates or no steps", expected="both")
    steps = tuple(_step(file, each) for each in body.pop("steps"))
    pairs = tuple(_pair(file, each) for each in body.pop("pairs", ()))
    budgets = require_budgets(file, body.pop("budgets", {}))
    raw = _raw_kafka(file, body.pop("raw_kafka", {}))
    made = Profile(name=name, steps=steps, pairs=pairs, budgets=budgets, raw_kafka=raw, **body)
    _require_tables(file, made)
    _require_bounds(file, made)
    return made


def _require_tables(file: Path, made: Profile) -> None:
    for user, rate in made.rates.items():
        if type(rate) not in (int, float):
            raise ConfigError(f"{file}: the rate of {user} is {rate!r}", expected="a number")
    for figure, most in made.late.items():
        if figure not in LATENESS or type(most) not in (int, float) or most <= 0:
            raise ConfigError(
                f"{file}: late is {figure} = {most!r}",
                expected=f"milliseconds for one of {', '.join(LATENESS)}",
            )


def _raw_kafka(file: Path, table: Mapping[str, Any]) -> RawKafka | None:
    if not table:
        return None
    kinds = {key: type(value) for key, value in table.items()}
    if kinds not in ({"topic": str, "rate": int}, {"topic": str, "rate": float}):
        raise ConfigError(f"{file}: raw_kafka is {table!r}", expected="a topic and a rate")
    return RawKafka(**table)


def _step(file: Path, row: Any) -> Step:
    if not (isinstance(row, list) and [type(each) in (int, float) for each in row] == [True] * 2):
        raise ConfigError(f"{file}: the step {row!r}", expected="[factor, seconds]")
    return Step(float(row[0]), float(row[1]))


def _pair(file: Path, row: Any) -> Pair:
    if not (isinstance(row, list) and [type(each) for each in row] == [str, str] and all(row)):
        raise ConfigError(f"{file}: the pair {row!r}", expected='["NAME", "OTHER NAME"]')
    return row[0], row[1]


def _require_bounds(file: Path, made: Profile) -> None:
    wrong = {
        "a rate of zero or less": any(rate <= 0 for rate in made.rates.values())
        or (made.raw_kafka is not None and made.raw_kafka.rate <= 0)
        or any(step.rate <= 0 for step in made.steps),
        "a step without duration": any(step.seconds <= 0 for step in made.steps),
        f"arrivals {made.arrivals!r}": made.arrivals not in KINDS,
        f"{made.seconds:g} s, the bound is {LONGEST:g}": made.seconds > LONGEST,
        f"{made.requests:.0f} requests, the bound is {MOST}": made.requests > MOST,
        "lanes or max_in_flight below one": made.lanes < 1 or made.max_in_flight < 1,
        "a warm-up that leaves nothing": made.warmup >= made.seconds,
    }
    for what, is_wrong in wrong.items():
        if is_wrong:
            raise ConfigError(f"{file}: {what}", hint="load is bounded; change the profile")
