"""The databases of a stack as the page sees them, in memory."""

from __future__ import annotations

from collections.abc import Sequence

from harness.core.errors import ConfigError
from harness.stored.model import (
    Column,
    KeyPage,
    KeyRow,
    Row,
    RowPage,
    StoredValue,
    TablePage,
    TableRow,
)

PAGE = 50


class ShownDatabases:
    """Keys and rows whose names and values consist of a text.

    Attributes:
        keys_known: the keys, in order.
        count: the number of rows of the table.
    """

    text: str
    count = 120

    def __init__(self) -> None:
        self.keys_known: list[KeyRow] = []

    def add_keys(self, count: int) -> None:
        """Add keys of an app, and then one of an actor, and one that all apps share."""
        text = self.text
        for number in range(count):
            key = f"{text}-{number}"
            self.keys_known.append(
                KeyRow(text, text, key, "state", "", "", f"{text}||{key}", "1", 2048,
                       1_800_000_000.0, 1_900_000_000.0)
            )  # fmt: skip
        self.keys_known.append(
            KeyRow(text, text, text, "actor", text, text, "||".join([text] * 4), "1", 12)
        )
        self.keys_known.append(KeyRow(text, "", text, "state", "", "", text, "1", 3_000_000))

    def keys(
        self,
        *,
        store: str | None = None,
        app: str | None = None,
        text: str | None = None,
        after: str = "",
        limit: int = 200,
    ) -> KeyPage:
        """The keys that fit."""
        found = [
            each
            for each in self.keys_known
            if (text or "").casefold() in each.raw.casefold()
            and (not store or each.store == store)
            and (not app or each.app in ("", app))
        ]
        start = int(after or 0)
        shown = found[start : start + limit]
        end = str(start + limit) if len(found) > start + limit else ""
        return KeyPage(shown, end, len(found), missing=(f"the keys of {self.text}: no reason",))

    def stored_value(
        self, raw: str, *, store: str | None = None, app: str | None = None
    ) -> StoredValue:
        """The value of a key."""
        row = next((each for each in self.keys_known if each.raw == raw), None)
        return StoredValue(row, row is not None, {"value": self.text})

    def table(self) -> TableRow:
        """The only table."""
        columns = (Column("id", "integer", True), Column(self.text, "text", False))
        return TableRow(
            self.text, self.text, "public", self.text, "table", self.count, False, columns
        )

    def tables(self) -> TablePage:
        """The only table, and what could not be read."""
        return TablePage([self.table()], missing=(f"database {self.text}: no reason",))

    def rows(
        self,
        table: str,
        *,
        node: str | None = None,
        database: str | None = None,
        text: str | None = None,
        offset: int = 0,
        limit: int = PAGE,
        newest_first: bool = True,
    ) -> RowPage:
        """The rows that fit."""
        if table != f"public.{self.text}":
            raise ConfigError(f"there is no table {table!r}")
        numbers: Sequence[int] = range(self.count)
        ordered = [*reversed(numbers)] if newest_first else [*numbers]
        found = [each for each in ordered if (text or "") in f"{self.text} {each}"]
        shown = [
            Row({"id": each, self.text: f"{self.text} {each}"}, {self.text: 1_000_000})
            for each in found[offset : offset + limit]
        ]
        more = len(found) > offset + limit
        return RowPage(self.table(), ("id",), newest_first, offset, shown, more)
