"""What happened to each acknowledged request."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.load.measure.collector import Collector
from harness.load.model.declared import Outcome
from harness.load.model.result import NAMED, Ledger


@dataclass(frozen=True)
class Came:
    """One request that arrived.

    Attributes:
        id: the request's id.
        at: the time, on ``time.monotonic``, or on the wall clock if ``due`` is.
        due: the expected time; None: the time at which the request was due.
    """

    id: str
    at: float
    due: float | None = None


def lanes_by_outcome(collector: Collector) -> dict[Outcome, list[str]]:
    """The lanes that have declared where their requests arrive."""
    found = defaultdict[Outcome, list[str]](list)
    for lane, user in collector.lanes.items():
        if user in collector.declared and (outcome := collector.declared[user].outcome):
            found[outcome].append(lane)
    return dict(found)


def acknowledged_of(collector: Collector, lanes: Iterable[str]) -> dict[str, float]:
    """When each acknowledged request of some lanes was due, by id."""
    return {
        f"{lane}-{number}": due for lane in lanes for number, due in collector.acknowledged[lane]
    }


def settle(
    collector: Collector, name: str, asked: Mapping[str, float], came: Iterable[Came]
) -> Ledger:
    """Match acknowledged requests with arrivals, by id.

    Args:
        collector: receives the latencies; a lost request counts until the end of the run at least.
        name: the name of these latencies.
        asked: when each request was due, by id.
        came: all arrivals; those of other requests are ignored.
    """
    seen = defaultdict[str, list[Came]](list)
    for each in came:
        if each.id in asked:
            seen[each.id].append(each)
    lost, early = [key for key in asked if key not in seen], 0
    for key, found in seen.items():
        first = min(found, key=lambda each: each.at)
        late = first.at - (asked[key] if first.due is None else first.due)
        early += late < 0
        collector.took(name, asked[key], max(late, 0.0))
    for key in lost:
        collector.never(name, asked[key])
    twice = sum(len(found) - 1 for found in seen.values())
    return Ledger(len(asked), len(lost), twice, early, sorted(lost, key=asked.get)[:NAMED])  # type: ignore[arg-type]  # every key is there


def at_each(outcome: Outcome, apps: Sequence[str]) -> list[tuple[Outcome, str]]:
    """One outcome for each app that receives it; if there are several, names contain the app."""
    if len(apps) == 1:
        return [(outcome, apps[0])]
    return [(replace(outcome, name=f"{outcome.name} at {app}"), app) for app in apps]
