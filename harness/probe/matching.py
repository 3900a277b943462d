"""Which items of a stream a test asks for."""

from __future__ import annotations

from typing import Any


def matches(item: Any, wanted: dict[str, Any]) -> bool:
    """Whether an item has the wanted fields.

    A mapping matches if it is contained; a callable is called with the value; ``where`` is called
    with the whole item; anything else is compared.
    """
    for name, value in wanted.items():
        if name == "where":
            if not value(item):
                return False
        elif not _fits(getattr(item, name), value):
            return False
    return True


def _fits(seen: Any, wanted: Any) -> bool:
    if callable(wanted):
        return bool(wanted(seen))
    if isinstance(wanted, dict):
        return isinstance(seen, dict) and all(
            key in seen and _fits(seen[key], each) for key, each in wanted.items()
        )
    return bool(seen == wanted)


def shown(wanted: dict[str, Any]) -> str:
    """The wanted fields, for messages."""
    return ", ".join(f"{key}={value!r}" for key, value in wanted.items()) or "anything"
