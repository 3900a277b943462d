"""Makes a ledger of what was observed: a pure function of the record, whatever its order."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from harness.core.observation import Occurrence, origin_in
from harness.ledger.model import (
    Attempt,
    EventPath,
    Ledger,
    Position,
    Publication,
    Record,
    Subscriptions,
)
from harness.ledger.outcomes import Outcome, outcome_of, outcomes_of_bulk
from harness.ledger.scheduled import jobs_of

MILLISECOND = 1_000_000
"""Nanoseconds. A broker's record time is cut off there."""

EVENT_TYPE = "application/cloudevents+json"
"""The content type with which daprd delivers events, and apps publish CloudEvents."""


def ledger_of(
    occurrences: Iterable[Occurrence], subscriptions: Subscriptions | None = None
) -> Ledger:
    """The ledger of what was observed.

    Each record of the broker belongs to exactly one event. Records and deliveries are joined by
    their position on the broker, or else by the CloudEvent's id and source; requests to publish by
    the id, or else by topic, data and time, because daprd gives the event its id.

    Args:
        occurrences: in any order.
        subscriptions: what the apps subscribe to; without it, the deliveries of dead letters
            cannot be told from those of the event.
    """
    found = sorted(occurrences, key=lambda each: each.time)
    joined = _Joined(subscriptions or Subscriptions())
    for each in found:
        if each.source == "event":
            joined.store(each)
    for each in found:
        if each.source == "delivery":
            joined.deliver(each)
    calls = [each for each in found if each.source == "call"]
    for each in calls:
        if each.facts.get("api") == "publish":
            joined.publish(each)
    events = tuple(path.settled(calls) for path in joined.in_order())
    return Ledger(events, jobs_of(found))


@dataclass
class _Path:
    """An event while it is put together."""

    id: str = ""
    source: str = ""
    type: str = ""
    subject: str = ""
    data: Any = None
    trace: str = ""
    expires: str = ""
    publications: list[Publication] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)

    def begins(self) -> int:
        """When it was first seen."""
        kinds = (self.publications, self.records, self.attempts)
        return min((each.time for kind in kinds for each in kind), default=0)

    def settled(self, calls: Sequence[Occurrence]) -> EventPath:
        """The event, with what each app did while it handled it."""
        return EventPath(
            self.id,
            self.type,
            self.source,
            self.subject,
            self.data,
            self.trace,
            self.expires,
            tuple(sorted(self.publications, key=lambda each: each.time)),
            tuple(sorted(self.records, key=lambda each: each.time)),
            tuple(self._with_effects(each, calls) for each in self.attempts),
        )

    def _with_effects(self, attempt: Attempt, calls: Sequence[Occurrence]) -> Attempt:
        ended = attempt.time + round(attempt.took * 1e9)
        own = (
            each for each in calls
            if each.node == attempt.app and attempt.time <= each.time <= ended
            and self._may_be_of(each)
        )  # fmt: skip
        return replace(attempt, effects=tuple(own))

    def _may_be_of(self, call: Occurrence) -> bool:
        """Whether a call is in the same trace, if both are in one."""
        trace = call.correlation.get("trace", "")
        return not (trace and self.trace) or trace == self.trace


