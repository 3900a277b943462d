"""How far the consumer groups of sidecars are behind on the topology's own Kafka. It blocks."""

from __future__ import annotations

from harness.core.roles import SidecarRole
from harness.nodes.consumer_groups import ConsumerGroup, consumer_groups
from harness.ready.kafka import admin_of, committed_offsets, end_offsets
from harness.stack.beginning import own_brokers
from harness.stack.stack import Stack


def lags_of(stack: Stack) -> dict[tuple[str, str, str], int]:
    """Records that are still to be handled, by app, pub/sub component and topic.

    A topic for which a group has committed nothing is left out.

    Raises:
        KafkaException, TimeoutError: the broker does not respond.
    """
    brokers = own_brokers(stack)
    if not brokers:
        return {}
    admin = admin_of(brokers)
    ends, committed = end_offsets(admin, [], others=True), committed_offsets(admin)
    found: dict[tuple[str, str, str], int] = {}
    for sidecar in stack.topology.sidecars():
        for component, group in _groups_of(stack, sidecar).items():
            for (topic, partition), at in committed.get(group.name, {}).items():
                end = ends.get(topic, {}).get(partition, -1)
                if at >= 0 and end >= 0:
                    place = sidecar.app, component, topic.removeprefix(group.prefix)
                    found[place] = found.get(place, 0) + end - at
    return found


def _groups_of(stack: Stack, sidecar: SidecarRole) -> dict[str, ConsumerGroup]:
    namespace = stack.book.namespace
    env = {**sidecar.env, **({"NAMESPACE": namespace} if namespace else {})}
    return consumer_groups(stack.book.resources(sidecar.name), sidecar.app_id, env)
