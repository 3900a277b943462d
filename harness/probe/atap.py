"""The event tap: reads a topic alongside its subscribers, from a known position."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Generator, Iterator
from typing import Any, Self

from harness.core.blocking import ablocking
from harness.core.closing import AsyncClosing
from harness.core.deadline import Deadline, Observation, apoll
from harness.core.errors import ConfigError, ProbeTimeout
from harness.core.kafka_access import Brokers
from harness.probe.astream import AsyncStream
from harness.probe.events import Event, Offsets
from harness.probe.subscription import Subscription
from harness.probe.topic_reader import TopicReader
from harness.probe.waiting import Guard, unguarded


class AsyncTap(AsyncClosing, AsyncStream[Event]):
    """Events of one topic, in the order in which they are read.

    On another pub/sub than the topology's own Kafka, it begins where it is opened. ``dapr_sync``
    returns it opened; a coroutine awaits what ``dapr.topic`` returns.
    """

    @abstractmethod
    async def open(self) -> None:
        """Determine where the tap begins, if that is not known yet. Opening twice is allowed."""

    # <async only>
    def __await__(self) -> Generator[Any, None, Self]:
        """Open the tap: ``tap = await dapr.topic("orders", pubsub="bus")``."""
        return self._opened().__await__()

    async def _opened(self) -> Self:
        await self.open()
        return self

    # </async only>


class AsyncEventTap(AsyncTap):
    """A tap on a topic of Kafka; ordered per partition.

    It assigns partitions to itself and joins no group, so it does not affect other consumers. If
    the broker creates topics that a client uses, a topic that does not exist yet is empty.

    Args:
        brokers: the bootstrap address, with credentials if it requires them.
        topic: the topic's name on the broker.
        start: the offset to start from in each partition, the beginning for those not named; or
            what finds these offsets when the tap is opened.
        guard: ends a wait by raising.

    Raises (on any read):
        ConfigError: the broker has no such topic, and creates none by itself.
        ProbeError: the broker does not respond, or the topic cannot be read any further.
    """

    def __init__(
        self,
        brokers: Brokers,
        topic: str,
        start: Offsets | Callable[[], Offsets] | None = None,
        guard: Guard = unguarded,
    ) -> None:
        super().__init__(f"topic {topic}", self._read, guard=guard)
        self._brokers = brokers
        self._topic = topic
        self._start = start
        self._reader = None if callable(start) else TopicReader(brokers, topic, start or {})

    async def open(self) -> None:
        """Determine where the tap begins, if that is not known yet. Opening twice is allowed."""
        if self._reader is None and callable(self._start):
            found = await ablocking(self._start)
            self._reader = self._reader or TopicReader(self._brokers, self._topic, found)

    async def aclose(self) -> None:
        """Disconnect from the broker. Closing twice is allowed."""
        await ablocking(self._close)

    async def up_to_now(self, deadline: Deadline) -> list[Event]:
        """All events that exist now, from where the tap began, in the order in which they came.

        Raises:
            ProbeTimeout: they could not be read in time.
        """
        ends = await ablocking(self._ends)
        await self._await_read(ends, deadline)
        return [each for each in self._seen if each.offset < ends.get(each.partition, 0)]

    async def _earlier(self, barrier: int, deadline: Deadline) -> list[Event]:
        """Records that existed when the barrier was seen, except those after it in its partition.

        Partitions have no mutual order: a record in another one may be earlier.
        """
        ends = await ablocking(self._ends)
        await self._await_read(ends, deadline)
        end = self._seen[barrier]
        return [
            each
            for each in self._seen
            if each.offset
            < (end.offset if each.partition == end.partition else ends[each.partition])
        ]

    async def _await_read(self, ends: Offsets, deadline: Deadline) -> None:
        async def look() -> Observation:
            await self._refresh()
            behind = {n: (self._position(n), end) for n, end in ends.items() if self._lags(n, end)}
            return Observation(not behind, f"read up to, of, by partition: {behind}")

        seen = await apoll(look, deadline, guard=self.guard)
        if not seen.ok:
            raise ProbeTimeout(
                f"{self.subject}: not all that was written before could be read",
                last=seen.fact,
                budget=deadline.budget,
                hint="give it more time; an open transaction holds a partition back",
            )

    def _lags(self, partition: int, end: int) -> bool:
        position = self._position(partition)
        return position is None or position < end

    def _position(self, partition: int) -> int | None:
        return self._opened_reader().position.get(partition)

    def _opened_reader(self) -> TopicReader:
        if self._reader is None:
            raise not_open(self.subject)
        return self._reader

    def _missed(self, wanted: dict[str, Any], timeout: float) -> ProbeTimeout:
        missed = super()._missed(wanted, timeout)
        absence = self._opened_reader().absence
        if not absence:
            return missed
        return ProbeTimeout(missed.subject, last=absence, budget=timeout, hint=missed.hint)

    # These block; the lock is the stream's own.

    def _read(self) -> Iterator[Event]:
        return self._opened_reader().read()

    def _ends(self) -> dict[int, int]:
        with self._lock:
            return self._opened_reader().ends()

    def _close(self) -> None:
        with self._lock:
            if self._reader is not None:
                self._reader.close()


class AsyncSubscriptionTap(AsyncTap):
    """One test's part of a subscription: events published after this, in order of delivery.

    In its events, ``partition`` is 0, ``offset`` counts the events the subscription has received,
    and ``time`` is the time of arrival.

    Args:
        subject: what is observed, for messages.
        subscribe: returns the subscription, which all tests of a stack share.
        guard: ends a wait by raising.
    """

    def __init__(
        self, subject: str, subscribe: Callable[[], Subscription], guard: Guard = unguarded
    ) -> None:
        super().__init__(subject, self._read, guard=guard)
        self._subscribe = subscribe
        self._subscription: Subscription | None = None
        self._next = 0

    async def open(self) -> None:
        """Determine where the tap begins, if that is not known yet. Opening twice is allowed.

        Raises:
            ProbeError: the subscription was rejected, or the starting point cannot be determined.
            HarnessError: the sidecar of the taps did not become ready.
        """
        if self._subscription is None:
            await ablocking(self._open)

    def _open(self) -> None:
        with self._lock:
            if self._subscription is None:
                subscription = self._subscribe()
                self._next = subscription.here(self.guard)
                self._subscription = subscription

    async def aclose(self) -> None:
        """Do nothing: the subscription remains for later tests."""

    def _read(self) -> list[Event]:
        if self._subscription is None:
            raise not_open(self.subject)
        self._subscription.require()
        found = self._subscription.events[self._next :]
        self._next += len(found)
        return found


def not_open(subject: str) -> ConfigError:
    """The error for a tap that was not opened before it is read."""
    return ConfigError(
        f"{subject}: where this tap begins is not determined",
        expected="a tap that was opened before the first event is published",
        hint='await it: tap = await dapr.topic("...", pubsub="...")',
    )
