"""Keys that are made of several parts."""

from __future__ import annotations

SEPARATOR = "|"
ESCAPED = (("%", "%25"), (SEPARATOR, "%7C"))
"""The percent sign first: it is what the others are escaped with."""


def key(*parts: str) -> str:
    """One key of several parts; other parts never give the same key.

    Joined by a character that the parts may have too, `ada-x` and `y` would be `ada` and `x-y`.

    Raises:
        ValueError: there is no part, or one is empty: two separators in a row are Dapr's own.
    """
    if not all(parts) or not parts:
        raise ValueError(f"a key needs parts that are not empty, not {parts!r}")
    return SEPARATOR.join(_escaped(part) for part in parts)


def _escaped(part: str) -> str:
    for character, code in ESCAPED:
        part = part.replace(character, code)
    return part
