"""Whether the Kafka consumer groups of a running sidecar can deliver, and have delivered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from harness.core.deadline import Deadline, Observation, poll
from harness.core.errors import SystemFailure
from harness.core.kafka_access import Brokers, moved
from harness.inspection.parts import Inspection, declared_by
from harness.nodes.consumer_groups import ConsumerGroup, consumer_groups
from harness.probe.backlog import COMMITTED
from harness.ready.kafka import GroupCheck, admin_of, committed_offsets, end_offsets
from harness.runtime.proc import environment_of

Finding = tuple[str, str, str]
"""The subject, the fact, and the next step."""

JOINING = 5.0
"""Seconds that a group may take to get its partitions: longer than a rebalance."""


def examine_groups(seen: Inspection) -> Iterator[Finding]:
    """The problems of each consumer group of a sidecar; none if there is no Kafka."""
    for pubsub, group in groups_of(seen).items():
        subscribed = (each for each in seen.parts if each.kind == "subscription" and each.up)
        topics = sorted(group.prefix + each.name for each in subscribed if each.detail == pubsub)
        if topics and not group.hidden:
            yield from _examine(group.brokers, group.name, topics)


def _examine(brokers: Brokers, group: str, topics: list[str]) -> Iterator[Finding]:
    from confluent_kafka import KafkaException

    subject = f"group {group}"
    check = GroupCheck(brokers, group, topics)
    try:
        joined = poll(check.observe, Deadline(JOINING), interval=0.2)
        if not joined.ok:
            yield subject, joined.fact, "see the log of the sidecar and of the broker"
            return
        if "*" in group:  # groups of earlier instances are behind for ever
            return
        behind = poll(lambda: _behind(brokers, group, topics), Deadline(COMMITTED), interval=0.2)
    except SystemFailure as error:
        yield subject, f"{error.subject} ({error.last})", error.hint
    except (KafkaException, TimeoutError) as error:
        yield subject, f"{brokers} did not answer: {error}", "see the log of the broker"
    else:
        if not behind.ok:
            fix = "the app rejects the next event or is slow: see its log and its sidecar's log"
            yield subject, behind.fact, fix


def _behind(brokers: Brokers, group: str, topics: list[str]) -> Observation:
    admin = admin_of(brokers)
    committed = committed_offsets(admin).get(group, {})
    ends = end_offsets(admin, topics)
    lag = lag_of(committed, ends)
    facts = ", ".join(f"{topic}: {count}" for topic, count in lag.items())
    return Observation(not lag, f"events not handled yet, by topic: {facts}")


def lag_of(
    committed: Mapping[tuple[str, int], int], ends: Mapping[str, Mapping[int, int]]
) -> dict[str, int]:
    """The events that a group has not handled, by topic; without those that have none.

    Where nothing is committed, the group began at the partition's end or has handled nothing; that
    cannot be told apart, so it does not count.
    """
    found: dict[str, int] = {}
    for topic, parts in sorted(ends.items()):
        for partition, end in parts.items():
            offset = committed.get((topic, partition), -1)
            if 0 <= offset < end:
                found[topic] = found.get(topic, 0) + end - offset
    return found


def groups_of(seen: Inspection) -> dict[str, ConsumerGroup]:
    """The consumer group of each Kafka component of a sidecar, as this machine sees it.

    Secrets that the sidecar has in its environment are read there. In containers, the broker's name
    in its network is replaced by its node's address here.
    """
    nodes = {node.name: node.endpoints.get("main", "") for node in seen.sidecar.stack.nodes}
    sidecar = seen.sidecar
    env = {**environment_of(sidecar.node.pid), "POD_NAME": sidecar.app_id}
    found = consumer_groups(declared_by(sidecar), sidecar.dapr_id, env)
    return {
        pubsub: replace(group, brokers=_seen_here(group.brokers, nodes))
        for pubsub, group in found.items()
    }


def _seen_here(brokers: Brokers, nodes: Mapping[str, str]) -> Brokers:
    address = nodes.get(str(brokers).partition(":")[0])
    return moved(brokers, address) if address else brokers
