"""What the Postgres node provides before anybody connects."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from harness import App, HarnessError, IsolatedStack, Postgres, Settings, Stack, Topology, running
from harness.core.deadline import Deadline, Observation, poll
from tests.projects import HELLO_APP
from tests.support import project

pytestmark = pytest.mark.real

STORE = """\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {{name: {name}}}
spec:
  type: state.postgresql
  version: v2
  metadata:
  - {{name: connectionString, value: "{dsn}"}}
"""
VARIABLES = {"DSN": "${pg.dsn}"}
OTHER_TABLE = '  - {name: metadataTableName, value: "public.bookkeeping"}\n'
BY_SECRET = STORE.replace('value: "{dsn}"', "secretKeyRef: {{name: DSN, key: DSN}}")
ELSEWHERE = "postgresql://somebody@127.0.0.1:1/elsewhere"


def test_every_database_and_migration_table_is_there_first(tmp_path: Path) -> None:
    """Two sidecars that start together and share a new store would race to create the table."""
    own = STORE.format(name="own", dsn="${pg.dsn}")
    project(
        tmp_path,
        pyproject_toml="",
        components__own_yaml=own,
        components__other_yaml=own.replace("own", "other") + OTHER_TABLE,
        components__far_yaml=STORE.format(name="far", dsn=ELSEWHERE)
        + OTHER_TABLE.replace("bookkeeping", "not_here"),
    )
    topology = Topology(Postgres(("one", "two"), name="pg"), resources="components")

    with (
        running(topology, Settings.load(tmp_path)) as stack,
        psycopg.connect(stack.book.exports("pg")["dsn"]) as connection,
    ):
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        databases = connection.execute("SELECT datname FROM pg_database WHERE NOT datistemplate")

        assert {("dapr_metadata",), ("bookkeeping",)} == set(tables.fetchall())
        assert {("postgres",), ("one",), ("two",)} == set(databases.fetchall())


def test_a_store_whose_address_is_a_secret_is_known_too(tmp_path: Path) -> None:
    """By the variable of a sidecar that the reference leads to."""
    store = "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {name: env}\n"
    store += "spec: {type: secretstores.local.env, version: v1, metadata: []}\n"
    project(
        tmp_path,
        pyproject_toml="",
        hello_py=HELLO_APP,
        components__env_yaml=store,
        components__own_yaml=BY_SECRET.format(name="own", dsn="") + "auth: {secretStore: env}\n",
    )
    app = App("hello", command=[sys.executable, "hello.py", "{port}"], sidecar_env=VARIABLES)
    topology = Topology(Postgres(name="pg"), app, resources="components")

    with running(topology, Settings.load(tmp_path)) as stack:
        started = [e for e in stack.journal if e.kind == "node.started" and e.node == "hello-daprd"]
        with psycopg.connect(stack.book.exports("pg")["dsn"]) as connection:
            owner = connection.execute("SELECT count(*) FROM dapr_metadata").fetchone()

    assert started
    assert owner is not None


def test_a_store_whose_address_is_in_a_file_of_secrets_may_be_this_servers(tmp_path: Path) -> None:
    """No sidecar runs here, so nobody else has made the table."""
    store = BY_SECRET.format(name="own", dsn="") + "auth: {secretStore: file}\n"
    file = "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {name: file}\n"
    file += "spec: {type: secretstores.local.file, version: v1, metadata: [{name: secretsFile, "
    file += "value: secrets.json}]}\n"
    project(
        tmp_path,
        pyproject_toml="",
        components__own_yaml=store,
        components__file_yaml=file,
        secrets_json='{"DSN": "${pg.dsn}"}',
    )
    topology = Topology(Postgres(name="pg"), resources="components")

    with (
        running(topology, Settings.load(tmp_path)) as stack,
        psycopg.connect(stack.book.exports("pg")["dsn"]) as connection,
    ):
        found = connection.execute("SELECT to_regclass('dapr_metadata')").fetchone()

    assert found == ("dapr_metadata",)


COMMITS = 400
"""In one go: PostgreSQL writes what was not flushed at commit every 200 ms, so the last are not."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One server for the tests that kill it."""
    folder = project(tmp_path_factory.mktemp("server"), pyproject_toml="")
    with running(Topology(Postgres(name="pg")), Settings.load(folder)) as stack:
        with connected(stack) as connection:
            connection.execute("CREATE TABLE acknowledged (id integer)")
        yield stack


