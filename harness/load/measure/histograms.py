"""Latencies in HDR histograms of microseconds: no averages, no millisecond buckets.

Values are kept with three significant digits from 1 us to 60 s (http://hdrhistogram.org).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hdrh.histogram import HdrHistogram

from harness.load.model.profile import PERCENTILES

LOWEST, HIGHEST, DIGITS = 1, 60_000_000, 3


def empty() -> HdrHistogram:
    """An empty histogram that is compatible with all others."""
    return HdrHistogram(LOWEST, HIGHEST, DIGITS)


def record(histogram: HdrHistogram, seconds: float) -> None:
    """Add one value; values over a minute count as a minute."""
    histogram.record_value(min(max(int(seconds * 1e6), LOWEST), HIGHEST))


def histogram_of(values: Iterable[float]) -> HdrHistogram:
    """A histogram of values in seconds."""
    found = empty()
    for value in values:
        record(found, value)
    return found


def encode(histogram: HdrHistogram) -> str:
    """As text, in the format of HdrHistogram logs."""
    text = histogram.encode()
    return text.decode() if isinstance(text, bytes) else str(text)


def decode(text: str) -> HdrHistogram:
    """A histogram from its text.

    Raises:
        ValueError: it is not one.
    """
    total = empty()
    total.decode_and_add(text.encode())
    return total


def summary(histogram: HdrHistogram) -> dict[str, float]:
    """Count, mean, percentiles and maximum, in milliseconds."""
    if not histogram.get_total_count():
        return {"count": 0}
    found = {"count": histogram.get_total_count(), "mean": histogram.get_mean_value() / 1000}
    for percentile in PERCENTILES:
        found[f"p{percentile:g}"] = histogram.get_value_at_percentile(percentile) / 1000
    found["max"] = histogram.get_max_value() / 1000
    return found


def curve(histogram: HdrHistogram) -> list[tuple[float, float]]:
    """Points of a percentile plot: percentile and milliseconds."""
    points = []
    for step in _steps():
        points.append((step, histogram.get_value_at_percentile(step) / 1000))
        if (1 - step / 100) * histogram.get_total_count() < 1:
            break
    return points


def _steps() -> Sequence[float]:
    found = [float(each) for each in range(0, 90, 5)]
    for nines in range(1, 6):
        base, width = 100 - 10 ** (2 - nines), 10 ** (2 - nines)
        found += [base + width * part / 10 for part in range(9)]
    return found
