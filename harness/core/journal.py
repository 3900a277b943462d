"""The ordered record of what happened in a stack."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from harness.core.observation import Occurrence, epoch_ns


@dataclass(frozen=True)
class Entry:
    """One recorded event.

    Attributes:
        at: seconds of ``time.monotonic``, comparable between processes of one machine.
        kind: a past participle with its object, such as ``check.passed``.
        node: the node it happened to; "" if none.
        facts: further details.
    """

    at: float
    kind: str
    node: str
    facts: dict[str, Any]

    def occurrence(self) -> Occurrence:
        """The same as one record of a timeline."""
        facts = " ".join(f"{name}={value}" for name, value in self.facts.items())
        words = f"{self.kind} {facts}".strip()
        return Occurrence(epoch_ns(self.at), "journal", self.node, words, {}, self.facts)


def entry_of(row: dict[str, Any]) -> Entry:
    """An entry of the run's journal, as its supervisor writes and sends it."""
    known = ("at", "kind", "node", "seq", "client")
    facts = {name: value for name, value in row.items() if name not in known}
    return Entry(row["at"], row["kind"], row["node"], facts)


class Journal:
    """Entries in the order in which they were recorded; thread-safe."""

    def __init__(self) -> None:
        self._pass_on: Callable[[Entry], None] = _nowhere
        self._lock = threading.Lock()
        self._entries: list[Entry] = []

    def __iter__(self) -> Iterator[Entry]:
        with self._lock:
            return iter(list(self._entries))

    def pass_on(self, to: Callable[[Entry], None] | None) -> None:
        """Also call a function with each new entry, in order; None stops this."""
        self._pass_on = to or _nowhere

    def note(self, kind: str, node: str = "", **facts: Any) -> Entry:
        """Record that something happened now."""
        with self._lock:
            entry = Entry(time.monotonic(), kind, node, facts)
            self._entries.append(entry)
            self._pass_on(entry)
        return entry


def _nowhere(_entry: Entry) -> None:
    """Keep it here only."""
