"""When a schedule fires next, and which texts are one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.virtual_time.civil import SECOND, ZERO, civil, date_of, days_from_civil, fields
from harness.virtual_time.gotime import (
    Span,
    parse_duration,
    parse_moment,
    parse_rfc3339,
    parse_span,
    rfc3339,
)
from harness.virtual_time.schedules import Cron, Every, parse_schedule

TABLE = Path(__file__).with_name("next_times.tsv")
ROWS = [line.split("\t") for line in TABLE.read_text().splitlines()]
"""What dapr/kit prints for a moment and a schedule, by tools/next_times.go."""


def at(text: str) -> int:
    """A moment that must be one."""
    moment = parse_rfc3339(text)
    assert moment is not None
    return moment


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[1]} after {row[0]}")
def test_the_next_times_are_those_that_dapr_computes(row: list[str]) -> None:
    """With zones, summer time, leap days, and dates that never come."""
    moment, schedule, found = at(row[0]), parse_schedule(row[1]), []
    for _ in row[2:]:
        moment = schedule.next(moment)
        found.append(rfc3339(moment))

    assert row[2:] == found


ONES = ("*", "1", "*/4", "3-6/2", "5,6", "?")
PARTS, FROM_ONE = st.sampled_from(("0", *ONES)), st.sampled_from(ONES)


@given(
    parts=st.tuples(PARTS, PARTS, PARTS, FROM_ONE, FROM_ONE, PARTS).map(" ".join),
    moment=st.integers(civil((1900, 1, 1)), civil((2100, 1, 1))),
)
def test_the_next_time_is_the_first_second_that_matches(parts: str, moment: int) -> None:
    """Later than the moment, on a whole second, and no second before it matches."""
    schedule = parse_schedule(parts)
    assert isinstance(schedule, Cron)
    found = schedule.next(moment)

    if found == ZERO:
        return
    assert moment < found
    assert found % SECOND == 0
    assert _matches(schedule, found)
    # What comes again from just before it is the same one.
    assert found == schedule.next(found - 1)
    earlier = range(moment // SECOND + 1, min(moment // SECOND + 200, found // SECOND))
    assert not any(_matches(schedule, second * SECOND) for second in earlier)


def _matches(schedule: Cron, moment: int) -> bool:
    year, month, day, hour, minute, second = fields(moment)
    weekday = (days_from_civil(year, month, day) + 4) % 7
    values = (second, minute, hour, day, month, weekday)
    fits = [value in each.numbers for value, each in zip(values, schedule.matched, strict=True)]
    stars = schedule.matched[3].star or schedule.matched[5].star
    days = fits[3] and fits[5] if stars else fits[3] or fits[5]
    return all((*fits[:3], days, fits[4]))


@given(days=st.integers(-1_000_000, 3_000_000))
def test_a_date_and_its_number_of_days_belong_together(days: int) -> None:
    """In both directions."""
    assert days == days_from_civil(*date_of(days))


@given(moment=st.integers(civil((1, 1, 1)), civil((9999, 12, 31))))
def test_a_moment_is_read_as_it_is_written(moment: int) -> None:
    """To the nanosecond."""
    assert moment == parse_rfc3339(rfc3339(moment))


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0), ("1h", 3600 * SECOND), ("1h30m", 5400 * SECOND), ("-1.5h", -5400 * SECOND),
        (".5s", SECOND // 2), ("1us", 1000), ("1µs", 1000), ("+3ns", 3), ("1h1h", 7200 * SECOND),
        ("9223372036854775807ns", (1 << 63) - 1),
    ],
)  # fmt: skip
def test_a_duration_is_read_as_go_reads_it(text: str, nanoseconds: int) -> None:
    """In all its units."""
    assert nanoseconds == parse_duration(text)


@pytest.mark.parametrize(
    "text",
    ["", "-", "1", "h", ".h", "1d", "1 h", "9223372036854775808ns", "2562047h48m", "1e3s"],
)
def test_what_is_no_duration_for_go_is_refused(text: str) -> None:
    """With a ValueError."""
    with pytest.raises(ValueError, match="time: "):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("P1Y2M3DT4H5M6S", Span(1, 2, 3, 14706 * SECOND)),
        ("P2W", Span(days=14)),
        ("R5/PT30M", Span(nanoseconds=1800 * SECOND, repeats=5)),
        ("R5", Span(repeats=5)),
        ("P5", Span()),
    ],
)
def test_an_iso_duration_is_read_as_dapr_reads_it(text: str, span: Span) -> None:
    """A number without a letter counts nothing."""
    assert span == parse_span(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("P1M", "2026-03-03T12:00:00Z"),
        ("P1Y1M", "2027-03-03T12:00:00Z"),
        ("P-1D", "2026-01-30T12:00:00Z"),
        ("2030-01-01T01:00:00+01:00", "2030-01-01T00:00:00Z"),
        ("90m", "2026-01-31T13:30:00Z"),
    ],
)
def test_a_moment_follows_the_calendar(text: str, expected: str) -> None:
    """A month after January 31 is March 3, as Go normalizes it."""
    assert expected == rfc3339(parse_moment(text, at("2026-01-31T12:00:00Z")))


def test_a_pause_may_be_nothing() -> None:
    """Dapr accepts it, also a negative one."""
    assert (Every(0), Every(-SECOND)) == (parse_schedule("@every 0"), parse_schedule("@every -1s"))


def test_a_zone_without_a_schedule_is_refused() -> None:
    """It makes Dapr's scheduler panic."""
    with pytest.raises(ValueError, match="a zone without a schedule"):
        parse_schedule("TZ=UTC")
