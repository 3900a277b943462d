"""What a run is: which users, how many requests a second, for how long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import ConfigError, did_you_mean
from harness.files import read_toml
from harness.load.arrivals import KINDS, Step, offered
from harness.load.histograms import PERCENTILES

LONGEST = 900.0
"""Seconds that a run may take."""

MOST = 500_000
"""Requests that a run may send."""

FIELDS = {
    "about": str, "warmup": (int, float), "arrivals": str, "seed": int, "lanes": int,
    "steps": list, "rates": dict, "max_in_flight": int, "errors": (int, float),
    "twice": (int, float), "late": dict, "raw_kafka": dict, "knee": str,
}  # fmt: skip


LATENESS = ("mean", *(f"p{each:g}" for each in PERCENTILES), "max")
"""Figures that can be bounded."""

LATE = {"p99": 500.0, "max": 1500.0}
"""Milliseconds from when it was due that a request and its outcome may take, if none are given."""


@dataclass(frozen=True)
class Profile:
    """A run.

    Attributes:
        name: the file's.
        about: one sentence for people.
        rates: requests per second by user class.
        steps: what the rates are multiplied by, and for how many seconds.
        warmup: seconds from the start that do not count.
        arrivals: ``constant`` or ``poisson``.
        seed: of the times at which requests are due.
        lanes: users of each class, over which its rate is spread.
        max_in_flight: of each user.
        errors: the share of requests that may fail before the run has failed.
        twice: the share of acknowledged requests that may come out more than once.
        late: milliseconds from when it was due that each name may take, by figure; {} for no bound.
        raw_kafka: ``topic`` and ``rate`` of events by Kafka's own client, measured beside the load;
            {} for none.
        knee: of a ramp, the requests whose p99 is looked at.
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
    raw_kafka: Mapping[str, Any] = field(default_factory=dict)
    knee: str = ""

    @property
    def seconds(self) -> float:
        """How long it takes."""
        return sum(step.seconds for step in self.steps)

    @property
    def requests(self) -> float:
        """How many it sends, on average."""
        beside = float(self.raw_kafka.get("rate", 0)) * self.seconds
        return sum(self.rates.values()) * offered(self.steps) + beside


def read_profile(folder: Path, name: str) -> Profile:
    """A profile by its name.

    Raises:
        ConfigError: there is none, or a field of it is unknown, wrong or out of bounds.
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
    made = Profile(name=name, steps=steps, rates=body.pop("rates"), **body)
    _require_tables(file, made)
    _require_bounds(file, made)
    return made


def _require_tables(file: Path, made: Profile) -> None:
    for figure, most in made.late.items():
        if figure not in LATENESS or type(most) not in (int, float) or most <= 0:
            raise ConfigError(
                f"{file}: late is {figure} = {most!r}",
                expected=f"milliseconds for one of {', '.join(LATENESS)}",
            )
    raw = made.raw_kafka
    if raw and ({*raw} != {"topic", "rate"} or type(raw["rate"]) not in (int, float)):
        raise ConfigError(f"{file}: raw_kafka is {raw!r}", expected="a topic and a rate")


def _step(file: Path, row: Any) -> Step:
    if not (isinstance(row, list) and [type(each) in (int, float) for each in row] == [True] * 2):
        raise ConfigError(f"{file}: the step {row!r}", expected="[factor, seconds]")
    return Step(float(row[0]), float(row[1]))


def _require_bounds(file: Path, made: Profile) -> None:
    wrong = {
        "a rate of zero or less": any(rate <= 0 for rate in made.rates.values())
        or made.raw_kafka.get("rate", 1) <= 0
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
