"""What consumer groups on the topology's own Kafka have still to handle. It blocks."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from fnmatch import fnmatchcase

from harness.core.roles import SidecarRole
from harness.nodes.consumer_groups import consumer_groups
from harness.probe.backlog import Began, held_up
from harness.ready.kafka import (
    admin_of,
    assigned_partitions,
    committed_offsets,
    end_offsets,
    stable_groups,
)
from harness.stack.beginning import WORLDS, own_brokers
from harness.stack.routes import ask_sidecar
from harness.stack.sharing import own_topics
from harness.stack.stack import Stack

Place = tuple[str, int]
"""A topic and a partition."""


class InFlight:
    """Finds what is published and not handled yet.

    Args:
        stack: a running stack.
    """

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._brokers = own_brokers(stack)
        self._admin = admin_of(self._brokers) if self._brokers else None

    def unhandled(self) -> list[str]:
        """What is still to be handled, in words; empty if that is nothing.

        Raises:
            KafkaException, TimeoutError: the broker does not respond.
        """
        if self._admin is None:
            return []
        found = end_offsets(self._admin, [], others=True)
        own = own_topics(found, self._stack.book.namespace)
        away = [f"{topic}[{part}] does not respond" for topic, part in _without_end(own)]
        silent = [
            f"{each.name} does not respond, so what it has to handle is not known"
            for each in self._sidecars()
            if ask_sidecar(self._stack, each.name, "/v1.0/metadata") is None
        ]
        return [*away, *silent, *self._lags(own)]

    def _lags(self, ends: Mapping[str, Mapping[int, int]]) -> Iterator[str]:
        assert self._admin is not None
        committed = committed_offsets(self._admin)
        stable = stable_groups(self._admin, list(committed))
        assigned = {
            group: {place for place in places if place[0] in ends}
            for group, places in assigned_partitions(self._admin, list(committed)).items()
        }
        worlds: list[Began] = [*self._stack.shared.get(WORLDS, []), ("now", ends)]
        yield from (
            f"group {each.group} is at offset {each.offset} of {each.topic}[{each.partition}], "
            f"which ends at {ends[each.topic][each.partition]}"
            for each in held_up(committed, assigned, worlds)
        )
        own = [each for each in committed if self._is_own(each)]
        yield from unstable(committed, stable, own, ends)

    def _is_own(self, group: str) -> bool:
        return any(fnmatchcase(group, each) for each in self._groups())

    def _groups(self) -> set[str]:
        """The names of the groups of the sidecars, ``*`` for what only they know."""
        return {name for each in self._sidecars() for name in self._groups_of(each)}

    def _groups_of(self, sidecar: SidecarRole) -> Iterator[str]:
        resources = self._stack.book.resources(sidecar.name)
        namespace = self._stack.book.namespace
        env = {**sidecar.env, **({"NAMESPACE": namespace} if namespace else {})}
        for each in consumer_groups(resources, sidecar.app_id, env).values():
            # The group of an unknown name is left to the others.
            if each.name.strip("*"):
                yield each.name

    def _sidecars(self) -> list[SidecarRole]:
        """Those that read the topology's own Kafka."""
        return [
            each
            for each in self._stack.topology.sidecars()
            if any(
                resource.type == "pubsub.kafka"
                for resource in self._stack.book.resources(each.name)
            )
        ]


def unstable(
    committed: Mapping[str, Mapping[Place, int]],
    stable: Collection[str],
    own: Collection[str],
    ends: Mapping[str, Mapping[int, int]],
) -> Iterator[str]:
    """The groups without a complete set of members that have, or may have, something to handle.

    Args:
        committed: the next offset to read, by group, topic and partition.
        stable: the groups whose members have their partitions.
        own: the groups of running sidecars.
        ends: the end of each partition, by topic.
    """
    for group in sorted(set(own) - set(stable)):
        known = {place: at for place, at in committed.get(group, {}).items() if at >= 0}
        behind = [
            f"{topic}[{part}]" for (topic, part), at in sorted(known.items())
            if at < ends.get(topic, {}).get(part, 0)
        ]  # fmt: skip
        if behind or not known:
            what = ", ".join(behind) or "what it subscribes to"
            yield f"group {group} has no members that read {what} now"


def _without_end(ends: Mapping[str, Mapping[int, int]]) -> list[Place]:
    return [
        (topic, part) for topic, parts in ends.items() for part, end in parts.items() if end < 0
    ]
