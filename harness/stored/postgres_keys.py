"""Keys of ``state.postgresql``, read from its table."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from harness.core.errors import ProbeError
from harness.dapr.state_keys import ACTOR_PARTS, SEPARATOR, Reach
from harness.stored.connection import QUICK, reading
from harness.stored.found import BY_NAME, COUNTED, LAST_WRITTEN, Found, Newest, Stored, Wanted
from harness.stored.places import Tables

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.sql import Composable

COLUMNS = {
    "v1": "xmin::text, octet_length(value::text), coalesce(updatedate, insertdate), expiredate",
    "v2": "etag::text, octet_length(value), coalesce(updated_at, created_at), expires_at",
}
"""Etag, size, time of the last change and of the end, by the component's version."""

VALUES = {"v1": "left(value::text, {}), isbinary", "v2": "substring(value FROM 1 FOR {}), false"}
"""The beginning of a value, and whether it is base64."""


def list_keys(place: Tables, wanted: Wanted) -> Found:
    """The keys of a table that fit.

    Raises:
        ProbeError: it cannot be read.
    """
    from psycopg import sql

    with reading(place.connection, f"table {place.table}") as connection:
        table = _table(connection, place.table)
        fits = _fits(wanted.reach, wanted.text)
        total = _count(connection, table, fits)
        listing = sql.SQL("SELECT key, {} FROM {} WHERE {} AND key > {} ORDER BY key LIMIT {}")
        columns = sql.SQL(COLUMNS[place.version])
        rows = connection.execute(
            listing.format(
                columns, table, fits, sql.Literal(wanted.after), sql.Literal(wanted.limit)
            )
        )
        return Found([_stored(*row) for row in rows], total)


def read_value(place: Tables, raw: str, most: int) -> tuple[Stored, bytes] | None:
    """A key with the first bytes of its value; None if there is no such key.

    Args:
        place: the table.
        raw: the key as the store has it.
        most: the number of bytes.

    Raises:
        ProbeError: it cannot be read.
    """
    from psycopg import sql

    with reading(place.connection, f"table {place.table}") as connection:
        query = sql.SQL("SELECT key, {}, {} FROM {} WHERE key = %s").format(
            sql.SQL(COLUMNS[place.version]),
            sql.SQL(VALUES[place.version]).format(sql.Literal(most)),
            _table(connection, place.table),
        )
        row = connection.execute(query, [raw]).fetchone()
    if row is None:
        return None
    *known, value, binary = row
    return _stored(*known), _content(value, binary=binary)


def newest_keys(place: Tables, wanted: Wanted, most: int) -> Newest:
    """The keys that fit with their values, the last written first unless there are too many.

    Args:
        place: the table.
        wanted: the keys; its cursor is not used.
        most: the number of bytes of a value.

    Raises:
        ProbeError: it cannot be read, or not quickly.
    """
    from psycopg import sql

    with reading(place.connection, f"table {place.table}", QUICK) as connection:
        table, fits = _table(connection, place.table), _fits(wanted.reach, wanted.text)
        total = _count(connection, table, fits)
        few = total <= COUNTED
        query = sql.SQL("SELECT key, {}, {} FROM {} WHERE {} ORDER BY {} LIMIT {}").format(
            sql.SQL(COLUMNS[place.version]),
            sql.SQL(VALUES[place.version]).format(sql.Literal(most)),
            table,
            fits,
            sql.SQL("age(xmin), ctid DESC" if few else "key"),
            sql.Literal(wanted.limit),
        )
        rows = connection.execute(query).fetchall()
    found: list[tuple[Stored, bytes | None]] = [
        (_stored(*known), _content(value, binary=binary)) for *known, value, binary in rows
    ]
    return Newest(found, total, LAST_WRITTEN if few else BY_NAME)


def _count(connection: Connection, table: Composable, fits: Composable) -> int:
    from psycopg import sql

    many = sql.SQL("SELECT count(*) FROM (SELECT FROM {} WHERE {} LIMIT {}) AS found")
    counting = many.format(table, fits, sql.Literal(COUNTED + 1))
    return int(connection.execute(counting).fetchone()[0])  # type: ignore[index]  # one row


def _content(value: str | bytes, *, binary: bool) -> bytes:
    """The bytes that were saved: v1 has bytes as a JSON text in base64."""
    data = value.encode() if isinstance(value, str) else value
    if not binary:
        return data
    try:
        return base64.b64decode(json.loads(data))
    except ValueError:
        return data  # cut


def _table(connection: Connection, name: str) -> Composable:
    """A table by its name as in SQL: PostgreSQL itself finds what daprd has found.

    Raises:
        ProbeError: there is none.
    """
    from psycopg import sql

    found = connection.execute(
        "SELECT nspname, relname FROM pg_class JOIN pg_namespace ON relnamespace = pg_namespace.oid"
        " WHERE pg_class.oid = to_regclass(%s)",
        [name],
    ).fetchone()
    if found is None:
        raise ProbeError(f"table {name} cannot be read", last="there is no such table")
    return sql.Identifier(*found)


def _fits(reach: Reach, text: str) -> Composable:
    from psycopg import sql

    ways = [sql.SQL("starts_with(key, {})").format(sql.Literal(each)) for each in reach.starts]
    if reach.bare:
        ways.append(sql.SQL("strpos(key, {}) = 0").format(sql.Literal(SEPARATOR)))
    actor = sql.SQL("(starts_with(key, {}) AND cardinality(string_to_array(key, {})) >= {})")
    parts = (sql.Literal(SEPARATOR), sql.Literal(ACTOR_PARTS))
    ways += [actor.format(sql.Literal(each), *parts) for each in reach.actors]
    having = sql.SQL("strpos(lower(key), lower({})) > 0").format(sql.Literal(text))
    some = sql.SQL("({})").format(sql.SQL(" OR ").join(ways)) if ways else sql.SQL("false")
    return sql.SQL("{} AND {}").format(some, having) if text else some


def _stored(raw: str, etag: str, size: int, updated: Any, expires: Any) -> Stored:
    moments = [each.timestamp() if each is not None else None for each in (updated, expires)]
    return Stored(raw, etag, size, *moments)
