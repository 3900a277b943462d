"""Days by their names: the next one, unless another one is meant."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from dateutil.relativedelta import relativedelta

FAR = 9
"""Years or months until a day of every name has come: leap years may be eight years apart."""


def next_weekday(today: date, index: int, *, with_today: bool) -> date:
    """The next weekday of an index, Monday being 0; today itself only if that counts."""
    ahead = (index - today.weekday()) % 7
    return today + timedelta(days=ahead if ahead or with_today else 7)


def last_weekday(today: date, index: int) -> date:
    """The last weekday of an index before today."""
    return today - timedelta(days=(today.weekday() - index - 1) % 7 + 1)


def named_date(today: date, year: int | None, month: int | None, day: int) -> date:
    """A date; without a year or a month, the next one of that name.

    Raises:
        ValueError: there is no such day.
    """
    if year is not None:
        return date(year, month or 1, day)
    step = relativedelta(years=1) if month else relativedelta(months=1)
    first = today.replace(day=1, month=month or today.month)
    for count in range(FAR):
        try:
            found = (first + step * count).replace(day=day)
        except ValueError:  # no such day in that month
            continue
        if found >= today:
            return found
    raise ValueError(f"there is no day {day} in that month")


def moved(now: datetime, count: int, unit: str) -> date:
    """The day after so many days, weeks, months or years.

    Raises:
        ValueError, OverflowError: the calendar ends before.
    """
    later: datetime = now + relativedelta(**{unit: count})  # type: ignore[arg-type]  # by its name
    return later.date()
