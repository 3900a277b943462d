"""Reads every topic of a Kafka from known positions, as no group's member. Everything blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from harness.core.deadline import Deadline, Observation, poll
from harness.core.errors import ProbeError, ProbeTimeout
from harness.core.kafka_access import Brokers
from harness.probe.events import Event, Offsets, read_event
from harness.probe.marker import is_marker
from harness.probe.topic_reader import consumer_of
from harness.ready.kafka import admin_of, end_offsets

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message
    from confluent_kafka.admin import AdminClient

READING = 30.0
"""Seconds within which what is on the broker must have been read."""

BATCH = 500
"""The number of records that are taken at once, at most."""

Place = tuple[str, int]
"""A topic and a partition."""


class BrokerReader:
    """Reads all topics but the broker's internal ones. One thread may use it at a time.

    Args:
        brokers: the bootstrap address.
        start: the offset to start from in each partition of each topic; a topic that is not named
            is read from its beginning.
        prefix: only topics whose name begins with it are read; the events' topics are without it.

    Raises (in `read`):
        ProbeError: the broker does not respond, or a topic cannot be read any further.
        ProbeTimeout: what is there could not be read in time.
    """

    def __init__(self, brokers: Brokers, start: Mapping[str, Offsets], prefix: str = "") -> None:
        self.brokers = brokers
        self._start = start
        self._prefix = prefix
        self._position: dict[Place, int] = {}
        self._consumer: Consumer | None = None
        self._admin: AdminClient | None = None

    def close(self) -> None:
        """Disconnect from the broker. Closing twice is allowed."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def read(self) -> list[Event]:
        """Every record that was on the broker when it was called, and was not read before."""
        from confluent_kafka import KafkaException

        try:
            return list(self._read())
        except KafkaException as error:
            raise self._unreadable(str(error)) from error

    def _read(self) -> Iterator[Event]:
        ends = self._ends()
        if not any(self._lags(place, end) for place, end in ends.items()):
            return
        consumer = self._connected()
        self._assign(consumer, ends)
        found: list[Event] = []

        def look() -> Observation:
            for message in consumer.consume(BATCH, timeout=0.005):
                if self._is_record(message):
                    found.append(read_event(message))
            behind = {place: end for place, end in ends.items() if self._lags(place, end)}
            return Observation(not behind, f"the ends of what could not be read: {behind}")

        deadline = Deadline(READING)
        seen = poll(look, deadline, interval=0.001)
        if not seen.ok:
            raise ProbeTimeout(
                "not all events on the broker could be read",
                last=seen.fact,
                budget=deadline.budget,
                hint=f"look at the log of the broker at {self.brokers}",
            )
        yield from (self._named(each) for each in found if not is_marker(each.envelope))

    def _named(self, event: Event) -> Event:
        from dataclasses import replace

        return replace(event, topic=event.topic.removeprefix(self._prefix))

    def _ends(self) -> dict[Place, int]:
        self._admin = self._admin or admin_of(self.brokers)
        known = end_offsets(self._admin, [], others=True)
        return {
            (topic, partition): end
            for topic, ends in known.items()
            if topic.startswith(self._prefix)
            for partition, end in ends.items()
        }

    def _lags(self, place: Place, end: int) -> bool:
        topic, partition = place
        start = self._start.get(topic, {}).get(partition, 0)
        return self._position.get(place, start) < end

    def _connected(self) -> Consumer:
        self._consumer = self._consumer or consumer_of(
            self.brokers,
            **{
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "fetch.wait.max.ms": 10,
            },
        )
        return self._consumer

    def _assign(self, consumer: Consumer, places: Mapping[Place, int]) -> None:
        """Add the partitions that are not being read yet."""
        from confluent_kafka import OFFSET_BEGINNING, TopicPartition

        known = {(each.topic, each.partition) for each in consumer.assignment()}
        new = [
            TopicPartition(
                topic, partition, self._start.get(topic, {}).get(partition, OFFSET_BEGINNING)
            )
            for topic, partition in places
            if (topic, partition) not in known
        ]
        if new:
            consumer.incremental_assign(new)

    def _is_record(self, message: Message) -> bool:
        from confluent_kafka import KafkaError

        error = message.error()
        place = (message.topic() or "", message.partition() or 0)
        if error is None:
            self._position[place] = (message.offset() or 0) + 1
            return True
        if error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
            raise self._unreadable(error.str())
        self._position[place] = message.offset() or 0
        return False

    def _unreadable(self, cause: str) -> ProbeError:
        return ProbeError(
            "the events on the broker cannot be read",
            last=cause,
            hint=f"look at the log of the broker at {self.brokers}",
        )
