"""Two sidecars that create the table of migrations at the same moment."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from harness import Postgres, Settings, Topology, running
from harness.core.deadline import Deadline, Observation, poll
from harness.runtime.processes import ProcessRuntime
from tests.claims.alone import LONG, outcome, start
from tests.claims.test_components import component
from tests.support import project

pytestmark = pytest.mark.real

TABLE = "CREATE TABLE dapr_metadata (key text NOT NULL PRIMARY KEY, value text NOT NULL)"


@pytest.fixture
def dsn() -> Iterator[str]:
    """A database that nobody has prepared for state stores."""
    topology = Topology(Postgres(databases=("d",)))
    with running(topology, Settings.load(runtime="processes")) as stack:
        prepared = stack.book.exports("postgres")["dsn"]
        with psycopg.connect(prepared, autocommit=True) as connection:
            connection.execute("CREATE DATABASE bare")
        yield re.sub(r"/d\b", "/bare", prepared)


def wait_for_one_at(table: str, observer: psycopg.Connection) -> None:
    """Until one session of a client waits for a lock of a table."""
    query = (
        "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)"
        " WHERE NOT granted AND relation = %s::regclass AND backend_type = 'client backend'"
    )

    def waiting() -> Observation:
        # Otherwise, a transaction sees the sessions that there were when it first looked.
        observer.execute("SELECT pg_stat_clear_snapshot()")
        row = observer.execute(query, (table,)).fetchone()
        return Observation(row == (1,), f"{row} sessions wait at {table}")

    seen = poll(waiting, Deadline(LONG))
    assert seen.ok, seen.fact


def test_two_sidecars_that_make_the_table_of_migrations_at_once_can_lose_one_store(
    dsn: str, tmp_path: Path
) -> None:
    """The other one is two sessions here, whose locks stop daprd's session at two places.

    The first is before it looks for the table, which is not there; the second before it looks for
    a type of that name, which then is. daprd does not try again: the store is not loaded.
    """
    text = component("state.postgresql", "store", connectionString=dsn)
    text = text.replace('"version": "v1"', '"version": "v2"').replace('"2s"', '"100s"')
    project(tmp_path, r__c_yaml=text)
    with (
        psycopg.connect(dsn) as first,
        psycopg.connect(dsn) as second,
        ProcessRuntime({"PATH": os.environ["PATH"]}) as runtime,
    ):
        first.execute("LOCK TABLE pg_class IN SHARE MODE")
        daprd, client = start(runtime, 0, tmp_path, {"log-as-json": "true"})
        client.close()
        wait_for_one_at("pg_class", second)
        second.execute("LOCK TABLE pg_type IN ACCESS EXCLUSIVE MODE")
        first.rollback()
        wait_for_one_at("pg_type", second)
        second.execute(TABLE)
        second.commit()

        refused = outcome(daprd, 1)["store"]

    assert "failed to create metadata table" in refused
    assert 'type "dapr_metadata" already exists (SQLSTATE 42710)' in refused
