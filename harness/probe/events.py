"""Events as a broker stores them, and what reads them from Kafka. Every function blocks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from harness.core.observation import (
    Occurrence,
    correlation_of,
    event_in,
    origin_in,
    trace_in,
)

if TYPE_CHECKING:
    from confluent_kafka import Message

Offsets = Mapping[int, int]
"""The next offset to read, by partition; Kafka's -1 stands for the end when the tap opens."""

EPOCH = datetime.fromtimestamp(0, UTC)

ANSWERING = 10.0
"""Seconds within which a broker must respond."""


@dataclass(frozen=True)
class Event:
    """A record of a topic, read as a CloudEvent if it is one.

    Attributes:
        data: the event's data, or the whole value if it is not a CloudEvent.
        key: the record's key, which determines its partition.
        time: when the producer sent it (the broker's record time).
        envelope: all attributes of the CloudEvent; empty if it is not one.
        headers: the record's headers.
    """

    topic: str
    partition: int
    offset: int
    time: datetime
    id: str
    type: str
    source: str
    subject: str
    data: Any
    key: str | None = None
    envelope: Mapping[str, Any] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def occurrence(self, node: str) -> Occurrence:
        """The same as one record of a timeline.

        Args:
            node: the broker or the pub/sub component.
        """
        return Occurrence(
            (self.time - EPOCH) // timedelta(microseconds=1) * 1000,
            "event",
            node,
            f"{self.topic} {self.type}".strip(),
            correlation_of(
                trace=trace_in(self.envelope), event=self.id, key=self.key, subject=self.subject
            ),
            self.data,
            facts=self._facts(),
        )

    def _facts(self) -> dict[str, Any]:
        return {
            "topic": self.topic,
            "partition": self.partition,
            "offset": self.offset,
            "type": self.type,
            "source": self.source,
            "expires": str(self.envelope.get("expiration", "")),
            "base64": self.envelope.get("data_base64", ""),
            "origin": origin_in(self.headers),
        }


def read_event(message: Message) -> Event:
    """Read one record; a value that is not a CloudEvent becomes an event with empty attributes."""
    key = message.key()
    _, stamp = message.timestamp()
    return event_of(
        message.value() or b"",
        message.topic() or "",
        message.partition() or 0,
        message.offset() or 0,
        datetime.fromtimestamp(stamp / 1000, UTC),
        key=None if key is None else _text(key),
        headers={name: _text(value) for name, value in dict(message.headers() or ()).items()},
    )


def event_of(
    raw: bytes, topic: str, partition: int, offset: int, time: datetime, **more: Any
) -> Event:
    """An event from the bytes stored by the broker, and its position."""
    text = raw.decode("utf-8", "replace")
    try:
        body: Any = json.loads(text)
    except (ValueError, RecursionError):
        body = text
    envelope = event_in(body)
    return Event(
        topic=topic,
        partition=partition,
        offset=offset,
        time=time,
        id=str(envelope.get("id", "")),
        type=str(envelope.get("type", "")),
        source=str(envelope.get("source", "")),
        subject=str(envelope.get("subject", "")),
        data=envelope.get("data") if envelope else body,
        envelope=envelope,
        **more,
    )


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
