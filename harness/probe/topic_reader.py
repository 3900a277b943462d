"""What reads a topic of Kafka, from known positions and as no group's member. It all blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from harness.core.errors import ConfigError, ProbeError, did_you_mean
from harness.core.kafka_access import Brokers, client_settings
from harness.probe.events import Event, Offsets, read_event
from harness.probe.marker import is_marker
from harness.ready.kafka import admin_of, creates_topics

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message

ANSWERING = 10.0
"""Seconds within which a broker must respond."""


class TopicReader:
    """Reads one topic of Kafka from given offsets, in all its partitions, as no group's member.

    Every method blocks. One thread may use it at a time.

    Args:
        brokers: the bootstrap address.
        topic: the topic's name on the broker.
        start: the offset to start from in each partition; the beginning for those not named.

    A topic that does not exist is empty, if the broker creates topics that a client uses.

    Attributes:
        position: the offset that is read next, in each partition that has been read.
        absence: a sentence with the closest names, as long as the broker has no such topic; or "".

    Raises (in every method but `close`):
        ConfigError: the broker has no such topic, and creates none by itself.
        ProbeError: the broker does not respond, or the topic cannot be read any further.
    """

    def __init__(self, brokers: Brokers, topic: str, start: Offsets) -> None:
        self.brokers = brokers
        self.topic = topic
        self.position: dict[int, int] = {}
        self.absence = ""
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
        while consumer.assignment():
            # The client library takes up to 5 ms to check for records that have already arrived.
            messages = consumer.consume(100, timeout=0.005)
            if not messages:
                return
            for message in messages:
                if self._is_record(message) and not is_marker(
                    (event := read_event(message)).envelope
                ):
                    yield event

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
        if not read:
            return {}
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
        """The client that reads; connected on first use, and assigned what the topic has by now."""
        from confluent_kafka import KafkaException

        if self._failure is not None:
            raise self._failure
        self._consumer = self._consumer or self._connected()
        if self._consumer.assignment():
            return self._consumer
        try:
            self._assign(self._consumer)
        except BaseException as error:
            self.close()
            if isinstance(error, KafkaException):
                raise self._unreadable(str(error)) from error
            raise
        return self._consumer

    def _connected(self) -> Consumer:
        settings = {
            "enable.partition.eof": True,
            # Records that have been deleted are reported, not skipped.
            "auto.offset.reset": "error",
            "fetch.wait.max.ms": 10,
        }
        return consumer_of(self.brokers, **settings)

    def _assign(self, consumer: Consumer) -> None:
        from confluent_kafka import OFFSET_BEGINNING, TopicPartition

        known = consumer.list_topics(timeout=ANSWERING).topics
        if self.topic not in known:
            self._miss([name for name in known if name[0] != "_"])
            return
        self.absence = ""
        consumer.assign(
            [
                TopicPartition(self.topic, number, self._start.get(number, OFFSET_BEGINNING))
                for number in known[self.topic].partitions
            ]
        )

    def _miss(self, names: Sequence[str]) -> None:
        """Note that the topic does not exist; fail unless the broker makes it on its first use."""
        closest = did_you_mean(self.topic, names)
        if not self.absence and not creates_topics(admin_of(self.brokers)):
            raise ConfigError(
                f"the broker has no topic {self.topic!r}",
                last=f"asked {self.brokers}",
                hint=f"{closest}; Kafka(topics=[...]) makes topics",
            )
        self.absence = f"the broker has no topic {self.topic!r}; {closest}"

    def _unreadable(self, cause: str) -> ProbeError:
        return _unreadable(self.brokers, self.topic, cause)


def _unreadable(brokers: Brokers, topic: str, cause: str) -> ProbeError:
    return ProbeError(
        f"topic {topic} cannot be read",
        last=cause,
        hint=f"look at the log of the broker at {brokers}",
    )


def consumer_of(brokers: Brokers, **settings: Any) -> Consumer:
    """A client that is no group's member and writes nothing to stderr."""
    from confluent_kafka import Consumer

    own = {"group.id": "dapr-harness-tap", "enable.auto.commit": False, "log_level": 0}
    return Consumer({**client_settings(brokers), **own, **settings})


def _partitions(consumer: Consumer, topic: str) -> list[int]:
    """The numbers of a topic's partitions; none if the topic does not exist."""
    known = consumer.list_topics(timeout=ANSWERING).topics
    return sorted(known[topic].partitions) if topic in known else []


def recent_offsets(brokers: Brokers, topic: str, count: int) -> dict[int, int]:
    """Where the last events of a topic begin in each partition, that many in each at most.

    Raises:
        ProbeError: the broker does not respond.
    """
    from confluent_kafka import KafkaException, TopicPartition

    consumer = consumer_of(brokers)
    try:
        marks = {
            number: consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=ANSWERING)
            for number in _partitions(consumer, topic)
        }
    except KafkaException as error:
        raise _unreadable(brokers, topic, str(error)) from error
    finally:
        consumer.close()
    return {number: max(low, high - count) for number, (low, high) in marks.items()}


def record_at(brokers: Brokers, topic: str, partition: int, offset: int) -> Event | None:
    """One record; None if it cannot be read."""
    from confluent_kafka import TopicPartition

    consumer = consumer_of(brokers)
    try:
        consumer.assign([TopicPartition(topic, partition, offset)])
        found = consumer.consume(1, timeout=ANSWERING)
        return read_event(found[0]) if found and found[0].error() is None else None
    finally:
        consumer.close()
