"""Pictures of a run, as SVG that needs nothing else."""

from __future__ import annotations

import html
import itertools
import math
from collections.abc import Mapping, Sequence

WIDTH, HEIGHT = 720, 260
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 24, 34
COLOURS = ("#2563eb", "#dc2626", "#16a34a", "#d97706", "#7c3aed", "#0891b2", "#be185d", "#4d7c0f")
Points = Sequence[tuple[float, float]]


def percentiles(curves: Mapping[str, Points]) -> str:
    """Milliseconds by percentile; each nine is as wide as the one before, as HDR plots have it."""
    placed = {
        name: [(_nines(percentile), value) for percentile, value in points]
        for name, points in curves.items()
    }
    ticks = [(_nines(p), f"{p:g} %") for p in (0, 50, 90, 99, 99.9, 99.99)]
    return _chart(placed, ticks, "ms", logarithmic=True)


def over_time(lines: Mapping[str, Points], unit: str) -> str:
    """Something by second."""
    last = max((points[-1][0] for points in lines.values() if points), default=1.0)
    step = max(round(last / 8), 1)
    ticks = [(float(second), f"{second} s") for second in range(0, int(last) + 1, step)]
    return _chart(lines, ticks, unit, logarithmic=False)


def _nines(percentile: float) -> float:
    return -math.log10(max(1 - percentile / 100, 1e-6))


def _chart(
    lines: Mapping[str, Points],
    ticks: Sequence[tuple[float, str]],
    unit: str,
    *,
    logarithmic: bool,
) -> str:
    drawn = {name: points for name, points in lines.items() if points}
    if not drawn:
        return "<p>nothing was measured</p>"
    values = [value for points in drawn.values() for _, value in points]
    right = max(x for points in drawn.values() for x, _ in points) or 1.0
    scale = _Scale(values, logarithmic=logarithmic)
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" class="chart">']
    for value in scale.ticks():
        y = scale.place(value)
        parts.append(_element("line", "", klass="grid", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y))
        parts.append(_element("text", f"{value:g}", x=LEFT - 6, y=y + 4, text_anchor="end"))
    parts.append(_element("text", unit, x=4, y=TOP - 12))
    for x, label in ticks:
        if x <= right * 1.001:
            place = _across(x, right)
            parts.append(_element("text", label, x=place, y=HEIGHT - 12, text_anchor="middle"))
    for (name, points), colour in zip(drawn.items(), itertools.cycle(COLOURS), strict=False):
        path = " ".join(f"{_across(x, right):.1f},{scale.place(value):.1f}" for x, value in points)
        parts.append(_element("polyline", name, points=path, stroke=colour, klass="line"))
    parts.append("</svg>")
    return "".join([*parts, _legend(list(drawn))])


def _element(kind: str, text: str, **attributes: object) -> str:
    """An SVG element; the text of a line is what is shown when one points at it."""
    words = {name.replace("klass", "class").replace("_", "-"): v for name, v in attributes.items()}
    said = " ".join(
        f'{name}="{value:.1f}"' if isinstance(value, float) else f'{name}="{value}"'
        for name, value in words.items()
    )
    inner = html.escape(text)
    return f"<{kind} {said}>{f'<title>{inner}</title>' if kind == 'polyline' else inner}</{kind}>"


def _legend(names: Sequence[str]) -> str:
    keys = [
        f'<span><i style="background:{colour}"></i>{html.escape(name)}</span>'
        for name, colour in zip(names, itertools.cycle(COLOURS), strict=False)
    ]
    return f'<p class="legend">{"".join(keys)}</p>'


def _across(x: float, right: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * (x / right)


class _Scale:
    """The vertical axis."""

    def __init__(self, values: Sequence[float], *, logarithmic: bool) -> None:
        self._log = logarithmic
        self._high = max([*values, 0.001])
        self._low = max(min(values), 0.01) if logarithmic else 0.0

    def place(self, value: float) -> float:
        """The y of a value."""
        inner = HEIGHT - TOP - BOTTOM
        if self._log:
            span = math.log10(self._high / self._low) or 1.0
            share = math.log10(max(value, self._low) / self._low) / span
        else:
            share = value / self._high
        return TOP + inner * (1 - share)

    def ticks(self) -> list[float]:
        """Round values along the axis."""
        if self._log:
            first, last = math.floor(math.log10(self._low)), math.ceil(math.log10(self._high))
            found = [10.0**n * part for n in range(first, last + 1) for part in (1, 2, 5)]
            return [value for value in found if self._low <= value <= self._high]
        step = 10 ** math.floor(math.log10(self._high))
        step = step if self._high / step >= 3 else step / 4
        return [step * number for number in range(int(self._high / step) + 1)]
