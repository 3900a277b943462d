"""Keys with several parts."""

from __future__ import annotations

SEPARATOR = "|"
ESCAPED = (("%", "%25"), (SEPARATOR, "%7C"))
"""The percent sign comes first, because the others are escaped with it."""


def key(*parts: str) -> str:
    """One key with several parts; different parts never result in the same key.

    If the separator could occur in the parts, `ada-x` and `y` would be the same as `ada` and `x-y`.

    Raises:
        ValueError: there is no part, or one is empty: Dapr itself uses two consecutive separators.
    """
    if not all(parts) or not parts:
        raise ValueError(f"a key needs parts that are not empty, not {parts!r}")
    return SEPARATOR.join(_escaped(part) for part in parts)


def _escaped(part: str) -> str:
    for character, code in ESCAPED:
        part = part.replace(character, code)
    return part
