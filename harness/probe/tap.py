"""The event tap: reads a topic alongside its subscribers, from a known offset."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from harness.closing import Closing
from harness.deadline import Deadline, Observation, poll
from harness.errors import ConfigError, ProbeError, ProbeTimeout, did_you_mean
from harness.probe.stream import Stream
from harness.probe.waiting import Guard, unguarded

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message

Offsets = Mapping[int, int]
"""The next offset to read, by partition; Kafka's -1 stands for the end when the tap opens."""

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


class EventTap(Closing, Stream[Event]):
    """Events of one topic in the order in which they are read; ordered per partition.

    It assigns partitions to itself and joins no group, so it does not affect other consumers.

    Args:
        brokers: the bootstrap address.
        topic: the topic's name on the broker.
        start: the offset to start from in each partition; the beginning for those not named.
        guard: ends a wait by raising.

    Raises (on any read):
        ConfigError: the broker has no such topic.
        ProbeError: the broker does not respond, or the topic cannot be read any further.
    """

    def __init__(
        self, brokers: str, topic: str, start: Offsets | None = None, guard: Guard = unguarded
    ) -> None:
        super().__init__(f"topic {topic}", self._read, guard=guard)
        self.brokers = brokers
        self.topic = topic
        self._start = dict(start or {})
        self._consumer: Consumer | None = None
        self._next: dict[int, int] = {}
        self._failure: ProbeError | None = None

    def close(self) -> None:
        """Disconnect from the broker. Closing twice is allowed."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def up_to_now(self, deadline: Deadline) -> list[Event]:
        """All events that exist now, from where the tap began, in the order in which they came.

        Raises:
            ProbeTimeout: they could not be read in time.
        """
        ends = self._ends()
        self._await_read(ends, deadline)
        return [each for each in self._seen if each.offset < ends[each.partition]]

    def _read(self) -> Iterator[Event]:
        consumer = self._opened()
        while True:
            # The client library takes up to 5 ms to check for records that have already arrived.
            messages = consumer.consume(100, timeout=0.005)
            if not messages:
                return
            for message in messages:
                if self._is_record(message):
                    yield read_event(message)

    def _is_record(self, message: Message) -> bool:
        """Whether it is a record, and not the notice that a partition was read to its end."""
        from confluent_kafka import KafkaError

        error, partition, offset = message.error(), message.partition(), message.offset()
        if error is None:
            self._next[partition or 0] = (offset or 0) + 1
            return True
        if error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
            self._failure = self._unreadable(error.str())
            raise self._failure
        self._next[partition or 0] = offset or 0
        return False

    def _earlier(self, barrier: int, deadline: Deadline) -> list[Event]:
        """Records that existed when the barrier was seen, except those after it in its partition.

        Partitions have no mutual order: a record in another one may be earlier.
        """
        ends = self._ends()
        self._await_read(ends, deadline)
        end = self._seen[barrier]
        return [
            each
            for each in self._seen
            if each.offset
            < (end.offset if each.partition == end.partition else ends[each.partition])
        ]

    def _await_read(self, ends: Offsets, deadline: Deadline) -> None:
        def look() -> Observation:
            self._refresh()
            behind = {n: (self._next.get(n), end) for n, end in ends.items() if self._lags(n, end)}
            return Observation(not behind, f"read up to, of, by partition: {behind}")

        seen = poll(look, deadline, guard=self.guard)
        if not seen.ok:
            raise ProbeTimeout(
                f"{self.subject}: not all that was written before could be read",
                last=seen.fact,
                budget=deadline.budget,
                hint="give it more time; an open transaction holds a partition back",
            )

    def _lags(self, partition: int, end: int) -> bool:
        return self._next.get(partition, -1) < end

    def _ends(self) -> dict[int, int]:
        """The current end of every partition."""
        from confluent_kafka import KafkaException, TopicPartition

        consumer = self._opened()
        read = {each.partition for each in consumer.assignment()}
        try:
            found = _partitions(consumer, self.topic)
            ends = {
                number: consumer.get_watermark_offsets(
                    TopicPartition(self.topic, number), timeout=ANSWERING
                )
                for number in found
            }
        except KafkaException as error:
            raise self._unreadable(str(error)) from error
        if read != set(found):
            raise self._unreadable(f"it has the partitions {found}, and {sorted(read)} are read")
        return {number: marks[1] for number, marks in ends.items() if marks}

    def _opened(self) -> Consumer:
        if self._failure is not None:
            raise self._failure
        if self._consumer is None:
            from confluent_kafka import Consumer, KafkaException

            consumer = Consumer(
                {
                    "bootstrap.servers": self.brokers,
                    "group.id": "dapr-harness-tap",
                    "enable.auto.commit": False,
                    "enable.partition.eof": True,
                    # Records that have been deleted are reported, not skipped.
                    "auto.offset.reset": "error",
                    "fetch.wait.max.ms": 10,
                    "log_level": 0,
                }
            )
            try:
                self._assign(consumer)
            except BaseException as error:
                consumer.close()
                if isinstance(error, KafkaException):
                    raise self._unreadable(str(error)) from error
                raise
            self._consumer = consumer
        return self._consumer

    def _assign(self, consumer: Consumer) -> None:
        from confluent_kafka import OFFSET_BEGINNING, TopicPartition

        found = _partitions(consumer, self.topic)
        if not found:
            names = [
                name for name in consumer.list_topics(timeout=ANSWERING).topics if name[0] != "_"
            ]
            raise ConfigError(
                f"the broker has no topic {self.topic!r}",
                last=f"asked {self.brokers}",
                hint=did_you_mean(self.topic, names) + "; Kafka(topics=[...]) makes topics",
            )
        consumer.assign(
            [
                TopicPartition(self.topic, number, self._start.get(number, OFFSET_BEGINNING))
                for number in found
            ]
        )

    def _unreadable(self, cause: str) -> ProbeError:
        return ProbeError(
            f"{self.subject} cannot be read",
            last=cause,
            hint=f"look at the log of the broker at {self.brokers}",
        )


def _partitions(consumer: Consumer, topic: str) -> list[int]:
    """The numbers of a topic's partitions; none if the topic does not exist."""
    known = consumer.list_topics(timeout=ANSWERING).topics
    return sorted(known[topic].partitions) if topic in known else []


