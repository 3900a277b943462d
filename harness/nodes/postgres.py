"""A PostgreSQL server."""

from __future__ import annotations

import signal
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.deadline import Check
from harness.core.errors import ConfigError, HarnessError
from harness.core.launch import InContainer, InProcess, Launch
from harness.core.node import Node, Resource, Scope
from harness.core.placeholders import placeholders
from harness.core.roles import Part
from harness.nodes.base import BaseNode, main_port
from harness.nodes.clock import REAL, Followed, preloaded, show_to
from harness.nodes.emptying import MIGRATIONS, count_rows, empty_tables
from harness.provision.postgres import PASSWORD_FILE, SUPERUSER
from harness.ready.postgres import PostgresCheck

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.sql import Composed

DEFAULTS = {
    "max_connections": "200",
    "shared_buffers": "32MB",
}
"""Server parameters. If any process is killed, nothing that was acknowledged is lost. Therefore
neither ``synchronous_commit`` nor ``full_page_writes`` is off (a process that is killed during a
write leaves half a page)."""

QUICK = {"fsync": "off"}
"""Without `Topology(durable=True)`. The kernel keeps what was written when a process dies; only a
crash of the machine loses the database."""

MAPPED = {"dynamic_shared_memory_type": "mmap"}
"""Shared memory in files of the data folder, which are removed with it; files in /dev/shm outlive a
server that was killed. The manual's objection (writes to the disk) does not matter here."""

ITERATIONS_SINCE = 160000
"""The version of PostgreSQL, as a number, whose ``scram_iterations`` can be set."""

TRUST = "host all all 127.0.0.1/32 trust\n"

TABLE = "metadataTableName"


