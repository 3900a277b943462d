"""Where acknowledged requests come out, and what became of each of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from harness.load.collector import Collector

NAMED = 20
"""Lost requests that a report names; the others are counted."""


@dataclass(frozen=True)
class Outcome:
    """Where the acknowledged requests of a user class come out; users declare it.

    Attributes:
        name: of the time until then, in reports.
        kind: ``event`` (at a subscriber), ``job`` (at the app), or ``row`` (in a table).
        app: which app sees it; "" for an event: every app that subscribes to the topic.
        pubsub: of an event, the component.
        topic: of an event.
        query: of a row, SQL for the id of each request and when its row was made (epoch seconds).
    """

    name: str
    kind: str
    app: str = ""
    pubsub: str = ""
    topic: str = ""
    query: str = ""


@dataclass(frozen=True)
class Came:
    """One request that came out.

    Attributes:
        id: the request's.
        at: when, on ``time.monotonic``; or of the wall clock, when ``due`` is.
        due: when it was to come out; None: when the request was due.
    """

    id: str
    at: float
    due: float | None = None


@dataclass(frozen=True)
class Ledger:
    """What became of the acknowledged requests of one outcome, over the whole run.

    Attributes:
        acknowledged: requests, the warm-up's included: what is lost there is lost too.
        lost: those that did not come out.
        twice: how often one came out again.
        early: those that came out before they were due.
        lost_ids: the first `NAMED` of those that were lost.
        problem: why it cannot be told, "" when it can.
    """

    acknowledged: int
    lost: int = 0
    twice: int = 0
    early: int = 0
    lost_ids: Sequence[str] = ()
    problem: str = ""

    def plain(self) -> dict[str, Any]:
        """As data."""
        return {**asdict(self), "lost_ids": list(self.lost_ids)}


def lanes_by_outcome(collector: Collector) -> dict[Outcome, list[str]]:
    """The lanes that have declared where their requests come out."""
    found = defaultdict[Outcome, list[str]](list)
    for lane, declared in collector.lanes.items():
        if declared["outcome"]:
            found[Outcome(**declared["outcome"])].append(lane)
    return dict(found)


def acknowledged_of(collector: Collector, lanes: Iterable[str]) -> dict[str, float]:
    """When each acknowledged request of some lanes was due, by its id."""
    return {
        f"{lane}-{number}": due for lane in lanes for number, due in collector.acknowledged[lane]
    }


def settle(
    collector: Collector, name: str, asked: Mapping[str, float], came: Iterable[Came]
) -> Ledger:
    """Match what was acknowledged with what came out, by ids.

    Args:
        collector: gets the latencies; what was lost has none, and is later than the end of the run.
        name: of these latencies.
        asked: when each request was due, by its id.
        came: everything that came out, in its order; what is not of these requests is left out.
    """
    seen = defaultdict[str, list[Came]](list)
    for each in came:
        if each.id in asked:
            seen[each.id].append(each)
    lost, early = [key for key in asked if key not in seen], 0
    for key, found in seen.items():
        first = found[0]
        late = first.at - (asked[key] if first.due is None else first.due)
        early += late < 0
        collector.took(name, asked[key], max(late, 0.0))
    for key in lost:
        collector.never(name, asked[key])
    twice = sum(len(found) - 1 for found in seen.values())
    return Ledger(len(asked), len(lost), twice, early, sorted(lost, key=asked.get)[:NAMED])  # type: ignore[arg-type]  # every key is there


def at_each(outcome: Outcome, apps: Sequence[str]) -> list[tuple[Outcome, str]]:
    """One outcome for each app that sees it; several have the app in their names."""
    if len(apps) == 1:
        return [(outcome, apps[0])]
    return [(replace(outcome, name=f"{outcome.name} at {app}"), app) for app in apps]
