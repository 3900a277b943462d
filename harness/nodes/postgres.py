"""A PostgreSQL server."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.deadline import Check
from harness.launch import Launch
from harness.nodes.base import Plain
from harness.provision.postgres import PASSWORD_FILE, SUPERUSER
from harness.ready.sql import SqlCheck
from harness.topology import Book

FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "shared_buffers": "32MB",
}
"""A test database outlives a crash of its clients, not a crash of the machine."""


@dataclass(frozen=True)
class Postgres(Plain):
    """A server with its databases.

    Args:
        databases: created before anything connects.
        name: the node's name; it exports ``<name>.dsn`` (of the first database), ``.host``,
            ``.port``, ``.user``, ``.password`` and ``.database``.
    """

    tools = ("postgres", "postgres-data")

    databases: tuple[str, ...] = ("app",)
    name: str = "postgres"
    port: int | None = None

    def plan(self, book: Book) -> Launch:
        """The server on a copy of a prepared data folder."""
        endpoint = book.endpoint(self.name, wanted=self.port)
        folder = book.folder(self.name)
        options = {
            "listen_addresses": endpoint.host,
            "port": str(endpoint.port),
            # A socket's path must fit into 107 bytes, which a long TMPDIR does not leave.
            "unix_socket_directories": "",
            **FAST,
        }
        flags = [word for key, value in options.items() for word in ("-c", f"{key}={value}")]
        return Launch(
            name=self.name,
            argv=(str(book.tools.path("postgres")), "-D", str(folder / "data"), *flags),
            ports=(endpoint.port,),
            folders={"data": book.tools.path("postgres-data")},
            unprivileged=True,
            # SIGTERM would wait until every client has gone.
            stop_signal=signal.SIGINT,
        )

    def checks(self, book: Book) -> Sequence[Check]:
        """It answers."""
        return (SqlCheck(self._admin(book)),)

    def provide(self, book: Book) -> None:
        """Set this stack's password and create the databases."""
        import psycopg
        from psycopg import sql

        password = sql.Literal(book.token(self.name))
        with psycopg.connect(self._admin(book), autocommit=True) as connection:
            connection.execute(sql.SQL("ALTER ROLE postgres PASSWORD {}").format(password))
            self._own(book).touch()
            rows = connection.execute("SELECT datname FROM pg_database").fetchall()
            for name in self.databases:
                if (name,) not in rows:
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    def exports(self, book: Book) -> Mapping[str, str]:
        """Connection values for apps and components."""
        endpoint, password = book.endpoint(self.name), book.token(self.name)
        database = self.databases[0]
        address = f"{SUPERUSER}:{password}@{endpoint}/{database}"
        return {
            "dsn": f"postgresql://{address}?sslmode=disable",
            "host": endpoint.host,
            "port": str(endpoint.port),
            "user": SUPERUSER,
            "password": password,
            "database": database,
        }

    def _admin(self, book: Book) -> str:
        """The way in: by the prepared folder's password until this stack's own is set."""
        prepared = book.tools.path("postgres-data").parent / PASSWORD_FILE
        password = book.token(self.name) if self._own(book).exists() else prepared.read_text()
        return f"postgresql://{SUPERUSER}:{password}@{book.endpoint(self.name)}/postgres"

    def _own(self, book: Book) -> Path:
        return book.folder(self.name) / "password-set"
