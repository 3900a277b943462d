"""Charts of a run as self-contained SVG; the page defines the colours."""

from __future__ import annotations

import html
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

LEFT, RIGHT, TOP, BOTTOM = 56, 16, 24, 34
WIDTH, HALF, HEIGHT = 720, 400, 240
"""Sizes of a chart and of one of two side by side, in approximate page pixels."""

COLOURS = 8
"""The number of colours on the page, as classes ``c0`` and so on."""

MARKS = 6
"""The approximate maximum number of ticks on an axis."""

# Not a plotting library: the page must open without a network, and be small enough for CI to keep.
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Span:
    """The time axis shared by all charts of a run.

    Attributes:
        end: seconds from the first request.
        warmup: the number of those seconds that do not count; they are shaded.
    """

    end: float
    warmup: float


def percentiles(curves: Mapping[str, Points]) -> str:
    """Milliseconds by percentile; each nine has the same width, as in HDR plots."""
    placed = {
        name: [(_nines(percentile), value) for percentile, value in points]
        for name, points in curves.items()
    }
    ticks = [(_nines(p), f"{p:g} %") for p in (0, 50, 90, 99, 99.9, 99.99)]
    right = max((x for points in placed.values() for x, _ in points), default=1.0)
    return _chart(placed, "ms", [t for t in ticks if t[0] <= right], right, logarithmic=True)


def over_time(
    lines: Mapping[str, Points],
    unit: str,
    span: Span,
    *,
    logarithmic: bool = False,
    dashed: Collection[str] = (),
    width: int = WIDTH,
) -> str:
    """A chart of values by second, on the time axis of the run.

    Args:
        dashed: lines that were not measured.
    """
    step = max(_nice(span.end / MARKS), 1)
    ticks = [(s * step, f"{s * step:g} s") for s in range(int(span.end / step) + 1)]
    shaded = _across(min(span.warmup, span.end), span.end, width) - LEFT
    shade = _element(
        "rect", "warm-up: not counted", klass="warmup", x=LEFT, y=TOP,
        width=shaded, height=HEIGHT - TOP - BOTTOM,
    )  # fmt: skip
    return _chart(
        lines, unit, ticks, span.end, logarithmic=logarithmic, dashed=dashed,
        behind=shade if span.warmup else "", width=width,
    )  # fmt: skip


def _nines(percentile: float) -> float:
    return -math.log10(max(1 - percentile / 100, 1e-6))


def _chart(
    lines: Mapping[str, Points],
    unit: str,
    ticks: Sequence[tuple[float, str]],
    right: float,
    *,
    logarithmic: bool,
    dashed: Collection[str] = (),
    behind: str = "",
    width: int = WIDTH,
) -> str:
    drawn = {name: points for name, points in lines.items() if points}
    if not drawn:
        return "<p class='quiet'>nothing was measured</p>"
    scale = _Scale([y for points in drawn.values() for _, y in points], logarithmic=logarithmic)
    parts = [f'<svg viewBox="0 0 {width} {HEIGHT}" role="img" class="chart">', behind]
    for value in scale.ticks():
        y = scale.place(value)
        parts.append(_element("line", "", klass="grid", x1=LEFT, x2=width - RIGHT, y1=y, y2=y))
        parts.append(_element("text", f"{value:g}", x=LEFT - 6, y=y + 4, text_anchor="end"))
    parts.append(_element("text", unit, x=4, y=TOP - 12))
    for x, label in ticks:
        place = _across(x, right, width)
        parts.append(_element("text", label, x=place, y=HEIGHT - 12, text_anchor="middle"))
    for number, (name, points) in enumerate(drawn.items()):
        path = " ".join(f"{_across(x, right, width):.1f},{scale.place(y):.1f}" for x, y in points)
        kind = f"line c{number % COLOURS}" + (" dashed" if name in dashed else "")
        parts.append(_element("polyline", name, points=path, klass=kind))
        if len(points) == 1:
            x, y = points[0]
            dot = f"dot c{number % COLOURS}"
            parts.append(
                _element(
                    "circle", name, cx=_across(x, right, width), cy=scale.place(y), r=3, klass=dot
                )
            )
    parts.append("</svg>")
    return "".join([*parts, _legend(list(drawn), dashed)])


TITLED = ("polyline", "circle", "rect")
"""Elements whose text is shown on hover."""


def _element(kind: str, text: str, **attributes: object) -> str:
    words = {name.replace("klass", "class").replace("_", "-"): v for name, v in attributes.items()}
    said = " ".join(
        f'{name}="{value:.1f}"' if isinstance(value, float) else f'{name}="{value}"'
        for name, value in words.items()
    )
    inner = html.escape(text)
    return f"<{kind} {said}>{f'<title>{inner}</title>' if kind in TITLED else inner}</{kind}>"


def _legend(names: Sequence[str], dashed: Collection[str]) -> str:
    keys = [
        f'<span><i class="c{number % COLOURS}{" dashed" if name in dashed else ""}"></i>'
        f"{html.escape(name)}</span>"
        for number, name in enumerate(names)
    ]
    return f'<p class="legend">{"".join(keys)}</p>'


def _across(x: float, right: float, width: int) -> float:
    return LEFT + (width - LEFT - RIGHT) * min(x / (right or 1.0), 1.0)


def _nice(least: float) -> float:
    """The next value of 1, 2, 5, 10, 20 ... and their tenths."""
    if least <= 0:
        return 1.0
    base = 10.0 ** math.floor(math.log10(least))
    return next(base * part for part in (1, 2, 5, 10) if base * part >= least * 0.999)


class _Scale:
    """The vertical axis: starts at zero, or at the lowest value if it is logarithmic."""

    def __init__(self, values: Sequence[float], *, logarithmic: bool) -> None:
        self._log = logarithmic
        self._high = max([*values, 0.001])
        self._low = max(min(values), 0.01) if logarithmic else 0.0
        if logarithmic and self._high < 2 * self._low:
            # A single value does not make an axis.
            self._low, self._high = self._low / 2, self._high * 2

    def place(self, value: float) -> float:
        """The y coordinate of a value."""
        inner = HEIGHT - TOP - BOTTOM
        if self._log:
            span = math.log10(self._high / self._low)
            share = math.log10(max(value, self._low) / self._low) / span
        else:
            share = value / self._high
        return TOP + inner * (1 - share)

    def ticks(self) -> list[float]:
        """Round values along the axis."""
        if not self._log:
            step = _nice(self._high / MARKS)
            return [round(step * number, 6) for number in range(int(self._high / step) + 1)]
        first, last = math.floor(math.log10(self._low)), math.ceil(math.log10(self._high))
        for parts in ((1, 2, 5), (1, 3), (1,)):
            found = [10.0**n * part for n in range(first, last + 1) for part in parts]
            shown = [value for value in found if self._low <= value <= self._high]
            if len(shown) <= MARKS + 2:
                break
        return [float(f"{value:.6g}") for value in shown]
