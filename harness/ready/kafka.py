"""A broker that responds, and a consumer group that has its partitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TYPE_CHECKING, Any

from harness.core.deadline import Deadline, Observation
from harness.core.errors import AppFailed, did_you_mean
from harness.core.kafka_access import Brokers, client_settings

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient


ANSWERING = 2.0
"""Seconds that one check of a group waits for the broker."""

MISSING = 5.0
"""Seconds within which another part of the system may still create a subscribed topic."""

UNANSWERED = 3600.0
"""Seconds after which librdkafka itself gives up an admin request: the maximum it allows.

If the response to an abandoned request arrives later, librdkafka aborts the process (issue 4605,
observed with 2.16.0). It therefore never gives up; instead, the caller waits for the future with a
limit.
"""


def admin_of(brokers: Brokers) -> AdminClient:
    """An admin client that does not write to stderr while the broker is not available yet."""
    from confluent_kafka.admin import AdminClient

    return AdminClient(
        {
            **client_settings(brokers),
            "log_level": 0,
            "reconnect.backoff.ms": 5,
            "reconnect.backoff.max.ms": 20,
        }
    )


def refusal_of(brokers: Brokers) -> str:
    """Why a broker refuses a client, in librdkafka's words; "" if it answers."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    said: list[str] = []
    settings: dict[str, Any] = {
        **client_settings(brokers),
        "log_level": 0,
        "error_cb": lambda error: said.append(error.str()),
    }
    admin = AdminClient(settings)
    try:
        admin.list_topics(timeout=ANSWERING)
    except KafkaException as error:
        admin.poll(0)
        return said[0] if said else str(error)
    return ""


@dataclass
class BrokerCheck:
    """The broker answers a metadata request: it can be talked to, not merely connected to."""

    brokers: Brokers
    name: str = "metadata"

    @cached_property
    def _admin(self) -> AdminClient:
        return admin_of(self.brokers)

    def observe(self) -> Observation:
        """Send one request; wait up to a second for the response."""
        from confluent_kafka import KafkaException

        try:
            found = self._admin.list_topics(timeout=1.0)
        except KafkaException as error:
            return Observation(False, str(error))
        return Observation(bool(found.brokers), f"{len(found.brokers)} brokers answered")


def end_offsets(
    admin: AdminClient, topics: Sequence[str], *, others: bool = False
) -> dict[str, dict[int, int]]:
    """The end of each partition of some topics, where a tap "from now" begins.

    Topics that do not exist are omitted.

    Args:
        admin: asks the broker.
        topics: their names.
        others: add all other topics except the broker's internal ones; if one of their partitions
            does not respond, its offset is Kafka's OFFSET_END.

    Raises:
        KafkaException: a partition has no leader yet, or the broker does not respond.
    """
    from confluent_kafka import OFFSET_END, KafkaException, TopicPartition
    from confluent_kafka.admin import OffsetSpec

    known = admin.list_topics(timeout=10).topics
    names = [name for name in known if name in topics or (others and not name.startswith("__"))]
    parts = [TopicPartition(name, number) for name in names for number in known[name].partitions]
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # the wheel's own gap
    wanted = dict.fromkeys(parts, latest)
    asked = admin.list_offsets(wanted, request_timeout=UNANSWERED) if parts else {}
    found: dict[str, dict[int, int]] = {name: {} for name in names}
    for part, future in asked.items():
        try:
            found[part.topic][part.partition] = future.result(10).offset
        except KafkaException:
            if part.topic in topics:
                raise
            found[part.topic][part.partition] = OFFSET_END
    return found


