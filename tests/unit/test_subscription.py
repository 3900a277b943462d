"""Where a tap on a subscription begins, whatever the broker does to the marker."""

from __future__ import annotations

import json
import queue
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from dapr.proto.runtime.v1 import pubsub_pb2

from harness.core.errors import ProbeError
from harness.probe import subscription
from harness.probe.subscription import Subscription
from harness.probe.tap import SubscriptionTap
from harness.probe.waiting import Guard, unguarded

Deliver = Callable[[bytes], list[bytes]]


def event(name: str) -> bytes:
    return json.dumps({"specversion": "1.0", "id": name, "data": name}).encode()


class Looped(Subscription):
    """What is published comes back as a broker of the test's own delivers it."""

    def __init__(
        self,
        *history: str,
        deliver: Deliver = lambda data: [data],
        guard: Guard = unguarded,
    ) -> None:
        self._deliver = deliver
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.send(pubsub_pb2.SubscribeTopicEventsResponseAlpha1())
        self.publish(*history)
        super().__init__("nowhere", "", "bus", "orders", guard)

    def publish(self, *names: str) -> None:
        for name in names:
            self._come(event(name))

    def send(self, answer: Any) -> None:
        self._answers.put(answer)

    def _come(self, data: bytes) -> None:
        answer = pubsub_pb2.SubscribeTopicEventsResponseAlpha1()
        answer.event_message.id, answer.event_message.data = "1", data
        self.send(answer)

    def _connect(self, address: str) -> tuple[Any, Any]:
        self._protocol = pubsub_pb2
        return SimpleNamespace(close=lambda: None), SimpleNamespace(
            PublishEvent=self._published, SubscribeTopicEventsAlpha1=self._subscribed
        )

    def _published(self, request: Any, **_: Any) -> None:
        for data in self._deliver(request.data):
            self._come(data)

    def _subscribed(self, requests: Any, **_: Any) -> Iterator[Any]:
        return iter(self._answers.get, None)


def opened(made: Subscription) -> SubscriptionTap:
    tap = SubscriptionTap(made.subject, lambda: made)
    tap.open()
    return tap


def ids(tap: SubscriptionTap) -> list[str]:
    return [each.id for each in tap.seen]


def test_a_tap_begins_behind_the_history() -> None:
    """Each at its own marker, and no marker is shown."""
    made = Looped("old", "older")
    first = opened(made)
    made.publish("new")
    second = opened(made)
    made.publish("newer")
    opened(made)

    assert (["new", "newer"], ["newer"]) == (ids(first), ids(second))


def test_a_marker_that_comes_twice_counts_once() -> None:
    """A broker may deliver it again, behind what was published since."""
    made = Looped(deliver=lambda data: [data, event("new"), data])
    tap = opened(made)
    opened(made)
    made.publish("last")

    assert ["new", "new", "last"] == [each.id for each in tap.collect(3, timeout=60)]


def test_a_marker_that_is_lost_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A group that has only joined a topic does not get what was published before."""
    monkeypatch.setattr(subscription, "AGAIN", 0.0)
    lost = iter([True, True])
    made = Looped("old", deliver=lambda data: [] if next(lost, False) else [data])
    tap = opened(made)
    made.publish("new")
    opened(made)

    assert ["new"] == ids(tap)


def test_a_marker_that_never_comes_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of a tap that shows an unknown part of the topic."""
    monkeypatch.setattr(subscription, "MARKED", 0.2)

    with pytest.raises(ProbeError, match=r"nothing that the harness publishes comes back"):
        opened(Looped("old", deliver=lambda _: []))


def test_a_marker_that_is_refused_is_an_error() -> None:
    """With what the sidecar has said."""

    def refuse(_: bytes) -> list[bytes]:
        raise PermissionError("topic is protected")

    with pytest.raises(ProbeError, match=r"cannot be published(.|\n)*topic is protected"):
        opened(Looped(deliver=refuse))
