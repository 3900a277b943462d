"""When a series comes next: what scenarios/test_long_series.py does not live through."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.recurrence import Recurrence
from services.recurring_task_service.occurrences import next_due

BERLIN = ZoneInfo("Europe/Berlin")


def utc(text: str) -> datetime:
    """A time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def wall(text: str) -> datetime:
    """A time on a wall in Berlin."""
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN)


def series(start: datetime, occurrences: int, **said: object) -> list[datetime]:
    """The occurrences after the first, each completed on time."""
    recurrence = Recurrence(start=start, **said)  # type: ignore[arg-type]  # fields by name
    found, due = [], start
    for _ in range(occurrences):
        following = next_due(recurrence, due, due)
        if following is None:
            break
        found.append(following)
        due = following
    return found


@pytest.mark.parametrize(
    ("said", "start", "expected"),
    [
        ({"frequency": "daily"}, "2030-02-28", ["2030-03-01", "2030-03-02"]),
        ({"frequency": "daily", "interval": 3}, "2030-01-30", ["2030-02-02", "2030-02-05"]),
        ({"frequency": "weekly"}, "2030-12-30", ["2031-01-06", "2031-01-13"]),
        (
            {"frequency": "weekly", "weekdays": ["mo", "fr"]},
            "2030-01-07",
            ["2030-01-11", "2030-01-14", "2030-01-18"],
        ),
        (
            {"frequency": "weekly", "interval": 2, "weekdays": ["tu", "th"]},
            "2030-01-08",
            ["2030-01-10", "2030-01-22", "2030-01-24"],
        ),
        ({"frequency": "monthly"}, "2032-01-30", ["2032-02-29", "2032-03-30"]),
        ({"frequency": "monthly", "interval": 2}, "2030-12-29", ["2031-02-28", "2031-04-29"]),
        ({"frequency": "yearly"}, "2030-06-15", ["2031-06-15"]),
        ({"frequency": "yearly", "interval": 4}, "2028-02-29", ["2032-02-29"]),
    ],
)
def test_the_days_of_a_series(said: dict[str, object], start: str, expected: list[str]) -> None:
    """Every frequency, and the ends of months."""
    found = series(utc(start), len(expected), **said)

    assert expected == [f"{each:%Y-%m-%d}" for each in found]


def test_a_late_completion_skips_what_was_missed() -> None:
    """An early one does not make the same occurrence again."""
    start = utc("2030-01-01T09:00")
    daily = Recurrence(frequency="daily", start=start)

    assert utc("2030-01-05T09:00") == next_due(daily, start, utc("2030-01-05T08:00"))
    assert utc("2030-01-06T09:00") == next_due(daily, start, utc("2030-01-05T10:00"))
    assert utc("2030-01-02T09:00") == next_due(daily, start, utc("2029-12-31T10:00"))


def test_a_time_that_is_moved_by_the_change_to_summer_time_is_not_skipped() -> None:
    """Today it is at half past three: a completion at ten past three comes before it."""
    start = wall("2030-03-30T02:30")
    daily = Recurrence(frequency="daily", timezone="Europe/Berlin", start=start)

    assert wall("2030-03-31T03:30") == next_due(daily, start, wall("2030-03-31T03:10"))
    assert wall("2030-04-01T02:30") == next_due(daily, start, wall("2030-03-31T03:40"))


def test_a_completion_in_the_hour_that_comes_twice_makes_nothing_in_the_past() -> None:
    """Half past two was an hour ago when it is a quarter past two again."""
    start = wall("2030-10-26T02:30")
    daily = Recurrence(frequency="daily", timezone="Europe/Berlin", start=start)

    assert utc("2030-10-27T00:30") == next_due(daily, start, utc("2030-10-27T00:15"))
    assert wall("2030-10-28T02:30") == next_due(daily, start, utc("2030-10-27T01:15"))


def test_the_first_occurrence_counts_on_any_weekday() -> None:
    """One that starts on a Saturday and then comes on workdays has as many as it says in all."""
    workdays = ["mo", "tu", "we", "th", "fr"]

    found = series(utc("2030-01-05T09:00"), 10, frequency="weekly", weekdays=workdays, count=3)
    alone = series(utc("2030-01-05T09:00"), 10, frequency="weekly", weekdays=workdays, count=1)
    local = series(
        utc("2030-01-04T23:30"), 10, frequency="weekly", weekdays=["sa"], count=2,
        timezone="Europe/Berlin",
    )  # fmt: skip

    assert [utc("2030-01-07T09:00"), utc("2030-01-08T09:00")] == found
    assert [] == alone
    assert [utc("2030-01-11T23:30")] == local


def test_a_series_ends() -> None:
    """By its count, which counts the first, or by its last time; one without an end goes on."""
    start = utc("2030-01-01T09:00")

    assert 2 == len(series(start, 10, frequency="daily", count=3))
    assert 3 == len(series(start, 10, frequency="daily", until=utc("2030-01-04T09:00")))
    assert 400 == len(series(start, 400, frequency="daily"))


@given(
    start=st.datetimes(
        min_value=datetime(2020, 1, 1), max_value=datetime(2040, 1, 1), timezones=st.just(UTC)
    ),
    frequency=st.sampled_from(["daily", "weekly", "monthly", "yearly"]),
    interval=st.integers(1, 12),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
    late=st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=900)),
)
def test_the_next_occurrence_is_later_than_the_completion(
    start: datetime, frequency: str, interval: int, zone: str, late: timedelta
) -> None:
    """For any series; and it is there, since this one has no end."""
    recurrence = Recurrence.model_validate(
        {"start": start, "frequency": frequency, "interval": interval, "timezone": zone}
    )

    found = next_due(recurrence, start, start + late)

    assert found is not None
    assert found > start + late


def test_a_series_ends_with_the_years_of_utc() -> None:
    """Also where the local time is still in the last year: later times are not accepted."""
    start = utc("2200-12-31T04:00")  # the evening of the 30th in New York
    daily = Recurrence(frequency="daily", timezone="America/New_York", start=start)

    assert next_due(daily, start, start) is None
