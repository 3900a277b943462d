"""The Kafka consumer groups of a sidecar whose subscriptions change."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from harness.core.deadline import Deadline, Observation, poll
from harness.core.errors import NotReady
from harness.core.kafka_access import Brokers, access_of, client_settings
from harness.core.roles import HasTopics, SidecarRole
from harness.dapr.model import Metadata
from harness.nodes.consumer_groups import ConsumerGroup, consumer_groups
from harness.nodes.sidecar import declared_topics
from harness.probe.marker import CONTENT_TYPE, marker, new_id
from harness.ready.kafka import ANSWERING, admin_of, assigned_partitions
from harness.stack.reload.difference import Difference
from harness.stack.stack import Stack


class KafkaGroups:
    """The groups through which a sidecar reads topics of the topology's own broker.

    Args:
        stack: its stack.
        sidecar: its node.
        difference: what changes.
    """

    def __init__(self, stack: Stack, sidecar: SidecarRole, difference: Difference) -> None:
        self._stack = stack
        self._sidecar = sidecar
        self._come = {*declared_topics(difference.come)}
        self._gone = {*declared_topics(difference.gone)} - {
            *declared_topics(difference.new.resources)
        }
        changed = {pubsub for pubsub, _ in self._come | self._gone}
        groups = self._groups_of(sidecar) if changed else {}
        self._groups = {name: each for name, each in groups.items() if name in changed}

    def release(self, seen: Metadata) -> None:
        """Have the groups notice at once that their topics have changed.

        A group that waits for events notices it only when its request to the broker is answered,
        which takes up to 500 ms. An event on a topic that it reads is such an answer: a marker,
        which has expired, so that daprd drops it and no app receives it.

        Args:
            seen: the sidecar's metadata after the change.
        """
        for pubsub, group in self._groups.items():
            topics = [
                each["topic"]
                for each in seen.raw.get("subscriptions") or ()
                if each["pubsubname"] == pubsub and not each.get("metadata")
            ]
            known = [each for each in topics if (pubsub, each) not in self._come]
            if known:
                _send_marker(group.brokers, group.prefix + known[0])

    def await_left(self, deadline: Deadline, guard: Callable[[], None]) -> None:
        """Wait until the groups no longer read the topics of removed subscriptions.

        Raises:
            NotReady: one of them still does when the time is over.
        """
        for pubsub, group in self._groups.items():
            topics = {group.prefix + topic for name, topic in self._gone if name == pubsub}
            if not topics or self._is_shared(group):
                continue
            left = poll(_Left(group, topics).observe, deadline, guard=guard)
            if not left.ok:
                raise NotReady(
                    f"{self._sidecar.name} still reads topics of removed subscriptions",
                    last=left.fact,
                    budget=deadline.budget,
                    hint="see its log, and that of the broker",
                )

    def _is_shared(self, group: ConsumerGroup) -> bool:
        """Whether the sidecars of other apps may read for the group."""
        others = [
            each for each in self._stack.topology.sidecars() if each.app_id != self._sidecar.app_id
        ]
        found = (self._groups_of(each).values() for each in others)
        return any(each.name == group.name for groups in found for each in groups)

    def _groups_of(self, sidecar: SidecarRole) -> Mapping[str, ConsumerGroup]:
        book, own = self._stack.book, self._own_brokers()
        scope = book.scope(sidecar.name, "")
        env = {key: scope.fill(text, f"env of {sidecar.name}") for key, text in sidecar.env.items()}
        found = consumer_groups(book.resources(sidecar.name), sidecar.app_id, env)
        return {
            name: group
            for name, group in found.items()
            if not group.hidden and "*" not in group.name and str(group.brokers) in own
        }

    def _own_brokers(self) -> set[str]:
        """The addresses of the brokers that the stack runs: no other one is written to."""
        nodes = [each for each in self._stack.topology.nodes if isinstance(each, HasTopics)]
        return {str(access_of(self._stack.book.exports(each.name))) for each in nodes}


class _Left:
    """The check that a group does not read some topics, under their names on the broker."""

    def __init__(self, group: ConsumerGroup, topics: set[str]) -> None:
        self._group = group.name
        self._topics = topics
        self._admin = admin_of(group.brokers)

    def observe(self) -> Observation:
        """Ask the broker once."""
        from confluent_kafka import KafkaException

        try:
            parts = assigned_partitions(self._admin, [self._group])[self._group]
        except (KafkaException, TimeoutError) as error:
            return Observation(False, str(error))
        read = {topic for topic, _ in parts} & self._topics
        return Observation(not read, f"group {self._group} reads {sorted(read)}")


def _send_marker(brokers: Brokers, topic: str) -> None:
    """Write a marker to each partition of a topic; if that fails, groups only notice later."""
    from confluent_kafka import KafkaException, Producer

    producer = Producer({**client_settings(brokers), "log_level": 0})
    try:
        parts = producer.list_topics(topic, timeout=ANSWERING).topics[topic].partitions
        for number in parts:
            producer.produce(
                topic,
                marker(new_id()),
                partition=number,
                headers=[("content-type", CONTENT_TYPE)],
            )
        producer.flush(ANSWERING)
    except KafkaException:
        return
