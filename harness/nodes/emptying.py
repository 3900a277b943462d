"""Empties the tables of a PostgreSQL database that apps go on using, or counts their rows."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from harness.core.errors import TeardownError
from harness.core.roles import ROWS

if TYPE_CHECKING:
    from psycopg import Connection

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

USED = """
SELECT n.nspname, t.relname,
  coalesce(pg_relation_size(t.oid), 0) > 0 OR t.oid IN (
    SELECT relation FROM pg_locks
    WHERE relation IS NOT NULL AND pid IS DISTINCT FROM pg_backend_pid()
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  ),
  s.nspname, s.relname, s.seqstart
FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace LEFT JOIN (
  SELECT d.refobjid, sn.nspname, sc.relname, q.seqstart
  FROM pg_depend d JOIN pg_sequence q ON q.seqrelid = d.objid
    JOIN pg_class sc ON sc.oid = d.objid JOIN pg_namespace sn ON sn.oid = sc.relnamespace
  WHERE d.classid = 'pg_class'::regclass AND d.refclassid = d.classid AND d.deptype IN ('a', 'i')
) s ON s.refobjid = t.oid
WHERE t.relkind IN ('r', 'p') AND n.nspname NOT LIKE 'pg\\_%%'
  AND n.nspname <> 'information_schema' AND NOT t.relname = ANY(%s)
ORDER BY 1, 2
"""
"""The tables: whether there is anything to remove, and the sequences of their columns.

A file without a page has no row, committed or not. A table that another transaction has locked is
emptied even so, to wait for its end.
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
    from psycopg import sql

    found = connection.execute(USED, [list(kept)]).fetchall()
    used = {(schema, table) for schema, table, has_any, *_ in found if has_any}
    moved = sql.SQL("SELECT {}, {} FROM {} WHERE is_called OR last_value <> {}")
    asked = [
        moved.format(schema, table, sql.Identifier(*sequence), start)
        for schema, table, _, *sequence, start in found
        if start is not None and (schema, table) not in used
    ]
    if asked:
        used.update(connection.execute(sql.SQL(" UNION ALL ").join(asked)).fetchall())
    return sorted(used)


def _tables(connection: Connection[Any], kept: Collection[str]) -> list[tuple[str, str]]:
    found = connection.execute(
        "SELECT schemaname, tablename FROM pg_tables "
        "WHERE schemaname NOT LIKE 'pg\\_%%' AND schemaname <> 'information_schema' "
        "AND NOT tablename = ANY(%s) ORDER BY schemaname, tablename",
        [list(kept)],
    )
    return [(str(schema), str(table)) for schema, table in found]
