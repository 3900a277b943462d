"""Reads every topic of a Kafka from known positions, as no group's member. Everything blocks."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.core.deadline import Deadline, ticks
from harness.core.errors import ProbeError, ProbeTimeout
from harness.core.kafka_access import Brokers
from harness.core.observation import origin_in
from harness.probe.events import Event, Offsets, read_event
from harness.probe.marker import is_marker
from harness.probe.topic_reader import consumer_of
from harness.probe.waiting import Guard, unguarded
from harness.ready.kafka import admin_of, end_offsets

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message
    from confluent_kafka.admin import AdminClient

READING = 30.0
"""Seconds within which what is on the broker must have been read."""

BATCH = 500
"""The number of records that are taken at once, at most."""

OUTSIDE, LARGEST = 1000, 4 * 1024 * 1024
"""The number of records from outside that are kept as they are, and the bytes of their values."""

Place = tuple[str, int]
"""A topic and a partition."""

Ends = dict[str, dict[int, int]]
"""The end of each partition, by topic."""


@dataclass(frozen=True)
class RawRecord:
    """A record as it is on the broker.

    Attributes:
        topic: without the prefix.
        time: of the broker, in nanoseconds since the epoch.
    """

    topic: str
    partition: int
    offset: int
    time: int
    key: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    value: bytes


class BrokerReader:
    """Reads all topics but the broker's internal ones. One thread may use it at a time.

    Args:
        brokers: the bootstrap address.
        start: the offset to start from in each partition of each topic; a topic that is not named
            is read from its beginning.
        prefix: the events' topics are without it.
        own: those topics that are to be read; all if None.
        guard: ends a wait by raising.

    Attributes:
        size: the bytes of the values that were read so far.
        outside: the records that no sidecar has published, as far as they are kept.
        outside_lost: the number of those that are not kept.

    Raises (in `read`):
        ProbeError: the broker does not respond, or a topic cannot be read any further.
        ProbeTimeout: what is there could not be read in time.
    """

    def __init__(
        self,
        brokers: Brokers,
        start: Mapping[str, Offsets],
        prefix: str = "",
        own: Callable[[Ends], Ends] | None = None,
        guard: Guard = unguarded,
    ) -> None:
        self.brokers = brokers
        self.size = 0
        self.outside: list[RawRecord] = []
        self.outside_lost = 0
        self._outside_size = 0
        self._start = start
        self._prefix = prefix
        self._own = own or (lambda ends: ends)
        self._guard = guard
        self._position: dict[Place, int] = {}
        self._consumer: Consumer | None = None
        self._admin: AdminClient | None = None

    def close(self) -> None:
        """Disconnect from the broker. Closing twice is allowed."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def read(self) -> Generator[Event, None, None]:
        """Every record that was on the broker when it was called, and was not read before."""
        from confluent_kafka import KafkaException

        try:
            yield from self._read()
        except BaseException as error:
            # Records that the client has fetched and that were not returned are read again.
            self.close()
            if isinstance(error, KafkaException | TimeoutError):
                raise self._unreadable(str(error)) from error
            raise

    def _read(self) -> Iterator[Event]:
        ends = self._ends()
        if not self._behind(ends):
            return
        consumer = self._connected()
        self._assign(consumer, ends)
        for _ in ticks(deadline := Deadline(READING), 0.001):
            self._guard()
            yield from self._taken(consumer.consume(BATCH, timeout=0.005))
            if not (behind := self._behind(ends)):
                return
        raise ProbeTimeout(
            "not all events on the broker could be read",
            last=f"the ends of what could not be read: {behind}",
            budget=deadline.budget,
            hint="an open transaction holds a partition back; "
            f"look at the log of the broker at {self.brokers}",
        )

    def _taken(self, messages: Iterable[Message]) -> Iterator[Event]:
        for message in messages:
            if self._is_record(message):
                self.size += len(message)
                event = read_event(message)
                if not is_marker(event.envelope):
                    event = replace(event, topic=event.topic.removeprefix(self._prefix))
                    if _is_from_outside(event):
                        self._keep(event, message)
                    yield event

    def _keep(self, event: Event, message: Message) -> None:
        value, headers = message.value() or b"", message.headers() or []
        headers = [*headers.items()] if isinstance(headers, dict) else headers
        self._outside_size += len(value)
        if len(self.outside) >= OUTSIDE or self._outside_size > LARGEST:
            self.outside_lost += 1
            return
        key, found = message.key(), [(name, _bytes(each)) for name, each in headers]
        time = event.occurrence("").time
        place = event.topic, event.partition, event.offset, time
        self.outside.append(RawRecord(*place, _bytes(key), tuple(found), _bytes(value) or b""))

    def _ends(self) -> dict[Place, int]:
        self._admin = self._admin or admin_of(self.brokers)
        known = self._own(end_offsets(self._admin, [], others=True))
        found = {
            (topic, partition): end
            for topic, ends in known.items()
            for partition, end in ends.items()
        }
        for (topic, partition), end in found.items():
            # A partition without a leader has no end that is known.
            if end < self._position.get((topic, partition), 0):
                raise self._unreadable(self._why_not(topic, partition, end))
        return found

    def _why_not(self, topic: str, partition: int, end: int) -> str:
        if end < 0:
            return f"{topic}[{partition}] does not respond"
        known = self._position[topic, partition]
        return f"{topic}[{partition}] ends at {end}, and {known} was read: was the topic deleted?"

    def _behind(self, ends: Mapping[Place, int]) -> dict[Place, int]:
        return {place: end for place, end in ends.items() if self._lags(place, end)}

    def _lags(self, place: Place, end: int) -> bool:
        return self._next(*place, 0) < end

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
            TopicPartition(topic, partition, self._next(topic, partition, OFFSET_BEGINNING))
            for topic, partition in places
            if (topic, partition) not in known
        ]
        if new:
            consumer.incremental_assign(new)

    def _next(self, topic: str, partition: int, default: int) -> int:
        started = self._start.get(topic, {}).get(partition, default)
        return self._position.get((topic, partition), started)

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


def _is_from_outside(event: Event) -> bool:
    """Whether no sidecar has published it: each names its component in the CloudEvent, and says
    in headers of which record a dead letter is."""
    return "pubsubname" not in event.envelope and origin_in(event.headers) is None


def _bytes(value: object) -> bytes | None:
    return value.encode() if isinstance(value, str) else value if isinstance(value, bytes) else None
