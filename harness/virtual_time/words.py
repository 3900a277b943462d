"""Durations and moments as people write them."""

from __future__ import annotations

import re

from harness.virtual_time.civil import DAY_SECONDS, SECOND
from harness.virtual_time.gotime import Span, parse_duration, parse_rfc3339, parse_span

PART = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(year|month|week|day|hour|minute|second)s?\b")
LENGTHS = {"week": 7 * DAY_SECONDS, "day": DAY_SECONDS, "hour": 3600, "minute": 60, "second": 1}
KNOWN = "such as '28 days', '1 month', '90m' (Go) or 'P1DT2H' (ISO 8601)"


def moment_after(text: str, now: int) -> int:
    """The moment after a duration; years and months by the calendar of UTC.

    Raises:
        ValueError: it is no duration, or a negative one.
    """
    moment = _after(text.strip(), now)
    if moment < now:
        raise ValueError(f"time cannot go back: {text!r} is negative")
    return moment


def _after(text: str, now: int) -> int:
    if (span := _words(text)) is not None:
        return span.after(now)
    try:
        return now + parse_duration(text)
    except ValueError:
        pass
    try:
        span = parse_span(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a duration, {KNOWN}") from None
    return span.after(now)


def _words(text: str) -> Span | None:
    """A duration like ``1 day 2 hours``; None if it is not written so."""
    counts: dict[str, int] = {"year": 0, "month": 0}
    clock, at = 0, 0
    while found := PART.match(text, at):
        number, unit = found[1], found[2]
        if unit in counts:
            if "." in number:
                raise ValueError(f"{text!r} has a part of a {unit}, whose length is not known")
            counts[unit] += int(number)
        else:
            whole, _, part = number.partition(".")
            units = int(whole) * SECOND + int(part.ljust(9, "0")[:9] or "0")
            clock += units * LENGTHS[unit]
        at = found.end()
    return Span(counts["year"], counts["month"], 0, clock) if at and at == len(text) else None


def moment_named(text: str) -> int:
    """The moment of an RFC 3339 text.

    Raises:
        ValueError: it is none, such as a time without a zone.
    """
    moment = parse_rfc3339(text.strip())
    if moment is None:
        raise ValueError(f"{text!r} is not a moment, such as '2027-01-31T09:00:00+01:00'")
    return moment
