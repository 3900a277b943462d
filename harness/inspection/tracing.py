"""The traces of a stack that is up. Everything here blocks; threads wait for each other."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from harness.inspection.event_table import Entry
from harness.inspection.looking import LINES, Looking
from harness.inspection.model import EventRow, NodeRow
from harness.inspection.reports import Kept
from harness.inspection.traces.model import TraceDetail, TracePage, TraceRow
from harness.inspection.traces.sources import EVERY, SpanSources, nodes_of
from harness.inspection.traces.table import TraceTable
from harness.inspection.traces.tree import tree_of
from harness.probe.spans import Span

EVENTS = 100
"""The number of events of a trace that are shown, the newest."""

TOLD = 10.0
"""Seconds for which what the Configurations say is taken as it is."""

LATER = f"and a sidecar sends them every {EVERY} seconds"

_NODES: Sequence[NodeRow] = ()
"""Of no use to what only reads Configurations."""


class Tracing(Looking):
    """What may be seen of the traces of a stack that is up."""

    def _begin(self) -> None:
        super()._begin()
        self._trace_lock = threading.Lock()
        self._sources = SpanSources(self._stack)
        self._traces = TraceTable(self.clean)
        self._untold = Kept[Sequence[str]](TOLD, lambda _: self._sources.untold())

    def traces(
        self, *, text: str | None = None, errors: bool = False, after: int = 0, limit: int = 200
    ) -> TracePage:
        """Traces that fit, the newest last: the last ones, or what has changed after a cursor.

        Args:
            text: only those of which the id, or the name or service of a span has this text, in any
                case.
            errors: only those with a span that failed.
            after: the cursor: `TracePage.next` of the page before.
            limit: the number of traces.
        """
        with self._trace_lock:
            missing = self._read_spans()
            return self._traces.page(
                text=text or "", errors=errors, after=after, limit=limit, missing=missing
            )

    def trace(self, trace: str) -> TraceDetail:
        """Everything that is known of one trace.

        Args:
            trace: its id.

        Raises:
            ConfigError: neither a span nor an event has it.
        """
        events, unread = self._events_of(trace)
        with self._trace_lock:
            missing = [*self._read_spans(), *unread]
            if events and self._traces.find(trace) is None:
                row, spans, lost = row_of(events, self.clean(trace)), list[Span](), 0
                missing.append(f"spans of this trace: none has been received, {LATER}")
            else:
                row, found = self._traces.require(trace)
                spans, lost = list(found.spans.values()), found.lost
        ids = [trace, *(each.path.id for each in events if each.path.id)]
        return TraceDetail(
            row=row,
            spans=tree_of(spans, self.clean, nodes_of(self._stack)),
            truncated=lost > 0,
            events=[each.row for each in events],
            logs=self.logs(texts=ids, limit=LINES).lines,
            missing=missing,
        )

    def _events_of(self, trace: str) -> tuple[list[Entry], list[str]]:
        """The events of a trace, the newest last, and what could not be read."""
        wanted = trace.lower()
        with self._lock:
            missing = self._refresh()
            rows = self._table.rows(lambda each: bool(wanted) and each.path.trace == wanted)
            found = [self._table.find(row.key) for row in rows]
        return found[-EVENTS:], missing

    def _read_spans(self) -> list[str]:
        found, errors = self._sources.read()
        for each in found:
            self._traces.add(each)
        odd = self._sources.unreadable
        missing = [self.clean(str(each)) for each in errors]
        missing += [f"{odd} entries of batches of spans, which are none"] if odd else []
        missing += self._untold.now(_NODES)
        if not missing and not self._traces.revision and not found:
            missing = [f"spans: none has been received so far, {LATER}"]
        return missing


def row_of(events: Sequence[Entry], trace: str) -> TraceRow:
    """A trace of which only events are known."""
    rows: list[EventRow] = [each.row for each in events]
    apps = dict.fromkeys(app for row in rows for app in (row.published_by, *row.apps) if app)
    return TraceRow(trace, "", min(row.at for row in rows), 0.0, 0, list(apps), 0)
