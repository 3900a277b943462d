"""The traces that are kept, and which of them have changed since a reader looked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from harness.core.errors import ConfigError
from harness.inspection.paging import cut
from harness.inspection.traces.model import TracePage, TraceRow
from harness.inspection.traces.tree import NAME, first_of, short, status_of
from harness.probe.spans import Span

TRACES = 10_000
"""The number of traces that are kept, at most."""

SPANS = 2_000
"""The number of spans of one trace that are kept, at most."""

ALL = 100_000
"""The number of spans of all traces that are kept, at most."""

LARGEST = 64 * 1024 * 1024
"""The number of characters of all spans that are kept, at most."""

LARGEST_OF_ONE = 8 * 1024 * 1024
"""The number of characters of the spans of one trace that are kept, at most."""

SERVICES = 20
"""The number of services that a row names."""

OVERHEAD = 200
"""What a span takes besides its texts, in characters."""


@dataclass
class Trace:
    """The spans of one trace.

    Attributes:
        spans: by what distinguishes them. What is reported again replaces what was reported.
        lost: the number of spans that are not kept.
        size: characters.
        row: None if it is to be made anew.
        words: the texts in which a text is looked for.
    """

    spans: dict[tuple[str, str, str], Span] = field(default_factory=dict)
    lost: int = 0
    size: int = 0
    row: TraceRow | None = None
    words: str = ""

    def add(self, span: Span) -> None:
        """Keep a span, or count it if there are too many."""
        key = (span.id, span.kind, span.service)
        full = len(self.spans) >= SPANS or self.size > LARGEST_OF_ONE
        if key not in self.spans and full:
            self.lost += 1
        else:
            if (before := self.spans.get(key)) is not None:
                self.size -= size_of(before)
            self.spans[key] = span
            self.size += size_of(span)
        self.row = None


class TraceTable:
    """The newest traces by id. One thread may use it at a time.

    Args:
        clean: masks secrets.

    Attributes:
        revision: grows whenever a trace is added or changes.
        forgotten: the number of traces that are not kept any more.
    """

    def __init__(self, clean: Callable[[str], str]) -> None:
        self._clean = clean
        self._traces: dict[str, Trace] = {}
        self._size = 0
        self._count = 0
        self.revision = 0
        self.forgotten = 0

    def add(self, span: Span) -> None:
        """Keep a span, and forget the traces that have not changed for the longest time."""
        trace = self._traces.pop(span.trace, None) or Trace()
        self._traces[span.trace] = trace
        before = trace.size, len(trace.spans)
        trace.add(span)
        self._size += trace.size - before[0]
        self._count += len(trace.spans) - before[1]
        while self._is_full() and len(self._traces) > 1:
            self._forget(next(iter(self._traces)))

    def page(
        self, *, text: str = "", errors: bool = False, after: int = 0, limit: int = 200,
        missing: Sequence[str] = (),
    ) -> TracePage:  # fmt: skip
        """The last traces that fit; after a cursor, the first ones in the order of their changes.

        Args:
            text: only those of which the id, or the name or service of a span has this text.
            errors: only those with a span that failed.
            after: the cursor.
            limit: the number of traces.
            missing: what could not be read.
        """
        self._bring_up_to_date()
        wanted = text.casefold()
        found = [
            each.row
            for each in self._traces.values()
            if each.row is not None
            and each.row.revision > after
            and (each.row.errors or not errors)
            and (not wanted or wanted in each.words)
        ]
        found.sort(key=lambda row: row.at)
        shown, upto, more = cut(found, self.revision, after, limit)
        truncated = not after and (more or self.forgotten > 0)
        return TracePage(shown, upto, len(found), truncated, missing)

    def find(self, trace: str) -> tuple[TraceRow, Trace] | None:
        """A trace with this id, in lower or upper case; None if there is none."""
        self._bring_up_to_date()
        found = self._traces.get(trace) or self._traces.get(trace.lower())
        return (found.row, found) if found is not None and found.row is not None else None

    def require(self, trace: str) -> tuple[TraceRow, Trace]:
        """The same.

        Raises:
            ConfigError: there is none.
        """
        found = self.find(trace)
        if found is None:
            raise ConfigError(
                f"no trace has the id {short(self._clean(trace), NAME)!r}",
                expected="32 hexadecimal digits, the second part of a traceparent",
                last=f"{len(self._traces)} traces are known",
                hint="list them: dapr-harness traces",
            )
        return found

    def _is_full(self) -> bool:
        return len(self._traces) > TRACES or self._count > ALL or self._size > LARGEST

    def _forget(self, trace: str) -> None:
        gone = self._traces.pop(trace)
        self._size -= gone.size
        self._count -= len(gone.spans)
        self.forgotten += 1

    def _bring_up_to_date(self) -> None:
        for name, each in self._traces.items():
            if each.row is None:
                self.revision += 1
                spans = list(each.spans.values())
                each.row = self._row(name, spans, each.lost)
                said = {text for span in spans for text in (span.name, span.service)}
                each.words = self._clean("\n".join([name, *said])).casefold()

    def _row(self, name: str, spans: Sequence[Span], lost: int) -> TraceRow:
        begin = min(each.began for each in spans)
        ordered = sorted(spans, key=lambda each: each.began)
        services = dict.fromkeys(each.service for each in ordered if each.service)
        return TraceRow(
            id=short(self._clean(name), NAME),
            name=short(self._clean(first_of(spans).name), NAME),
            at=begin,
            took=max(each.began + each.took for each in spans) - begin,
            spans=len(spans) + lost,
            services=[short(self._clean(each), NAME) for each in services][:SERVICES],
            errors=sum(status_of(each) == "error" for each in spans),
            revision=self.revision,
        )


def size_of(span: Span) -> int:
    """About how many characters a span takes."""
    tags = sum(len(name) + len(value) for name, value in span.tags.items())
    return OVERHEAD + len(span.name) + len(span.service) + len(span.trace) + tags
