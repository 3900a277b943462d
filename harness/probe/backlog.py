"""Events that were written before a test began and still hold up a consumer group."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from harness.core.deadline import Deadline, Observation, poll
from harness.core.kafka_access import Brokers
from harness.probe.topic_reader import record_at
from harness.ready.kafka import admin_of, assigned_partitions, committed_offsets

COMMITTED = 2.5
"""Seconds within which a group that is not held up commits: sidecars commit once a second."""

Began = tuple[str, Mapping[str, Mapping[int, int]]]
"""A test, and the end of each partition when the test began, by topic."""


@dataclass(frozen=True)
class Held:
    """A position at which a consumer group is held up.

    Attributes:
        offset: the offset of its next event; if it has committed nothing there, the partition's
            end when the first test began.
    """

    group: str
    topic: str
    partition: int
    offset: int
    committed: bool = True


def held_up(
    committed: Mapping[str, Mapping[tuple[str, int], int]],
    assigned: Mapping[str, Collection[tuple[str, int]]],
    worlds: Sequence[Began],
) -> list[Held]:
    """The groups whose next event is older than the last test.

    Args:
        committed: the next offset to read, by group, topic and partition.
        assigned: the partitions that the members of each group currently read.
        worlds: all tests so far, in the order in which they began.
    """
    found = []
    for group, parts in sorted(assigned.items()):
        for topic, partition in sorted(parts):
            offset = committed.get(group, {}).get((topic, partition), -1)
            known = offset >= 0
            # Nothing committed: it has handled nothing since it joined, which was before the first
            # test.
            offset = offset if known else _end(worlds[0], topic, partition)
            if offset < _end(worlds[-1], topic, partition):
                found.append(Held(group, topic, partition, offset, known))
    return found


def _end(world: Began, topic: str, partition: int) -> int:
    return world[1].get(topic, {}).get(partition, 0)


def written_during(held: Held, worlds: Sequence[Began]) -> str:
    """The test during which the event was written; "" if it was written before all of them.

    Args:
        held: the position.
        worlds: all tests so far, in the order in which they began.
    """
    before = [each for each in worlds if _end(each, held.topic, held.partition) <= held.offset]
    return before[-1][0] if before else ""


def backlog(brokers: Brokers, worlds: Sequence[Began]) -> str:
    """What other tests have left to a broker's consumer groups, in words; "" if nothing.

    Args:
        brokers: the bootstrap address, with credentials if it requires them.
        worlds: all tests so far; the last one is the current test.
    """
    admin, found = admin_of(brokers), list[Held]()

    def look() -> Observation:
        committed = committed_offsets(admin)
        found[:] = held_up(committed, assigned_partitions(admin, list(committed)), worlds)
        return Observation(not found)

    poll(look, Deadline(COMMITTED), interval=0.2)
    return "\n".join(_told(each, brokers, worlds) for each in found)


def _told(held: Held, brokers: Brokers, worlds: Sequence[Began]) -> str:
    test = written_during(held, worlds)
    when = f"while {test} ran" if test else "before the first test"
    record = record_at(brokers, held.topic, held.partition, held.offset)
    place = f"{held.topic}[{held.partition}]"
    how = (
        f"is held up at {place} offset {held.offset} by an event"
        if held.committed
        else f"has committed nothing of {place}, whose offset {held.offset} is an event"
    )
    return f"group {held.group} {how} that was written {when}: {record or 'it cannot be read'}"
