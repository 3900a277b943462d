"""Rows of a table as JSON, bounded however large their values are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness.core.errors import ConfigError
from harness.stored.model import Column, Row
from harness.stored.values import cell

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.sql import Composable

MOST = 500
"""The number of rows in a page, at most."""

CELL = 100_000
"""The number of characters of a value that are shown, at most; bytes of a ``bytea``."""

PAGE = 4_000_000
"""About the number of characters in a page: the more values it has, the less is shown of each."""

SHORTEST = 200
"""The number of characters of a value that are shown in any case."""

WRITTEN = "xmin"
"""PostgreSQL's column that has the transaction by which a row was last written. Transactions are
numbered in the order in which they began to write; among the rows of one, ``ctid`` decides."""


def rows_of(
    connection: Connection,
    schema: str,
    table: str,
    columns: Sequence[Column],
    order: Sequence[str],
    *,
    text: str,
    offset: int,
    limit: int,
    descending: bool,
    secrets: Sequence[str],
    longest: int = CELL,
) -> tuple[list[Row], bool]:
    """Rows of a table, and whether others follow.

    Args:
        connection: to the database.
        schema, table: the table.
        columns: all of its columns.
        order: the columns by which the rows are ordered; `WRITTEN` may be one.
        text: only rows with this text in a column, in any case.
        offset, limit: the number of rows that are skipped, and that are returned.
        descending: whether the greatest comes first.
        secrets: what is masked.
        longest: the number of characters of a value that are shown, at most.

    Raises:
        ConfigError: a text contains a NUL character, or a number is negative.
    """
    if "\0" in text or offset < 0 or limit < 1:
        raise ConfigError(
            "no such rows can be asked for",
            expected="a text without a NUL character, an offset of 0 or more, a limit of 1 or more",
        )
    limit = min(limit, MOST)
    length = max(SHORTEST, min(longest, PAGE // (limit * max(1, len(columns)))))
    query = _query(schema, table, columns, order, text, descending=descending, length=length)
    found = connection.execute(query + _page(offset, limit)).fetchall()
    rows = [_row(each, columns, length, secrets) for each in found[:limit]]
    return rows, len(found) > limit


def _query(
    schema: str,
    table: str,
    columns: Sequence[Column],
    order: Sequence[str],
    text: str,
    *,
    descending: bool,
    length: int,
) -> Any:
    from psycopg import sql

    wanted = [part for each in columns for part in _parts(each, length)]
    query = sql.SQL("SELECT {} FROM {} AS t").format(
        sql.SQL(", ").join(wanted), sql.Identifier(schema, table)
    )
    if text:
        query += sql.SQL(
            " WHERE strpos(lower(array_to_string(ARRAY[{}]::text[], {})), {}) > 0"
        ).format(
            sql.SQL(", ").join(sql.SQL("{}::text").format(_column(each.name)) for each in columns),
            sql.Literal("\n"),
            sql.SQL("lower({})").format(sql.Literal(text)),
        )
    if order:
        query += sql.SQL(" ORDER BY ") + sql.SQL(", ").join(
            _ordered(each, descending=descending) for each in order
        )
    return query


def _ordered(name: str, *, descending: bool) -> Composable:
    from psycopg import sql

    way = sql.SQL("{} DESC" if descending else "{}")
    if name == WRITTEN:
        # Numbers of transactions begin anew one day; how long ago they were still has an order.
        return way.format(sql.SQL("-age({})").format(_column(name)))
    return way.format(_column(name))


def _page(offset: int, limit: int) -> Composable:
    from psycopg import sql

    return sql.SQL(" OFFSET {} LIMIT {}").format(sql.Literal(offset), sql.Literal(limit + 1))


def _column(name: str) -> Composable:
    from psycopg import sql

    return sql.Identifier("t", name)


def _parts(column: Column, length: int) -> tuple[Composable, Composable]:
    """The beginning of a value, and the length of the whole."""
    from psycopg import sql

    name = _column(column.name)
    if column.type == "bytea":
        begin = sql.SQL("substring({} FROM 1 FOR {})").format(name, sql.Literal(length))
        return begin, sql.SQL("octet_length({})").format(name)
    begin = sql.SQL("left({}::text, {})").format(name, sql.Literal(length))
    return begin, sql.SQL("char_length({}::text)").format(name)


def _row(
    found: Sequence[Any], columns: Sequence[Column], length: int, secrets: Sequence[str]
) -> Row:
    values: dict[str, Any] = {}
    cut: dict[str, int] = {}
    for column, value, size in zip(columns, found[::2], found[1::2], strict=True):
        longer = size is not None and size > length
        values[column.name] = _value(value, column.type, secrets, cut=longer)
        if longer:
            cut[column.name] = size
    return Row(values, cut)


def _value(value: Any, kind: str, secrets: Sequence[str], *, cut: bool) -> Any:
    if kind == "boolean" and value in ("true", "false"):
        return value == "true"
    return cell(value, kind, secrets, cut=cut)
