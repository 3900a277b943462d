"""Texts and JSON values without secrets."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

MASK = "***"
"""What stands for a secret."""

_SECRET = re.compile(
    r"(^|[_-])pass$|passw|passphrase|secret|token|credential|private|(^|[_-])key$|[a-z]key$|apikey"
    r"|access[_-]?key|connection[_-]?string|(^|[_-])(auth|dsn|pat|pwd|sas|sig)$|authorization|cookie"
    r"|headers$",
    re.IGNORECASE,
)
"""What a name contains whose value is usually secret."""

_IN_ADDRESS = re.compile(r"(?P<before>://[^/\s:@]*:)[^/\s@]+(?=@)")
_IN_PAIRS = re.compile(
    r"(?P<before>(?:^|[\s;&?,])(?:password|passwd|pwd|accountkey|sharedaccesskey|token|secret)=)"
    r"[^\s;&,]+",
    re.IGNORECASE,
)


def mask(text: str, secrets: Iterable[str]) -> str:
    """The text with every known secret replaced."""
    for secret in secrets:
        text = text.replace(secret, MASK)
    return text


def is_secret(name: str) -> bool:
    """Whether the value of a variable, or of an option, is usually secret."""
    return bool(_SECRET.search(name))


def masked_value(name: str, value: str) -> str:
    """The value of a variable without what is usually secret.

    If the name says so, the whole value is masked; otherwise passwords in addresses such as
    ``postgres://user:password@host``, and in pairs such as ``host=h password=p``.

    Args:
        name: the variable's; "" if there is none.
        value: its value.
    """
    if value and is_secret(name):
        return MASK
    found = _IN_ADDRESS.sub(rf"\g<before>{MASK}", value)
    return _IN_PAIRS.sub(rf"\g<before>{MASK}", found)


def cleaned(value: Any, clean: Callable[[str], str]) -> Any:
    """A JSON value whose texts, the names of its fields included, are cleaned."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {clean(str(name)): cleaned(each, clean) for name, each in value.items()}
    return [cleaned(each, clean) for each in value] if isinstance(value, list) else value
