"""``traces`` and ``trace``: the spans that the sidecars of a stack have sent."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.console import err, out, print_json, print_row
from harness.cli.inspecting import INTERVAL, clock, inspected, warn
from harness.cli.stacks import Follow, Json, Lines, NameOrFile
from harness.core.deadline import Deadline, ticks

if TYPE_CHECKING:
    from harness.inspection.traces.model import SpanRow, TraceDetail, TraceRow

WIDTH = 40
"""Characters of the bar of a trace."""


def traces(
    name: NameOrFile = "default",
    text: Annotated[
        str | None,
        typer.Option(help="Only traces with this text in the id, or a span's name or service."),
    ] = None,
    errors: Annotated[
        bool, typer.Option("--errors", help="Only traces with a span that failed.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="The number of traces, the newest.")] = 200,
    follow: Follow = False,
    as_json: Lines = False,
) -> None:
    """Show the traces since the stack was started, as far as its sidecars send spans to a receiver.

    Each with its begin, duration, number of spans, services and first span.
    """
    wanted: dict[str, Any] = {"text": text, "errors": errors}
    with inspected(name) as seen:
        page = seen.traces(**wanted, limit=limit)
        warn(page.missing)
        if page.truncated and not as_json:
            err.print(f"the last {len(page.rows)} of {page.total} traces", markup=False)
        _show(page.rows, as_json=as_json)
        for _ in ticks(Deadline(math.inf), INTERVAL) if follow else ():
            if not seen.alive:
                err.print(f"stack {name!r} has ended")
                return
            page = seen.traces(**wanted, after=page.next, limit=limit)
            _show(page.rows, as_json=as_json)


def trace(
    trace: Annotated[str, typer.Argument(metavar="TRACE", help="Its id, as `traces` shows it.")],
    name: NameOrFile = "default",
    as_json: Json = False,
) -> None:
    """Show one trace: its spans as a tree, its events, and the log lines that mention them."""
    with inspected(name) as seen:
        found = seen.trace(trace)
    warn(found.missing)
    if as_json:
        print_json(found.as_json())
        return
    for line in told(found):
        out.print(line, markup=False, soft_wrap=True)


def told(found: TraceDetail) -> Iterator[str]:
    """A trace as lines of text."""
    row = found.row
    yield f"trace {row.id}: {_spans(row)}, {_seconds(row.took)}, began at {clock(row.at)}"
    names = [f"{'  ' * each.depth}{_name(each)}" for each in found.spans]
    widest = max(map(len, names), default=0)
    for each, label in zip(found.spans, names, strict=True):
        bar = bar_of(each.start, each.took, row.took)
        yield f"  {label:<{widest}}  |{bar}| {_seconds(each.start):>9} {_seconds(each.took):>9}"
        if each.status == "error":
            yield f"  {'  ' * each.depth}  failed: {' '.join(each.error.split())}"
    if found.truncated:
        yield f"  ... {row.spans - len(found.spans)} more spans"
    if found.events:
        yield "events:"
    for event in found.events:
        words = (clock(event.at), event.outcome, event.topic, event.type, event.id or event.key)
        yield f"  {'  '.join(filter(None, words))}"
    if found.logs:
        yield "in the logs:"
    yield from (f"  {clock(each.at)}  {each.node}: {each.text}" for each in found.logs)


def bar_of(start: float, took: float, whole: float, width: int = WIDTH) -> str:
    """Where a span is in its trace: at least one character wide, and never outside of it."""
    scale = width / whole if whole > 0 else 0.0
    first = max(0, min(width - 1, int(start * scale)))
    length = max(1, min(width - first, round(took * scale)))
    return f"{' ' * first}{'=' * length}".ljust(width)


def _show(rows: Iterable[TraceRow], *, as_json: bool) -> None:
    for row in rows:
        if as_json:
            print_row(row.as_json())
            continue
        words = (
            clock(row.at), row.id, f"{_seconds(row.took):>9}", _spans(row), row.name,
            ", ".join(row.services),
        )  # fmt: skip
        out.print("  ".join(filter(None, words)), markup=False, soft_wrap=True)


def _spans(row: TraceRow) -> str:
    count = f"{row.spans} span{'' if row.spans == 1 else 's'}"
    return f"{count}, {row.errors} failed" if row.errors else count


def _name(span: SpanRow) -> str:
    return " ".join(f"{span.service}: {span.kind} {span.name}".split())


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"
