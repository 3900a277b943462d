"""Looks at a stack again and again, and records what has changed."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from harness.core.deadline import Deadline
from harness.core.errors import DaprError, HarnessError, SystemFailure
from harness.ui.record import Message, Record, message
from harness.ui.source import Source, plain

EVERY = 0.5
"""Seconds between two looks, at least."""

SHARE = 3
"""A look is followed by a pause of this many times its own length, so that little of a core is used
however much there is to read."""

LONGEST = 2.0
"""Seconds between two looks, at most."""

SELDOM = 2.0
"""Seconds between two looks at the nodes, at least."""

EVENTS = 10_000
"""The number of events that are kept, at most; the page keeps the same number."""

TRACES = 5_000
"""The number of traces that are kept, at most; the page keeps the same number."""

LINES = 10_000
"""The number of log lines that are kept, at most; the page keeps the same number."""

AT_ONCE = 500
"""The number of rows in a message, at most."""

FAILURES = (HarnessError, SystemFailure, DaprError, OSError)
"""What a look at a stack can end with: parts of it may be down, or it is just ending."""


class Feed:
    """What the page shows, and the record of how it changes.

    Args:
        source: the stack.
        record: gets a message for each change.
    """

    def __init__(self, source: Source, record: Record) -> None:
        self.record = record
        self._source = source
        self._lock = threading.Lock()
        self._overview: dict[str, Any] | None = None
        self._rows: dict[str, dict[str, Any]] = {}
        self._traces: dict[str, dict[str, Any]] = {}
        self._untold: list[str] = []
        self._lines: deque[dict[str, Any]] = deque(maxlen=LINES)
        self._seen = 0
        self._traced = 0
        self._read = 0
        self._overview_due = Deadline(0)
        self._problem = ""
        self.ended = ""

    def follow(self, stop: threading.Event) -> None:
        """Look until the event is set."""
        pause = 0.0
        while not stop.wait(pause):
            began = time.monotonic()
            self.look()
            pause = min(LONGEST, max(EVERY, SHARE * (time.monotonic() - began)))

    def look(self) -> None:
        """Look once. A failure is shown on the page, and the next look may succeed."""
        try:
            if self._overview_due.passed:
                self._overview_due = Deadline(SELDOM)
                self._look_at_overview()
            self._look_at_events()
            self._look_at_traces()
            self._look_at_logs()
        except Exception as error:  # noqa: BLE001 - the page says it, instead of standing still
            name = "" if isinstance(error, FAILURES) else f"{type(error).__name__}: "
            self._overview_due = Deadline(0)
            self._tell(name + " ".join(str(error).split()))
        else:
            self._tell("")

    def hurry(self) -> None:
        """Look at the nodes the next time: one of them was acted on."""
        self._overview_due = Deadline(0)

    def end(self, why: str) -> None:
        """Tell every page that nothing more will come."""
        self.ended = why
        self.record.append("ended", {"why": why})

    def snapshot(self) -> Iterator[Message]:
        """What a page needs that begins now.

        Only its last message has a cursor, so that a page that has not received all of it begins
        again.
        """
        with self._lock:
            cursor, overview = self.record.last, self._overview
            rows, lines = list(self._rows.values()), list(self._lines)
            traces, untold = list(self._traces.values()), self._untold
        yield message(None, "reset", {"problem": self._problem})
        if overview is not None:
            yield message(None, "overview", overview)
        for part in _parts(rows):
            yield message(None, "events", {"rows": part})
        yield message(None, "traces", {"rows": [], "missing": untold})
        for part in _parts(traces):
            yield message(None, "traces", {"rows": part})
        for part in _parts(lines):
            yield message(None, "logs", {"lines": part})
        yield message(cursor, "ended" if self.ended else "ready", {"why": self.ended})

    def _tell(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            self.record.append("problem", {"text": problem})

    def _look_at_overview(self) -> None:
        found = plain(self._source.overview())
        if found != self._overview:
            with self._lock:
                self._overview = found
                self.record.append("overview", found)

    def _look_at_events(self) -> None:
        page = plain(self._source.events(after=self._seen, limit=EVENTS))
        for part in _parts(page["rows"]):
            with self._lock:
                _keep(self._rows, "key", part, EVENTS)
                self.record.append("events", {"rows": part})
        self._seen = page["next"]

    def _look_at_traces(self) -> None:
        page = plain(self._source.traces(after=self._traced, limit=TRACES))
        missing = list(page["missing"])
        if missing != self._untold:
            with self._lock:
                self._untold = missing
                self.record.append("traces", {"rows": [], "missing": missing})
        for part in _parts(page["rows"]):
            with self._lock:
                _keep(self._traces, "id", part, TRACES)
                self.record.append("traces", {"rows": part})
        self._traced = page["next"]

    def _look_at_logs(self) -> None:
        page = plain(self._source.logs(after=self._read, limit=LINES))
        for part in _parts(page["lines"]):
            with self._lock:
                self._lines.extend(part)
                self.record.append("logs", {"lines": part})
        self._read = page["next"]


def _keep(
    kept: dict[str, dict[str, Any]], key: str, rows: Sequence[dict[str, Any]], most: int
) -> None:
    """Put rows into those that are kept, and forget the oldest of more than there may be."""
    for row in rows:
        kept[row[key]] = row
    for name in list(islice(kept, max(0, len(kept) - most))):
        del kept[name]


def _parts(rows: Sequence[dict[str, Any]]) -> Iterator[Sequence[dict[str, Any]]]:
    for begin in range(0, len(rows), AT_ONCE):
        yield rows[begin : begin + AT_ONCE]
