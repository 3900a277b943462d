"""Finds the phrases in a text that speak of time, and what each of them says.

A phrase counts only where it cannot be part of a title: "Monday" anywhere, "Mon" only after "on",
"at nine" but not "at nine shops". What is in double quotes is never a phrase.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from services.backend_service.assistant.words import (
    DAY,
    DAYS,
    HOUR,
    MONTH,
    NUMBER,
    ORDINAL,
    SHORT_DAY,
    UNIT,
    month,
    number,
    unit,
    weekday,
)

Kind = Literal["day", "weekday", "date", "clock", "part", "in", "instant", "repeat", "count", "odd"]
PART = "morning|afternoon|evening|night"
END = (
    r"(?=\s*(?:$|[,.;:!?]|(?:to|at|by|and|in the|on|every|each|tomorrow|today|next|this|until|till|"
    rf"for|from|remind|please|add|starting|sharp|daily|weekly|monthly|yearly|{'|'.join(DAYS)})\b))"
)
"""What may follow "at nine": the end, or another phrase; not what there are nine of."""

QUOTED = re.compile(r"\"[^\"]*\"|“[^”]*”")


@dataclass(frozen=True)
class Mark:
    """A phrase in a text.

    Attributes:
        kind: what it speaks of.
        start: the index of its first character.
        end: the index after its last character.
        value: what it says; its type depends on the kind.
        until: whether it follows "until".
    """

    kind: Kind
    start: int
    end: int
    value: Any
    until: bool = False


Reader = Callable[[re.Match[str]], Any]


def _clock(hours: str, minutes: int = 0, half: str | None = None) -> tuple[int, int, str]:
    """Hours, minutes and "am", "pm" or "", which leaves it open."""
    return number(hours), minutes, (half or "").replace(".", "")


def _past(match: re.Match[str]) -> tuple[int, int, str]:
    """Half past, a quarter to, ten past: minutes before or after the full hour."""
    words = {"half": 30, "quarter": 15}
    minutes = words.get(match["m"]) or number(match["m"])
    hours = number(match["h"])
    if match["side"] == "to":
        hours, minutes = hours - 1, 60 - minutes
    return hours, minutes, (match["half"] or "").replace(".", "")


def _days_of(match: re.Match[str]) -> dict[str, Any]:
    days = re.findall(rf"{DAY}|\b{SHORT_DAY}\b", match[0])
    indexes = sorted({weekday(day) for day in days})
    return {"frequency": "weekly", "weekdays": [DAYS[index][:2] for index in indexes]}


def _every(match: re.Match[str]) -> dict[str, Any]:
    words = {"day": "daily", "week": "weekly", "month": "monthly", "year": "yearly"}
    frequency = {"frequency": words[match["unit"].removesuffix("s")]}
    count = match["n"]
    if count is None:
        return frequency
    interval = 2 if count in ("other", "second") else number(count)
    return {**frequency, **({"interval": interval} if interval != 1 else {})}


WEEKDAYS = {"frequency": "weekly", "weekdays": ["mo", "tu", "we", "th", "fr"]}
HALF = r"(?P<half>[ap]\.?m\b\.?)"
AT = r"(?:\b(?:at|by|@)\s*)"
ON = r"(?:\b(?:on|by|from|starting|until|till)\s+)?(?:\bthe\s+)?"
LIST = rf"(?:{DAY}|{SHORT_DAY})s?\b"

PATTERNS: tuple[tuple[Kind, str, Reader], ...] = (
    ("instant", rf"{AT}?\b\d{{4}}-\d\d-\d\dt\d\d:\d\d(?::\d\d)?(?:z|[+-]\d\d:\d\d)?",
     lambda m: re.sub(r"^\D*", "", m[0]).upper()),
    ("date", rf"{ON}\b(?P<y>\d{{4}})-(?P<m>\d\d?)-(?P<d>\d\d?)\b",
     lambda m: (int(m["y"]), int(m["m"]), int(m["d"]))),
    ("date", rf"{ON}\b(?P<d>\d\d?)\.(?P<m>\d\d?)\.(?P<y>\d{{4}})\b",
     lambda m: (int(m["y"]), int(m["m"]), int(m["d"]))),
    ("odd", rf"{ON}\b\d\d?/\d\d?/\d{{2,4}}\b", lambda _: "write it as 2030-01-31"),
    ("date", (rf"{ON}\b(?P<d>\d\d?)(?:st|nd|rd|th)?\s+(?:of\s+)?(?P<m>{MONTH})\b"
     r"(?:,?\s+(?P<y>\d{4}))?"),
     lambda m: (int(m["y"]) if m["y"] else None, month(m["m"]), int(m["d"]))),
    ("date", rf"{ON}\b(?P<m>{MONTH})\s+(?P<d>\d\d?)(?:st|nd|rd|th)?\b(?:,?\s+(?P<y>\d{{4}})\b)?",
     lambda m: (int(m["y"]) if m["y"] else None, month(m["m"]), int(m["d"]))),
    ("date", rf"\b(?:on|by|until|till)\s+the\s+(?P<d>{ORDINAL})\b(?!\s+of)",
     lambda m: (None, None, int(m["d"][:-2]))),
    ("day", rf"{ON}\bday\s+after\s+tomorrow\b", lambda _: 2),
    ("day", rf"{ON}\b(?P<w>today|tomorrow|yesterday)\b",
     lambda m: {"today": 0, "tomorrow": 1, "yesterday": -1}[m["w"]]),
    ("weekday", rf"{ON}(?:\b(?P<which>next|this|coming|last)\s+)?\b(?P<w>{DAY})\b",
     lambda m: (weekday(m["w"]), m["which"] == "last")),
    ("weekday", rf"\b(?P<which>on|by|next|this|last)\s+(?P<w>{SHORT_DAY})\b",
     lambda m: (weekday(m["w"]), m["which"] == "last")),
    ("weekday", r"\b(?:at|on|this|next)\s+(?:the\s+)?weekend\b", lambda _: (5, False)),
    ("in", r"\bnext\s+(?P<u>week|month|year)\b", lambda m: (1, f"{m['u']}s")),
    ("in", r"\bin\s+half\s+an\s+hour\b", lambda _: (30, "minutes")),
    ("in", (rf"\b(?:in\s+(?P<n>{NUMBER})\s+(?P<u>{UNIT})|(?P<n2>{NUMBER})\s+(?P<u2>{UNIT})\s+"
     r"from\s+now)\b"),
     lambda m: (number(m["n"] or m["n2"]), unit(m["u"] or m["u2"]))),
    ("in", rf"\b(?P<n>{NUMBER})\s+(?P<u>{UNIT})\s+ago\b",
     lambda m: (-number(m["n"]), unit(m["u"]))),
    ("clock", rf"{AT}?\b(?P<h>\d\d?):(?P<m>\d\d)\b(?:\s*{HALF})?",
     lambda m: _clock(m["h"], int(m["m"]), m["half"])),
    ("clock", rf"{AT}?\b(?P<h>{HOUR})\s*{HALF}", lambda m: _clock(m["h"], 0, m["half"])),
    ("clock", rf"{AT}?\b(?P<h>{HOUR})\s+o['\u2019]clock\b(?:\s*{HALF})?",
     lambda m: _clock(m["h"], 0, m["half"])),
    ("clock", rf"{AT}(?P<h>{HOUR})\b{END}", lambda m: _clock(m["h"])),
    ("clock", (rf"{AT}?\b(?:a\s+)?(?P<m>half|quarter|five|ten|twenty|\d\d?)\s+(?:minutes\s+)?"
     rf"(?P<side>past|to)\s+(?P<h>{HOUR})\b(?:\s*{HALF})?(?!:)"), _past),
    ("clock", rf"{AT}?\b(?:noon|midday)\b", lambda _: (12, 0, "pm")),
    ("clock", rf"{AT}?\bmidnight\b", lambda _: (0, 0, "24")),
    ("part", rf"\b(?:in\s+the|this)\s+(?P<p>{PART})\b", lambda m: m["p"]),
    ("part", r"\btonight\b|\bat\s+night\b", lambda _: "tonight"),
    ("part", rf"(?<=day\s)\b(?P<p>{PART})\b|(?<=tomorrow\s)(?P<q>{PART})\b",
     lambda m: m["p"] or m["q"]),
    ("repeat", (r"\b(?:every|each)\s+(?:weekday|work(?:ing)?\s*day)\b|\b(?:on\s+)?weekdays\b"
     r"|\bmonday\s+to\s+friday\b"),
     lambda _: WEEKDAYS),
    ("repeat", (rf"\b(?:every|each)\s+(?:(?P<n>other|second|{NUMBER})\s+)?"
     r"(?P<unit>(?:day|week|month|year)s?)\b"), _every),
    ("repeat", rf"\b(?:on\s+)?the\s+(?P<d>{ORDINAL})\s+of\s+(?:every|each|the)\s+month\b",
     lambda m: {"frequency": "monthly", "d": int(m["d"][:-2])}),
    ("repeat", rf"\b(?:every|each)\s+(?=\d\d?\s+{MONTH}\b|{MONTH}\s+\d)",
     lambda _: {"frequency": "yearly"}),
    ("repeat", rf"\b(?:every|each)\s+(?P<p>{PART})\b",
     lambda m: {"frequency": "daily", "p": m["p"]}),
    ("repeat", rf"\b(?:every|each)\s+{LIST}(?:(?:\s*,\s*|\s+)(?:and\s+)?(?:every\s+)?{LIST})*",
     _days_of),
    ("repeat", rf"\b(?:every|each)\s+(?P<n>other|second|{NUMBER})\s+{LIST}",
     lambda m: {**_days_of(m), "interval": 2 if m["n"] in ("other", "second") else number(m["n"])}),
    ("repeat", rf"\bon\s+{DAY}s\b(?:(?:\s*,\s*|\s+)(?:and\s+)?(?:on\s+)?{DAY}s\b)*", _days_of),
    ("repeat", rf"\b(?P<w>daily|weekly|monthly|yearly|annually)\b{END}",
     lambda m: {"frequency": m["w"].replace("annually", "yearly")}),
    ("odd", (r"\b(?:every|each)\s+(?:(?:other\s+|few\s+)?(?:hour|minute|second)s?|"
     rf"{NUMBER}\s+(?:hour|minute|second)s|few\s+\w+)\b"),
     lambda _: "a task repeats daily at most"),
    ("odd", (rf"\b(?:every|each|on\s+the)\s+(?:first|second|third|fourth|last|{ORDINAL})"
     rf"(?:\s+(?:(?:{DAY})|day|weekday|working\s+day)s?)?(?:\s+of\s+(?:the|each|every)\s+\w+)?\b"),
     lambda _: "a task repeats every so many days, weeks, months or years, or on weekdays"),
    ("count", rf"\b(?:for\s+)?(?P<n>{NUMBER})\s+times\b", lambda m: number(m["n"])),
)  # fmt: skip
_COMPILED = tuple((kind, re.compile(pattern), read) for kind, pattern, read in PATTERNS)


def marks(text: str) -> list[Mark]:
    """The phrases of a text in order; of two that overlap, the earlier or longer one."""
    # Same length as the text, so indexes fit; lower() could change it.
    lowered = QUOTED.sub(lambda quote: "\0" * len(quote[0]), _lowered(text))
    found: list[Mark] = []
    for mark in sorted(_all(lowered), key=lambda each: (each.start, -each.end)):
        if not found or mark.start >= found[-1].end:
            found.append(mark)
    return found


def _lowered(text: str) -> str:
    return "".join(each.lower() if each.isascii() else each for each in text)


def _all(text: str) -> Iterator[Mark]:
    for kind, pattern, read in _COMPILED:
        for match in pattern.finditer(text):
            until = bool(re.match(r"(?:until|till)\b", match[0]))
            yield Mark(kind, match.start(), match.end(), read(match), until)
