"""Empties the tables of a PostgreSQL database that apps go on using."""

from __future__ import annotations

from collections.abc import Collection

from harness.core.errors import TeardownError

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


def empty_tables(dsn: str, kept: Collection[str]) -> None:
    """Truncate all tables, and restart the sequences of their columns.

    Args:
        dsn: of the database, as a user that may do it.
        kept: names of tables that stay as they are, in any schema.

    Raises:
        TeardownError: a transaction that is still open holds one of them.
    """
    import psycopg
    from psycopg import sql

    with psycopg.connect(dsn, autocommit=True, options=f"-c lock_timeout={LOCKED}s") as connection:
        rows = connection.execute(
            "SELECT schemaname, tablename FROM pg_tables "
            "WHERE schemaname NOT LIKE 'pg\\_%%' AND schemaname <> 'information_schema' "
            "AND NOT tablename = ANY(%s)",
            [list(kept)],
        ).fetchall()
        if not rows:
            return
        names = sql.SQL(", ").join(sql.Identifier(*row) for row in rows)
        try:
            connection.execute(sql.SQL("TRUNCATE {} RESTART IDENTITY CASCADE").format(names))
        except psycopg.errors.LockNotAvailable as error:
            raise TeardownError(
                f"the tables of {connection.info.dbname!r} cannot be emptied",
                expected="no open transaction",
                last=str(error),
                budget=LOCKED,
                hint="an app keeps a transaction open; wait in the test until its work is done",
            ) from None