@dataclass(frozen=True)
class Postgres(BaseNode):
    """A server with its databases.

    Args:
        databases: created before anything connects.
        name: the node's name; it exports ``<name>.dsn`` (of the first database), ``.host``,
            ``.port``, ``.user``, ``.password`` and ``.database``.
        parameters: server parameters by name, which override those of the harness. Faster ones have
            a price: ``synchronous_commit: "off"`` loses the last acknowledged commits (up to 0.6 s
                of them) if the server or any of its processes is killed, and ``full_page_writes:
                "off"`` may then leave a half-written page.
        follow_clock: have ``now()`` follow ``dapr.clock`` by libfaketime, see docs/time.md for what
            else does. With real time, there is nothing to follow, and this changes nothing.
        trust: accept any password, so that apps with their own can connect. Every account on the
            machine can then use the server.
    """

    tools = ("postgres",)

    databases: tuple[str, ...] = ("app",)
    name: str = "postgres"
    port: int | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    trust: bool = False
    follow_clock: bool = False

    @property
    def fixed_ports(self) -> Mapping[str, int]:  # type: ignore[override]  # derived, not stored
        """Its port, if it is fixed."""
        return main_port(self.port)

    def plan(self, scope: Scope) -> Launch:
        """The server on a copy of a prepared data folder; in a container, on the image's own.

        Raises:
            ConfigError: it is to follow the clock in a container.
            Unavailable: it is to follow the clock, and libfaketime is not installed.
        """
        listen = scope.listen()
        options = {"listen_addresses": listen.host, "port": str(listen.port)}
        options |= ({} if scope.durable else QUICK) | DEFAULTS | dict(self.parameters)
        return scope.pick(self._process, self._container)(scope, options)

    def start_after(self, scope: Scope) -> Iterable[Check]:
        """It waits only for its dependencies; the clock is then shown as libfaketime reads it."""
        if self.follow_clock:
            show_to(scope, str(scope.tool("postgres")))
        return ()

    def _clock(self, scope: Scope) -> Followed:
        file = scope.clock() if self.follow_clock else None
        return preloaded(file, threads=False) if file else REAL

    def _container(self, scope: Scope, options: Mapping[str, str]) -> Launch:
        if self.follow_clock and scope.clock():
            raise ConfigError(
                f"{self.name!r} cannot follow the clock in a container",
                expected="a server on this machine: its image has no libfaketime",
                hint="leave out follow_clock=True, or use the processes runtime",
            )
        return Launch(
            name=self.name,
            argv=("postgres", *_flags(options)),
            # The variables of the official image, which the local one understands too.
            env={
                "POSTGRES_USER": SUPERUSER,
                "POSTGRES_PASSWORD": scope.token(self.name),
                "POSTGRES_DB": self.databases[0],
                **({"POSTGRES_HOST_AUTH_METHOD": "trust"} if self.trust else {}),
            },
            container=InContainer("postgres"),
            ports={"main": int(options["port"])},
            stop_signal=signal.SIGINT,
        )

    def _process(self, scope: Scope, options: Mapping[str, str]) -> Launch:
        # A socket's path must fit into 107 bytes, which a long TMPDIR does not leave.
        own = {"unix_socket_directories": "", **MAPPED}
        home = scope.home
        if self.trust:
            own["hba_file"] = str(home / "trust.conf")
        flags = _flags(own | dict(options))
        clock = self._clock(scope)
        return Launch(
            name=self.name,
            env=clock.env,
            prepended=clock.prepended,
            argv=(str(scope.tool("postgres")), "-D", str(home / "data"), *flags),
            ports={"main": int(options["port"])},
            folders={"data": scope.tool("postgres-data")},
            files={"trust.conf": TRUST} if self.trust else {},
            process=InProcess(unprivileged=True),
            # SIGTERM would wait until every client has disconnected.
            stop_signal=signal.SIGINT,
        )

    def checks(self, scope: Scope) -> Sequence[Check]:
        """It accepts connections; `initialize` is the first to use one."""
        return (PostgresCheck(scope.endpoint(), SUPERUSER),)

    def initialize(self, scope: Scope) -> None:
        """Set this stack's password and create the databases.

        Raises:
            HarnessError: a database cannot be created.
        """
        import psycopg

        with psycopg.connect(self._admin(scope), autocommit=True) as connection:
            if not scope.in_container:
                self._set_password(connection, scope)
            rows = connection.execute("SELECT datname FROM pg_database").fetchall()
            for name in self.databases:
                if (name,) not in rows:
                    self._create(connection, name)
        with psycopg.connect(self._admin(scope, self.databases[0]), autocommit=True) as connection:
            for statement in self._metadata_tables(scope):
                connection.execute(statement)

    def _set_password(self, connection: Connection, scope: Scope) -> None:
        from psycopg import sql

        # The iterations, 4096 of them, protect passwords that can be guessed. This one is random,
        # and to compute them takes most of the time of a connection, for apps and sidecars too.
        if connection.info.server_version >= ITERATIONS_SINCE:
            connection.execute("SET scram_iterations = 1")
        password = sql.Literal(scope.token(self.name))
        connection.execute(sql.SQL("ALTER ROLE postgres PASSWORD {}").format(password))
        self._own(scope).touch()

    def _create(self, connection: Connection, name: str) -> None:
        from psycopg import Error

        try:
            connection.execute(_create_database(name))
        except Error as error:
            raise HarnessError(
                f"the database {name!r} cannot be created on {self.name}",
                expected="a database template1 to which nothing is connected: PostgreSQL copies it",
                last=str(error).replace("\n", "; "),
                hint="close connections to template1; if it is broken, start the stack anew",
            ) from None

    def setup(self, scope: Scope) -> list[str]:
        """What `initialize` does in the first database, for a system that starts without it."""
        statements = [_create_database(name) for name in self.databases[1:]]
        return [each.as_string() for each in [*statements, *self._metadata_tables(scope)]]

    def _metadata_tables(self, scope: Scope) -> list[Composed]:
        """The tables with which this server's state stores guard their migrations.

        If two sidecars create the table at the same time, one can fail permanently: `CREATE TABLE
        IF NOT EXISTS` does not lock, and components-contrib 1.18.3 retries after SQLSTATE 23505
        (unique_violation) but not after 42710 (duplicate_object), which was observed here.
        """
        from psycopg import sql

        create = (
            "CREATE TABLE IF NOT EXISTS {} (key text NOT NULL PRIMARY KEY, value text NOT NULL)"
        )
        return [
            sql.SQL(create).format(sql.Identifier(*name.split(".")))
            for name in self._metadata_names(scope)
        ]

    def _metadata_names(self, scope: Scope) -> list[str]:
        stores = [each for each in scope.components("state.postgresql") if self._is_of(each, scope)]
        names = {str(each.fields().get(TABLE, {}).get("value", "dapr_metadata")) for each in stores}
        return sorted(names)

    def _is_of(self, component: Resource, scope: Scope) -> bool:
        """Whether it refers to this server, directly or through a variable that is its secret.

        A secret that is not a variable may refer to it, too: a table more does no harm.
        """
        references = (item.get("secretKeyRef") for item in component.fields().values())
        names = [str(each["name"]) for each in references if isinstance(each, dict)]
        variables = scope.variables()
        if any(name not in variables for name in names):
            return True
        texts = [component.text, *(variables[name] for name in names)]
        return any(node == self.name for text in texts for node, _ in placeholders(text))

    def seen_in(self, namespace: str) -> Node:
        """With a database of its own."""
        return replace(self, databases=tuple(f"{namespace}_{each}" for each in self.databases))

    def divides(self, user: Node, keys: Collection[str]) -> bool:
        """Whoever knows the database only from here uses the one of its namespace."""
        named = {"dsn", "database"} & {*keys}
        return bool(named) and len(self.databases) == 1 and not self.follow_clock

    def leave(self, scope: Scope, part: Part) -> None:
        """Drop the database, whoever is still connected."""
        import psycopg
        from psycopg import sql

        with psycopg.connect(self._admin(scope), autocommit=True) as connection:
            for name in self.databases:
                drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
                connection.execute(drop.format(sql.Identifier(name)))

    def clean(self, scope: Scope, part: Part) -> None:
        """Empty every table but those that tell which migrations have run.

        Raises:
            TeardownError: a transaction that is still open holds one of them.
        """
        for database in self.databases:
            empty_tables(self._admin(scope, database), self._kept(scope))

    def rows(self, scope: Scope) -> Mapping[str, int]:
        """The number of rows of each table that has any, apart from those that `clean` leaves."""
        found: dict[str, int] = {}
        for database in self.databases:
            for table, count in count_rows(self._admin(scope, database), self._kept(scope)).items():
                found[table if len(self.databases) == 1 else f"{database}.{table}"] = count
        return found

    def _kept(self, scope: Scope) -> set[str]:
        return {*MIGRATIONS, *(name.rpartition(".")[2] for name in self._metadata_names(scope))}

    def exports(self, scope: Scope) -> Mapping[str, str]:
        """Connection values for apps and components."""
        endpoint, password = scope.endpoint(), scope.token(self.name)
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

    def _admin(self, scope: Scope, database: str = "postgres") -> str:
        """The admin connection: the prepared folder's password until this stack's own is set."""
        password = scope.token(self.name)
        if not scope.in_container and not self._own(scope).exists():
            password = (scope.tool("postgres-data").parent / PASSWORD_FILE).read_text()
        return f"postgresql://{SUPERUSER}:{password}@{scope.endpoint()}/{database}"

    def _own(self, scope: Scope) -> Path:
        return Path(scope.home) / "password-set"


def _create_database(name: str) -> Composed:
    from psycopg import sql

    return sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))


def _flags(options: Mapping[str, str]) -> list[str]:
    return [word for key, value in options.items() for word in ("-c", f"{key}={value}")]
