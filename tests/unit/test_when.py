"""Times and recurrences in plain English: read exactly, or refused with the reason."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.backend_service.assistant.when import Unclear, day_of, read

BERLIN = ZoneInfo("Europe/Berlin")
SUNDAY = datetime(2026, 11, 29, 10, 10, tzinfo=BERLIN)
WEEKDAYS = ["mo", "tu", "we", "th", "fr"]


def at(text: str, now: datetime = SUNDAY) -> str:
    """When a text says, in local time."""
    found = read(text, now, BERLIN).at
    assert found is not None
    return f"{found.astimezone(BERLIN):%Y-%m-%d %H:%M}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tomorrow at nine", "2026-11-30 09:00"),
        ("at nine tomorrow", "2026-11-30 09:00"),
        ("tomorrow", "2026-11-30 09:00"),
        ("the day after tomorrow at 5pm", "2026-12-01 17:00"),
        ("next friday 17:00", "2026-12-04 17:00"),
        ("on Fri at 3", "2026-12-04 15:00"),
        ("sunday", "2026-12-06 09:00"),
        ("sunday at 18:00", "2026-11-29 18:00"),
        ("in 20 minutes", "2026-11-29 10:30"),
        ("in half an hour", "2026-11-29 10:40"),
        ("an hour from now", "2026-11-29 11:10"),
        ("in two weeks", "2026-12-13 10:10"),
        ("in 3 days at noon", "2026-12-02 12:00"),
        ("next month", "2026-12-29 10:10"),
        ("at 5", "2026-11-29 17:00"),
        ("at 05:00", "2026-11-30 05:00"),
        ("tomorrow at 5", "2026-11-30 17:00"),
        ("tomorrow at 5 in the morning", "2026-11-30 05:00"),
        ("tomorrow at 12am", "2026-11-30 00:00"),
        ("tomorrow at 12pm", "2026-11-30 12:00"),
        ("half past seven tomorrow", "2026-11-30 07:30"),
        ("tomorrow at a quarter to eight", "2026-11-30 07:45"),
        ("tomorrow at ten past nine", "2026-11-30 09:10"),
        ("tomorrow evening", "2026-11-30 18:00"),
        ("tonight", "2026-11-29 20:00"),
        ("today", "2026-11-29 18:00"),
        ("midnight", "2026-11-30 00:00"),
        ("31 January at 14:30", "2027-01-31 14:30"),
        ("January 31st, 2028", "2028-01-31 09:00"),
        ("29 February", "2028-02-29 09:00"),
        ("2027-02-03 10:00", "2027-02-03 10:00"),
        ("2027-02-03T10:00Z", "2027-02-03 11:00"),
        ("3.2.2027", "2027-02-03 09:00"),
        ("on the 15th", "2026-12-15 09:00"),
        ("monday, 30 November at 9", "2026-11-30 09:00"),
        ("by friday", "2026-12-04 09:00"),
    ],
)
def test_a_time_is_read_in_the_users_zone(text: str, expected: str) -> None:
    """On a Sunday at ten past ten, in Berlin."""
    assert expected == at(text)


def test_a_time_that_clocks_skip_moves_on_and_an_hour_is_an_hour() -> None:
    """On the night of 28 March 2027, two o'clock is followed by three o'clock."""
    before = datetime(2027, 3, 28, 0, 30, tzinfo=BERLIN)

    assert "2027-03-28 03:30" == at("at 02:30 on 28 March 2027", before)
    assert "2027-03-28 04:30" == at("in 3 hours", before)
    assert "2027-03-29 00:30" == at("in 1 day", before)


def test_a_time_is_to_come_by_the_instant_when_clocks_are_set_back() -> None:
    """In the hour that comes twice, later on the wall may be earlier."""
    first = datetime(2027, 10, 31, 2, 45, tzinfo=BERLIN)
    again = datetime(2027, 10, 31, 2, 15, tzinfo=BERLIN, fold=1)

    found = [
        read(text, now, BERLIN).at
        for text, now in [
            ("in 30 minutes", first),
            ("at 02:30", again),
            ("2027-10-31 02:30", again),
            ("sunday at 02:30", again),
            ("at 02:10", again),
        ]
    ]

    expected = ["31 01:15", "31 01:30", "31 01:30", "31 01:30"]
    assert expected == [f"{each:%d %H:%M}" for each in found[:4] if each]
    assert datetime(2027, 11, 1, 1, 10, tzinfo=UTC) == found[4]


@pytest.mark.parametrize(
    ("text", "expected", "first"),
    [
        ("every day at 8", {"frequency": "daily"}, "2026-11-30 08:00"),
        ("daily", {"frequency": "daily"}, "2026-11-30 09:00"),
        ("every morning", {"frequency": "daily"}, "2026-11-30 09:00"),
        ("every weekday", {"frequency": "weekly", "weekdays": WEEKDAYS}, "2026-11-30 09:00"),
        (
            "every thursday and monday at 18:00",
            {"frequency": "weekly", "weekdays": ["mo", "th"]}, "2026-11-30 18:00",
        ),
        (
            "every weekday from saturday",
            {"frequency": "weekly", "weekdays": WEEKDAYS}, "2026-12-07 09:00",
        ),
        (
            "every other tuesday at 7",
            {"frequency": "weekly", "interval": 2, "weekdays": ["tu"]}, "2026-12-01 07:00",
        ),
        ("every 3 months", {"frequency": "monthly", "interval": 3}, "2026-11-30 09:00"),
        ("the 1st of every month at 9", {"frequency": "monthly"}, "2026-12-01 09:00"),
        ("every 24 December", {"frequency": "yearly"}, "2026-12-24 09:00"),
        ("every day for 5 times", {"frequency": "daily", "count": 5}, "2026-11-30 09:00"),
        (
            "every day until 31 March",
            {"frequency": "daily", "until": "2027-03-31T21:59:59+00:00"}, "2026-11-30 09:00",
        ),
    ],
)  # fmt: skip
def test_a_recurrence_is_read_with_its_first_time(
    text: str, expected: dict[str, Any], first: str
) -> None:
    """In the user's zone; a series of weekdays begins on one of them."""
    assert {**expected, "timezone": "Europe/Berlin"} == read(text, SUNDAY, BERLIN).recurrence
    assert first == at(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("tomorrow yesterday", "contradicts itself"),
        ("monday tuesday at 9", "contradicts itself"),
        ("tuesday 30 November", "contradicts itself"),
        ("tomorrow at 9 at 10", "contradicts itself"),
        ("in 5 minutes tomorrow", "contradicts itself"),
        ("every day every week", "contradicts itself"),
        ("tomorrow at 9pm in the morning", "contradicts itself"),
        ("yesterday", "in the past"),
        ("last friday", "in the past"),
        ("2 days ago", "in the past"),
        ("today at 08:00", "in the past"),
        ("1 January 2001", "in the past"),
        ("31 February", "not a day"),
        ("2027-13-01", "not a day"),
        ("at 25:00", "not a time of day"),
        ("at 13pm", "not a time of day"),
        ("31 December 2300", "later than I can plan"),
        ("in 999999999 hours", "later than I can plan"),
        ("in 999999999 days", "not a day"),
        ("31 December 9999", "later than I can plan"),
        ("2300-01-01T10:00Z", "later than I can plan"),
        ("in 9999999 hours", "later than I can plan"),
        ("until 9999-12-31 every day", "later than I can plan"),
        ("1 January 0001", "in the past"),
        ("0001-01-01T00:00+14:00", "in the past"),
        ("0000-01-01", "not a day"),
        ("every hour", "daily at most"),
        ("every first monday of the month", "every so many days"),
        ("3/4/2027", "2030-01-31"),
        ("every day until yesterday", "ends before it begins"),
    ],
)
def test_a_time_that_cannot_be_is_refused_with_the_words(text: str, says: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(Unclear, match=says) as caught:
        read(text, SUNDAY, BERLIN)

    assert text.split(maxsplit=1)[0] in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "buy 3 apples", "read may report", "look at two houses", "write the weekly report",
        "buy sun cream", "call the mon repos", 'sing "tomorrow at nine"', "a day in the life",
        "second opinion", "wash 10 shirts",
    ],
)  # fmt: skip
def test_a_title_that_only_looks_like_a_time_stays_a_title(text: str) -> None:
    """Nothing is taken out of it."""
    found = read(text, SUNDAY, BERLIN)

    assert (text, None, None) == (found.rest, found.at, found.recurrence)


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("remind me tomorrow at nine to call mum, every weekday", "remind me to call mum"),
        ("call mum, at nine tomorrow", "call mum"),
        ("tomorrow at nine, call mum", "call mum"),
        ("call mum on friday and", "call mum"),
    ],
)
def test_what_is_left_is_the_text_without_its_times(text: str, rest: str) -> None:
    """And without the commas that joined them."""
    assert rest == read(text, SUNDAY, BERLIN).rest


def test_a_day_alone_may_be_past() -> None:
    """To list what was due."""
    assert datetime(2026, 11, 28).date() == day_of("what was due yesterday", SUNDAY, BERLIN)
    assert day_of("everything", SUNDAY, BERLIN) is None
    with pytest.raises(Unclear):
        day_of("monday or tuesday", SUNDAY, BERLIN)


SAID = (
    "at on in every until 9 25 nine tomorrow yesterday monday mon weekday weeks 3 half past to "
    "31st february 2027 12:61 12:30 pm am morning times next last of month daily . , 9999999999"
)
WORDS = st.sampled_from(SAID.split())


@given(st.lists(WORDS, max_size=9).map(" ".join))
def test_whatever_is_said_is_read_to_come_or_refused(text: str) -> None:
    """No other error, and no time that is past."""
    try:
        found = read(text, SUNDAY, BERLIN)
    except Unclear:
        return
    assert found.at is None or found.at > SUNDAY
    assert found.at is None or found.at.tzinfo is UTC
