"""Taps on any pub/sub component: selects the kind, and the sidecar that subscribes for them."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping

from harness.dapr.resources import DaprResource
from harness.errors import ConfigError
from harness.nodes.tap import TapSidecar
from harness.probe.subscription import Subscription, SubscriptionTap
from harness.probe.tap import EventTap
from harness.probe.waiting import Guard
from harness.ready.kafka import admin_of, end_offsets
from harness.stack import Stack

Tap = EventTap | SubscriptionTap

_lock = threading.Lock()
"""Ensures one sidecar and one subscription, even if two worlds of a stack ask at once."""


def open_tap(stack: Stack, pubsub: str, topic: str, guard: Guard) -> Tap:
    """A tap on a topic of a pub/sub component.

    Args:
        stack: a running stack.
        pubsub: the component's name.
        topic: the topic's name on the broker.
        guard: ends a wait by raising.

    Raises:
        ConfigError: there is no such component, or it does not support taps.
        ProbeError: the subscription was rejected.
        HarnessError: the sidecar of the taps did not become ready; the stack keeps running.
    """
    if not pubsub:
        known = sorted({each.name for each in stack.book.pubsubs()})
        raise ConfigError(
            f"topic {topic!r}: the topology has no broker of Kafka's protocol",
            hint=f"pass pubsub=...; known: {', '.join(known) or 'none'}",
        )
    component = stack.book.pubsub(pubsub)[0]
    values = {name.lower(): str(item.get("value", "")) for name, item in component.fields().items()}
    if component.type == "pubsub.kafka" and values.get("authtype", "none") == "none":
        return _kafka(values["brokers"], topic, guard)
    _require_tappable(component, topic)
    with _lock:
        key = f"tap:{pubsub}:{topic}"
        if key not in stack.shared:
            stack.shared[key] = Subscription(*_sidecar(stack, pubsub), pubsub, topic)
    return SubscriptionTap(stack.shared[key], guard)


def _kafka(brokers: str, topic: str, guard: Guard) -> EventTap:
    """A tap on a broker that may not be the topology's own: it starts at the current end."""
    ends: Mapping[str, Mapping[int, int]] = end_offsets(admin_of(brokers), [topic])
    return EventTap(brokers, topic, ends.get(topic), guard)


def _require_tappable(component: DaprResource, topic: str) -> None:
    if component.type == "pubsub.in-memory":
        raise ConfigError(
            f"topic {topic!r} of {component.name!r} cannot be tapped",
            expected="a pub/sub component with a broker",
            last="pubsub.in-memory keeps its events within one sidecar",
            hint='use App(..., inbox=True) and dapr.inbox("..."), which shows deliveries',
        )
    if component.type.startswith("pubsub.mqtt") and (
        {"+", "#"} & {*topic} or topic.startswith("$share/")
    ):
        raise ConfigError(
            f"topic {topic!r} of {component.name!r} is a pattern",
            expected="the name of one topic",
            last="daprd finds a stream by the name of the topic that an event came on",
            hint="tap each topic by its name",
        )


def _sidecar(stack: Stack, pubsub: str) -> tuple[str, str]:
    """Address and token of the sidecar that subscribes to a component; started on first use."""
    key = f"tap:{pubsub}"
    if key not in stack.shared:
        # Each attempt uses a new number: a node that failed to start does not pass its ports on.
        node = TapSidecar(f"tap-{secrets.token_hex(4)}", pubsub=pubsub, find=stack.book.pubsub)
        stack.add(node)
        token = stack.book.exports(node.name)["token"]
        stack.shared[key] = (str(stack.book.endpoint(node.name, "grpc")), token)
    address, token = stack.shared[key]
    return address, token
