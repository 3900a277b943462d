"""Traces as they are shown. All of it can be written as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.core.as_json import AsJson
from harness.inspection.model import EventRow, LogLine

Status = Literal["unset", "ok", "error"]
"""OpenTelemetry's status of a span."""


@dataclass(frozen=True)
class TraceRow(AsJson):
    """A trace in a list.

    Attributes:
        id: 32 hexadecimal digits, the second part of a ``traceparent``.
        name: of its first span without a known parent.
        at: when its first span began, in seconds since the epoch.
        took: seconds until its last span ended.
        spans: the number of its spans that were received so far.
        services: those that have reported them, an app-id each.
        errors: the number of its spans that failed.
        revision: when it changed last; compare with `TracePage.next`.
    """

    id: str
    name: str
    at: float
    took: float
    spans: int
    services: Sequence[str]
    errors: int
    revision: int = 0


@dataclass(frozen=True)
class TracePage(AsJson):
    """Traces, the newest last.

    Attributes:
        next: the cursor: traces that were added or have changed since then come next.
        total: the number of traces that fit.
        truncated: whether older ones that fit are left out, or were forgotten.
        missing: what could not be read, or is not recorded, why, and what to do.
    """

    rows: Sequence[TraceRow]
    next: int
    total: int
    truncated: bool = False
    missing: Sequence[str] = ()


@dataclass(frozen=True)
class SpanRow(AsJson):
    """A span in the tree of its trace.

    Attributes:
        parent: the id of the span that it is part of; "" if it has none.
        depth: the number of its ancestors that were received.
        service: the app-id whose sidecar has reported it, or what else calls itself so.
        node: the sidecar, if only one has this app-id; "" otherwise.
        kind: ``SERVER``, ``CLIENT``, ``PRODUCER``, ``CONSUMER`` or "".
        start: seconds since the begin of the trace.
        took: seconds.
        error: what went wrong, as reported.
    """

    id: str
    parent: str
    depth: int
    name: str
    service: str
    node: str
    kind: str
    start: float
    took: float
    status: Status
    error: str
    attributes: Mapping[str, str]


@dataclass(frozen=True)
class TraceDetail(AsJson):
    """Everything that is known of one trace.

    Attributes:
        row: the same as in the list.
        spans: each below its parent, in the order of time.
        truncated: whether it has more spans than are kept.
        events: those whose ``traceparent`` has its id.
        logs: lines that mention the id of the trace or of one of its events.
        missing: as of a page.
    """

    row: TraceRow
    spans: Sequence[SpanRow]
    truncated: bool
    events: Sequence[EventRow]
    logs: Sequence[LogLine]
    missing: Sequence[str] = ()
