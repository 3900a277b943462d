"""The event tap: reads a topic beside its subscribers, from a known offset."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from harness.closing import Closing
from harness.probe.stream import Stream

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message

Offsets = Mapping[int, int]
"""The next offset to read, by partition."""


@dataclass(frozen=True)
class Event:
    """A record of a topic, read as a CloudEvent where it is one.

    Attributes:
        data: the event's data, or the whole value when it is no CloudEvent.
        key: the record's key, which decides its partition.
        time: when the producer sent it (the broker's record time).
        envelope: all attributes of the CloudEvent, empty when it is none.
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


class EventTap(Closing, Stream[Event]):
    """Events of one topic in the order in which they are read; order holds per partition.

    It assigns partitions to itself and joins no group, so nobody's delivery changes.

    Args:
        brokers: the bootstrap address.
        topic: its name on the broker.
        start: where to begin in each partition; at the beginning of those not named.
    """

    def __init__(self, brokers: str, topic: str, start: Offsets | None = None) -> None:
        super().__init__(f"topic {topic}", self._read)
        self.brokers = brokers
        self.topic = topic
        self._start = dict(start or {})
        self._consumer: Consumer | None = None

    def close(self) -> None:
        """Leave the broker. Closing twice is fine."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def _read(self) -> Iterator[Event]:
        consumer = self._opened()
        while True:
            # 5 ms is how long the client library looks for what has arrived already.
            messages = consumer.consume(100, timeout=0.005)
            if not messages:
                return
            for message in messages:
                if message.error() is None:
                    yield read_event(message)

    def _opened(self) -> Consumer:
        if self._consumer is None:
            from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

            consumer = Consumer(
                {
                    "bootstrap.servers": self.brokers,
                    "group.id": "dapr-harness-tap",
                    "enable.auto.commit": False,
                    "fetch.wait.max.ms": 10,
                    "log_level": 0,
                }
            )
            found = consumer.list_topics(self.topic, timeout=10).topics[self.topic].partitions
            consumer.assign(
                [
                    TopicPartition(self.topic, number, self._start.get(number, OFFSET_BEGINNING))
                    for number in found
                ]
            )
            self._consumer = consumer
        return self._consumer


def read_event(message: Message) -> Event:
    """Read one record; whatever is no CloudEvent becomes an event with empty attributes."""
    raw = message.value() or b""
    text = raw.decode("utf-8", "replace")
    try:
        body: Any = json.loads(text)
    except ValueError:
        body = text
    envelope = body if isinstance(body, dict) and "specversion" in body else {}
    key = message.key()
    _, stamp = message.timestamp()
    return Event(
        topic=message.topic() or "",
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        time=datetime.fromtimestamp(stamp / 1000, UTC),
        id=str(envelope.get("id", "")),
        type=str(envelope.get("type", "")),
        source=str(envelope.get("source", "")),
        subject=str(envelope.get("subject", "")),
        data=envelope.get("data") if envelope else body,
        key=None if key is None else _text(key),
        envelope=envelope,
        headers={name: _text(value) for name, value in dict(message.headers() or ()).items()},
    )


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
