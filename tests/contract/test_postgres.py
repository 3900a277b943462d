"""What the Postgres node provides before anybody connects."""

from __future__ import annotations

import sys
from pathlib import Path

import psycopg
import pytest

from harness import App, Postgres, Settings, Topology, running
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
        psycopg.connect(topology["pg"].exports(stack.book)["dsn"]) as connection,
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
        with psycopg.connect(topology["pg"].exports(stack.book)["dsn"]) as connection:
            owner = connection.execute("SELECT count(*) FROM dapr_metadata").fetchone()

    assert started
    assert owner is not None
