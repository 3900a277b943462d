"""The ordered record of what happened in a stack."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.private import open_private


@dataclass(frozen=True)
class Entry:
    """One recorded event.

    Attributes:
        at: seconds of ``time.monotonic``, comparable between processes of one machine.
        kind: a past participle with its object, such as ``rung.reached``.
        node: the node it happened to; "" if none.
        facts: further details.
    """

    at: float
    kind: str
    node: str
    facts: dict[str, Any]


class Journal:
    """Entries in the order in which they were recorded; thread-safe."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._lock = threading.Lock()
        self._entries: list[Entry] = []

    def __iter__(self) -> Iterator[Entry]:
        with self._lock:
            return iter(list(self._entries))

    def write_to(self, path: Path | None) -> None:
        """Also write each new entry as a JSON line; None stops this."""
        self._path = path

    def note(self, kind: str, node: str = "", **facts: Any) -> Entry:
        """Record that something happened now."""
        with self._lock:
            entry = Entry(time.monotonic(), kind, node, facts)
            self._entries.append(entry)
            if self._path is not None:
                row = {"at": entry.at, "kind": kind, "node": node, **facts}
                with open_private(self._path, "a") as file:
                    file.write(json.dumps(row, default=str) + "\n")
        return entry