def recent_offsets(brokers: str, topic: str, count: int) -> dict[int, int]:
    """Where the last events of a topic begin in each partition, that many in each at most.

    Raises:
        ProbeError: the broker does not respond.
    """
    from confluent_kafka import Consumer, KafkaException, TopicPartition

    settings = {"bootstrap.servers": brokers, "group.id": "dapr-harness-tap", "log_level": 0}
    consumer = Consumer({**settings, "enable.auto.commit": False})
    try:
        marks = {
            number: consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=ANSWERING)
            for number in _partitions(consumer, topic)
        }
    except KafkaException as error:
        raise ProbeError(
            f"topic {topic} cannot be read",
            last=str(error),
            hint=f"look at the log of the broker at {brokers}",
        ) from error
    finally:
        consumer.close()
    return {number: max(low, high - count) for number, (low, high) in marks.items()}


def record_at(brokers: str, topic: str, partition: int, offset: int) -> Event | None:
    """One record; None if it cannot be read."""
    from confluent_kafka import Consumer, TopicPartition

    settings = {"bootstrap.servers": brokers, "group.id": "dapr-harness-tap", "log_level": 0}
    consumer = Consumer({**settings, "enable.auto.commit": False})
    try:
        consumer.assign([TopicPartition(topic, partition, offset)])
        found = consumer.consume(1, timeout=ANSWERING)
        return read_event(found[0]) if found and found[0].error() is None else None
    finally:
        consumer.close()


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
    except ValueError:
        body = text
    envelope = body if isinstance(body, dict) and "specversion" in body else {}
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
