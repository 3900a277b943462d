"""Durations and moments as Go's standard library and dapr/kit read them.

Own code: what counts is which texts Dapr's scheduler accepts and to which nanosecond it computes,
and libraries for Python have neither its leniencies nor its words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.virtual_time.civil import HOUR, MINUTE, SECOND, civil, fields, month_days

UNITS = {"ns": 1, "us": 1_000, "µs": 1_000, "μs": 1_000, "ms": 1_000_000, "s": SECOND,
         "m": MINUTE, "h": HOUR}  # fmt: skip
LIMIT = 1 << 63
ESCAPES = {
    "\\": "\\\\",
    '"': '\\"',
    **{"\a\b\f\n\r\t\v"[n]: f"\\{c}" for n, c in enumerate("abfnrtv")},
}
NUMBER = re.compile(r"([0-9]*)(?:(\.)([0-9]*))?")
UNIT = re.compile(r"[^.0-9]*")
RFC3339 = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{1,2}):([0-9]{2}):([0-9]{2})(?:[.,]([0-9]+))?"
    r"(Z|([+-])([0-9]{2}):([0-9]{2}))",
)
INTEGER = re.compile(r"[+-]?[0-9]+")


def quoted(text: str) -> str:
    """A text in Go's double quotes."""
    return '"' + "".join(_escaped(each) for each in text) + '"'


def _escaped(each: str) -> str:
    if each in ESCAPES:
        return ESCAPES[each]
    if each.isprintable():
        return each
    code = ord(each)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _time_quoted(text: str) -> str:
    """The same as the package ``time`` writes it: what is not ASCII byte by byte."""
    return '"' + "".join(_bytes_of(each) for each in text) + '"'


def _bytes_of(each: str) -> str:
    if each in ('"', "\\"):
        return f"\\{each}"
    if " " <= each <= "\x7f":
        return each
    return "".join(f"\\x{byte:02x}" for byte in each.encode())


def parse_duration(text: str) -> int:
    """The nanoseconds of a duration such as ``1h30m``.

    Raises:
        ValueError: Go refuses it, in Go's words.
    """
    rest = text[1:] if text[:1] in ("-", "+") else text
    if rest == "0":
        return 0
    if not rest:
        raise ValueError(f"time: invalid duration {_time_quoted(text)}")
    total = 0
    while rest:
        amount, rest = _amount(rest, text)
        total += amount
        if total > LIMIT:
            raise ValueError(f"time: invalid duration {_time_quoted(text)}")
    if text[0] == "-":
        return -total
    if total == LIMIT:
        raise ValueError(f"time: invalid duration {_time_quoted(text)}")
    return total


def _amount(rest: str, text: str) -> tuple[int, str]:
    """The first number with its unit, and what follows it."""
    invalid = ValueError(f"time: invalid duration {_time_quoted(text)}")
    number = NUMBER.match(rest)
    assert number is not None
    whole, fraction = number[1], number[3] or ""
    if not whole and not fraction:
        raise invalid
    unit = UNIT.match(rest, number.end())
    assert unit is not None
    if not unit[0]:
        raise ValueError(f"time: missing unit in duration {_time_quoted(text)}")
    if unit[0] not in UNITS:
        raise ValueError(
            f"time: unknown unit {_time_quoted(unit[0])} in duration {_time_quoted(text)}"
        )
    size = UNITS[unit[0]]
    amount = int(whole or "0") * size
    if amount > LIMIT:
        raise invalid
    if fraction and int(fraction):
        amount += int(float(int(fraction)) * (size / 10.0 ** len(fraction)))
    return amount, rest[unit.end() :]


@dataclass(frozen=True)
class Span:
    """An ISO 8601 duration.

    Attributes:
        repeats: how often it is repeated; -1 if that is not said.
    """

    years: int = 0
    months: int = 0
    days: int = 0
    nanoseconds: int = 0
    repeats: int = -1

    def after(self, moment: int) -> int:
        """The moment this much later, by the calendar of UTC."""
        year, month, day, hour, minute, second = fields(moment)
        date = (year + self.years, month + self.months, day + self.days, hour, minute, second)
        return civil(date) + moment % SECOND + self.nanoseconds


def parse_span(text: str) -> Span:
    """An ISO 8601 duration with its repeats, as dapr/kit reads it.

    Raises:
        ValueError: it is refused.
    """
    wrong = ValueError(f"unsupported ISO8601 duration format: {text}")
    if len(text) < 2:
        raise wrong
    repeats, at = -1, 0
    if text[0] == "R":
        head, slash, _ = text.partition("/")
        repeats = _integer(head[1:], wrong)
        at = len(head) + len(slash)
        if at >= len(text):
            return Span(repeats=repeats)
    if text[at] != "P":
        raise wrong
    return _parts(text, at + 1, repeats, wrong)


def _parts(text: str, at: int, repeats: int, wrong: ValueError) -> Span:
    """What stands after the P; a number without a letter counts nothing."""
    found = {"Y": 0, "M": 0, "D": 0}
    clock, start = 0, at
    in_time = False
    for place in range(at, len(text)):
        letter = text[place]
        if letter == "T":
            if start != place:
                raise wrong
            in_time = True
        elif letter in "YWDHSM":
            _require_place(letter, in_time, wrong)
            number = _integer(text[start:place], wrong)
            if in_time:
                clock += number * {"H": HOUR, "M": MINUTE, "S": SECOND}[letter]
            elif letter in "WD":
                found["D"] += number * (7 if letter == "W" else 1)
            else:
                found[letter] = number
        else:
            continue
        start = place + 1
    return Span(found["Y"], found["M"], found["D"], _wrapped(clock), repeats)


def _require_place(letter: str, in_time: bool, wrong: ValueError) -> None:
    if letter in ("YWD" if in_time else "HS"):
        raise wrong


def _integer(text: str, wrong: ValueError) -> int:
    if not INTEGER.fullmatch(text) or not -LIMIT <= int(text) < LIMIT:
        raise wrong
    return int(text)


def _wrapped(value: int) -> int:
    """What an int64 holds of it."""
    return (value + LIMIT) % (2 * LIMIT) - LIMIT


def parse_moment(text: str, now: int) -> int:
    """A moment: RFC 3339, or a duration of Go's or ISO 8601's from now.

    Raises:
        ValueError: it is none of them.
    """
    if (moment := parse_rfc3339(text)) is not None:
        return moment
    try:
        return now + parse_duration(text)
    except ValueError:
        pass
    try:
        span = parse_span(text)
    except ValueError:
        raise ValueError("due time format not recognized") from None
    if span.repeats > 0:
        raise ValueError("repeats not supported for due time")
    return span.after(now)


def parse_rfc3339(text: str) -> int | None:
    """The moment that a text names; None if it is no RFC 3339."""
    found = RFC3339.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(found[n]) for n in range(1, 7))
    if not 1 <= month <= 12 or not 1 <= day <= month_days(year, month):
        return None
    if hour > 23 or minute > 59 or second > 59:
        return None
    offset = 0
    if found[9]:
        hours, minutes = int(found[10]), int(found[11])
        if hours > 24 or minutes > 60:
            return None
        offset = (1 if found[9] == "+" else -1) * (hours * 60 + minutes) * MINUTE
    fraction = int((found[7] or "0").ljust(9, "0")[:9])
    return civil((year, month, day, hour, minute, second)) + fraction - offset


def rfc3339(moment: int) -> str:
    """A moment in UTC, with as many digits of a second as it needs."""
    year, month, day, hour, minute, second = fields(moment)
    fraction = f".{moment % SECOND:09}".rstrip("0").rstrip(".")
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z"
