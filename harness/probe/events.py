"""Events as a broker stores them, and what reads them from Kafka. Every function blocks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from harness.core.errors import ConfigError, ProbeError, did_you_mean
from harness.core.kafka_access import Brokers, client_settings
from harness.core.observation import Occurrence, correlation_of, event_in, trace_in

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message

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
        )


class TopicReader:
    """Reads one topic of Kafka from given offsets, in all its partitions, as no group's member.

    Every method blocks. One thread may use it at a time.

    Args:
        brokers: the bootstrap address.
        topic: the topic's name on the broker.
        start: the offset to start from in each partition; the beginning for those not named.

    Attributes:
        position: the offset that is read next, in each partition that has been read.

    Raises (in every method but `close`):
        ConfigError: the broker has no such topic.
        ProbeError: the broker does not respond, or the topic cannot be read any further.
    """

    def __init__(self, brokers: Brokers, topic: str, start: Offsets) -> None:
        self.brokers = brokers
        self.topic = topic
        self.position: dict[int, int] = {}
        self._start = start
        self._consumer: Consumer | None = None
        self._failure: ProbeError | None = None

    @property
    def closed(self) -> bool:
        """Whether it has no connection, because it was closed or never read."""
        return self._consumer is None

    def close(self) -> None:
        """Disconnect from the broker. Closing twice is allowed."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def read(self) -> Iterator[Event]:
        """The records that have arrived since the last call."""
        consumer = self.consumer()
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
            self.position[partition or 0] = (offset or 0) + 1
            return True
        if error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
            self._failure = self._unreadable(error.str())
            raise self._failure
        self.position[partition or 0] = offset or 0
        return False

    def ends(self) -> dict[int, int]:
        """The current end of every partition."""
        from confluent_kafka import KafkaException, TopicPartition

        consumer = self.consumer()
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

    def consumer(self) -> Consumer:
        """The client that reads; connected on first use."""
        if self._failure is not None:
            raise self._failure
        if self._consumer is None:
            self._consumer = self._connected()
        return self._consumer

    def _connected(self) -> Consumer:
        from confluent_kafka import Consumer, KafkaException

        consumer = Consumer(
            {
                **client_settings(self.brokers),
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
        return consumer

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
            f"topic {self.topic} cannot be read",
            last=cause,
            hint=f"look at the log of the broker at {self.brokers}",
        )


def _partitions(consumer: Consumer, topic: str) -> list[int]:
    """The numbers of a topic's partitions; none if the topic does not exist."""
    known = consumer.list_topics(timeout=ANSWERING).topics
    return sorted(known[topic].partitions) if topic in known else []


def recent_offsets(brokers: Brokers, topic: str, count: int) -> dict[int, int]:
    """Where the last events of a topic begin in each partition, that many in each at most.

    Raises:
        ProbeError: the broker does not respond.
    """
    from confluent_kafka import Consumer, KafkaException, TopicPartition

    settings = {**client_settings(brokers), "group.id": "dapr-harness-tap", "log_level": 0}
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


def record_at(brokers: Brokers, topic: str, partition: int, offset: int) -> Event | None:
    """One record; None if it cannot be read."""
    from confluent_kafka import Consumer, TopicPartition

    settings = {**client_settings(brokers), "group.id": "dapr-harness-tap", "log_level": 0}
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