def connected(stack: Stack) -> psycopg.Connection[tuple[int]]:
    """A connection in which each statement is a transaction, once the server takes it."""
    found: list[psycopg.Connection[tuple[int]]] = []

    def connect() -> Observation:
        try:
            found.append(psycopg.connect(stack.book.exports("pg")["dsn"]))
        except psycopg.OperationalError as error:
            return Observation(False, str(error))
        return Observation(True)

    assert (seen := poll(connect, Deadline(60))).ok, seen.fact
    found[0].autocommit = True
    return found[0]


def commit_rows(connection: psycopg.Connection[tuple[int]], first: int) -> set[int]:
    """Insert rows, each in its own transaction; what was acknowledged."""
    rows = range(first, first + COMMITS)
    for row in rows:
        connection.execute("INSERT INTO acknowledged VALUES (%s)", [row])
    return set(rows)


def hung_up(connection: psycopg.Connection[tuple[int]]) -> Observation:
    """Whether the server has ended this connection's process too."""
    try:
        connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return Observation(True)
    return Observation(False)


def rows_in(stack: Stack) -> set[int]:
    with connected(stack) as connection:
        return {row for (row,) in connection.execute("SELECT id FROM acknowledged")}


def test_killing_one_server_process_loses_nothing_acknowledged(server: Stack) -> None:
    """PostgreSQL then ends all others and recovers from what was written."""
    acknowledged = rows_in(server)
    for first in (10_000, 20_000):
        with connected(server) as victim, connected(server) as writer:
            victim_pid = victim.info.backend_pid

            acknowledged |= commit_rows(writer, first)
            os.kill(victim_pid, signal.SIGKILL)
            assert poll(lambda: hung_up(writer), Deadline(60)).ok

        assert set() == acknowledged - rows_in(server)


def test_killing_the_whole_server_loses_nothing_acknowledged(server: Stack) -> None:
    """The postmaster and every process of it at one moment."""
    acknowledged = rows_in(server)
    with connected(server) as writer:
        acknowledged |= commit_rows(writer, 30_000)
        server.instances["pg"].kill()  # type: ignore[attr-defined]  # every runtime's can
    server.restart("pg")

    assert set() == acknowledged - rows_in(server)


def test_a_parameter_of_the_topology_wins(tmp_path: Path) -> None:
    """Over the harness's own; everything else stays as it was."""
    topology = Topology(Postgres(name="pg", parameters={"synchronous_commit": "off"}))
    with (
        running(topology, Settings.load(project(tmp_path, pyproject_toml=""))) as stack,
        connected(stack) as connection,
    ):
        names = ("synchronous_commit", "fsync", "full_page_writes")
        rows: list[Any] = connection.execute("SELECT name, setting FROM pg_settings").fetchall()
    shown: dict[str, str] = {row[0]: row[1] for row in rows}

    assert ["off", "off", "on"] == [shown[name] for name in names]


def test_a_copy_says_why_it_cannot_have_a_database_and_the_next_one_has(server: Stack) -> None:
    """The template that PostgreSQL copies is missing for a while."""
    names = "SELECT datname FROM pg_database ORDER BY datname"
    with connected(server) as connection:
        before = connection.execute(names).fetchall()
        connection.execute("ALTER DATABASE template1 RENAME TO elsewhere")
        try:
            with pytest.raises(HarnessError) as raised, IsolatedStack(server):
                pytest.fail("there is no template")
        finally:
            connection.execute("ALTER DATABASE elsewhere RENAME TO template1")

        assert re.fullmatch(
            r"the database 'w\w+_\w+' cannot be created on pg", raised.value.subject
        )
        assert 'template database "template1" does not exist' == raised.value.last
        assert "start the stack anew" in raised.value.hint
        with IsolatedStack(server):
            assert len(before) + 1 == len(connection.execute(names).fetchall())
        assert before == connection.execute(names).fetchall()
    server.check_alive()
