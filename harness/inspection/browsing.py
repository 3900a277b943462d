"""Looks at what is in the databases of a stack that is up. Everything here blocks."""

from __future__ import annotations

from harness.inspection.looking import Looking
from harness.stored.keys import key_page, stored_value
from harness.stored.model import KeyPage, RowPage, StoredValue, TablePage
from harness.stored.tables import row_page, table_page


class Browsing(Looking):
    """Keys of the state stores, tables, and rows; secrets are masked."""

    def keys(
        self,
        *,
        store: str | None = None,
        app: str | None = None,
        text: str | None = None,
        after: str = "",
        limit: int = 200,
    ) -> KeyPage:
        """The keys that the apps can read; see `harness.stored.keys.key_page`.

        Raises:
            ConfigError: there is no such store or app, or the cursor is not one.
        """
        return key_page(
            self._stack, self._states(), store=store, app=app, text=text or "", after=after,
            limit=limit, secrets=self._secrets,
        )  # fmt: skip

    def stored_value(
        self, raw: str, *, store: str | None = None, app: str | None = None
    ) -> StoredValue:
        """The value of a key as the store has it.

        Args:
            raw: the key as the store has it, see `KeyRow.raw`.
            store: the state store; the first one that has the key if None.
            app: an app that can read it.

        Raises:
            ConfigError: there is no such store or app, or its keys cannot be read here.
            ProbeError: the database does not respond.
        """
        return stored_value(
            self._stack, self._states(), raw, store=store, app=app, secrets=self._secrets
        )

    def tables(self) -> TablePage:
        """The tables of the PostgreSQL servers, with columns and numbers of rows."""
        return table_page(self._stack, self._states(), self._secrets)

    def rows(
        self,
        table: str,
        *,
        node: str | None = None,
        database: str | None = None,
        text: str | None = None,
        offset: int = 0,
        limit: int = 50,
        newest_first: bool = True,
    ) -> RowPage:
        """Rows of a table; see `harness.stored.tables.row_page`.

        Raises:
            ConfigError: there is no such table, or there are several.
            ProbeError: it cannot be read.
        """
        return row_page(
            self._stack, table, node=node, database=database, text=text or "", offset=offset,
            limit=limit, newest_first=newest_first, secrets=self._secrets,
        )  # fmt: skip

    def _states(self) -> dict[str, str]:
        return {each.name: each.state for each in self.nodes()}