class _Joined:
    """All events while they are put together."""

    def __init__(self, subscriptions: Subscriptions) -> None:
        self._subscriptions = subscriptions
        self._paths: list[_Path] = []
        self._by_id: dict[tuple[str, str], _Path] = {}
        self._by_position: dict[Position, _Path] = {}

    def in_order(self) -> list[_Path]:
        """The events in the order in which they were first seen."""
        return sorted(self._paths, key=_Path.begins)

    def store(self, event: Occurrence) -> None:
        """A record of the broker."""
        facts = event.facts
        position = Position(facts["topic"], facts["partition"], facts["offset"])
        origin = _position(facts.get("origin"))
        copied = origin if origin is not None and origin.topic != position.topic else None
        known = self._by_position.get(copied) if copied else None
        path = known or self._path(event.correlation.get("event", ""), facts.get("source", ""))
        self._by_position[position] = path
        path.records.append(Record(position, event.time, copied))
        if known is None and not path.type:
            path.type, path.data = facts.get("type", ""), event.payload
            path.subject = event.correlation.get("subject", "")
            path.trace = event.correlation.get("trace", "")
            path.expires = facts.get("expires", "")

    def deliver(self, delivery: Occurrence) -> None:
        """A delivery of an event, or of several; all others are left out."""
        for each in _delivered(delivery):
            self._deliver(delivery, each)

    def _deliver(self, delivery: Occurrence, delivered: _Delivered) -> None:
        facts, event, origin = delivery.facts, delivered.event, delivered.origin
        route = self._subscriptions.topics.get((delivery.node, facts["path"]), "")
        topic = route or (origin.topic if origin else str(event.get("topic", "")))
        path = self._by_position.get(origin) if origin else None
        if path is None:
            path = self._path(str(event.get("id", "")), str(event.get("source", "")))
            path.type = path.type or str(event.get("type", ""))
            path.subject = path.subject or str(event.get("subject", ""))
            path.data = event.get("data") if path.data is None else path.data
        path.attempts.append(
            Attempt(
                delivery.node,
                topic,
                facts["path"],
                delivery.time,
                delivery.took or 0.0,
                facts["status"],
                facts["answer"],
                delivered.outcome,
                facts["failed"],
                dead_letter=origin is not None and topic != origin.topic,
            )
        )

    def publish(self, call: Occurrence) -> None:
        """A request to publish one event, or several."""
        for event in _published(call):
            made = Publication(
                call.node, call.facts["target"], call.time, call.took or 0.0, call.facts["status"]
            )
            path = self._published_as(call, made, event) or self._path("", "")
            if path.data is None:
                path.data = event
            path.publications.append(made)

    def _published_as(self, call: Occurrence, made: Publication, event: Any) -> _Path | None:
        if isinstance(event, dict) and "specversion" in event:
            own = str(event.get("id", "")), str(event.get("source", ""))
            return self._by_id.get(own) or self._path(*own)
        ended = made.time + round(made.took * 1e9) + MILLISECOND
        return next(
            (
                path for path in self._paths
                if not path.publications and _same_trace(call, path) and _same(event, path.data)
                and any(
                    made.topic == each.position.topic
                    and made.time - MILLISECOND <= each.time <= ended
                    for each in path.records
                )
            ),
            None,
        )  # fmt: skip

    def _path(self, event_id: str, source: str) -> _Path:
        """The path of a CloudEvent, or a new one of an event that is not one."""
        if not event_id:
            self._paths.append(_Path())
            return self._paths[-1]
        if (event_id, source) not in self._by_id:
            self._paths.append(_Path(event_id, source))
            self._by_id[event_id, source] = self._paths[-1]
        return self._by_id[event_id, source]


@dataclass(frozen=True)
class _Delivered:
    """An event in a delivery, its position on the broker, and what daprd does with it."""

    event: Mapping[str, Any]
    origin: Position | None
    outcome: Outcome


def _delivered(delivery: Occurrence) -> Iterator[_Delivered]:
    facts, event = delivery.facts, delivery.facts.get("event") or {}
    origin = _position(facts.get("origin"))
    if facts.get("method") != "POST" or not (event or origin):
        return
    if not isinstance(event.get("entries"), list):
        yield _Delivered(event, origin, outcome_of(facts["status"], facts["answer"]))
        return
    rows = [row for row in event["entries"] if isinstance(row, dict)]
    ids = [str(row.get("entryId", "")) for row in rows]
    outcomes = outcomes_of_bulk(facts["status"], facts["answer"], ids)
    for entry_id, row in zip(ids, rows, strict=True):
        inner = row.get("event")
        known = inner if isinstance(inner, dict) else {"data": inner}
        yield _Delivered(known, _position(origin_in(row.get("metadata") or {})), outcomes[entry_id])


def _published(call: Occurrence) -> Iterator[Any]:
    """The events in a request to publish."""
    if "/publish/bulk/" in call.facts["path"] and isinstance(call.payload, list):
        yield from (row.get("event") for row in call.payload if isinstance(row, dict))
    else:
        yield call.payload


def _position(found: Any) -> Position | None:
    return Position(*found) if found else None


def _same_trace(call: Occurrence, path: _Path) -> bool:
    trace = call.correlation.get("trace", "")
    return not (trace and path.trace) or trace == path.trace


def _same(one: Any, other: Any) -> bool:
    """Whether data is equal, whether or not it was decoded."""
    return one == other or _text(one) == _text(other)


def _text(data: Any) -> str:
    return data if isinstance(data, str) else json.dumps(data, sort_keys=True, default=str)
