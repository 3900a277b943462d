"""Replicas of a service on a real PostgreSQL; the test calls them as their sidecars would."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import IO, Any

import httpx
import psycopg

from harness.core.ports import free_port
from harness.probe.eventually import eventually
from tests.support import ROOT

LIMIT = 120.0
"""Seconds, for a machine that is busy."""

GATE = 42
"""An advisory lock, which every statement waits for that deletes notifications."""

SETUP = f"""
CREATE TABLE deleted (rows bigint, transaction bigint, by text);
CREATE TABLE failing (name text);
CREATE FUNCTION at_the_gate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    PERFORM pg_advisory_xact_lock_shared({GATE});
    IF EXISTS (SELECT FROM failing WHERE name = current_setting('application_name')) THEN
        RAISE EXCEPTION 'this one fails';
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION counted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO deleted SELECT count(*), txid_current(), current_setting('application_name')
    FROM gone;
    RETURN NULL;
END $$;
CREATE TRIGGER gate BEFORE DELETE ON notifications
    FOR EACH STATEMENT EXECUTE FUNCTION at_the_gate();
CREATE TRIGGER counting AFTER DELETE ON notifications REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION counted();
"""
"""What a test sees of a cleanup: how many rows each statement has removed, and for whom."""


class Replica:
    """A service that runs.

    Attributes:
        process: its process.
        url: its address.
    """

    def __init__(self, process: subprocess.Popen[bytes], output: IO[bytes], port: int) -> None:
        self.process, self._output = process, output
        self.url = f"http://127.0.0.1:{port}"

    def post(self, path: str, fired: datetime | str | None = None) -> httpx.Response:
        """The request of a cron binding; its time is written as daprd writes it."""
        if isinstance(fired, datetime):
            fired = f"{fired:%Y-%m-%d %H:%M:%S.%f}123 +0000 UTC m=+0.5"
        headers = {} if fired is None else {"readtimeutc": fired}
        return httpx.post(f"{self.url}{path}", headers=headers, timeout=LIMIT)

    def answers(self) -> bool:
        """Whether it serves requests."""
        try:
            return httpx.get(f"{self.url}/healthz").is_success
        except httpx.HTTPError:
            assert self.process.poll() is None, self.log()
            return False

    def log(self) -> str:
        """All that it has logged so far."""
        # Not read at a position: the process shares it.
        written = self._output.fileno()
        return os.pread(written, os.fstat(written).st_size, 0).decode()


@contextmanager
def replica(
    dsn: str, app_id: str, name: str = "one", more: Mapping[str, str] | None = None
) -> Iterator[Replica]:
    """A service for the duration of the ``with`` block, unless it is killed.

    Args:
        name: what PostgreSQL calls its connections.
        more: additional variables.
    """
    port = free_port()
    variables = {
        "DATABASE_URL": dsn, "APP_ID": app_id, "PGAPPNAME": name, "DAPR_HTTP_PORT": "9",
        "PYTHONPATH": str(ROOT), "SIGN_IN": "off",
        # The server notices at once that a killed replica is gone, even while it waits for a lock.
        "PGOPTIONS": "-c client_connection_check_interval=100",
        **(more or {}),
    }  # fmt: skip
    package = app_id.replace("-", "_")
    command = [sys.executable, "-m", "uvicorn", f"services.{package}.app:app", "--port", str(port)]
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command, env={**os.environ, **variables}, cwd=ROOT, stdout=output, stderr=output
        )
        made = Replica(process, output, port)
        try:
            eventually(made.answers, timeout=LIMIT)
            yield made
        finally:
            process.kill()
            process.wait()


@contextmanager
def closed_gate(dsn: str) -> Iterator[psycopg.Connection]:
    """Nothing deletes notifications for the duration of the ``with`` block."""
    with psycopg.connect(dsn) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [GATE])
        yield connection


def await_waiting(dsn: str, count: int) -> None:
    """Wait until this many connections wait for a lock."""
    waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    eventually(lambda: rows(dsn, waits) == [(count,)], timeout=LIMIT)


def await_gone(dsn: str, name: str) -> None:
    """Wait until the server has noticed that a killed replica is gone, with each connection."""
    held = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
    eventually(lambda: rows(dsn, held, name) == [(0,)], timeout=LIMIT)


def rows(dsn: str, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """What a query finds."""
    with psycopg.connect(dsn) as connection:
        return connection.execute(query, parameters).fetchall()


def execute(dsn: str, statement: str, *parameters: Any) -> None:
    """A change of the database."""
    with psycopg.connect(dsn) as connection:
        connection.execute(statement, parameters)
