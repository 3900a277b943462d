"""The events in a delivery: one, or several if the subscription is for bulks."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.core.observation import Occurrence, event_in, origin_in
from harness.ledger.model import Position
from harness.ledger.outcomes import Outcome, outcome_of, outcomes_of_bulk

EVENT_TYPE = "application/cloudevents"
"""How the content type of a single event begins, delivered or published as it is."""

BULK_TYPE = "com.dapr.event.sent.bulk"
"""The type in the envelope of a bulk (``contrib/pubsub`` of Dapr 1.18.2)."""

MADE_UP_BY = "Dapr"
"""The source of an event that daprd makes up (``contrib/pubsub/envelope.go``, 1.18.3)."""


@dataclass(frozen=True)
class Delivered:
    """An event in a delivery.

    Attributes:
        event: what is known of the CloudEvent; empty if the body was too long to be recorded.
        origin: its position on the broker; that of the original if it is a dead letter.
        outcome: what daprd does with it.
    """

    event: Mapping[str, Any]
    origin: Position | None
    outcome: Outcome

    @property
    def id(self) -> str:
        """The event's id; "" if daprd has made it up, as for each delivery of raw data."""
        return (
            "" if "data_base64" in self.event and self._wrapped else str(self.event.get("id", ""))
        )

    @property
    def _wrapped(self) -> bool:
        return bool(self.origin) and self.event.get("type") == "com.dapr.event.sent"


def delivered(delivery: Occurrence, prefix: str) -> Iterator[Delivered]:
    """The events in a delivery; none if it is something else.

    Args:
        delivery: a request to an app.
        prefix: what daprd puts before the names of topics.
    """
    facts = delivery.facts
    if facts.get("method") != "POST":
        return
    rows = _rows(delivery.payload)
    if rows is None:
        event, origin = facts.get("event") or {}, position_of(facts.get("origin"), prefix)
        event = event if origin else _unwrapped(event)
        if event or origin or facts.get("content_type", "").startswith(EVENT_TYPE):
            yield Delivered(event, origin, outcome_of(facts["status"], facts["answer"]))
        return
    ids = [str(row.get("entryId", "")) for row in rows]
    outcomes = outcomes_of_bulk(facts["status"], facts["answer"], ids)
    for entry_id, row in zip(ids, rows, strict=True):
        inner = row.get("event")
        event = inner if isinstance(inner, dict) else {"data": inner}
        origin = position_of(origin_in(_mapping(row.get("metadata"))), prefix)
        yield Delivered(event, origin, outcomes[entry_id])


def position_of(found: tuple[str, int, int] | None, prefix: str) -> Position | None:
    """A position with the topic's name that apps use."""
    if not found:
        return None
    topic, partition, offset = found
    return Position(topic.removeprefix(prefix), partition, offset)


def _unwrapped(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """The CloudEvent that a delivery of raw data has as its data; otherwise the event itself.

    A sidecar publishes a dead letter as it was stored, so a subscription for raw data gets all of
    it, in an event that daprd makes up for each delivery.
    """
    if event.get("source") != MADE_UP_BY:
        return event
    try:
        inner = json.loads(base64.b64decode(event.get("data_base64", ""), validate=True))
    except (ValueError, TypeError, RecursionError):
        return event
    return event_in(inner) or event


def _rows(body: Any) -> list[dict[str, Any]] | None:
    """The entries of a bulk; None if a body is something else."""
    if not isinstance(body, dict) or body.get("type") != BULK_TYPE:
        return None
    entries = body.get("entries")
    return [row for row in entries if isinstance(row, dict)] if isinstance(entries, list) else []


def _mapping(found: Any) -> Mapping[str, Any]:
    return found if isinstance(found, dict) else {}
