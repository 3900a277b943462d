"""The figures of a run, computed from the measurements of its processes.

All have one base: seconds count from the first request of the profile, and no figure includes those
of the warm-up; the number of requests in the warm-up is reported separately.
"""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import TypedDict, TypeVar

from harness.load.measure.collector import DISTRIBUTIONS, INTENDED, Collector
from harness.load.measure.histograms import curve, encode, histogram_of, summary
from harness.load.measure.ranks import ranked
from harness.load.model.figures import (
    OUTCOME,
    REFERENCE,
    REQUEST,
    Counts,
    Figures,
    Point,
    Second,
    Summary,
    Traffic,
)
from harness.load.model.measurements import CpuSample
from harness.load.model.pairs import REFERENCES
from harness.load.model.result import LagSample, ProcessSample

Sample = TypeVar("Sample", CpuSample, LagSample, ProcessSample)


def figures(collector: Collector, warmup: float) -> dict[str, Figures]:
    """All figures of each name: counts, four distributions, and its seconds.

    Args:
        collector: the collector of the whole run.
        warmup: seconds from the first request that do not count.
    """
    if not collector.counts:
        return {}
    zero = began(collector)
    last = max(second for second, _, _ in collector.counts)
    names = sorted({name for _, name, _ in collector.counts})
    every = _values(collector)
    found = {}
    for name in names:
        counted = {
            each: [(due, took) for due, took in every[name, each] if int(due) >= zero + warmup]
            for each in DISTRIBUTIONS
            if (name, each) in every
        }
        found[name] = Figures(
            kind=kind_of(collector, name),
            **vars(_counts(collector, name, zero + warmup)),
            warmup=_counts(collector, name, zero, zero + warmup),
            seconds=_seconds(every.get((name, INTENDED), []), zero, last),
            traffic=_traffic(collector, name, zero),
            **_distributions({each: rows for each, rows in counted.items() if rows}),
        )
    return found


def began(collector: Collector) -> int:
    """The second of the profile's first due request; references start whenever they are ready."""
    seconds = [
        second
        for second, name, kind in collector.counts
        if kind == "offered" and name not in REFERENCES
    ]
    return min(seconds or [second for second, _, _ in collector.counts], default=0)


def kind_of(collector: Collector, name: str) -> str:
    """What a name is the name of."""
    if name in REFERENCES:
        return REFERENCE
    counted = {kind for _, each, kind in collector.counts if each == name}
    return REQUEST if counted & {"offered", "failed"} else OUTCOME


def _values(collector: Collector) -> dict[tuple[str, str], list[tuple[float, float]]]:
    """The due time and seconds of each value, by name and distribution."""
    found = defaultdict[tuple[str, str], list[tuple[float, float]]](list)
    for name, distribution, due, seconds in collector.values():
        found[name, distribution].append((due, seconds))
    return found


def _counts(collector: Collector, name: str, first: float, end: float = float("inf")) -> Counts:
    counts, errors = Counter[str](), Counter[str]()
    for (second, each, kind), count in collector.counts.items():
        if each == name and first <= second < end:
            counts[kind] += count
    for (second, each, error), count in collector.errors.items():
        if each == name and first <= second < end:
            errors[error] += count
    return Counts(counts["offered"], counts["ok"], counts["failed"], counts["lost"], dict(errors))


class _Distributions(TypedDict, total=False):
    intended: Summary
    service: Summary
    wake: Summary
    lag: Summary
    histograms: dict[str, str]
    curve: list[Point]


def _distributions(values: Mapping[str, Sequence[tuple[float, float]]]) -> _Distributions:
    found: _Distributions = {"histograms": {}}
    for distribution, rows in values.items():
        whole = histogram_of(seconds for _, seconds in rows)
        # A histogram's percentiles have three digits; the mean is exact here.
        mean = 1000 * statistics.fmean(seconds for _, seconds in rows)
        found[distribution] = summary(whole) | {"mean": mean}  # type: ignore[literal-required]  # one of four
        found["histograms"][distribution] = encode(whole)
        if distribution == INTENDED:
            found["curve"] = [Point(*each) for each in curve(whole)]
    return found


def _seconds(rows: Sequence[tuple[float, float]], zero: int, last: int) -> list[Second]:
    """The latencies of each second, including the warm-up; the last second may be incomplete."""
    by_second = defaultdict[int, list[float]](list)
    for due, seconds in rows:
        by_second[int(due)].append(1000 * seconds)
    return [
        second_of(second - zero, values)
        for second, values in sorted(by_second.items())
        if zero <= second < last
    ]


def second_of(second: int, values: Sequence[float]) -> Second:
    """The latencies of one second."""
    ordered = sorted(values)
    ranks = (ranked(ordered, share) for share in (0.5, 0.9, 0.99))
    return Second(second, len(ordered), statistics.fmean(ordered), *ranks)


def _traffic(collector: Collector, name: str, zero: int) -> list[Traffic]:
    seconds = sorted({second for second, each, _ in collector.counts if each == name})
    return [
        Traffic(
            second - zero, *(collector.counts[second, name, kind] for kind in Traffic._fields[1:])
        )
        for second in seconds
        if second >= zero
    ]


def rounds_of(
    collector: Collector, warmup: float, *, failed: bool = True
) -> dict[str, dict[int, list[float]]]:
    """Milliseconds from the due time, by name and second, after the warm-up.

    Args:
        failed: include what was not answered or lost, as if it took until the end of the run.
    """
    first = began(collector) + warmup
    found = defaultdict[str, dict[int, list[float]]](dict)
    for name, distribution, due, seconds in collector.values(failed=failed):
        if distribution == INTENDED and int(due) >= first:
            found[name].setdefault(int(due), []).append(1000 * seconds)
    return found


def lag_p99(collector: Collector, warmup: float) -> float:
    """Milliseconds by which slots were opened late, over all names, after the warm-up."""
    first = began(collector) + warmup
    late = [opened - due for _, due, opened, _, _ in collector.answers if int(due) >= first]
    return float(summary(histogram_of(late)).get("p99", 0.0))


def generator_cpu(collector: Collector) -> dict[str, list[CpuSample]]:
    """The CPU of each load process, in seconds from the first request."""
    return {name: since(began(collector), rows) for name, rows in collector.cpu.items()}


def since(zero: float, rows: Sequence[Sample]) -> list[Sample]:
    """Samples of ``time.monotonic`` as seconds from the first request; none before it."""
    return [type(each)(each[0] - zero, *each[1:]) for each in rows if each[0] >= zero]


def growth(samples: Sequence[ProcessSample], warmup: float = 0.0) -> float:
    """The growth of a process from the first to the last quarter, as a share."""
    counted = [each.rss for each in samples if each.at >= warmup]
    part = max(len(counted) // 4, 1)
    if len(counted) < 2 * part:
        return 0.0
    return statistics.fmean(counted[-part:]) / statistics.fmean(counted[:part]) - 1
