"""Empties the tables of a PostgreSQL database that apps go on using, or counts their rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from harness.core.errors import TeardownError
from harness.core.roles import ROWS

if TYPE_CHECKING:
    from psycopg import Connection

Owned = tuple[int, tuple[str, str]]
"""The table to which a sequence belongs, and the sequence's schema and name."""

MIGRATIONS = (
    "alembic_version",
    "dapr_metadata",
    "django_migrations",
    "flyway_schema_history",
    "knex_migrations",
    "schema_migrations",
    "_prisma_migrations",
    "__EFMigrationsHistory",
)
"""Tables that tell which migrations have run: without their rows, the next start would fail."""

LOCKED = 5
"""Seconds to wait for an app's transaction."""

RELATIONS = """
SELECT c.oid, n.nspname, c.relname, c.relkind = 'S', pg_relation_size(c.oid)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'S') AND n.nspname NOT LIKE 'pg\\_%'
  AND n.nspname <> 'information_schema'
"""
"""The tables and the sequences. A file without a page has no row, committed or not."""

LOCKS = "SELECT relation FROM pg_locks WHERE relation > 0 AND pid IS DISTINCT FROM pg_backend_pid()"
"""What other transactions have locked: such a table is emptied, too, to wait for their ends."""

OWNED = """
SELECT d.refobjid, q.seqrelid, q.seqstart
FROM pg_sequence q JOIN pg_depend d ON d.objid = q.seqrelid
WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
  AND d.deptype IN ('a', 'i')
"""
"""The sequences of columns, with their tables.

These are three statements, because a new connection needs twice the time to plan them as one.
"""

COUNTING = "-c lock_timeout=100ms -c statement_timeout=500ms"
"""Limits for whoever counts rows for a report, which cannot wait."""

CONNECTING = 2
"""Seconds within which the server must accept the connection of whoever counts rows."""


def empty_tables(dsn: str, kept: Collection[str]) -> None:
    """Truncate tables, and restart the sequences of their columns.

    What nobody has used since the last time is left alone: to truncate an empty table takes as long
    as to truncate another one.

    Args:
        dsn: of the database, as a user that may do it.
        kept: names of tables that stay as they are, in any schema.

    Raises:
        TeardownError: a transaction that is still open holds one of them.
    """
    import psycopg
    from psycopg import sql

    with psycopg.connect(dsn, autocommit=True, options=f"-c lock_timeout={LOCKED}s") as connection:
        try:
            if used := _used(connection, kept):
                names = sql.SQL(", ").join(sql.Identifier(*each) for each in used)
                connection.execute(sql.SQL("TRUNCATE {} RESTART IDENTITY CASCADE").format(names))
        except psycopg.errors.LockNotAvailable as error:
            raise TeardownError(
                f"the tables of {connection.info.dbname!r} cannot be emptied",
                expected="no open transaction",
                last=str(error),
                budget=LOCKED,
                hint="an app keeps a transaction open; wait in the test until its work is done",
            ) from None


def count_rows(dsn: str, kept: Collection[str]) -> dict[str, int]:
    """The number of rows of each table that has any, at most `ROWS`.

    Args:
        dsn: of the database, as a user that may do it.
        kept: names of tables that are left out, in any schema.
    """
    import psycopg
    from psycopg import sql

    found: dict[str, int] = {}
    with psycopg.connect(
        dsn, autocommit=True, options=COUNTING, connect_timeout=CONNECTING
    ) as connection:
        for schema, table in _tables(connection, kept):
            some = sql.SQL("SELECT count(*) FROM (SELECT 1 FROM {} LIMIT {}) AS some_rows")
            asked = some.format(sql.Identifier(schema, table), sql.Literal(ROWS))
            if (row := connection.execute(asked).fetchone()) and row[0]:
                found[table if schema == "public" else f"{schema}.{table}"] = row[0]
    return found


def _used(connection: Connection[Any], kept: Collection[str]) -> list[tuple[str, str]]:
    """Schema and name of the tables that are not as they were created."""
    # Locks are read first: whoever has one now may write to a table before its size is read.
    locked = {oid for (oid,) in connection.execute(LOCKS).fetchall()}
    names, sizes, sequences = {}, {}, {}
    for oid, schema, name, is_sequence, size in connection.execute(RELATIONS).fetchall():
        if is_sequence:
            sequences[oid] = schema, name
        elif name not in kept:
            names[oid], sizes[oid] = (schema, name), size
    used = {oid for oid, size in sizes.items() if size or oid in locked}
    at = {
        (table, sequences[sequence]): start
        for table, sequence, start in connection.execute(OWNED).fetchall()
        if table in names and table not in used and sequence in sequences
    }
    return sorted(names[oid] for oid in used | _moved(connection, at))


def _moved(connection: Connection[Any], starts: Mapping[Owned, int]) -> set[int]:
    """The tables of the sequences that are not where they began."""
    from psycopg import sql

    ask = sql.SQL("SELECT {}::oid FROM {} WHERE is_called OR last_value <> {}")
    asked = [
        ask.format(table, sql.Identifier(*name), start) for (table, name), start in starts.items()
    ]
    if not asked:
        return set()
    return {oid for (oid,) in connection.execute(sql.SQL(" UNION ALL ").join(asked)).fetchall()}


def _tables(connection: Connection[Any], kept: Collection[str]) -> list[tuple[str, str]]:
    found = connection.execute(
        "SELECT schemaname, tablename FROM pg_tables "
        "WHERE schemaname NOT LIKE 'pg\\_%%' AND schemaname <> 'information_schema' "
        "AND NOT tablename = ANY(%s) ORDER BY schemaname, tablename",
        [list(kept)],
    )
    return [(str(schema), str(table)) for schema, table in found]
