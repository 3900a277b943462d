"""Computes when a task recurs: pure functions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from dateutil import rrule
from dateutil.tz import resolve_imaginary

from services.common.recurrence import Recurrence
from services.common.times import LAST_YEAR

FREQUENCIES: dict[str, Literal[0, 1, 2, 3]] = {
    "daily": rrule.DAILY,
    "weekly": rrule.WEEKLY,
    "monthly": rrule.MONTHLY,
    "yearly": rrule.YEARLY,
}
WEEKDAYS = dict(zip(("mo", "tu", "we", "th", "fr", "sa", "su"), rrule.weekdays, strict=True))
SHORTEST_MONTH = 28
LONGEST_CHANGE = timedelta(days=1)
"""The maximum amount by which clocks are changed: a zone that crosses the date line skips a day."""


def next_due(recurrence: Recurrence, due_at: datetime, completed_at: datetime) -> datetime | None:
    """The first occurrence after both times, in UTC; None if the series has ended.

    A task that was completed late skips the missed occurrences; one that was completed early does
    not occur twice at the same time. Local times that the change to summer time skips are moved by
    the hour; of those that occur twice, the first is used.
    """
    zone = ZoneInfo(recurrence.timezone)
    after = max(due_at, completed_at)
    # Local times are compared only roughly: what is later by them may have been earlier.
    about = after.astimezone(zone).replace(tzinfo=None) - LONGEST_CHANGE
    for found in _rule(recurrence, (recurrence.start or due_at).astimezone(zone)).xafter(about):
        if found.year > LAST_YEAR:
            return None
        instant = resolve_imaginary(found.replace(tzinfo=zone)).astimezone(UTC)
        if instant > after:
            over = instant.year > LAST_YEAR or (recurrence.until and instant > recurrence.until)
            return None if over else instant
    return None


def _rule(recurrence: Recurrence, first: datetime) -> rrule.rrule:
    start, count = first.replace(tzinfo=None), recurrence.count
    limits: dict[str, Any] = {}
    if recurrence.weekdays:
        limits["byweekday"] = [WEEKDAYS[day] for day in recurrence.weekdays]
        if count and rrule.weekdays[start.weekday()] not in limits["byweekday"]:
            # The first occurrence counts, and the rule does not have it.
            count -= 1
    if recurrence.frequency in ("monthly", "yearly") and start.day > SHORTEST_MONTH:
        # The 31st becomes the last day of a shorter month, and the 31st again in the next long one.
        limits["bymonthday"] = range(SHORTEST_MONTH, start.day + 1)
        limits["bysetpos"] = -1
    if recurrence.frequency == "yearly":
        limits["bymonth"] = start.month
    return rrule.rrule(
        FREQUENCIES[recurrence.frequency], dtstart=start, interval=recurrence.interval,
        count=count, wkst=rrule.MO, **limits,
    )  # fmt: skip
