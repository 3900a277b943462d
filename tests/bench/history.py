"""The figures of every run, as lines of JSON: one run a line, the newest last."""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.provision.postgres import postgres_binary
from harness.provision.versions import KAFKA
from tests.bench.limits import Limits, noisy
from tests.bench.numbers import Bound, Figures, Measure

FILE = "bench-history.jsonl"
ROOT = Path(__file__).parent.parent.parent

Row = dict[str, Any]
"""A run, or a figure of it, as it is in the file."""


@dataclass(frozen=True)
class Point:
    """A figure in one of the runs."""

    at: str
    value: float
    low: float | None
    high: float | None
    noisy: bool
    quick: bool


def row_of(
    measured: Mapping[str, Figures], before: Limits, after: Limits, *, dapr: str, quick: bool
) -> Row:
    """A run that has just ended.

    Args:
        measured: figures by the title of their bench.
        before: the limits of the machine before the first bench.
        after: the same after the last one.
        dapr: the version of Dapr.
        quick: whether there were fewer pairs than usual.
    """
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": {"cores": os.cpu_count(), "system": platform.platform()},
        "versions": _versions(dapr),
        "quick": quick,
        "limits": {"before": dict(before), "after": dict(after)},
        "noisy": noisy(before, after),
        "figures": {title: plain(figures) for title, figures in measured.items()},
    }


def plain(figures: Figures) -> Row:
    """Figures for a file."""
    return {name: _plain(each) for name, each in figures.items()}


def append(file: Path, row: Row) -> None:
    """Add a run to the file; a run that is killed meanwhile damages at most its own line."""
    whole = not file.is_file() or file.read_bytes()[-1:] in (b"", b"\n")
    with file.open("a", encoding="utf-8") as opened:
        opened.write(("" if whole else "\n") + json.dumps(row) + "\n")


def read(file: Path) -> list[Row]:
    """The runs of a file, oldest first, without lines that were not written completely."""
    if not file.is_file():
        return []
    found = []
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and "figures" in row:
            found.append(row)
    return found


def of_one_machine(rows: Sequence[Row]) -> list[Row]:
    """Those of the machine of the newest: times of another one would show as a change."""
    return [row for row in rows if row["machine"] == rows[-1]["machine"]]


def series(rows: Sequence[Row], title: str, name: str) -> list[Point]:
    """One figure through the runs that have it, oldest first."""
    found = []
    for row in rows:
        figure = row["figures"].get(title, {}).get(name)
        if figure is None:
            continue
        each = figure if isinstance(figure, dict) else {"value": figure}
        low, high = each.get("low"), each.get("high")
        flags = bool(row["noisy"]), row["quick"]
        found.append(Point(row["at"], each["value"], low, high, *flags))
    return found


def latest(rows: Sequence[Row]) -> dict[str, Row]:
    """The newest figures of each bench, by its title."""
    found: dict[str, Row] = {}
    for row in reversed(rows):
        for title, figures in row["figures"].items():
            found.setdefault(title, figures)
    return found


def _plain(each: float | Measure) -> Any:
    if not isinstance(each, Measure):
        return each
    bounds = {"gate": each.gate, "moonshot": each.moonshot}
    return {
        **asdict(each),
        "values": [*each.values],
        **{name: _bound(bound) for name, bound in bounds.items()},
        "broken": each.broken,
    }


def _bound(bound: Bound | None) -> Row | None:
    """JSON has no infinity."""
    if bound is None:
        return None
    ends = {"low": bound.low, "high": bound.high}
    return {name: None if math.isinf(end) else end for name, end in ends.items()}


def _commit() -> str:
    """The commit that was measured, with a plus if files were changed; "" without git."""
    words = ["git", "describe", "--always", "--exclude=*", "--abbrev=12", "--dirty=+"]
    try:
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    except OSError:
        return ""
    return done.stdout.strip()


def _versions(dapr: str) -> dict[str, str]:
    server = subprocess.run([str(postgres_binary()), "--version"], capture_output=True, text=True)
    return {
        "Python": platform.python_version(),
        "Dapr": dapr,
        "Kafka": KAFKA,
        "PostgreSQL": server.stdout.split()[-1],
    }
