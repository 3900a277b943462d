"""The events of a ledger as rows, and which of them have changed since a reader looked."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.core.errors import ConfigError, closest
from harness.inspection.fates import Subscribed, fate_of
from harness.inspection.model import EventPage, EventRow
from harness.inspection.paging import cut
from harness.ledger.model import EventPath, Ledger

SHOWN = 5
"""The number of events that an error names."""


SIMILAR = 1000
"""The number of events whose ids are compared with an unknown one."""


@dataclass(frozen=True)
class Entry:
    """An event and its row."""

    path: EventPath
    row: EventRow


class EventTable:
    """Rows by key. One thread may use it at a time.

    Args:
        clean: masks secrets.

    Attributes:
        revision: grows whenever a row is added or changes.
    """

    def __init__(self, clean: Callable[[str], str]) -> None:
        self._clean = clean
        self._entries: dict[str, Entry] = {}
        self._ledger = Ledger()
        self._subscribed: Subscribed = {}
        self.revision = 0

    def update(self, ledger: Ledger, subscribed: Subscribed) -> None:
        """Take over a ledger; what it does not have any more is forgotten.

        Args:
            ledger: everything that is known now.
            subscribed: the apps that subscribe to each topic.
        """
        now = time.time_ns()
        if ledger is self._ledger and subscribed == self._subscribed:
            self._expire(now)
            return
        self._ledger, self._subscribed = ledger, subscribed
        known, self._entries = self._entries, {}
        for path in ledger.events:
            key = self._unused(key_of(path))
            row = self._row(key, path, known.get(key), subscribed, now)
            self._entries[key] = Entry(path, row)

    def _expire(self, now: int) -> None:
        """Of the same ledger, only what time itself changes."""
        for key, each in self._entries.items():
            if each.path.expires:
                row = self._row(key, each.path, each, self._subscribed, now)
                self._entries[key] = Entry(each.path, row)

    def rows(self, fits: Callable[[Entry], bool]) -> list[EventRow]:
        """The rows that fit, in the order in which they were first seen."""
        return [each.row for each in self._entries.values() if fits(each)]

    def find(self, event: str) -> Entry:
        """The event with this key or this id.

        Raises:
            ConfigError: there is none, or several events have the id.
        """
        if event in self._entries:
            return self._entries[event]
        found = [each for each in self._entries.values() if event and each.path.id == event]
        if len(found) == 1:
            return found[0]
        if not found:
            ids = [each.path.id for each in self._entries.values() if each.path.id]
            raise ConfigError(
                f"no event has the id {self._clean(event)!r}",
                last=f"{len(self._entries)} events are known",
                hint=self._clean(closest(event, ids[-SIMILAR:]))
                or "list them: dapr-harness ledger",
            )
        told = ", ".join(f"{each.row.key} on {each.row.topic}" for each in found[-SHOWN:])
        raise ConfigError(
            f"{len(found)} events have the id {self._clean(event)!r}",
            last=told,
            hint="give the key of one of them",
        )

    def _unused(self, key: str) -> str:
        number = 2
        chosen = key
        while chosen in self._entries:
            chosen, number = f"{key}-{number}", number + 1
        return chosen

    def _row(
        self, key: str, path: EventPath, known: Entry | None, subscribed: Subscribed, now: int
    ) -> EventRow:
        fate = fate_of(path, subscribed, now)
        if known is not None and known.row.outcome == fate and same(known.path, path):
            return known.row
        self.revision += 1
        made = self._made(key, path)
        return replace(made, outcome=fate, revision=self.revision)

    def _made(self, key: str, path: EventPath) -> EventRow:
        clean = self._clean
        return EventRow(
            key=key,
            id=clean(path.id),
            topic=clean(", ".join(path.topics)),
            type=clean(path.type),
            at=min(times_of(path), default=0) / 1e9,
            published_by=next((each.app for each in path.publications), None),
            outcome="in_flight",
            attempts=len(path.attempts),
            apps=tuple(dict.fromkeys(each.app for each in path.attempts)),
            size=len(text_of(path.data)),
        )


def page_of(
    found: Sequence[EventRow],
    revision: int,
    after: int,
    limit: int,
    missing: Sequence[str],
    *,
    forgotten: bool,
) -> EventPage:
    """The last rows; after a cursor, the first ones in the order in which they have changed.

    Args:
        found: every row that fits.
        revision: of the table.
        after: the cursor.
        limit: the number of rows.
        missing: what could not be read.
        forgotten: whether there were older events.
    """
    shown, upto, more = cut(found, revision, after, limit)
    truncated = not after and (more or forgotten)
    return EventPage(shown, upto, len(found), truncated, missing)


def key_of(path: EventPath) -> str:
    """What identifies an event: its id and source, or else its first position or its time."""
    if path.id:
        return _hashed(f"{path.id}\0{path.source}")
    if path.records:
        return _hashed(str(path.records[0].position))
    return _hashed(f"{path.topics}\0{min(times_of(path), default=0)}")


def same(one: EventPath, other: EventPath) -> bool:
    """Whether nothing was added to an event: what is known of it only grows."""
    sizes = [
        (len(each.publications), len(each.records), len(each.attempts), each.type)
        for each in (one, other)
    ]
    return sizes[0] == sizes[1]


def times_of(path: EventPath) -> Iterator[int]:
    """The times at which something happened to an event, in nanoseconds since the epoch."""
    for kind in (path.publications, path.records, path.attempts):
        yield from (each.time for each in kind)


def text_of(data: Any) -> str:
    """Data as JSON."""
    try:
        return json.dumps(data, ensure_ascii=False, default=str)
    except (ValueError, RecursionError):
        return str(type(data).__name__)


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12]
