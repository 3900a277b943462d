"""Taps on any pub/sub component: selects the kind, and the sidecar that subscribes for them."""

from __future__ import annotations

import threading
from typing import TypeVar

from harness.core.errors import ConfigError
from harness.core.kafka_access import Brokers
from harness.core.names import new_tap_name
from harness.dapr.kafka_component import connection_of
from harness.dapr.resources import DaprResource
from harness.nodes.tap import TapSidecar
from harness.probe.atap import AsyncTap
from harness.probe.events import Offsets
from harness.probe.subscription import Subscription
from harness.probe.tap import Tap
from harness.probe.waiting import Guard
from harness.ready.kafka import admin_of, end_offsets
from harness.stack.stack import Stack

_lock = threading.Lock()
"""Ensures one sidecar and one subscription, even if two worlds of a stack ask at once."""

_TapT = TypeVar("_TapT", bound=Tap)
_AsyncTapT = TypeVar("_AsyncTapT", bound=AsyncTap)


def opened(tap: _TapT) -> _TapT:
    """The tap, opened."""
    tap.open()
    return tap


def aopened(tap: _AsyncTapT) -> _AsyncTapT:
    """The asynchronous counterpart of `opened`: the test itself awaits the tap."""
    return tap


def component_of(stack: Stack, pubsub: str, topic: str) -> DaprResource:
    """The pub/sub component whose topic is to be tapped.

    Args:
        stack: a running stack.
        pubsub: the component's name.
        topic: the topic's name on the broker.

    Raises:
        ConfigError: there is no such component, or it does not support taps.
    """
    if not pubsub:
        known = sorted({each.name for each in stack.book.pubsubs()})
        raise ConfigError(
            f"topic {topic!r}: the topology has no broker of Kafka's protocol",
            hint=f"pass pubsub=...; known: {', '.join(known) or 'none'}",
        )
    component = stack.book.pubsub(pubsub)[0]
    _require_tappable(component, topic)
    return component


def kafka_of(stack: Stack, component: DaprResource) -> Brokers:
    """The brokers of a component that is read directly; "" if the harness must subscribe."""
    if component.type != "pubsub.kafka":
        return ""
    brokers, unknown = connection_of(
        component, stack.book.pubsub(component.name), stack.book.variables()
    )
    return "" if unknown else brokers


def ends_of(brokers: Brokers, topic: str) -> Offsets:
    """Where a topic ends now, by partition; it blocks.

    The broker may not be the topology's own, so that its ends were not read when the world began.
    """
    return end_offsets(admin_of(brokers), [topic]).get(topic, {})


def subscription_of(stack: Stack, pubsub: str, topic: str, guard: Guard) -> Subscription:
    """The stack's subscription to a topic; made on first use, which blocks.

    Raises:
        ProbeError: the subscription was rejected.
        HarnessError: the sidecar of the taps did not become ready; the stack keeps running.
    """
    with _lock:
        key = f"tap:{pubsub}:{topic}"
        if key not in stack.shared:
            sidecar = _sidecar(stack, pubsub)
            stack.shared[key] = Subscription(*sidecar, pubsub, topic, guard)
        made: Subscription = stack.shared[key]
        return made


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
        node = TapSidecar(new_tap_name(), pubsub=pubsub, find=stack.book.pubsub)
        stack.add(node)
        token = stack.book.exports(node.name)["token"]
        stack.shared[key] = (str(stack.book.endpoint(node.name, "grpc")), token)
    address, token = stack.shared[key]
    return address, token
