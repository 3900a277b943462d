"""Reads times and recurrences in plain English, and refuses to guess.

Written for this purpose: dateparser 1.5 reads "tomorrow at nine" without the nine, parsedatetime
2.6 reads "monday tuesday" as a Monday and "may" as a month, and neither says that a phrase
contradicts another one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from dateutil.tz import resolve_imaginary

from services.backend_service.assistant.days import (
    last_weekday,
    moved,
    named_date,
    next_weekday,
)
from services.backend_service.assistant.marks import Kind, Mark, marks
from services.backend_service.assistant.words import DAYS
from services.common.times import FIRST_YEAR, LAST_YEAR

PARTS = {"morning": 9, "afternoon": 14, "evening": 18, "night": 20, "tonight": 20}
"""The hours that parts of a day stand for."""

USUAL, LATE = time(9), time(18)
"""The time of a day that is named without one; on the same day, the later one."""

EARLY = 7
"""An hour before it, without am or pm, is in the afternoon if a day is named."""


class Unclear(ValueError):
    """What was said of the time is impossible, past, or contradicts itself; says which."""


@dataclass(frozen=True)
class When:
    """What a text says of time.

    Attributes:
        rest: the text without it.
        at: the time, in UTC, or None.
        recurrence: the recurrence as the API takes it, or None.
    """

    rest: str
    at: datetime | None = None
    recurrence: dict[str, Any] | None = None


def read(text: str, now: datetime, zone: ZoneInfo) -> When:
    """What a text says of time.

    Args:
        text: a sentence or a part of it.
        now: the current time.
        zone: the time zone of the person who says it.

    Raises:
        Unclear: see there.
    """
    found = marks(text)
    if odd := [mark for mark in found if mark.kind == "odd"]:
        raise Unclear(f"I cannot use “{_said(text, odd[:1])}”: {odd[0].value}.")
    return _Reading(text, found, now.astimezone(zone)).result()


def day_of(text: str, now: datetime, zone: ZoneInfo) -> date | None:
    """The one day that a text names, whether it is past or to come; None if it names none.

    Raises:
        Unclear: it names several days, or one that does not exist.
    """
    return _Reading(text, marks(text), now.astimezone(zone)).day()


def without_times(text: str, found: Sequence[Mark]) -> str:
    """A text without its phrases of time, and without what joined them to it."""
    kept, end = "", 0
    for mark in found:
        kept, end = f"{kept}{text[end : mark.start]} ", mark.end
    kept = " ".join(f"{kept}{text[end:]}".split())
    kept = re.sub(r"\s+([,.;!?])", r"\1", kept)
    kept = re.sub(r"^[\s,.;:\u2013-]+", "", kept)
    return re.sub(r"(?:[\s,.;\u2013-]|\b(?:and|at|on|by|from|starting|due)$)+$", "", kept)


class _Reading:
    """The phrases of one text, put together."""

    def __init__(self, text: str, found: list[Mark], now: datetime) -> None:
        self._text, self._now = text, now
        self._found = found
        self._repeats = [mark for mark in found if mark.kind == "repeat"]
        # "Until Friday" ends a series; of a single task, it is its day.
        self._ends = [mark for mark in found if mark.until and self._repeats]
        self._marks = [mark for mark in found if mark not in self._ends]

    def result(self) -> When:
        """What was said, or `Unclear`."""
        used = [m for m in self._found if m.kind != "count" or self._repeats]
        rest = without_times(self._text, used)
        recurrence = self._recurrence()
        at = self._at(recurrence)
        if at is None:
            return When(rest, recurrence=recurrence)
        if not self._is_to_come(at):
            raise self._past()
        if recurrence is not None and "until" in recurrence and recurrence["until"] < at:
            raise Unclear(f"{self._all_said()} ends before it begins.")
        if at.year > LAST_YEAR:
            raise self._too_late()
        return When(rest, at.astimezone(UTC), _plain(recurrence))

    def day(self) -> date | None:
        """The one day that was named."""
        days = self._dates()
        if len(days) > 1:
            raise self._contradiction()
        return days[0] if days else None

    def _at(self, recurrence: dict[str, Any] | None) -> datetime | None:
        if instants := self._instants():
            if len(instants) > 1 or self._days() or self._of("clock"):
                raise self._contradiction()
            return instants[0]
        days, clock = self._dates(), self._clock()
        if not days and clock is None and recurrence is None:
            return None
        if len(days) > 1:
            raise self._contradiction()
        return self._on_its_weekday(self._combined(days, clock, recurrence), recurrence)

    def _combined(
        self, days: list[date], clock: time | None, recurrence: dict[str, Any] | None
    ) -> datetime:
        today = self._now.date()
        if days:
            usual = LATE if days[0] == today else USUAL
            kept = self._now.time() if self._keeps_the_time() else usual
            return self._local(days[0], clock or kept)
        at = self._local(today, clock or USUAL)
        if self._is_to_come(at):
            return at
        # "At 5", said at ten in the morning, and "every day at 8", said at nine.
        later = at + timedelta(hours=12)
        may_be_later = self._is_open() and recurrence is None and later.date() == today
        if may_be_later and self._is_to_come(later):
            return later
        return self._local(today + timedelta(days=1), clock or USUAL)

    def _on_its_weekday(self, at: datetime, recurrence: dict[str, Any] | None) -> datetime:
        """The first of a series on certain weekdays is on one of them."""
        days = (recurrence or {}).get("weekdays")
        while days and DAYS[at.weekday()][:2] not in days:
            at = self._local(at.date() + timedelta(days=1), at.time())
        return at

    def _instants(self) -> list[datetime]:
        """Exact times: those with a date and an hour in one, and so many minutes from now."""
        exact = []
        for mark in self._of("instant"):
            try:
                said = datetime.fromisoformat(mark.value)
            except ValueError:
                raise Unclear(f"“{_said(self._text, [mark])}” is not a time.") from None
            exact.append(said if said.tzinfo else self._local(said.date(), said.time()))
        for mark in self._of("in"):
            count, unit = mark.value
            if unit in ("seconds", "minutes", "hours"):
                exact.append(self._later(count, unit))
        return exact

    def _later(self, count: int, unit: str) -> datetime:
        try:
            # In UTC: an hour is an hour, also on the day on which clocks change.
            later = self._now.astimezone(UTC) + timedelta(**{unit: count})
        except (OverflowError, ValueError):
            raise self._too_late() from None
        return later.astimezone(self._now.tzinfo)

    def _dates(self) -> list[date]:
        """The different days that were named."""
        try:
            days = self._all_dates()
        except Unclear:
            raise
        except (ValueError, OverflowError):
            raise Unclear(f"{self._all_said()} is not a day that exists.") from None
        if any(day.year < FIRST_YEAR for day in days):
            raise self._past()
        if any(day.year > LAST_YEAR for day in days):
            raise self._too_late()
        return days

    def _all_dates(self) -> list[date]:
        today = self._now.date()
        said = [mark.value for mark in self._of("date")]
        said += [(None, None, m.value["d"]) for m in self._repeats if "d" in m.value]
        dates = {named_date(today, *value) for value in said}
        dates |= {today + timedelta(days=mark.value) for mark in self._of("day")}
        dates |= {
            moved(self._now, *mark.value) for mark in self._of("in") if self._is_in_days(mark)
        }
        weekdays = self._of("weekday")
        if dates and weekdays:
            # "Monday, 30 November" is one day if that day is a Monday.
            if any(day.weekday() != mark.value[0] for day in dates for mark in weekdays):
                raise self._contradiction()
            return sorted(dates)
        if self._part() == "tonight" and not dates and not weekdays:
            dates = {today}
        return sorted(dates | {self._next_weekday(*mark.value) for mark in weekdays})

    def _next_weekday(self, index: int, last: bool) -> date:
        today, clock = self._now.date(), self._clock()
        if last:
            return last_weekday(today, index)
        to_come = clock is not None and self._is_to_come(self._local(today, clock))
        return next_weekday(today, index, with_today=to_come)

    def _clock(self) -> time | None:
        """The time of day that was named."""
        said = {mark.value for mark in self._of("clock")}
        part = self._part()
        if not said:
            return time(PARTS[part]) if part else None
        if len(said) > 1:
            raise self._contradiction()
        hours, minutes, half = said.pop()
        return self._time(hours, minutes, half, part)

    def _time(self, hours: int, minutes: int, half: str, part: str) -> time:
        if half and half != "24" and not 1 <= hours <= 12:
            raise Unclear(f"{self._all_said()} is not a time of day.")
        if part == "morning" and half == "pm":
            raise self._contradiction()
        if half in ("am", "pm"):
            hours = hours % 12 + (12 if half == "pm" else 0)
        elif half == "" and hours < 12 and self._is_afternoon(hours, part):
            hours += 12
        if not 0 <= hours <= 23 or minutes > 59:
            raise Unclear(f"{self._all_said()} is not a time of day.")
        return time(hours, minutes)

    def _is_afternoon(self, hours: int, part: str) -> bool:
        if part:
            return part != "morning"
        return 1 <= hours < EARLY and bool(self._days() or self._repeats) and self._is_open()

    def _is_open(self) -> bool:
        """Whether the hour may be in the morning or in the afternoon: "at 5", not "05:00"."""
        clocks = self._of("clock")
        words = [self._text[mark.start : mark.end] for mark in clocks]
        return bool(clocks) and all(
            mark.value[2] == "" and mark.value[0] <= 12 and ":" not in word
            for mark, word in zip(clocks, words, strict=True)
        )

    def _part(self) -> str:
        parts = {mark.value for mark in self._of("part")}
        parts |= {mark.value["p"] for mark in self._repeats if "p" in mark.value}
        if len(parts) > 1:
            raise self._contradiction()
        return parts.pop() if parts else ""

    def _recurrence(self) -> dict[str, Any] | None:
        if not self._repeats:
            return None
        said = [
            {k: v for k, v in mark.value.items() if k not in ("p", "d")} for mark in self._repeats
        ]
        if any(each != said[0] for each in said):
            raise self._contradiction()
        recurrence = {**said[0], "timezone": str(self._now.tzinfo)}
        if counts := self._of("count"):
            recurrence["count"] = counts[0].value
        if self._ends:
            ending = _Reading(self._text, self._ends, self._now)
            days = ending._dates()
            if len(days) != 1:
                raise self._contradiction()
            recurrence["until"] = self._local(days[0], time(23, 59, 59))
        return recurrence

    def _local(self, day: date, clock: time) -> datetime:
        """A time in the zone; one that is skipped when clocks go forward moves by as much.

        Of one that comes twice when they go back, it is the first that is to come.
        """
        at = datetime.combine(day, clock.replace(tzinfo=None, microsecond=0), self._now.tzinfo)
        first = resolve_imaginary(at.replace(fold=0))
        second = first.replace(fold=1)
        return first if self._is_to_come(first) or not self._is_to_come(second) else second

    def _is_to_come(self, at: datetime) -> bool:
        # Python compares two times of one zone by what its clocks show.
        return at > self._now.astimezone(UTC)

    def _keeps_the_time(self) -> bool:
        """In so many days: at the same time of day, unless another one is named."""
        return all(mark.kind == "in" for mark in self._days()) and bool(self._days())

    def _days(self) -> list[Mark]:
        found = [mark for mark in self._marks if mark.kind in ("day", "weekday", "date")]
        return [*found, *(mark for mark in self._of("in") if self._is_in_days(mark))]

    @staticmethod
    def _is_in_days(mark: Mark) -> bool:
        return mark.value[1] in ("days", "weeks", "months", "years")

    def _of(self, kind: Kind) -> list[Mark]:
        return [mark for mark in self._marks if mark.kind == kind]

    def _all_said(self) -> str:
        return f"“{_said(self._text, self._found)}”"

    def _contradiction(self) -> Unclear:
        return Unclear(f"{self._all_said()} contradicts itself. Name one time.")

    def _past(self) -> Unclear:
        return Unclear(f"{self._all_said()} is in the past. Name a time to come.")

    def _too_late(self) -> Unclear:
        return Unclear(f"{self._all_said()} is later than I can plan: {LAST_YEAR} is the end.")


def _said(text: str, found: Sequence[Mark]) -> str:
    return " … ".join(text[mark.start : mark.end].strip() for mark in found)


def _plain(recurrence: dict[str, Any] | None) -> dict[str, Any] | None:
    if recurrence is None or "until" not in recurrence:
        return recurrence
    return {**recurrence, "until": recurrence["until"].astimezone(UTC).isoformat()}