def recent_starts(admin: AdminClient, most: int) -> dict[str, dict[int, int]]:
    """Where to start in each partition, to read about that many records of the whole broker.

    Args:
        admin: asks the broker.
        most: the number of records; it is divided evenly, but no partition is left out.

    Raises:
        KafkaException, TimeoutError: the broker does not respond.
    """
    from confluent_kafka import TopicPartition
    from confluent_kafka.admin import OffsetSpec

    found = end_offsets(admin, [], others=True)
    used = [(name, part) for name, ends in found.items() for part, end in ends.items() if end > 0]
    parts = [TopicPartition(*each) for each in used]
    earliest = OffsetSpec.earliest()  # type: ignore[no-untyped-call]  # the wheel's own gap
    wanted = dict.fromkeys(parts, earliest)
    asked = admin.list_offsets(wanted, request_timeout=UNANSWERED) if parts else {}
    for part, future in asked.items():
        recent = found[part.topic][part.partition] - max(1, most // len(parts))
        # What was deleted cannot be read.
        found[part.topic][part.partition] = max(future.result(10).offset, recent)
    return found


def committed_offsets(admin: AdminClient) -> dict[str, dict[tuple[str, int], int]]:
    """The next offset that each consumer group will read, by topic and partition.

    Raises:
        KafkaException, TimeoutError: the broker does not respond.
    """
    from confluent_kafka import ConsumerGroupTopicPartitions

    # The client asks about one group at a time, but does not wait for an answer before the next.
    wanted = {group: [ConsumerGroupTopicPartitions(group)] for group in group_names(admin, 10)}
    asked = {
        group: admin.list_consumer_group_offsets(each, request_timeout=UNANSWERED)[group]
        for group, each in wanted.items()
    }
    found = {group: future.result(10).topic_partitions for group, future in asked.items()}
    return {
        group: {(each.topic, each.partition): each.offset for each in parts}
        for group, parts in found.items()
    }


def group_names(admin: AdminClient, within: float) -> list[str]:
    """The consumer groups of a broker, sorted.

    Raises:
        KafkaException, TimeoutError: a broker does not respond, within that many seconds.
    """
    from confluent_kafka import KafkaException

    listed = admin.list_consumer_groups(request_timeout=UNANSWERED).result(within)
    # The groups of a broker that fails are left out of an answer that is otherwise good.
    for error in listed.errors:
        raise error if isinstance(error, Exception) else KafkaException(error)
    return sorted(each.group_id for each in listed.valid)


def assigned_partitions(
    admin: AdminClient, groups: Sequence[str]
) -> dict[str, set[tuple[str, int]]]:
    """The topics and partitions that the members of each group read.

    Raises:
        KafkaException, TimeoutError: the broker does not respond.
    """
    return {group: _assigned(each) for group, each in _described(admin, groups).items()}


def stable_groups(admin: AdminClient, groups: Sequence[str]) -> set[str]:
    """Those of the groups that are Stable: their members have their partitions.

    Raises:
        KafkaException, TimeoutError: the broker does not respond.
    """
    from confluent_kafka import ConsumerGroupState

    found = _described(admin, groups)
    return {group for group, each in found.items() if each.state == ConsumerGroupState.STABLE}


def creates_topics(admin: AdminClient) -> bool:
    """Whether the broker creates topics that a client uses; False if it does not disclose that."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import ConfigResource, ResourceType

    try:
        brokers = admin.list_topics(timeout=ANSWERING).brokers
        asked = [ConfigResource(ResourceType.BROKER, str(number)) for number in brokers]
        answers = admin.describe_configs(asked, request_timeout=UNANSWERED)
        found = [future.result(ANSWERING) for future in answers.values()]
    except (KafkaException, TimeoutError):
        return False
    settings = [each.get("auto.create.topics.enable") for each in found]
    return any(each is not None and each.value == "true" for each in settings)


def _described(admin: AdminClient, groups: Sequence[str]) -> dict[str, Any]:
    # The client refuses to ask for none.
    if not groups:
        return {}
    asked = admin.describe_consumer_groups(list(groups), request_timeout=UNANSWERED)
    return {group: future.result(10) for group, future in asked.items()}


def _assigned(group: Any) -> set[tuple[str, int]]:
    return {
        (part.topic, part.partition)
        for member in group.members
        for part in (member.assignment.topic_partitions if member.assignment else ())
    }


@dataclass
class TopicsCheck:
    """Every partition of the topics has a leader that answers.

    A topic exists as soon as the controller has recorded it; for some milliseconds after that, its
    partitions respond with NOT_LEADER_FOR_PARTITION.
    """

    brokers: Brokers
    topics: Sequence[str]
    name: str = "topics"

    @cached_property
    def _admin(self) -> AdminClient:
        return admin_of(self.brokers)

    def observe(self) -> Observation:
        """Query the end of each partition once."""
        from confluent_kafka import KafkaException

        try:
            found = end_offsets(self._admin, self.topics)
        except (KafkaException, TimeoutError) as error:
            return Observation(False, str(error) or "the broker did not answer within 10 s")
        missing = sorted(name for name in self.topics if not found.get(name))
        return Observation(not missing, f"{len(found)} topics answer, missing: {missing or 'none'}")


@dataclass
class GroupCheck:
    """The consumer group is Stable, and its members hold every partition of its topics.

    If only a pattern of the group's name is known (``*`` for any text), the groups that match hold
    them together.

    A sidecar's metadata shows a subscription about 600 ms before its group can deliver, so this
    check is the one that shows whether an event published now will be delivered now.

    Raises (observe):
        AppFailed: a topic still does not exist after `MISSING` seconds, and the broker does not
            create topics for subscribers.
    """

    brokers: Brokers
    group: str
    topics: Sequence[str]
    name: str = "group"
    _missing: Deadline | None = field(default=None, init=False, repr=False)

    @cached_property
    def _admin(self) -> AdminClient:
        return admin_of(self.brokers)

    def observe(self) -> Observation:
        """Describe the group once."""
        from confluent_kafka import ConsumerGroupState, KafkaException

        try:
            wanted = self._partitions()
            groups = self._described()
        except (KafkaException, TimeoutError) as error:
            fact = str(error) or f"no answer within {ANSWERING:g} s"
            return Observation(False, f"group {self.group}: {fact}")
        stable = [each for each in groups if each.state == ConsumerGroupState.STABLE]
        held = {part for each in groups for part in _assigned(each)}
        missing = sorted(wanted - {part for each in stable for part in _assigned(each)})
        states = ", ".join(sorted({each.state.name for each in groups})) or "not there"
        return Observation(
            bool(stable) and not missing,
            f"group {self.group} is {states}, "
            f"{len(held)} partitions assigned, missing {missing or 'none'}",
        )

    def _described(self) -> list[Any]:
        names = [self.group]
        if "*" in self.group:
            known = group_names(self._admin, ANSWERING)
            names = [each for each in known if fnmatchcase(each, self.group)]
        if not names:
            return []
        described = self._admin.describe_consumer_groups(names, request_timeout=UNANSWERED)
        return [future.result(ANSWERING) for future in described.values()]

    def _partitions(self) -> set[tuple[str, int]]:
        topics = self._admin.list_topics(timeout=ANSWERING).topics
        self._require(topics)
        return {
            (topic, partition)
            for topic in self.topics
            for partition in (topics[topic].partitions if topic in topics else {0: None})
        }

    def _require(self, known: Mapping[str, Any]) -> None:
        """Give up on a topic that remains missing: the group would never get its partitions."""
        missing = sorted(topic for topic in self.topics if topic not in known)
        if not missing:
            self._missing = None
            return
        self._missing = self._missing or Deadline(MISSING)
        if self._missing.passed and not creates_topics(self._admin):
            names = [name for name in known if not name.startswith("__")]
            raise AppFailed(
                f"group {self.group!r} subscribes to topic {missing[0]!r}, which does not exist",
                last=f"missing at {self.brokers}: {', '.join(missing)}",
                budget=MISSING,
                hint=f"{did_you_mean(missing[0], names)}; Kafka(topics=[...]) creates topics",
            )
