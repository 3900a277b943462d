"""The logs of all nodes as one, in the order of time. Everything here blocks."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from harness.inspection.model import LogLine, LogPage

MOST = 50_000
"""The number of lines that are kept."""

FIRST = 2_000_000
"""Bytes at the end of each log that are read at first."""

LONGEST = 4_000
"""The number of characters of a line that are kept."""

_TIME = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)[T ](?P<clock>\d\d:\d\d:\d\d)(?:[.,](?P<part>\d{1,9}))?"
    r"(?P<zone>Z|[+-]\d\d:?\d\d| UTC)?"
)
_LEVEL = re.compile(
    r'\b(?:level[=:]"?)?(debug|info|warning|warn|error|fatal|critical|trace)\b', re.IGNORECASE
)
_HEAD = 120
"""The number of characters at the beginning of a line that may name a time and a level."""


class Logs:
    """The lines of the logs of a stack, as far as they are kept. One thread may use it at a time.

    Args:
        folder: the logs, one file a node.
        clean: masks secrets.
    """

    def __init__(self, folder: Path, clean: Callable[[str], str]) -> None:
        self._folder = folder
        self._clean = clean
        self._positions: dict[Path, int] = {}
        self._lines: deque[LogLine] = deque(maxlen=MOST)
        self._count = 0
        self._cut = False

    def page(
        self,
        *,
        nodes: Collection[str] = (),
        texts: Collection[str] = (),
        after: int = 0,
        limit: int = 500,
    ) -> LogPage:
        """Lines that fit: the last ones, or the first ones after a cursor.

        Args:
            nodes: only of these nodes; of all if empty.
            texts: only with one of these texts, in any case; all if empty.
            after: the cursor.
            limit: the number of lines.
        """
        self.read()
        wanted = [each.casefold() for each in texts]
        found = [
            each
            for each in self._lines
            if each.seq > after
            and (not nodes or each.node in nodes)
            and (not wanted or any(text in each.text.casefold() for text in wanted))
        ]
        cut = len(found) > limit
        shown = found[:limit] if after else found[-limit:] if limit else []
        more = bool(after) and cut
        last = shown[-1].seq if more and shown else self._count
        lost = self._cut or self._count > len(self._lines)
        in_order = sorted(shown, key=lambda each: (each.at, each.seq))
        return LogPage(in_order, last, truncated=(lost and not after) or (cut and not after))

    def read(self) -> None:
        """Read what is new, in the order of time."""
        fresh = [row for path in sorted(self._folder.glob("*.log")) for row in self._new(path)]
        for at, node, level, text in sorted(fresh, key=lambda row: row[0]):
            self._count += 1
            self._lines.append(LogLine(self._count, at, node, level, text))

    def _new(self, path: Path) -> Iterator[tuple[float, str, str | None, str]]:
        # A line without a time is as old as the one before it, and the first one of the log's age.
        at = time.time() if path in self._positions else path.stat().st_mtime
        for line in self._clean(self._bytes(path).decode("utf-8", "replace")).splitlines():
            head = line[:_HEAD]
            at = time_in(head) or at
            yield at, path.stem, level_in(head), line[:LONGEST]

    def _bytes(self, path: Path) -> bytes:
        """Complete lines that were not read before."""
        with path.open("rb") as file:
            size = file.seek(0, 2)
            start = self._positions.get(path, max(0, size - FIRST))
            self._cut = self._cut or (path not in self._positions and start > 0)
            start = 0 if start > size else start
            file.seek(start)
            data = file.read(FIRST)
        end = data.rfind(b"\n") + 1
        if not end and len(data) == FIRST:
            end = FIRST  # a line of megabytes
        self._positions[path] = start + end
        return data[:end]


def time_in(head: str) -> float | None:
    """The time at the beginning of a line, in seconds since the epoch; without a zone, it is UTC's.

    daprd, Kafka and PostgreSQL write such times.
    """
    found = _TIME.search(head)
    if found is None:
        return None
    part, zone = (found["part"] or "0")[:6], (found["zone"] or "Z").replace(" UTC", "Z")
    try:
        moment = datetime.fromisoformat(f"{found['day']}T{found['clock']}.{part:0<6}{zone}")
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def level_in(head: str) -> str | None:
    """The level that the beginning of a line names, in lower case; None if it names none."""
    found = _LEVEL.search(head)
    return None if found is None else LEVELS.get(found[1].lower(), found[1].lower())


LEVELS: Mapping[str, str] = {"warn": "warning", "critical": "fatal"}
"""Other names of levels."""
