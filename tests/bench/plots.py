"""A figure through the runs of one machine, as a drawing in SVG; the page has the colours."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

from tests.bench.history import Point
from tests.bench.numbers import short

WIDTH, HEIGHT = 320, 120
LEFT, RIGHT, TOP, BOTTOM = 46, 26, 10, 12
MARGIN = 8
"""Between the ends of the axis and the first and the last run."""

Ends = Mapping[str, float | None]
"""Where a bound begins and ends: ``low`` and ``high``, None if it does not."""


def plot(points: Sequence[Point], bounds: Mapping[str, Ends], pairs: Sequence[float]) -> str:
    """The medians of the runs with their intervals.

    Args:
        points: the runs, oldest first.
        bounds: the gate and the moonshot, by these names.
        pairs: the values whose median the newest run has, at the right edge.
    """
    levels = [(kind, end) for kind, bound in bounds.items() for end in bound.values()]
    shown = [(kind, end) for kind, end in levels if end is not None]
    ends = [end for each in points for end in (each.value, each.low, each.high)]
    scale = Scale([end for end in (*(end for _, end in shown), *ends) if end is not None])
    places = [(_across(number, len(points)), each) for number, each in enumerate(points)]
    way = " ".join(f"{x:.1f},{scale.place(each.value):.1f}" for x, each in places)
    return "".join([
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        *(_axis(scale, value) for value in sorted({scale.low, scale.high})),
        *(_level(kind, scale.place(end), f"{kind}: {end:g}") for kind, end in shown),
        f'<polyline class="way" points="{way}"/>',
        *(_run(x, each, scale) for x, each in places),
        *(_pair(scale.place(value)) for value in pairs),
        "</svg>",
    ])  # fmt: skip


class Scale:
    """The vertical axis: zero and all values are on it.

    Attributes:
        low: the value at the bottom.
        high: the value at the top.
    """

    def __init__(self, values: Sequence[float]) -> None:
        self.low = min([*values, 0.0])
        self.high = max([*values, 0.0])

    def place(self, value: float) -> float:
        """The y coordinate of a value; what is outside is at the edge."""
        share = (value - self.low) / (self.high - self.low or 1.0)
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - min(max(share, 0.0), 1.0))


def _across(number: int, count: int) -> float:
    """The x coordinate of a run; the newest is at the right."""
    inner = WIDTH - LEFT - RIGHT - 2 * MARGIN
    return WIDTH - RIGHT - MARGIN - inner * (count - 1 - number) / max(count - 1, 1)


def _axis(scale: Scale, value: float) -> str:
    y = scale.place(value)
    text = f'<text x="{LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{short(value)}</text>'
    return _level("grid", y) + text


def _level(kind: str, y: float, told: str = "") -> str:
    ends = f'x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"'
    return f'<line class="{kind}" {ends}><title>{html.escape(told)}</title></line>'


def _run(x: float, point: Point, scale: Scale) -> str:
    told, interval = f"{point.at}: {short(point.value)}", ""
    if point.low is not None and point.high is not None:
        told += f", {short(point.low)} to {short(point.high)}"
        ends = f'y1="{scale.place(point.low):.1f}" y2="{scale.place(point.high):.1f}"'
        interval = f'<line class="interval" x1="{x:.1f}" x2="{x:.1f}" {ends}/>'
    marks = [word for word, so in (("noisy", point.noisy), ("quick", point.quick)) if so]
    title = html.escape(", ".join([told, *marks]))
    place = f'cx="{x:.1f}" cy="{scale.place(point.value):.1f}" r="3"'
    kind = " ".join(["dot", *marks])
    return f'{interval}<circle class="{kind}" {place}><title>{title}</title></circle>'


def _pair(y: float) -> str:
    return f'<circle class="pair" cx="{WIDTH - RIGHT / 2:.1f}" cy="{y:.1f}" r="1.8"/>'
