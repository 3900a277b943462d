"""What the Postgres node provides before anybody connects."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from harness import Postgres, Settings, Topology, running
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
OTHER_TABLE = '  - {name: metadataTableName, value: "public.bookkeeping"}\n'
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
