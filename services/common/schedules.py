"""The schedules of jobs, as Dapr's scheduler reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from zoneinfo import ZoneInfo

SUCH_AS = "such as '@every 60s', '@daily', or six fields, the first for seconds: '0 */5 * * * *'"

_NAMED = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
_EVERY = re.compile(r"@every \+?(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+")
_ZONE = re.compile(r"(?:CRON_)?TZ=(?P<zone>\S+)\s+(?P<rest>\S.*)")
_SPAN = re.compile(r"(?P<first>[*?]|\w+)(?:-(?P<last>\w+))?(?:/(?P<step>[0-9]+))?")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_LONGEST_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("second", 0, 59, ()),
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 6, _DAYS),
)
"""Name, least and greatest number, and the names of its numbers, of each field."""


def require_schedule(text: str) -> str:
    """The schedule of a job, unchanged.

    Raises:
        ValueError: the scheduler refuses it, or it never fires, or fires without a pause.
    """
    rest = text
    if zone := _ZONE.fullmatch(text):
        _require_zone(zone["zone"])
        rest = zone["rest"].strip()
    if rest.startswith("@"):
        _require_named(rest)
        return text
    fields = rest.split()
    if len(fields) != len(_FIELDS):
        raise ValueError(f"it has {len(fields)} fields, not {len(_FIELDS)}")
    *_, days, months, weekdays = (
        _numbers(field, *bounds) for field, bounds in zip(fields, _FIELDS, strict=True)
    )
    # Without a star in either, a day of the month or of the week is enough.
    either = not {"*", "?"} & {fields[3][0], fields[5][0]}
    if not (either and weekdays) and not _has_date(days, months):
        raise ValueError("no date matches all of its fields: it would never fire")
    return text


def _require_zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        raise ValueError(f"there is no time zone {name!r}") from None


def _require_named(text: str) -> None:
    if text in _NAMED:
        return
    if not _EVERY.fullmatch(text):
        raise ValueError(f"there is no schedule {text!r}")
    if not re.search("[1-9]", text):
        raise ValueError("it would fire without a pause")


def _has_date(days: set[int], months: set[int]) -> bool:
    return any(min(days) <= _LONGEST_MONTHS[month - 1] for month in months)


def _numbers(text: str, what: str, least: int, most: int, names: tuple[str, ...]) -> set[int]:
    """The numbers that a field matches."""
    found = {number for part in text.split(",") for number in _span(part, what, least, most, names)}
    if not found:
        raise ValueError(f"{text!r} matches no {what}")
    return found


def _span(part: str, what: str, least: int, most: int, names: tuple[str, ...]) -> Iterator[int]:
    """The numbers of one range: ``*``, ``?``, ``N``, ``N-M``, each also with ``/STEP``."""
    match = _SPAN.fullmatch(part)
    if match is None:
        raise ValueError(f"{part!r} is no {what}")
    first, last, step = match.group("first", "last", "step")
    if first in ("*", "?"):
        begin, end = least, most
    else:
        begin = _number(first, least, names)
        end = _number(last, least, names) if last else most if step else begin
    if not (least <= begin <= end <= most and int(step or 1) > 0):
        raise ValueError(f"{part!r} is no {what}, which is {least} to {most}")
    yield from range(begin, end + 1, int(step or 1))


def _number(word: str, least: int, names: tuple[str, ...]) -> int:
    if word.lower() in names:
        return least + names.index(word.lower())
    if not re.fullmatch("[0-9]+", word):
        raise ValueError(f"{word!r} is not a number")
    return int(word)
