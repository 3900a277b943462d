"""The evaluation of a run: its figures, what they cost beside each other, and its budgets."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.load.judge import criteria
from harness.load.judge.criteria import Pairs
from harness.load.judge.overheads import overhead
from harness.load.measure.collector import UNFINISHED, Collector
from harness.load.measure.figures import figures, generator_cpu, lag_p99, rounds_of
from harness.load.model.budgets import Budgets
from harness.load.model.declared import Declared, Pair
from harness.load.model.figures import REQUEST, Names
from harness.load.model.pairs import REFERENCES, pairs_of, title
from harness.load.model.profile import Profile
from harness.load.model.result import Criterion, Knee, Ledger, Overhead, StepP99


@dataclass(frozen=True)
class Facts:
    """What was observed of a run besides the measurements of its processes.

    Attributes:
        ledgers: what happened to acknowledged requests, by outcome.
        noise: the loopback echo before and after, in microseconds.
        budgets: the maximum ratios for all profiles.
        marks: whether the programs of the run have done their work.
        unmeasured: names that were not measured to the end, and why.
    """

    ledgers: Mapping[str, Ledger]
    noise: tuple[float, float]
    budgets: Budgets
    marks: Sequence[Criterion] = ()
    unmeasured: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Evaluation:
    """What follows from the measurements; the attributes are those of a `Result`."""

    names: Names
    overheads: Sequence[Overhead]
    validity: Sequence[Criterion]
    thresholds: Sequence[Criterion]
    knee: Knee | None
    late: float


def evaluate(profile: Profile, collector: Collector, facts: Facts) -> Evaluation:
    """Evaluate a run.

    Args:
        profile: its profile.
        collector: the measurements of all its processes.
        facts: what else was observed.
    """
    names = figures(collector, profile.warmup)
    pairs, known = _pairs(profile, collector.declared)
    # Failures make a name slower, but never what is compared with it faster.
    rounds = [rounds_of(collector, profile.warmup, failed=each) for each in (True, False)]
    overheads = [each for pair in pairs if (each := overhead(*pair, *rounds)) is not None]
    late = lag_p99(collector, profile.warmup)
    own = {name: row for name, row in names.items() if name not in REFERENCES}
    unmeasured = {**criteria.failing(names), **(facts.unmeasured or {})}
    expected = {*map(title, pairs), *profile.budgets}
    return Evaluation(
        names,
        overheads,
        validity=[
            *criteria.validity(_cpu(collector, profile.warmup), late, *sent(names), facts.noise),
            *facts.marks,
            *criteria.compared(_declared_pairs(profile, collector.declared), overheads),
            *criteria.arrivals_seen(facts.ledgers),
        ],
        thresholds=[
            criteria.errors(own, profile.errors),
            *criteria.losses(facts.ledgers, profile.twice),
            *criteria.lateness(own, profile.late),
            *criteria.thresholds(
                {**facts.budgets, **profile.budgets}, overheads, Pairs(expected, known, unmeasured)
            ),
        ],
        knee=knee_of(names, profile),
        late=late,
    )


def _pairs(profile: Profile, declared: Mapping[str, Declared]) -> tuple[list[Pair], list[str]]:
    """The pairs that this run must have, and the names of all that these users could have."""
    used = [declared[user] for user in profile.rates if user in declared]
    pairs = [*profile.pairs, *pairs_of(used, bool(profile.raw_kafka))]
    every = [*profile.pairs, *pairs_of(declared.values(), raw=True)] if declared else []
    return list(dict.fromkeys(pairs)), [*map(title, every)]


def _declared_pairs(profile: Profile, declared: Mapping[str, Declared]) -> list[Pair]:
    used = [declared[user] for user in profile.rates if user in declared]
    return [*profile.pairs, *(pair for each in used for pair in each.pairs)]


def _cpu(collector: Collector, warmup: float) -> dict[str, list[float]]:
    """The generator's CPU, second by second after the warm-up."""
    return {
        name: [each.percent for each in rows if each.at >= warmup]
        for name, rows in generator_cpu(collector).items()
    }


def sent(names: Names) -> tuple[int, int]:
    """The number of the profile's requests that were due after the warm-up, and of those sent.

    Requests that were refused because too many were in flight, or whose fate is unknown, were not
    sent.
    """
    rows = [each for each in names.values() if each.kind == REQUEST]
    offered = sum(each.offered for each in rows)
    unsent = sum(
        count
        for each in rows
        for error, count in each.errors.items()
        if error.startswith("refused") or error == UNFINISHED
    )
    return offered, offered - unsent


def knee_of(names: Names, profile: Profile) -> Knee | None:
    """The rate of a ramp at which the p99 has doubled, by the median second of each step."""
    if profile.knee not in names:
        return None
    observed, begun, rows = names[profile.knee], 0.0, list[StepP99]()
    for step in profile.steps:
        end = begun + step.seconds
        # The part of the first step that belongs to the warm-up does not count.
        low = max(begun, profile.warmup)
        inside = [each.p99 for each in observed.seconds if low <= each.second < end]
        due = [each.offered for each in observed.traffic if low <= each.second < end]
        if inside and due:
            rows.append(StepP99(statistics.fmean(due), statistics.median(inside)))
        begun = end
    return Knee(rows, criteria.knee(rows))
