"""Reads what a ledger is made of: events, deliveries and calls since a world began. It blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from harness.core.deadline import Deadline, Observation, poll
from harness.core.errors import ProbeError, ProbeTimeout
from harness.core.observation import Occurrence
from harness.core.roles import CallRecorder, Recorder
from harness.dapr.model import Metadata, Subscription
from harness.ledger.joining import ledger_of
from harness.ledger.model import Ledger, Subscriptions
from harness.probe.api_calls import CallRecord
from harness.probe.broker_reader import BrokerReader
from harness.probe.deliveries import Delivery, DeliveryRecord
from harness.probe.records import decoded
from harness.probe.spans import PATH
from harness.ready.loopback import ask
from harness.stack.beginning import Beginning
from harness.stack.cleaning import settle
from harness.stack.stack import Stack

SUBSCRIBE = "/dapr/subscribe"
"""The path at which daprd asks an app for its subscriptions."""


class Account:
    """What was observed of a stack since a world began, as a ledger.

    Each call reads what is new. One thread may use it at a time.

    Args:
        stack: a running stack.
        beginning: of the world.

    Raises (in every method):
        ProbeError: the broker or a recorder does not respond.
    """

    def __init__(self, stack: Stack, beginning: Beginning) -> None:
        self._stack = stack
        self._prefix = stack.book.namespace
        self._seen: list[Occurrence] = []
        self._topics: dict[tuple[str, str], str] = {}
        self._dead: dict[tuple[str, str], str] = {}
        self._broker = (
            BrokerReader(beginning.brokers, beginning.offsets, self._prefix)
            if beginning.brokers
            else None
        )
        self._broker_name = beginning.broker
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

    def close(self) -> None:
        """Disconnect from the broker. Closing twice is allowed."""
        if self._broker is not None:
            self._broker.close()

    def read(self) -> Ledger:
        """The ledger of everything up to now."""
        new = [*self._new_deliveries(), *self._new_calls(), *self._new_events()]
        self._learn_routes(new)
        self._seen += new
        return ledger_of(self._seen, Subscriptions(self._topics, self._dead))

    def events(self) -> list[Occurrence]:
        """The records of the broker up to now, and no more than was read if it does not respond."""
        with suppress(ProbeError, ProbeTimeout):
            self.read()
        return [each for each in self._seen if each.source == "event"]

    def settled(self, deadline: Deadline) -> Ledger:
        """The ledger once nothing is in flight.

        Every consumer group has committed every record of the broker, and no app handles a
        delivery. What an app itself has still to publish is not known.

        Raises:
            ProbeTimeout: something is in flight when the time is over.
        """
        last = -1

        def look() -> Observation:
            nonlocal last
            settle(self._stack, deadline)
            busy = [app for app, each in self._deliveries.items() if _is_busy(each)]
            if busy:
                return Observation(False, f"{', '.join(busy)} still handles a delivery")
            found = self.read()
            count, last = last, found.records
            return Observation(count == last, "events are still being published")

        seen = poll(look, deadline, guard=self._stack.check_alive)
        if not seen.ok:
            raise ProbeTimeout(
                "something is still in flight",
                last=seen.fact,
                budget=deadline.budget,
                hint="`await dapr.ledger.events()` shows where each event is",
            )
        return self.read()

    def _new_events(self) -> Iterator[Occurrence]:
        for each in self._broker.read() if self._broker else ():
            yield self._without_prefix(each.occurrence(self._broker_name))

    def _new_deliveries(self) -> Iterator[Occurrence]:
        for app, record in self._deliveries.items():
            for each in record.read():
                if each.path == SUBSCRIBE:
                    self._learn(app, _subscriptions_in(each))
                elif each.path != PATH:
                    yield self._without_prefix(each.occurrence(app))

    def _new_calls(self) -> Iterator[Occurrence]:
        for app, record in self._calls.items():
            yield from (each.occurrence(app) for each in record.read())

    def _without_prefix(self, each: Occurrence) -> Occurrence:
        """The same with the topics' names that apps use."""
        origin = each.facts.get("origin")
        if not (self._prefix and origin):
            return each
        topic, partition, offset = origin
        own = (topic.removeprefix(self._prefix), partition, offset)
        return replace(each, facts={**each.facts, "origin": own})

    def _learn_routes(self, new: Iterable[Occurrence]) -> None:
        """Ask the sidecars of apps that received an event at a path that is not known yet."""
        unknown = {
            each.node
            for each in new
            if each.source == "delivery"
            and each.facts.get("origin")
            and (each.node, each.facts["path"]) not in self._topics
        }
        for sidecar in self._stack.topology.sidecars():
            if sidecar.app in unknown:
                self._learn(sidecar.app, self._subscriptions_of(sidecar.name))

    def _learn(self, app: str, found: Iterable[Subscription]) -> None:
        for each in found:
            for path in each.routes:
                self._topics[app, path] = each.topic
            if each.dead_letter_topic:
                self._dead[app, each.topic] = each.dead_letter_topic

    def _subscriptions_of(self, sidecar: str) -> Iterable[Subscription]:
        """Those of a running sidecar; none of one that does not respond, which the caller sees."""
        import httpx

        address = self._stack.book.endpoint(sidecar, "http")
        token = self._stack.book.exports(sidecar)["token"]
        try:
            answer = ask(
                "GET", f"{address.http}/v1.0/metadata", headers={"dapr-api-token": token}
            ).raise_for_status()
        except httpx.HTTPError:
            return ()
        return Metadata.parse(answer.json()).subscriptions


def _is_busy(record: DeliveryRecord) -> bool:
    return record.oldest_open() != float("inf")


def _subscriptions_in(delivery: Delivery) -> Iterator[Subscription]:
    """What an app has told its sidecar."""
    rows: Any = decoded(delivery.answer)
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, Mapping):
            yield Subscription(
                row.get("pubsubname", ""),
                row.get("topic", ""),
                "PROGRAMMATIC",
                tuple(_routes_in(row)),
                row.get("deadLetterTopic", ""),
            )


def _routes_in(row: Mapping[str, Any]) -> Iterator[str]:
    routes = row.get("routes") or {}
    yield from (rule.get("path", "") for rule in routes.get("rules") or ())
    yield from (each for each in (routes.get("default"), row.get("route")) if each)
