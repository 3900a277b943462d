"""The spans of one trace as a tree."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from harness.inspection.traces.model import SpanRow, Status
from harness.probe.spans import Span

ATTRIBUTES = 100
"""The number of attributes of a span that are shown."""

TEXT = 4_000
"""The number of characters of an attribute, or of an error, that are shown."""

NAME = 300
"""The number of characters of a name that are shown."""

FAILED = "error"
"""The tag that a failed span has in Zipkin's format; its value is the reason."""

STATUS = "otel.status_code"
"""The tag in which OpenTelemetry has the status of a span, in Zipkin's format."""


def tree_of(
    spans: Sequence[Span], clean: Callable[[str], str], nodes: Mapping[str, str]
) -> list[SpanRow]:
    """Each span below its parent, and those with the same parent in the order of time.

    A span whose parent was not received is a root, and so is the first of spans that are each
    other's ancestors.

    Args:
        spans: of one trace, each id at most once for a service and kind.
        clean: masks secrets.
        nodes: the sidecar of each app-id that has only one.
    """
    begin = min((each.began for each in spans), default=0.0)
    return [_row(span, depth, begin, clean, nodes) for span, depth in _in_order(spans)]


def first_of(spans: Sequence[Span]) -> Span:
    """The earliest span without a known parent."""
    ids = {each.id for each in spans}
    roots = [each for each in spans if each.parent not in ids]
    return min(roots or spans, key=lambda each: each.began)


def status_of(span: Span) -> Status:
    """Its status, whatever has reported it."""
    told = span.tags.get(STATUS, "").upper()
    if FAILED in span.tags or told == "ERROR":
        return "error"
    return "ok" if told == "OK" else "unset"


def short(text: str, most: int) -> str:
    """A text, cut if it is longer."""
    return text if len(text) <= most else f"{text[:most]}..."


def _in_order(spans: Sequence[Span]) -> Iterator[tuple[Span, int]]:
    ordered = sorted(spans, key=lambda each: each.began)
    ids = {each.id for each in ordered}
    below: dict[str, list[Span]] = {}
    for each in ordered:
        below.setdefault(each.parent, []).append(each)
    seen = set[int]()
    roots = [each for each in ordered if each.parent not in ids]
    # After the roots come spans of a circle, of which those before have not been an ancestor.
    for root in (*roots, *ordered):
        waiting = [(root, 0)]
        while waiting:
            span, depth = waiting.pop()
            if id(span) in seen:
                continue
            seen.add(id(span))
            yield span, depth
            waiting += [(each, depth + 1) for each in reversed(below.get(span.id, ()))]


def _row(
    span: Span, depth: int, begin: float, clean: Callable[[str], str], nodes: Mapping[str, str]
) -> SpanRow:
    tags = list(span.tags.items())[:ATTRIBUTES]
    return SpanRow(
        id=short(clean(span.id), NAME),
        parent=short(clean(span.parent), NAME),
        depth=depth,
        name=short(clean(span.name), NAME),
        service=short(clean(span.service), NAME),
        node=nodes.get(span.service, ""),
        kind=short(clean(span.kind), NAME),
        start=span.began - begin,
        took=span.took,
        status=status_of(span),
        error=short(clean(span.tags.get(FAILED, "")), TEXT),
        attributes={short(clean(k), NAME): short(clean(v), TEXT) for k, v in tags},
    )
