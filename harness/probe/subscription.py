"""A streaming subscription through a sidecar. Every method blocks."""

from __future__ import annotations

import queue
import threading
from datetime import UTC, datetime
from typing import Any

from harness.core.deadline import Deadline, Observation, poll
from harness.core.errors import ProbeError, Unavailable
from harness.probe import marker
from harness.probe.events import Event, event_of
from harness.probe.waiting import Guard, unguarded

SUBSCRIBING = 30.0
"""Seconds within which a sidecar must have subscribed at its broker."""

MARKED = 60.0
"""Seconds within which a marker must arrive, after all history of the broker."""

AGAIN = 5.0
"""Seconds after which another marker is sent: a group that has just joined a topic misses events
published before."""

OPTIONS = (("grpc.max_receive_message_length", -1), ("grpc.enable_http_proxy", 0))
"""Events may exceed gRPC's default of 4 MB, and connections on this machine must bypass proxies."""


class Subscription:
    """All events of one topic, from the start of the subscription until the sidecar ends.

    Attributes:
        events: in the order of delivery, without markers.

    Args:
        address: the sidecar's gRPC API.
        token: the API's token; "" for none.
        pubsub: the component.
        topic: the topic's name on the broker.
        guard: ends the wait for the broker by raising.

    Raises:
        Unavailable: the Python SDK, whose stubs it needs, is not installed.
        ProbeError: the sidecar or its broker rejected it.
    """

    def __init__(
        self, address: str, token: str, pubsub: str, topic: str, guard: Guard = unguarded
    ) -> None:
        self.subject = f"topic {topic} of {pubsub}"
        self.events: list[Event] = []
        self._markers: dict[str, int] = {}
        self._pubsub = pubsub
        self._topic = topic
        self._failure = ""
        self._ready = threading.Event()
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._headers = (("dapr-api-token", token),) if token else ()
        self._channel, self._stub = self._connect(address)
        self._call = self._subscribe()
        threading.Thread(target=self._run, daemon=True, name=self.subject).start()
        self._await_answer(guard)
        self.require()

    def _await_answer(self, guard: Guard) -> None:
        try:
            seen = poll(
                lambda: Observation(self._ready.is_set()), Deadline(SUBSCRIBING), guard=guard
            )
        except BaseException:
            self._channel.close()
            raise
        if not seen.ok:
            self._channel.close()
            self._failure = f"no answer within {SUBSCRIBING:g} s"

    def require(self) -> None:
        """Raise if the subscription has ended.

        Raises:
            ProbeError: with the sidecar's message.
        """
        if self._failure:
            raise ProbeError(
                f"{self.subject}: the subscription of the harness has ended",
                last=self._failure,
                hint="look at the log of the tap's sidecar, tap-...-daprd",
            )

    def here(self, guard: Guard = unguarded) -> int:
        """The number of events before now: publishes a marker, and waits until it arrives.

        Events published after this call follow the marker, if the broker keeps the order of a
        topic. Events published before, at any time and by anyone, precede it.

        Raises:
            ProbeError: the marker was rejected, or did not arrive.
        """
        mark, again = marker.new_id(), Deadline(0)

        def look() -> Observation:
            nonlocal again
            self.require()
            if again.passed and mark not in self._markers:
                self._publish(mark)
                again = Deadline(AGAIN)
            return Observation(mark in self._markers)

        if not poll(look, Deadline(MARKED), guard=guard).ok:
            raise ProbeError(
                f"{self.subject}: nothing that the harness publishes comes back",
                expected=f"the event {mark}, which shows where this tap begins",
                last=f"{len(self.events)} other events since the subscription was opened",
                budget=MARKED,
                hint="does the broker route what is published under this name to this name?",
            )
        return self._markers[mark]

    def _publish(self, mark: str) -> None:
        request = self._protocol.PublishEventRequest(
            pubsub_name=self._pubsub,
            topic=self._topic,
            data=marker.marker(mark),
            data_content_type=marker.CONTENT_TYPE,
        )
        try:
            self._stub.PublishEvent(request, metadata=self._headers, timeout=MARKED)
        except Exception as error:
            raise ProbeError(
                f"{self.subject}: the event that shows where a tap begins cannot be published",
                last=_told(error),
                hint="look at the log of the tap's sidecar, tap-...-daprd",
            ) from error

    def _connect(self, address: str) -> tuple[Any, Any]:
        try:
            import grpc
            from dapr.proto.runtime.v1 import dapr_pb2_grpc, pubsub_pb2
        except ImportError as error:
            raise Unavailable(
                f"{self.subject}: taps on other brokers than Kafka need Dapr's SDK for its stubs",
                last=str(error),
                hint="pip install 'dapr-harness[taps]'",
            ) from None
        self._protocol: Any = pubsub_pb2
        channel = grpc.insecure_channel(address, options=OPTIONS)
        return channel, dapr_pb2_grpc.DaprStub(channel)  # type: ignore[no-untyped-call]  # generated

    def _subscribe(self) -> Any:
        first = self._protocol.SubscribeTopicEventsRequestInitialAlpha1(
            # The bytes as stored by the broker, whatever they are.
            pubsub_name=self._pubsub, topic=self._topic, metadata={"rawPayload": "true"}
        )  # fmt: skip
        self._requests.put(self._protocol.SubscribeTopicEventsRequestAlpha1(initial_request=first))
        requests = iter(self._requests.get, None)
        return self._stub.SubscribeTopicEventsAlpha1(requests, metadata=self._headers)

    def _run(self) -> None:
        try:
            for answer in self._call:
                if answer.HasField("event_message"):
                    self._take(answer.event_message)
                self._ready.set()
            self._failure = "the sidecar has ended the stream"
        except Exception as error:  # noqa: BLE001 - reported by the waiting thread
            self._failure = _told(error)
        finally:
            self._ready.set()
            self._requests.put(None)
            self._channel.close()

    def _take(self, message: Any) -> None:
        number = len(self.events)
        event = event_of(message.data, self._topic, 0, number, datetime.now(UTC))
        if marker.is_marker(event.envelope):
            # A broker may deliver an event twice; the first time determines its position.
            self._markers.setdefault(event.id, number)
        else:
            self.events.append(event)
        done = self._protocol.SubscribeTopicEventsRequestProcessedAlpha1(id=message.id)
        request = self._protocol.SubscribeTopicEventsRequestAlpha1(event_processed=done)
        self._requests.put(request)


def _told(error: Exception) -> str:
    """A gRPC error's status and details, because its own text has many lines."""
    if hasattr(error, "code") and hasattr(error, "details"):
        return f"{error.code().name}: {error.details()}"
    return f"{type(error).__name__}: {error}"
