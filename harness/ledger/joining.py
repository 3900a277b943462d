"""Makes a ledger of what was observed: a pure function of the record, whatever its order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.core.observation import Occurrence, trace_in
from harness.ledger.delivered import Delivered, delivered, position_of
from harness.ledger.effects import Effects, moment
from harness.ledger.keys import keys_of
from harness.ledger.model import (
    Attempt,
    EventPath,
    Ledger,
    Names,
    Position,
    Publication,
    Record,
)
from harness.ledger.published import Candidate, Published, data_in, matched, published
from harness.ledger.scheduled import JOB, jobs_of

OUTBOX = "outbox"
"""How the names of the topics end that daprd itself uses for its outbox, and the ids of its rows
begin (``pkg/runtime/pubsub/outbox.go`` of Dapr 1.18.2)."""


def ledger_of(occurrences: Iterable[Occurrence], names: Names | None = None) -> Ledger:
    """The ledger of what was observed.

    Each record of the broker belongs to exactly one event. Records and deliveries are joined by
    their position on the broker, or else by the CloudEvent's id and source; requests to publish by
    the id, or else by topic, data and time, because daprd gives the event its id.

    Args:
        occurrences: in any order.
        names: what their names stand for.
    """
    known = names or Names()
    sources: dict[str, list[Occurrence]] = {}
    for each in occurrences:
        sources.setdefault(each.source, []).append(each)
    calls = _in_order(sources.get("call", ()))
    deliveries = _in_order(sources.get("delivery", ()))
    joined = _Joined(known, Effects(calls))
    joined.store(sources.get("event", ()))
    for each in deliveries:
        joined.deliver(each)
    joined.publish([each for each in calls if each.facts.get("api") == "publish"])
    firings = _in_order(sources.get("firing", ()))
    jobs = jobs_of([*calls, *deliveries, *firings], known)
    return Ledger(joined.events(), jobs, keys_of(calls, known.apps, known.shared))


def is_step(each: Occurrence) -> bool:
    """Whether an occurrence changes a ledger: not the delivery of something else than these."""
    if each.source != "delivery" or each.facts.get("path", "").startswith(JOB):
        return True
    return any(True for _ in delivered(each, ""))


def _in_order(found: Iterable[Occurrence]) -> list[Occurrence]:
    return sorted(found, key=lambda each: (moment(each), each.node, each.what))


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
    known: bool = False
    publications: list[Publication] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    traces: set[str] = field(default_factory=set)

    def learn(self, each: Occurrence) -> None:
        """What a record tells about it; that of a dead letter tells nothing new."""
        self.known = True
        self.type = each.facts.get("type", "")
        self.subject = each.correlation.get("subject", "")
        self.trace = each.correlation.get("trace", "")
        self.expires = each.facts.get("expires", "")
        encoded = each.facts.get("base64")
        self.data = data_in({"data_base64": encoded}) if encoded else each.payload

    def hear(self, event: Any) -> None:
        """What a delivery tells about it, if no record is known."""
        if not self.known and event:
            self.known = True
            self.type, self.subject = str(event.get("type", "")), str(event.get("subject", ""))
            self.expires, self.data = str(event.get("expiration", "")), data_in(event)

    def first_seen(self) -> tuple[int, Position]:
        """When, and what distinguishes it from others of the same moment."""
        kinds = (self.publications, self.records, self.attempts)
        places = [each.position for each in self.records]
        nowhere = Position(self.id, 0, 0)
        return min(each.time for kind in kinds for each in kind), min(places, default=nowhere)

    def finished(self) -> EventPath:
        """The event, with each list in the order of time."""
        return EventPath(
            self.id,
            self.type,
            self.source,
            self.subject,
            self.data,
            self.trace,
            self.expires,
            tuple(self.publications),
            tuple(sorted(self.records, key=lambda each: (each.time, each.position))),
            tuple(self.attempts),
            tuple(sorted(self.traces)),
        )


class _Joined:
    """All events while they are put together."""

    def __init__(self, names: Names, effects: Effects) -> None:
        self._names = names
        self._effects = effects
        self._paths: list[_Path] = []
        self._by_id: dict[tuple[str, str], _Path] = {}
        self._by_position: dict[Position, _Path] = {}

    def events(self) -> tuple[EventPath, ...]:
        """The events in the order in which they were first seen."""
        return tuple(each.finished() for each in sorted(self._paths, key=_Path.first_seen))

    def store(self, events: Iterable[Occurrence]) -> None:
        """The records of the broker: first what was published, then what sidecars have copied."""
        copies: list[tuple[Record, Occurrence]] = []
        for record, each in sorted(map(self._record, events), key=lambda row: row[0].position):
            if record.dead_letter_of is None:
                self._store(record, each)
            else:
                copies.append((record, each))
        for record, each in copies:
            self._store(record, each)

    def _record(self, each: Occurrence) -> tuple[Record, Occurrence]:
        facts = each.facts
        position = Position(facts["topic"], facts["partition"], facts["offset"])
        origin = position_of(facts.get("origin"), self._names.prefix)
        copied = origin if origin is not None and origin.topic != position.topic else None
        row = each.correlation.get("event", "").startswith(OUTBOX) and position.topic.endswith(
            OUTBOX
        )
        return Record(position, each.time, copied, outbox=row), each

    def _store(self, record: Record, each: Occurrence) -> None:
        # The deliveries of a dead letter, too, carry the position of the original.
        copied = self._by_position.get(record.dead_letter_of) if record.dead_letter_of else None
        path = copied or self._path(each.correlation.get("event", ""), each.facts["source"])
        if record.dead_letter_of:
            self._by_position[record.dead_letter_of] = path
        if not each.facts.get("counted"):
            self._by_position[record.position] = path
        path.records.append(record)
        path.traces.add(each.correlation.get("trace", ""))
        if not path.known:
            path.learn(each)

    def deliver(self, delivery: Occurrence) -> None:
        """A delivery of an event, or of several; all others are left out."""
        for each in delivered(delivery, self._names.prefix):
            path = self._delivered(each)
            path.hear(each.event)
            path.traces |= {delivery.facts.get("trace", ""), trace_in(each.event)}
            path.attempts.append(self._attempt(path, delivery, each))

    def _delivered(self, found: Delivered) -> _Path:
        path = self._by_position.get(found.origin) if found.origin else None
        # Another broker, whose records are not known, may have the same positions.
        if path is not None and not (path.id and found.id and path.id != found.id):
            return path
        made = self._path(found.id, str(found.event.get("source", "")))
        if found.origin:
            self._by_position.setdefault(found.origin, made)
        return made

    def _attempt(self, path: _Path, delivery: Occurrence, found: Delivered) -> Attempt:
        facts, node = delivery.facts, delivery.node
        app = self._names.apps.get(node, node)
        topics = self._names.topics.get((app, facts["path"]), frozenset())
        topic, dead = _topic_of(path, delivery, found, topics)
        return Attempt(
            app,
            node,
            topic,
            facts["path"],
            delivery.time,
            delivery.took or 0.0,
            facts["status"],
            facts["answer"],
            found.outcome,
            facts["failed"],
            dead_letter=dead,
            effects=self._effects.during(delivery, path.trace),
        )

    def publish(self, calls: Sequence[Occurrence]) -> None:
        """Requests to publish."""
        unnamed: list[Published] = []
        for each in (event for call in calls for event in published(call)):
            path = self._named(each)
            if path is None:
                unnamed.append(each)
            else:
                self._publish(path, each)
        stored = sorted(self._candidates(), key=lambda each: (each.time, each.key))
        made = matched(unnamed, stored) if unnamed else {}
        for index, each in enumerate(unnamed):
            key = made.get(index)
            self._publish(self._path("", "") if key is None else self._paths[key], each)

    def _named(self, asked: Published) -> _Path | None:
        """The event whose id a request has set."""
        if not asked.id:
            return None
        # daprd fills in a source that is not set.
        sources = (asked.source, asked.made.sidecar)
        found = (self._by_id.get((asked.id, source)) for source in sources)
        return next(filter(None, found), None) or self._path(asked.id, asked.source)

    def _publish(self, path: _Path, asked: Published) -> None:
        if path.data is None and not path.known:
            path.data = asked.data
        path.publications.append(asked.made)

    def _candidates(self) -> Iterable[Candidate]:
        for key, path in enumerate(self._paths):
            for each in () if path.publications else path.records:
                if each.dead_letter_of is None:
                    yield Candidate(key, each.position.topic, each.time, path.data, path.trace)

    def _path(self, event_id: str, source: str) -> _Path:
        """The path of a CloudEvent, or a new one of an event that is not one."""
        if not event_id:
            self._paths.append(_Path())
            return self._paths[-1]
        if (event_id, source) not in self._by_id:
            self._paths.append(_Path(event_id, source))
            self._by_id[event_id, source] = self._paths[-1]
        return self._by_id[event_id, source]


def _topic_of(
    path: _Path, delivery: Occurrence, found: Delivered, topics: frozenset[str]
) -> tuple[str, bool]:
    """The topic of a delivery, and whether it is that of a dead letter."""
    own = found.origin.topic if found.origin else str(found.event.get("topic", ""))
    if not own or topics <= {own}:
        return own, False
    others = sorted(topics - {own})
    if own not in topics:
        return others[0], True
    # One route has both: a sidecar delivers the event before it gives it up.
    dead = [
        each for each in path.records
        if each.dead_letter_of and each.position.topic in topics and each.time <= delivery.time
    ]  # fmt: skip
    return (dead[-1].position.topic, True) if dead else (own, False)
