"""Checks the schedule of a cron binding as daprd reads it: whether it is valid, and ever fires.

Own code: only the reading of dapr/kit's cron package counts, and libraries differ from it in names,
ranges, question marks and zones.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from harness.dapr.finding import Finding
from harness.dapr.resources import DaprResource

TYPE, FIELD = "bindings.cron", "schedule"
ZONE = re.compile(r"(?:CRON_)?TZ=\S*(?P<rest>\s.*)?", re.DOTALL)
NAMED = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
EVERY = re.compile(r"@every (?:[-+]?(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+|[-+]?0)")
LONGEST_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
FIVE, SIX = 5, 6


@dataclass(frozen=True)
class Range:
    """The numbers that one field of a schedule can have.

    Attributes:
        names: words for numbers, counted from the least.
    """

    what: str
    least: int
    most: int
    names: Mapping[str, int] = field(default_factory=dict)


MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
RANGES = (
    Range("second", 0, 59),
    Range("minute", 0, 59),
    Range("hour", 0, 23),
    Range("day of the month", 1, 31),
    Range("month", 1, 12, {name: number for number, name in enumerate(MONTHS, start=1)}),
    Range("day of the week", 0, 6, {name: number for number, name in enumerate(DAYS)}),
)


@dataclass(frozen=True)
class Matched:
    """The numbers that a field matches.

    Attributes:
        any: whether it has a star without a step.
    """

    numbers: frozenset[int]
    any: bool


def check_schedule(each: DaprResource) -> Iterator[Finding]:
    """An error if daprd refuses the schedule, a warning if nobody can want what it does."""
    if each.type != TYPE:
        return
    for index, (name, item) in enumerate(each.fields().items()):
        text = str(item.get("value") or "")
        if name.lower() != FIELD or not text or "${" in text:
            continue
        place, what = each.at(f"spec.metadata.{index}"), f"component {each.name!r}: {name} {text!r}"
        try:
            if problem := problem_of(text):
                hint = "daprd accepts it without a word"
                yield Finding(place, f"{what} {problem}", hint, "warning")
        except ValueError as error:
            hint = "such as '*/5 * * * *', '*/30 * * * * *' with seconds, '@daily' or '@every 5m'"
            yield Finding(place, f"{what} is invalid: {error}", hint)


def problem_of(schedule: str) -> str:
    """What is wrong with a schedule that daprd accepts; "" if nothing is.

    Raises:
        ValueError: daprd refuses it.
    """
    if zone := ZONE.fullmatch(schedule):
        schedule = (zone["rest"] or "").strip()
    if schedule.startswith("@"):
        return _problem_of_named(schedule)
    fields = schedule.split()
    if len(fields) not in (FIVE, SIX):
        raise ValueError(f"expected 5 or 6 fields, found {len(fields)}")
    matched = [_matched(*pair) for pair in zip(["0"] * (SIX - len(fields)) + fields, RANGES,
                                               strict=True)]  # fmt: skip
    *clock, days, months, weekdays = matched
    if all(each.numbers for each in clock) and _has_day(days, months, weekdays):
        return ""
    return "never fires: no date and time match all of its fields"


def _problem_of_named(schedule: str) -> str:
    if schedule not in NAMED and not EVERY.fullmatch(schedule):
        raise ValueError(f"there is no schedule {schedule!r}")
    is_pause = schedule in NAMED or ("-" not in schedule and re.search("[1-9]", schedule))
    return "" if is_pause else "fires without a pause: its time is not positive"


def _has_day(days: Matched, months: Matched, weekdays: Matched) -> bool:
    dates = any(
        day <= LONGEST_MONTHS[month - 1] for month in months.numbers for day in days.numbers
    )
    if days.any or weekdays.any:
        return dates and bool(weekdays.numbers)
    # Without a star in either, one of the two is enough.
    return dates or bool(months.numbers and weekdays.numbers)


def _matched(text: str, bounds: Range) -> Matched:
    """What a field matches: ranges with commas between them."""
    parts = [_part(part, bounds) for part in text.split(",") if part]
    numbers = frozenset(number for part in parts for number in part.numbers)
    return Matched(numbers, any(part.any for part in parts))


def _part(text: str, bounds: Range) -> Matched:
    """One range: ``*``, ``?``, ``N``, ``N-M``, each also with ``/STEP``."""
    span, *steps = text.split("/")
    first, *ends = span.split("-")
    if len(steps) > 1 or len(ends) > 1:
        raise ValueError(f"{text!r} has too many hyphens or slashes")
    step = _number(steps[0], {}) if steps else 1
    if first in ("*", "?"):
        start, end = bounds.least, bounds.most
    else:
        start = _number(first, bounds.names)
        end = _number(ends[0], bounds.names) if ends else bounds.most if steps else start
    if not (bounds.least <= start <= end <= bounds.most and step > 0):
        allowed = f"{bounds.least} to {bounds.most}"
        raise ValueError(f"{text!r} is no {bounds.what}, which is {allowed}")
    return Matched(frozenset(range(start, end + 1, step)), first in ("*", "?") and step == 1)


def _number(text: str, names: Mapping[str, int]) -> int:
    if text.lower() in names:
        return names[text.lower()]
    if not re.fullmatch(r"\+?[0-9]+", text):
        raise ValueError(f"{text!r} is not a number")
    return int(text)
