"""A database that responds."""

from __future__ import annotations

from dataclasses import dataclass

from harness.core.deadline import Observation


@dataclass(frozen=True)
class SqlCheck:
    """The server answers ``SELECT 1``.

    Attributes:
        dsn: a libpq connection string.
    """

    dsn: str
    name: str = "sql"

    def observe(self) -> Observation:
        """Connect and send one query."""
        import psycopg

        try:
            with psycopg.connect(self.dsn, connect_timeout=2) as connection:
                connection.execute("SELECT 1")
        except psycopg.Error as error:
            return Observation(False, str(error).strip())
        return Observation(True, "SELECT 1 answered")
