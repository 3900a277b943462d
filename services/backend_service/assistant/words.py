"""The English words for numbers, days and units, as parts of regular expressions."""

from __future__ import annotations

NUMBERS = {
    "a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7,
    "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "fifteen": 15, "twenty": 20,
    "thirty": 30, "forty": 40, "forty-five": 45, "fifty": 50, "sixty": 60, "ninety": 90,
}  # fmt: skip
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MONTHS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
UNITS = {
    "second": "seconds", "sec": "seconds", "minute": "minutes", "min": "minutes",
    "hour": "hours", "day": "days", "week": "weeks", "month": "months", "year": "years",
}  # fmt: skip

HOUR_WORDS = {word: n for word, n in NUMBERS.items() if n <= 12 and word not in ("a", "an")}

NUMBER = rf"(?:\d{{1,9}}|{'|'.join(sorted(NUMBERS, key=len, reverse=True))})"
UNIT = rf"(?:{'|'.join(sorted(UNITS, key=len, reverse=True))})s?"
HOUR = rf"(?:\d{{1,2}}|{'|'.join(HOUR_WORDS)})"
DAY = rf"(?:{'|'.join(DAYS)})"
SHORT_DAY = r"(?:mon|tue|tues|wed|thu|thur|thurs|fri|sat|sun)"
MONTH = rf"(?:{'|'.join(MONTHS)}|{'|'.join(month[:3] for month in MONTHS)}|sept)\.?"
ORDINAL = r"(?:\d{1,2}(?:st|nd|rd|th))"


def number(word: str) -> int:
    """The number that a word or digits stand for."""
    return NUMBERS[word] if word in NUMBERS else int(word)


def weekday(word: str) -> int:
    """The index of a weekday, Monday being 0, by its name, plural or abbreviation."""
    return next(index for index, day in enumerate(DAYS) if day.startswith(word[:3]))


def month(word: str) -> int:
    """The number of a month by its name or abbreviation."""
    return next(index for index, name in enumerate(MONTHS, 1) if name.startswith(word[:3]))


def unit(word: str) -> str:
    """The plural by which `dateutil.relativedelta` knows a unit."""
    return UNITS[word] if word in UNITS else UNITS[word.removesuffix("s")]
