"""The figures of all runs as one HTML file, with a plot of each; it needs no network."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from tests.bench.history import Point, Row, latest, of_one_machine, series
from tests.bench.numbers import Bound, short
from tests.bench.plots import plot

FILE = "bench.html"
SHOWN = 30
"""The number of runs in a plot, the newest ones."""

TEMPLATE = Path(__file__).with_name("page.html.j2")


@dataclass(frozen=True)
class Card:
    """A figure as the page shows it.

    Attributes:
        newest: what it is in the newest run that has it.
        bounds: kind, where it should be, and whether it is.
        plot: of all runs.
    """

    name: str
    newest: Point
    anchor: str
    bounds: Sequence[tuple[str, Bound, bool]]
    plot: Markup


def page(rows: Sequence[Row]) -> str:
    """The page of a history with at least one run, oldest first."""
    rows = of_one_machine(rows)
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"short": short, "minute": minute}
    return environment.from_string(TEMPLATE.read_text()).render(
        newest=rows[-1],
        runs=len(rows),
        benches={
            title: [_card(rows, title, name, figure) for name, figure in figures.items()]
            for title, figures in sorted(latest(rows).items(), key=lambda each: place_of(each[0]))
            if figures
        },
    )


def place_of(title: str) -> tuple[float, str]:
    """Where a bench is on the page: by its number, and those without one at the end."""
    number = re.match(r"B(\d+) ", title)
    return (int(number[1]) if number else math.inf), title


def minute(at: str) -> str:
    """The moment of a run, in the history's format, as a person reads it."""
    return f"{at[:10]} {at[11:16]} UTC"


def _card(rows: Sequence[Row], title: str, name: str, figure: Any) -> Card:
    points = series(rows, title, name)[-SHOWN:]
    each = figure if isinstance(figure, dict) else {}
    ends = {kind: each[kind] for kind in ("gate", "moonshot") if each.get(kind)}
    bounds = [(kind, Bound.of(end["low"], end["high"])) for kind, end in ends.items()]
    newest = points[-1]
    return Card(
        name,
        newest,
        each.get("anchor", ""),
        [(kind, bound, bound.met(newest.value)) for kind, bound in bounds],
        Markup(plot(points, ends, each.get("values", ()))),
    )
