"""The tools that look into the databases of a stack; the docstrings are what agents read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from harness.inspection.inspection import Inspection

T = TypeVar("T")
Row = dict[str, Any]


class Ask(Protocol):
    """Asks the inspection of the stack."""

    async def __call__(self, ask: Callable[[Inspection], T], /) -> T:
        """What a function returns for it."""
        ...


class BrowsingTools:
    """The tools, by their names.

    Args:
        ask: asks the inspection.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def offered(self) -> Sequence[Callable[..., Any]]:
        """The tools, which only look."""
        return self.list_keys, self.stored_value, self.list_tables, self.rows

    async def list_keys(
        self,
        store: str | None = None,
        app: str | None = None,
        text: str | None = None,
        after: str = "",
        limit: int = 100,
    ) -> Row:
        """The keys of the state stores, by store and in alphabetical order.

        `raw` is the key as the store has it. With `after` (the field `next` of the page before):
        the keys after those. Stores that cannot be listed are in `missing`.
        """
        wanted: dict[str, Any] = {"text": text, "after": after, "limit": limit}
        return await self._ask(lambda seen: seen.keys(store=store, app=app, **wanted).as_json())

    async def stored_value(self, raw: str, store: str | None = None, app: str | None = None) -> Row:
        """The value of a key as the store has it, also of actors and workflows.

        `raw` is that of `list_keys`.
        """
        return await self._ask(lambda seen: seen.stored_value(raw, store=store, app=app).as_json())

    async def list_tables(self) -> Row:
        """The tables of the PostgreSQL databases: columns and number of rows."""
        return await self._ask(lambda seen: seen.tables().as_json())

    async def rows(
        self,
        table: str,
        *,
        node: str | None = None,
        database: str | None = None,
        text: str | None = None,
        offset: int = 0,
        limit: int = 20,
        newest_first: bool = True,
    ) -> Row:
        """Rows of a table in the order of its primary key, the greatest first.

        `text` is looked for in all columns. Long values are cut, see the field `cut`; with a limit
        of 1, up to 100,000 characters of each are returned.
        """
        wanted: dict[str, Any] = {"text": text, "offset": offset, "limit": limit}
        place: dict[str, Any] = {"node": node, "database": database, "newest_first": newest_first}
        return await self._ask(lambda seen: seen.rows(table, **place, **wanted).as_json())
