"""Shortens a log: repeated lines are shown once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

LONGEST = 80
"""The maximum length of a repeated block in lines: a Python traceback has about 60."""

_CHANGING = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"
    r"|\b\d\d:\d\d:\d\d(?:[.,]\d+)?"
    r"|(?<=127\.0\.0\.1:)\d+"
)
"""What may differ between repetitions: times, and the ports of clients."""


def folded(text: str) -> str:
    """The text with each repeated line, or block of lines, shown once and counted.

    Lines are equal if they differ only in times and in ports of 127.0.0.1.
    """
    return "\n".join(_fold(text.splitlines()))


def _fold(lines: Sequence[str]) -> Iterator[str]:
    keys = [_CHANGING.sub("*", line) for line in lines]
    at = 0
    while at < len(lines):
        size, times = _repeated(keys, at)
        yield from lines[at : at + size]
        if times > 1:
            what = "line" if size == 1 else f"{size} lines"
            yield f"[the last {what} repeated {times - 1} more times; only times and ports differ]"
        at += size * times


def _repeated(keys: Sequence[str], at: int) -> tuple[int, int]:
    """The shortest block that starts here and repeats immediately, and how often it occurs."""
    for size in range(1, min(LONGEST, (len(keys) - at) // 2) + 1):
        # The first line alone excludes nearly every size.
        if keys[at] == keys[at + size]:
            block = keys[at : at + size]
            times = 1
            while keys[at + times * size : at + (times + 1) * size] == block:
                times += 1
            if times > 1:
                return size, times
    return 1, 1
