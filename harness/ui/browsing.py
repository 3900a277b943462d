"""What the page asks of the databases of a stack."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from harness.core.errors import ConfigError
from harness.ui.source import Browsed

Look = Callable[[Mapping[str, str]], Any]


def looks(source: Browsed) -> dict[str, Look]:
    """The answers to the requests of the page, by their paths.

    Args:
        source: the stack.
    """
    return {
        "keys": lambda query: source.keys(
            store=query.get("store") or None, app=query.get("app") or None,
            text=query.get("text"), after=query.get("after", ""),
        ),
        "value": lambda query: source.stored_value(query["raw"], store=query["store"]),
        "tables": lambda _: source.tables(),
        "rows": lambda query: source.rows(
            query["table"], node=query["node"], database=query["database"],
            text=query.get("text"), offset=_number(query.get("offset", "0")),
            newest_first=query.get("order") != "oldest",
        ),
    }  # fmt: skip


def _number(text: str) -> int:
    """A number in a query.

    Raises:
        ConfigError: it is not one.
    """
    if not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise ConfigError(f"{text!r} is not a number of rows")
    return int(text)
