"""The order in which the broker has events."""

from __future__ import annotations

from collections.abc import Iterable

from harness.ledger.model import EventPath, Record


def stored(events: Iterable[EventPath]) -> list[EventPath]:
    """The event of each record, in order: of one partition by offset, of several by time.

    An event that is stored twice comes twice. Dead letters do not count, nor does what daprd keeps
    for its outbox.

    Args:
        events: in any order.
    """
    found = [(record, path) for path in events for record in path.originals]
    partitions = {(each.position.topic, each.position.partition) for each, _ in found}

    def place(row: tuple[Record, EventPath]) -> tuple[object, ...]:
        record, _ = row
        # Clocks jump, offsets do not.
        return (record.position,) if len(partitions) == 1 else (record.time, record.position)

    return [path for _, path in sorted(found, key=place)]
