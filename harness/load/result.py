"""The figures of a run, put together from what its processes have measured."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.load.collector import DISTRIBUTIONS, INTENDED, Collector
from harness.load.histograms import curve, encode, histogram_of, summary

DELIVERED, JOB_FIRED, NOTIFIED = "publish to handler", "job due-time error", "publish to row"
LANES = {DELIVERED: ("Publish-", "PublishGrpc-"), JOB_FIRED: ("Schedule-",)}
"""Whose requests come out at the sink, by the beginnings of their lanes."""

Row = Sequence[Any]


def take_received(collector: Collector, rows: Iterable[Row]) -> dict[str, Any]:
    """Add what the sink has noted: deliveries and jobs, matched with what was acknowledged.

    Args:
        collector: gets the latencies.
        rows: kind, lane, number, due, sent, entered.

    Returns:
        By name: how many were acknowledged, lost, came twice, and came early.
    """
    seen: Counter[tuple[str, int]] = Counter()
    early = Counter[str]()
    for kind, lane, number, due, sent, entered in rows:
        name = DELIVERED if kind == "event" else JOB_FIRED
        seen[lane, number] += 1
        if seen[lane, number] > 1:
            continue
        took = entered - due
        # A job's due is of the wall clock; its second is that of its request.
        early[name] += took < 0
        collector.took(name, due if kind == "event" else sent, max(took, 0.0))
    return {
        name: _ledger(collector, seen, prefixes) | {"early": early[name]}
        for name, prefixes in LANES.items()
    }


def take_rows(collector: Collector, made: Mapping[str, float], offset: float) -> dict[str, int]:
    """Add when the row of each event was made, matched by the event's id.

    Args:
        collector: gets the latencies.
        made: seconds of the wall clock, by the id of the event.
        offset: the wall clock minus ``time.monotonic``, on which events are due.
    """
    lanes = {
        lane: rows for lane, rows in collector.acknowledged.items() if lane.startswith("Notify-")
    }
    found = lost = 0
    for lane, rows in lanes.items():
        for number, due in rows:
            at = made.get(f"{lane}-{number}")
            if at is None:
                lost += 1
                continue
            found += 1
            collector.took(NOTIFIED, due, max(at - offset - due, 0.0))
    return {"acknowledged": found + lost, "lost": lost, "twice": 0, "early": 0}


def _ledger(
    collector: Collector, seen: Mapping[tuple[str, int], int], prefixes: tuple[str, ...]
) -> dict[str, int]:
    acknowledged = [
        (lane, number)
        for lane, numbers in collector.acknowledged.items()
        if lane.startswith(prefixes)
        for number, _due in numbers
    ]
    return {
        "acknowledged": len(acknowledged),
        "lost": sum(1 for each in acknowledged if not seen.get(each)),
        "twice": sum(count - 1 for (lane, _), count in seen.items() if lane.startswith(prefixes)),
    }


def figures(collector: Collector, warmup: float) -> dict[str, dict[str, Any]]:
    """Everything about each name: counts, four distributions, and its seconds.

    Args:
        collector: of the whole run.
        warmup: seconds from the first request that do not count.
    """
    if not collector.counts:
        return {}
    first = _first(collector, warmup)
    last = max(second for second, _, _ in collector.counts)
    names = sorted({name for _, name, _ in collector.counts})
    values = _values(collector, first)
    # The first and the last second are no whole ones.
    return {
        name: {
            **_counts(collector, name, first),
            **_distributions({d: values[name, d] for d in DISTRIBUTIONS if (name, d) in values}),
            "seconds": _seconds(values.get((name, INTENDED), []), int(first), last),
        }
        for name in names
    }


def _first(collector: Collector, warmup: float) -> float:
    """The second from which on a run counts."""
    return min((second for second, _, _ in collector.counts), default=0) + warmup


def _values(collector: Collector, first: float) -> dict[tuple[str, str], list[tuple[float, float]]]:
    """When each was due and its seconds, by name and distribution."""
    found = defaultdict[tuple[str, str], list[tuple[float, float]]](list)
    for name, distribution, due, seconds in collector.values():
        if int(due) >= first:
            found[name, distribution].append((due, seconds))
    return found


def _counts(collector: Collector, name: str, first: float) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    for (second, each, kind), count in collector.counts.items():
        if each == name and second >= first:
            counts[kind] += count
    errors = {error: count for (each, error), count in collector.errors.items() if each == name}
    return {**{kind: counts[kind] for kind in ("offered", "ok", "failed")}, "errors": errors}


def _distributions(values: Mapping[str, Sequence[tuple[float, float]]]) -> dict[str, Any]:
    found: dict[str, Any] = {"histograms": {}}
    for distribution, rows in values.items():
        whole = histogram_of(seconds for _, seconds in rows)
        # A histogram knows its percentiles to three digits; the mean is exact here.
        found[distribution] = summary(whole) | {"mean": 1000 * statistics.fmean(s for _, s in rows)}
        found["histograms"][distribution] = encode(whole)
        if distribution == INTENDED:
            found["curve"] = curve(whole)
    return found


def _seconds(rows: Sequence[tuple[float, float]], first: int, last: int) -> list[list[float]]:
    """Second from the start, answered, mean, p50 and p99, for each whole second."""
    by_second = defaultdict[int, list[float]](list)
    for due, seconds in rows:
        by_second[int(due)].append(seconds)
    found = []
    for second, values in sorted(by_second.items()):
        if second < last:
            ordered = [1000 * seconds for seconds in sorted(values)]
            p50, p99 = (ordered[(len(ordered) - 1) * share // 100] for share in (50, 99))
            found.append([second - first, len(values), statistics.fmean(ordered), p50, p99])
    return found


def rounds_of(collector: Collector, warmup: float) -> dict[str, dict[int, list[float]]]:
    """Milliseconds from when it was due, by name and second, after the warm-up."""
    first = _first(collector, warmup)
    found = defaultdict[str, dict[int, list[float]]](dict)
    for name, distribution, due, seconds in collector.values():
        if distribution == INTENDED and int(due) >= first:
            found[name].setdefault(int(due), []).append(1000 * seconds)
    return found


def lag_p99(collector: Collector, warmup: float) -> float:
    """Milliseconds by which slots were opened late, over all names, after the warm-up."""
    first = _first(collector, warmup)
    late = [opened - due for _, due, opened, _, _ in collector.answers if int(due) >= first]
    return float(summary(histogram_of(late)).get("p99", 0.0))


def generator_cpu(collector: Collector) -> dict[str, list[float]]:
    """Percent of a core by load process; the first sample is of its start."""
    return {name: [percent for _, percent in rows[1:]] for name, rows in collector.cpu.items()}


def growth(samples: Sequence[tuple[float, float, int]]) -> float:
    """By how much a process has grown from the first to the last quarter of a run, as a share."""
    part = max(len(samples) // 4, 1)
    if len(samples) < 2 * part:
        return 0.0
    first = statistics.fmean(rss for _, _, rss in samples[:part])
    return statistics.fmean(rss for _, _, rss in samples[-part:]) / first - 1
