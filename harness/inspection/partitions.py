"""The partitions of a stack's own Kafka, and how far consumer groups have read them. It blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from harness.core.roles import SidecarRole
from harness.inspection.model import GroupPosition, PartitionRow
from harness.nodes.consumer_groups import ConsumerGroup, consumer_groups
from harness.ready.kafka import admin_of, assigned_partitions, committed_offsets, end_offsets
from harness.stack.beginning import own_brokers
from harness.stack.sharing import own_topics
from harness.stack.stack import Stack

MOST = 2_000
"""The number of partitions that are told of, at most."""

Part = tuple[str, int]


@dataclass(frozen=True)
class Partitions:
    """What a broker tells of partitions.

    Attributes:
        lags: records that are still to be handled, by app, pub/sub component and topic; a topic for
            which a group has committed nothing is left out.
        rows: the partitions of each topic.
        untold: the number of partitions that are left out of ``rows``.
    """

    lags: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
    rows: Mapping[str, Sequence[PartitionRow]] = field(default_factory=dict)
    untold: int = 0


def partitions_of(stack: Stack) -> Partitions:
    """The partitions of the topics of a stack; none without a Kafka of its own.

    Raises:
        KafkaException, TimeoutError: the broker does not respond.
    """
    brokers = own_brokers(stack)
    if not brokers:
        return Partitions()
    admin, namespace = admin_of(brokers), stack.book.namespace
    ends = own_topics(end_offsets(admin, [], others=True), namespace)
    committed = committed_offsets(admin)
    assigned = assigned_partitions(admin, list(committed))
    used = {
        sidecar.app: _groups_of(stack, sidecar) for sidecar in stack.topology.sidecars()
    }  # of replicas, the groups are the same
    readers = _readers(committed, assigned, used)
    rows = _rows(ends, readers, namespace)
    untold = sum(map(len, rows.values())) - MOST
    return Partitions(_lags(ends, committed, used), _bounded(rows), max(0, untold))


def _lags(
    ends: Mapping[str, Mapping[int, int]],
    committed: Mapping[str, Mapping[Part, int]],
    used: Mapping[str, Mapping[str, ConsumerGroup]],
) -> dict[tuple[str, str, str], int]:
    found: dict[tuple[str, str, str], int] = {}
    for app, groups in used.items():
        for component, group in groups.items():
            for (topic, partition), at in committed.get(group.name, {}).items():
                end = ends.get(topic, {}).get(partition, -1)
                if at >= 0 and end >= 0:
                    place = app, component, topic.removeprefix(group.prefix)
                    found[place] = found.get(place, 0) + end - at
    return found


def _readers(
    committed: Mapping[str, Mapping[Part, int]],
    assigned: Mapping[str, set[Part]],
    used: Mapping[str, Mapping[str, ConsumerGroup]],
) -> dict[Part, list[tuple[str, str | None, int, bool]]]:
    """Of each partition: the groups that read it or have read it, with app and committed offset."""
    apps = [(each.name, app) for app, groups in used.items() for each in groups.values()]
    found: dict[Part, list[tuple[str, str | None, int, bool]]] = {}
    for group, parts in sorted(committed.items()):
        app = next((app for name, app in apps if fnmatchcase(group, name)), None)
        read = assigned.get(group, set())
        for part in {*parts, *read}:
            row = group, app, parts.get(part, -1), part in read
            found.setdefault(part, []).append(row)
    return found


def _rows(
    ends: Mapping[str, Mapping[int, int]],
    readers: Mapping[Part, Sequence[tuple[str, str | None, int, bool]]],
    namespace: str,
) -> dict[str, list[PartitionRow]]:
    return {
        topic.removeprefix(namespace): [
            PartitionRow(number, max(end, 0), tuple(_positions(end, readers.get((topic, number)))))
            for number, end in sorted(parts.items())
        ]
        for topic, parts in sorted(ends.items())
    }


def _positions(
    end: int, known: Sequence[tuple[str, str | None, int, bool]] | None
) -> Iterator[GroupPosition]:
    for group, app, at, reads in known or ():
        offset = at if at >= 0 else None
        lag = None if offset is None or end < 0 else end - offset
        if end == 0:
            lag = 0  # There was never a record.
        yield GroupPosition(group, app, offset, lag, reads)


def _bounded(rows: Mapping[str, Sequence[PartitionRow]]) -> dict[str, Sequence[PartitionRow]]:
    room, found = MOST, dict[str, Sequence[PartitionRow]]()
    for topic, parts in rows.items():
        found[topic] = parts[:room]
        room -= len(found[topic])
    return found


def _groups_of(stack: Stack, sidecar: SidecarRole) -> dict[str, ConsumerGroup]:
    namespace = stack.book.namespace
    env = {**sidecar.env, **({"NAMESPACE": namespace} if namespace else {})}
    return consumer_groups(stack.book.resources(sidecar.name), sidecar.app_id, env)
