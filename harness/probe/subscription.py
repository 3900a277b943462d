"""A streaming subscription of a sidecar, and the tap that shows one test's part of it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from harness.closing import Closing
from harness.errors import ProbeError, Unavailable
from harness.probe.stream import Stream
from harness.probe.tap import Event, event_of
from harness.probe.waiting import Guard, unguarded

SUBSCRIBING = 30.0
"""Seconds in which a sidecar must have subscribed at its broker."""

OPTIONS = (("grpc.max_receive_message_length", -1), ("grpc.enable_http_proxy", 0))
"""Events may be larger than gRPC's 4 MB, and a proxy has nothing to do on this machine."""


class Subscription:
    """Everything that comes to one topic, from its start until the sidecar ends.

    Args:
        address: of the sidecar's gRPC API.
        token: of its API, "" for none.
        pubsub: the component.
        topic: its name on the broker.

    Raises:
        Unavailable: the Python SDK, whose stubs it needs, is not installed.
        ProbeError: the sidecar or its broker has refused.
    """

    def __init__(self, address: str, token: str, pubsub: str, topic: str) -> None:
        self.subject = f"topic {topic} of {pubsub}"
        self.events: list[Event] = []
        self._topic = topic
        self._failure = ""
        self._ready = threading.Event()
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._channel, self._call = self._open(address, token, pubsub)
        threading.Thread(target=self._run, daemon=True, name=self.subject).start()
        if not self._ready.wait(SUBSCRIBING):
            self._channel.close()
            self._failure = f"no answer within {SUBSCRIBING:g} s"
        self.require()

    def require(self) -> None:
        """Raise if it has ended.

        Raises:
            ProbeError: with what the sidecar has said.
        """
        if self._failure:
            raise ProbeError(
                f"{self.subject}: the subscription of the harness has ended",
                last=self._failure,
                hint="look at the log of the tap's sidecar, tap-...-daprd",
            )

    def _open(self, address: str, token: str, pubsub: str) -> tuple[Any, Any]:
        try:
            import grpc
            from dapr.proto.runtime.v1 import dapr_pb2_grpc, pubsub_pb2
        except ImportError as error:
            raise Unavailable(
                f"{self.subject}: taps on other brokers than Kafka need Dapr's SDK for its stubs",
                last=str(error),
                hint="pip install 'dapr-harness[taps]'",
            ) from None
        self._protocol = pubsub_pb2
        first = pubsub_pb2.SubscribeTopicEventsRequestInitialAlpha1(
            # The bytes as the broker has them, whatever they are.
            pubsub_name=pubsub, topic=self._topic, metadata={"rawPayload": "true"}
        )  # fmt: skip
        self._requests.put(pubsub_pb2.SubscribeTopicEventsRequestAlpha1(initial_request=first))
        channel = grpc.insecure_channel(address, options=OPTIONS)
        stub = dapr_pb2_grpc.DaprStub(channel)  # type: ignore[no-untyped-call]  # generated
        headers = (("dapr-api-token", token),) if token else ()
        requests = iter(self._requests.get, None)
        return channel, stub.SubscribeTopicEventsAlpha1(requests, metadata=headers)

    def _run(self) -> None:
        try:
            for answer in self._call:
                if answer.HasField("event_message"):
                    self._take(answer.event_message)
                self._ready.set()
            self._failure = "the sidecar has ended the stream"
        except Exception as error:  # noqa: BLE001 - told by whoever waits
            self._failure = _told(error)
        finally:
            self._ready.set()
            self._requests.put(None)
            self._channel.close()

    def _take(self, message: Any) -> None:
        number = len(self.events)
        event = event_of(message.data, self._topic, 0, number, datetime.now(UTC))
        self.events.append(event)
        done = self._protocol.SubscribeTopicEventsRequestProcessedAlpha1(id=message.id)
        request = self._protocol.SubscribeTopicEventsRequestAlpha1(event_processed=done)
        self._requests.put(request)


class SubscriptionTap(Closing, Stream[Event]):
    """One test's part of a subscription, in the order of delivery.

    Attributes of its events: ``partition`` is 0, ``offset`` counts what the subscription has got,
    ``time`` is when it came.

    Args:
        subscription: shared by all tests of a stack.
        since: when the test began. What was published earlier by its own ``time``, which daprd
            gives in whole seconds, is history that a broker hands to new groups, and left out.
        guard: ends a wait by raising.
    """

    def __init__(
        self, subscription: Subscription, since: datetime, guard: Guard = unguarded
    ) -> None:
        super().__init__(subscription.subject, self._read, guard=guard)
        self._subscription = subscription
        self._since = since.replace(microsecond=0)
        self._next = 0

    def close(self) -> None:
        """Nothing: the subscription stays for the tests that follow."""

    def _read(self) -> Iterator[Event]:
        self._subscription.require()
        events = self._subscription.events
        while self._next < len(events):
            self._next += 1
            if not self._is_history(events[self._next - 1]):
                yield events[self._next - 1]

    def _is_history(self, event: Event) -> bool:
        return event.time < self._since or (published(event.envelope) or event.time) < self._since


def _told(error: Exception) -> str:
    """A gRPC error's status and details; it prints itself on many lines."""
    if hasattr(error, "code") and hasattr(error, "details"):
        return f"{error.code().name}: {error.details()}"
    return f"{type(error).__name__}: {error}"


def published(envelope: Mapping[str, Any]) -> datetime | None:
    """When an event was published, as far as it says so."""
    try:
        found = datetime.fromisoformat(str(envelope.get("time", "")))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
