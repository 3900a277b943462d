"""Texts and JSON values without secrets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

MASK = "***"
"""What stands for a secret."""


def mask(text: str, secrets: Iterable[str]) -> str:
    """The text with every known secret replaced."""
    for secret in secrets:
        text = text.replace(secret, MASK)
    return text


def cleaned(value: Any, clean: Callable[[str], str]) -> Any:
    """A JSON value whose texts, the names of its fields included, are cleaned."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {clean(str(name)): cleaned(each, clean) for name, each in value.items()}
    return [cleaned(each, clean) for each in value] if isinstance(value, list) else value
