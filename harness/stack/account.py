"""Reads what a ledger is made of: events, deliveries and calls since a world began. It blocks."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

from harness.core.deadline import Deadline, Observation, poll
from harness.core.errors import HarnessError, ProbeError, ProbeTimeout
from harness.core.masking import mask
from harness.core.observation import Occurrence
from harness.core.roles import CallRecorder, Recorder
from harness.ledger.joining import is_step, ledger_of
from harness.ledger.keys import KeyPath
from harness.ledger.model import Ledger, Names
from harness.ledger.requests import Request, requests_of
from harness.probe.api_calls import CallRecord
from harness.probe.atap import AsyncSubscriptionTap
from harness.probe.broker_reader import BrokerReader, RawRecord
from harness.probe.deliveries import DeliveryRecord
from harness.probe.marker import TYPE
from harness.probe.spans import PATH
from harness.probe.tap import SubscriptionTap
from harness.probe.waiting import Guard
from harness.stack.in_flight import InFlight
from harness.stack.noted import TEST, Noted
from harness.stack.routes import SUBSCRIBE, Routes
from harness.stack.sharing import own_topics
from harness.stack.stored_keys import Stored, stored_now
from harness.stack.timeline import Observed

MOST = 100_000
"""The number of observations that a ledger is made of, at most; see docs/ledger.md."""

LARGEST = 128 * 1024 * 1024
"""Bytes of what is observed, at most."""


def _raise(error: ProbeError) -> None:
    raise error


class Account:
    """What was observed of a stack since a world began, as a ledger.

    Each call reads what is new. Threads wait for each other.

    Args:
        observed: a running stack, the beginning of a world, and its taps.
        noted: the world's own calls.
        guard: ends a wait by raising; the stack's own if None.
        broker: whether the broker is asked, too.
        forgets: whether the oldest half is forgotten when more was observed than a ledger is made
            of, instead of an error.

    Attributes:
        forgotten: the number of observations that were forgotten.

    Raises (in every method):
        ProbeError: the broker or a recorder does not respond.
        HarnessError: more was observed than a ledger is made of.
    """

    def __init__(
        self,
        observed: Observed,
        noted: Noted,
        guard: Guard | None = None,
        *,
        broker: bool = True,
        forgets: bool = False,
    ) -> None:
        stack, beginning = observed.stack, observed.beginning
        self._stack = stack
        self._observed = observed
        self._noted = noted
        self._lock = threading.Lock()
        self._seen: list[Occurrence] = []
        self._forgets = forgets
        self._forgotten_bytes = 0
        self.forgotten = 0
        self._steps = 0
        self._firings: list[Occurrence] = []
        self._made_of: tuple[int, int, Names] | None = None
        self._ledger = Ledger()
        self._counts = Counter[str]()
        self._routes = Routes(stack)
        self._in_flight = InFlight(stack)
        self._broker = (
            BrokerReader(
                beginning.brokers,
                beginning.offsets,
                stack.book.namespace,
                lambda ends: own_topics(ends, stack.book.namespace),
                guard or stack.check_alive,
            )
            if beginning.brokers and broker
            else None
        )
        self._deliveries = {
            node.records: DeliveryRecord(*beginning.record(node.name, from_beginning=False))
            for node in stack.topology.nodes
            if isinstance(node, Recorder)
        }
        self._calls = {
            node.calls_of: CallRecord(*beginning.calls(node.calls_of, from_beginning=False))
            for node in stack.topology.nodes
            if isinstance(node, CallRecorder)
        }

    @property
    def has_broker(self) -> bool:
        """Whether the topology has a Kafka of its own, whose records are read."""
        return self._broker is not None

    def close(self) -> None:
        """Disconnect from the broker. Closing twice is allowed."""
        with self._lock:
            if self._broker is not None:
                self._broker.close()

    def masked(self, text: str) -> str:
        """A text without the secrets of the stack."""
        return mask(text, self._stack.book.secrets())

    def read(self) -> Ledger:
        """The ledger of everything up to now."""
        with self._lock:
            return self._read()

    def available(self, *, broker: bool = True) -> tuple[Ledger, list[ProbeError]]:
        """The ledger of what can be read now, and an error for each source that cannot.

        Args:
            broker: whether the broker is asked, too.
        """
        missing: list[ProbeError] = []
        with self._lock:
            return self._read(missing.append, broker=broker), missing

    def events(self) -> list[Occurrence]:
        """The records of the broker that have been read so far."""
        return [each for each in self._seen if each.source == "event"]

    def calls(self) -> list[Occurrence]:
        """What apps have asked of their sidecars, as far as it has been read."""
        return [each for each in self._seen if each.source == "call"]

    def deliveries(self, node: str) -> list[Occurrence]:
        """What was delivered to a node, as far as it has been read.

        Raises:
            ConfigError: its deliveries are not recorded.
        """
        self._observed.beginning.record(node, from_beginning=True)
        found = (each for each in self._seen if each.source == "delivery" and each.node == node)
        return sorted(found, key=lambda each: each.time)

    def from_outside(self) -> tuple[list[RawRecord], int]:
        """The records of the broker that no sidecar has published, and how many are not kept."""
        found = self._broker
        return ([*found.outside], found.outside_lost) if found else ([], 0)

    def requests(self, app: str) -> list[Request]:
        """The requests to an app that are neither events nor jobs.

        Raises:
            ConfigError: its deliveries are not recorded.
        """
        self._observed.beginning.record(app, from_beginning=True)
        with self._lock:
            self._read()
            apps = dict(self._routes.names().apps)
            found = requests_of(self._seen, apps, is_step)
        return [each for each in found if each.app == app]

    def stored(self, path: KeyPath) -> Stored | None:
        """What a state store has of a key now, by the sidecar that was asked last.

        Returns:
            None if it does not respond.
        """
        return stored_now(self._stack, path)

    def settled(self, deadline: Deadline) -> Ledger:
        """The ledger once nothing is in flight.

        Every consumer group of a sidecar has handled every record of the broker, and no recorded
        app handles a delivery. What an app itself has still to publish is not known.

        Raises:
            ProbeTimeout: something is in flight when the time is over.
        """
        found = Ledger()
        last: int | None = None

        def look() -> Observation:
            nonlocal found, last
            try:
                under_way = [*self._in_flight.unhandled(), *self._open()]
                found = self.read()
            except (_kafka_error(), TimeoutError, ProbeError) as error:
                # The broker or a recorder may be back in time.
                under_way = [str(error)]
            count, last = last, found.records
            if under_way:
                return Observation(False, "; ".join(under_way))
            return Observation(count == last, "events are still being published")

        seen = poll(look, deadline, guard=self._stack.check_alive)
        if not seen.ok:
            raise ProbeTimeout(
                "something is still in flight",
                last=self.masked(seen.fact),
                budget=deadline.budget,
                hint="`dapr.ledger.events()` has the path of each event",
            )
        return found

    def _open(self) -> Iterator[str]:
        for app, record in self._deliveries.items():
            if record.oldest_open() != float("inf"):
                yield f"{app} still handles a delivery"
        for app, calls in self._calls.items():
            if calls.oldest_open() != float("inf"):
                yield f"{app} waits for an answer of its sidecar"

    def _read(
        self, report: Callable[[ProbeError], None] = _raise, *, broker: bool = True
    ) -> Ledger:
        for source in self._sources(broker=broker):
            try:
                for each in source:
                    self._seen.append(each)
                    self._steps += is_step(each)
                    self._require_room()
            except ProbeError as error:
                report(error)
        self._firings = [*self._observed.firings()]
        made_of = self._steps + self.forgotten, len(self._firings), self._routes.names()
        if made_of != self._made_of:
            self._ledger = _without_markers(ledger_of([*self._seen, *self._firings], made_of[2]))
            self._made_of = made_of
        return self._ledger

    def _require_room(self) -> None:
        read = self._size() - self._forgotten_bytes
        if len(self._seen) <= MOST and read <= LARGEST and self._noted.is_complete:
            return
        if self._forgets:
            self._forget()
            return
        raise HarnessError(
            "more has happened since this world began than a ledger can tell",
            expected=f"up to {MOST} events, deliveries and calls of {LARGEST // 2**20} MiB",
            last=f"{len(self._seen)} with {read // 2**20} MiB were read",
            hint="ask in a world of its own, or count with `dapr.topic(...)`",
        )

    def _size(self) -> int:
        """Bytes that were read so far."""
        read = self._broker.size if self._broker else 0
        read += sum(each.size for each in self._deliveries.values())
        return read + sum(each.size for each in self._calls.values())

    def _forget(self) -> None:
        self._seen.sort(key=lambda each: each.time)
        half = len(self._seen) // 2
        del self._seen[:half]
        self.forgotten += half
        self._forgotten_bytes = self._size()

    def _sources(self, *, broker: bool) -> Iterator[Iterator[Occurrence]]:
        # In this order, the record of a delivery is always found.
        yield from map(self._new_deliveries, self._deliveries)
        yield from map(self._new_calls, self._calls)
        yield self._new_calls_of_tests()
        if broker and self._broker is not None:
            yield self._new_records(self._broker)
        yield self._new_events()

    def _new_records(self, broker: BrokerReader) -> Iterator[Occurrence]:
        name = self._observed.beginning.broker
        for each in broker.read():
            yield each.occurrence(name)

    def _new_events(self) -> Iterator[Occurrence]:
        for (topic, pubsub), tap in [*self._observed.taps.items()]:
            if not isinstance(tap, AsyncSubscriptionTap | SubscriptionTap):
                continue
            name = f"{pubsub}/{topic}"
            for each in tap.arrived[self._counts[name] :]:
                self._counts[name] += 1
                found = each.occurrence(pubsub)
                # The number of what has come is no position on a broker.
                yield replace(found, facts={**found.facts, "counted": True})

    def _new_deliveries(self, node: str) -> Iterator[Occurrence]:
        for each in self._deliveries[node].read():
            self._routes.see(node, each)
            if each.path not in (SUBSCRIBE, PATH):
                found = each.occurrence(node)
                self._routes.meet(found)
                yield found

    def _new_calls(self, app: str) -> Iterator[Occurrence]:
        for each in self._calls[app].read():
            found = each.occurrence(app)
            self._routes.see_call(found)
            yield found

    def _new_calls_of_tests(self) -> Iterator[Occurrence]:
        for each in self._noted.since(self._counts[TEST]):
            self._counts[TEST] += 1
            self._routes.see_call(each)
            yield each


def _without_markers(ledger: Ledger) -> Ledger:
    """Without what taps publish: its time is over, which makes it a dead letter."""
    return replace(ledger, events=tuple(each for each in ledger.events if each.type != TYPE))


def _kafka_error() -> type[Exception]:
    from confluent_kafka import KafkaException

    return KafkaException
