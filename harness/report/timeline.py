"""Draws what happened during a test as a table of text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from harness.core.observation import Occurrence
from harness.report.folding import folded

LINES = 100
"""The number of rows that are drawn: the last ones."""

WIDTH = 100
"""The number of characters of the column that says what happened."""

HEAD = ("time (UTC)", "source", "node", "what", "ids")


def draw_timeline(
    occurrences: Sequence[Occurrence],
    limit: int = LINES,
    *,
    clean: Callable[[str], str] = lambda text: text,
) -> str:
    """A row for each occurrence: time, source, node, what, and what connects it with others.

    Rows that differ only in their time are shown once and counted.

    Args:
        occurrences: in the order of time.
        limit: the number of rows; if there are more, the last ones are drawn.
        clean: masks secrets in a text; called before the text is shortened.
    """
    rows = [_row(each, clean) for each in occurrences]
    widths = [max(len(row[n]) for row in [HEAD, *rows]) for n in range(len(HEAD))]
    head, *lines = (_line(row, widths) for row in [HEAD, *rows])
    short = folded("\n".join(lines)).splitlines()
    left_out = len(short) - limit
    more = [f"[{left_out} earlier rows are left out]"] if left_out > 0 else []
    return "\n".join([head, *more, *short[-limit:]])


def _row(occurrence: Occurrence, clean: Callable[[str], str]) -> tuple[str, ...]:
    at = datetime.fromtimestamp(occurrence.time / 1e9, UTC)
    ids = " ".join(f"{name}={value}" for name, value in occurrence.correlation.items())
    what = " ".join(clean(occurrence.what).split())
    short = what if len(what) <= WIDTH else f"{what[: WIDTH - 3]}..."
    time = at.strftime("%H:%M:%S.%f")[:-3]
    return time, occurrence.source, occurrence.node, short, clean(ids)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
