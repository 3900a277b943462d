"""How far the consumer groups of a stack are behind. It blocks."""

from __future__ import annotations

from collections.abc import Iterator

from harness.bundle.model import Group
from harness.stack.beginning import own_brokers
from harness.stack.sharing import own_topics
from harness.stack.stack import Stack


def groups_of(stack: Stack) -> Iterator[Group]:
    """Each partition that a group reads or has read, of the stack's own topics."""
    from harness.ready.kafka import admin_of, assigned_partitions, committed_offsets, end_offsets

    brokers = own_brokers(stack)
    if not brokers:
        return
    admin = admin_of(brokers)
    ends = own_topics(end_offsets(admin, [], others=True), stack.book.namespace)
    committed = committed_offsets(admin)
    assigned = assigned_partitions(admin, list(committed))
    for name, parts in sorted(committed.items()):
        read = list(assigned.get(name, ()))
        for topic, partition in sorted(each for each in {*parts, *read} if each[0] in ends):
            yield Group(
                name,
                topic,
                partition,
                parts.get((topic, partition), -1),
                ends.get(topic, {}).get(partition, -1),
                read.count((topic, partition)),
            )
