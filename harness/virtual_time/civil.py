"""Dates and times in a zone, computed as Go's standard library does.

Moments are whole nanoseconds since 1970 in UTC. Python's `datetime` is asked only for the offsets
of zones: it has no nanoseconds, and no years before 1 and after 9999.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY_SECONDS = 86_400
ZERO = -62_135_596_800 * SECOND
"""Go's zero time, the first moment of the year 1."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LATEST_SECOND = 253_402_214_400
"""A day before the end of the year 9999, up to which `datetime` can be asked for an offset."""
EARLIEST_SECOND = -62_135_510_400
"""A day after the beginning of the year 1."""


def month_days(year: int, month: int) -> int:
    """How many days a month has."""
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)[month - 1]


def days_from_civil(year: int, month: int, day: int) -> int:
    """Days since 1970 of a date in the Gregorian calendar; months and days may be out of range."""
    year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
    shifted = year - (month <= 2)
    era = shifted // 400
    of_era = shifted - era * 400
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year + day - 719_469


def date_of(days: int) -> tuple[int, int, int]:
    """Year, month and day of a number of days since 1970."""
    shifted = days + 719_468
    era = shifted // 146_097
    of_era = shifted - era * 146_097
    year = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    part = (5 * of_year + 2) // 153
    month = part + (3 if part < 10 else -9)
    return year + era * 400 + (month <= 2), month, of_year - (153 * part + 2) // 5 + 1


class Zone:
    """A time zone of the machine's database, asked by seconds since 1970.

    Args:
        name: such as ``Europe/Berlin``.

    Raises:
        ValueError: there is no such zone.
    """

    def __init__(self, name: str) -> None:
        try:
            self._zone = ZoneInfo(name)
        except (OSError, ValueError, KeyError):
            raise ValueError(f"unknown time zone {name}") from None

    def offset(self, second: int) -> int:
        """Seconds that the zone is ahead of UTC at a moment."""
        within = max(min(second, LATEST_SECOND), EARLIEST_SECOND)
        offset = (EPOCH + timedelta(seconds=within)).astimezone(self._zone).utcoffset()
        assert offset is not None
        return int(offset.total_seconds())


@lru_cache(maxsize=64)
def zone_of(name: str) -> Zone | None:
    """A zone by its name; None for UTC, which needs no look-up.

    Raises:
        ValueError: there is no such zone.
    """
    if name in ("", "UTC", "Local"):
        return None
    if name.startswith(("/", "\\")) or ".." in name:
        raise ValueError("time: invalid location name")
    return Zone(name)


def local_second(moment: int, zone: Zone | None) -> int:
    """Seconds since 1970 that a clock on the wall of the zone shows."""
    second = moment // SECOND
    return second if zone is None else second + zone.offset(second)


def fields(moment: int, zone: Zone | None = None) -> tuple[int, int, int, int, int, int]:
    """Year, month, day, hour, minute and second of a moment."""
    days, rest = divmod(local_second(moment, zone), DAY_SECONDS)
    return (*date_of(days), rest // 3600, rest // 60 % 60, rest % 60)


def civil(parts: Sequence[int], zone: Zone | None = None) -> int:
    """The moment of a date and time, like Go's ``time.Date``.

    Args:
        parts: year, month, day, hour, minute and second; the last three may be left out, and each
            may be out of range.
    """
    year, month, day, *clock = parts
    hour, minute, second = clock or (0, 0, 0)
    days = days_from_civil(year, month, day)
    seconds = days * DAY_SECONDS + hour * 3600 + minute * 60 + second
    if zone is not None and (offset := zone.offset(seconds)):
        # Go takes the offset that holds at the moment which the first guess leads to.
        seconds -= zone.offset(seconds - offset)
    return seconds * SECOND
