"""The table probe: rows of a database, by column."""

from __future__ import annotations

from typing import Any

from harness.core.deadline import Deadline, Observation, apoll
from harness.core.errors import ProbeError, ProbeTimeout
from harness.probe.aeventually import aexplained
from harness.probe.waiting import Guard, unguarded

ANSWERING = 10
"""Seconds within which a database must accept a connection."""


class AsyncTable:
    """One table of a PostgreSQL database.

    Args:
        dsn: a libpq connection string; no part of it is ever shown.
        name: the table's name, with its schema if it has one.
        guard: ends a wait by raising.
    """

    def __init__(self, dsn: str, name: str, guard: Guard = unguarded) -> None:
        self._dsn = dsn
        self._guard = guard
        self.name = name

    async def rows(self, **where: Any) -> list[dict[str, Any]]:
        """The rows whose columns have these values, in the order of the first column.

        Raises:
            ProbeError: the table cannot be read; the message has PostgreSQL's reason.
        """
        import psycopg
        from psycopg import sql
        from psycopg.rows import dict_row

        conditions = [
            sql.SQL("{} = {}").format(sql.Identifier(column), sql.Placeholder(column))
            for column in where
        ]
        query = sql.SQL("SELECT * FROM {}").format(sql.Identifier(*self.name.split(".")))
        if conditions:
            query += sql.SQL(" WHERE ") + sql.SQL(" AND ").join(conditions)
        query += sql.SQL(" ORDER BY 1")
        try:
            connecting = psycopg.AsyncConnection.connect(
                self._dsn, row_factory=dict_row, connect_timeout=ANSWERING
            )
            async with await connecting as connection:
                found = await connection.execute(query, where)
                return await found.fetchall()
        except psycopg.Error as error:
            raise ProbeError(
                f"table {self.name} cannot be read",
                last=str(error).strip(),
                hint="check the names of the table and its columns, and the log of the database",
            ) from error

    async def count(self, **where: Any) -> int:
        """The number of rows with these values."""
        return len(await self.rows(**where))

    async def row(self, *, timeout: float = 10.0, **where: Any) -> dict[str, Any]:
        """The one row with these values; waits for it.

        Raises:
            ProbeTimeout: there is none, or there is more than one.
        """
        found: list[dict[str, Any]] = []

        async def look() -> Observation:
            async with aexplained(self._guard):
                found[:] = await self.rows(**where)
            return Observation(len(found) == 1, f"{len(found)} rows: {found[:5]}")

        seen = await apoll(look, Deadline(timeout), guard=self._guard)
        if not seen.ok:
            raise ProbeTimeout(
                f"table {self.name}: no single row with {where}", last=seen.fact, budget=timeout
            )
        return found[0]
