"""Recurring schedules as dapr/kit's cron package reads and computes them, errors included.

Own code: libraries differ from that package in names, ranges, question marks, zones, the change of
summer time and the search for the next date, and what Dapr's scheduler does is what counts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from harness.virtual_time.civil import (
    DAY_SECONDS,
    MINUTE,
    SECOND,
    ZERO,
    Zone,
    civil,
    date_of,
    fields,
    local_second,
    zone_of,
)
from harness.virtual_time.gotime import parse_duration, quoted

YEARS = 5
"""How far the search for the next date goes."""

NUMBER = re.compile(r"[+-]?[0-9]+")
PREFIXES = ("TZ=", "CRON_TZ=")


@dataclass(frozen=True)
class Bounds:
    """The numbers that one field can have, and words for some."""

    least: int
    most: int
    names: Mapping[str, int] = field(default_factory=dict)


MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
BOUNDS = (
    Bounds(0, 59),
    Bounds(0, 59),
    Bounds(0, 23),
    Bounds(1, 31),
    Bounds(1, 12, {name: number for number, name in enumerate(MONTHS, start=1)}),
    Bounds(0, 6, {name: number for number, name in enumerate(DAYS)}),
)
NAMED = {
    "@yearly": "0 0 0 1 1 *",
    "@annually": "0 0 0 1 1 *",
    "@monthly": "0 0 0 1 * *",
    "@weekly": "0 0 0 * * 0",
    "@daily": "0 0 0 * * *",
    "@midnight": "0 0 0 * * *",
    "@hourly": "0 0 * * * *",
}


@dataclass(frozen=True)
class Every:
    """A constant pause, in nanoseconds."""

    pause: int

    def next(self, moment: int) -> int:
        """The moment one pause later."""
        return moment + self.pause


@dataclass(frozen=True)
class Matched:
    """What one field matches.

    Attributes:
        star: whether it has a star or question mark without a step.
    """

    numbers: frozenset[int]
    star: bool = False


@dataclass(frozen=True)
class Cron:
    """Six fields: second, minute, hour, day of the month, month, day of the week."""

    matched: tuple[Matched, ...]
    zone: Zone | None = None

    def next(self, moment: int) -> int:
        """The first moment after this one that all fields match.

        It is Go's zero time, in the past, if there is none within five years.
        """
        if not all(each.numbers for each in self.matched[:3]):
            return ZERO
        search = _Search(self, moment)
        limit = search.fields()[0] + YEARS
        while search.fields()[0] <= limit:
            if search.found():
                return search.at
        return ZERO


class _Search:
    """The search of one next moment: field by field, from the beginning after each wrap."""

    def __init__(self, cron: Cron, moment: int) -> None:
        self.second, self.minute, self.hour, self.day, self.month, self.weekday = cron.matched
        self.zone = cron.zone
        self.at = moment + SECOND - moment % SECOND
        # Until a field was moved, the smaller ones still have the values of the start.
        self.moved = False

    def fields(self) -> tuple[int, int, int, int, int, int]:
        return fields(self.at, self.zone)

    def found(self) -> bool:
        """Whether the end was reached without a wrap."""
        steps = (self._month, self._day, self._hour, self._minute, self._second)
        return all(step() for step in steps)

    def _month(self) -> bool:
        while self.fields()[1] not in self.month.numbers:
            if not self.moved:
                self.moved = True
                self.at = civil((*self.fields()[:2], 1), self.zone)
            year, month, *rest = self.fields()
            self.at = civil((year, month + 1, *rest), self.zone)
            if self.fields()[1] == 1:
                return False
        return True

    def _day(self) -> bool:
        while not self._is_day():
            if not self.moved:
                self.moved = True
                self.at = civil(self.fields()[:3], self.zone)
            year, month, day, *clock = self.fields()
            self.at = civil((year, month, day + 1, *clock), self.zone)
            # Where summer time begins at midnight, there is no hour 0 on that day.
            if hour := self.fields()[3]:
                self.at += (24 - hour if hour > 12 else -hour) * 3600 * SECOND
            if self.fields()[2] == 1:
                return False
        return True

    def _is_day(self) -> bool:
        days = local_second(self.at, self.zone) // DAY_SECONDS
        day = date_of(days)[2] in self.day.numbers
        weekday = (days + 4) % 7 in self.weekday.numbers
        if self.day.star or self.weekday.star:
            return day and weekday
        return day or weekday

    def _hour(self) -> bool:
        while local_second(self.at, self.zone) // 3600 % 24 not in self.hour.numbers:
            if not self.moved:
                self.moved = True
                self.at = civil((*self.fields()[:4], 0, 0), self.zone)
            self.at += 3600 * SECOND
            if local_second(self.at, self.zone) // 3600 % 24 == 0:
                return False
        return True

    def _minute(self) -> bool:
        return self._clock(60, MINUTE, self.minute.numbers)

    def _second(self) -> bool:
        return self._clock(1, SECOND, self.second.numbers)

    def _clock(self, unit: int, size: int, wanted: frozenset[int]) -> bool:
        while local_second(self.at, self.zone) // unit % 60 not in wanted:
            if not self.moved:
                self.moved = True
                self.at -= self.at % size
            self.at += size
            if local_second(self.at, self.zone) // unit % 60 == 0:
                return False
        return True


Schedule = Every | Cron


@lru_cache(maxsize=4096)
def parse_schedule(text: str) -> Schedule:
    """A schedule: ``@every``, ``@daily`` and its like, or six fields; also with ``TZ=``.

    Raises:
        ValueError: Dapr's scheduler refuses it, in its words. A zone without a schedule, which
            makes it panic, is refused too.
    """
    if not text:
        raise ValueError("empty spec string")
    zone = None
    if text.startswith(PREFIXES):
        given, space, rest = text.partition(" ")
        if not space:
            raise ValueError(f"a zone without a schedule: {text}")
        zone = _zone(given.partition("=")[2])
        text = rest.strip()
    if text.startswith("@"):
        return _named(text, zone)
    parts = text.split()
    if len(parts) != len(BOUNDS):
        found = " ".join(parts)
        raise ValueError(f"expected exactly 6 fields, found {len(parts)}: [{found}]")
    return Cron(_fields(parts), zone)


def _zone(name: str) -> Zone | None:
    try:
        return zone_of(name)
    except ValueError as error:
        raise ValueError(f"provided bad location {name}: {error}") from None


def _named(text: str, zone: Zone | None) -> Schedule:
    if text in NAMED:
        return Cron(_fields(NAMED[text].split()), zone)
    if text.startswith("@every "):
        try:
            return Every(parse_duration(text.removeprefix("@every ")))
        except ValueError as error:
            raise ValueError(f"failed to parse duration {text}: {error}") from None
    raise ValueError(f"unrecognized descriptor: {text}")


def _fields(parts: list[str]) -> tuple[Matched, ...]:
    return tuple(_field(*each) for each in zip(parts, BOUNDS, strict=True))


def _field(text: str, bounds: Bounds) -> Matched:
    """One field: ranges with commas between them."""
    parts = [_range(part, bounds) for part in text.split(",") if part]
    numbers = frozenset(number for part in parts for number in part.numbers)
    return Matched(numbers, any(part.star for part in parts))


def _range(text: str, bounds: Bounds) -> Matched:
    """``*``, ``?``, ``N`` or ``N-M``, each also with ``/STEP``."""
    span, *steps = text.split("/")
    first, *ends = span.split("-")
    star = first in ("*", "?")
    if star:
        start, end = bounds.least, bounds.most
    else:
        start, end = _ends(first, ends, bounds, text)
    if len(steps) > 1:
        raise ValueError(f"too many slashes: {text}")
    step = _number(steps[0]) if steps else 1
    if steps and not ends:
        # "N/step" means "N-max/step".
        end = bounds.most
    _require(start, end, step, bounds, text)
    return Matched(frozenset(range(start, end + 1, step)), star and step == 1)


def _ends(first: str, ends: list[str], bounds: Bounds, text: str) -> tuple[int, int]:
    start = _number(first, bounds.names)
    if len(ends) > 1:
        raise ValueError(f"too many hyphens: {text}")
    return start, _number(ends[0], bounds.names) if ends else start


def _require(start: int, end: int, step: int, bounds: Bounds, text: str) -> None:
    least, most = bounds.least, bounds.most
    if start < least:
        raise ValueError(f"beginning of range ({start}) below minimum ({least}): {text}")
    if end > most:
        raise ValueError(f"end of range ({end}) above maximum ({most}): {text}")
    if start > end:
        raise ValueError(f"beginning of range ({start}) beyond end of range ({end}): {text}")
    if step == 0:
        raise ValueError(f"step of range should be a positive number: {text}")


def _number(text: str, names: Mapping[str, int] | None = None) -> int:
    if names and text.lower() in names:
        return names[text.lower()]
    if not NUMBER.fullmatch(text):
        reason = f"strconv.Atoi: parsing {quoted(text)}: invalid syntax"
        raise ValueError(f"failed to parse int from {text}: {reason}")
    if int(text) < 0:
        raise ValueError(f"negative number ({int(text)}) not allowed: {text}")
    if int(text) >= 1 << 63:
        reason = f"strconv.Atoi: parsing {quoted(text)}: value out of range"
        raise ValueError(f"failed to parse int from {text}: {reason}")
    return int(text)
