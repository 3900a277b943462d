"""A relay in a process of its own, and a recorder in the place of its sidecar."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psycopg

from tests.support import ROOT

APP_ID = "relayed"
TABLE = f"outbox_{APP_ID}"
PROGRAM = """\
import asyncio
from services.common.database import tables
from services.common.outbox import Base
from services.common.relay import relay
from services.common.sidecar import sidecar

# What is held back has not failed, however long a busy machine takes to look at it.
sidecar().timeout = None

async def main():
    async with tables(Base.metadata)():
        await relay().run()

asyncio.run(main())
"""


class Recorder:
    """What has arrived, by path; answers what it is told to answer.

    Attributes:
        port: of 127.0.0.1.
        status: the status for a path; None is no answer before `release`.
        dead: whether it hangs up on every call, as a sidecar that was killed does.
        asked: how often it was asked whether it is ready.
    """

    def __init__(self) -> None:
        self.dead, self.asked = False, 0
        self.status: Callable[[str], int | None] = lambda _path: 204
        self._released, self._lock = threading.Event(), threading.Lock()
        self._arrived: list[str] = []
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                """Whether it is ready."""
                recorder.asked += 1
                self._answer(204)

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("content-length", 0)))
                self._answer(204 if recorder.dead else recorder._status(self.path))

            def _answer(self, status: int) -> None:
                if recorder.dead:
                    self.close_connection = True
                    return
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port: int = self.server.server_address[1]

    @property
    def arrived(self) -> list[str]:
        """The paths of all calls, in their order."""
        with self._lock:
            return list(self._arrived)

    def release(self) -> None:
        """Answer what was kept waiting, and all that comes, with success."""
        self.status = lambda _path: 204
        self._released.set()

    def _status(self, path: str) -> int:
        with self._lock:
            self._arrived.append(path)
            status = self.status(path)
        if status is None:
            self._released.wait()
        return status or 204


@contextmanager
def recorder() -> Iterator[Recorder]:
    """A recorder that listens for as long as inside."""
    made = Recorder()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.release()
        made.server.shutdown()
        made.server.server_close()
        thread.join()


@contextmanager
def relay(dsn: str, port: int, name: str = "relay") -> Iterator[subprocess.Popen[bytes]]:
    """A relay at work for as long as inside, unless it is killed.

    Args:
        name: what PostgreSQL calls its connections.
    """
    variables = {
        "DATABASE_URL": dsn, "DAPR_HTTP_PORT": str(port), "APP_ID": APP_ID, "PGAPPNAME": name,
    }  # fmt: skip
    env = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], env=env, cwd=ROOT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def add(dsn: str, lane: str, *paths: str, due_in: Callable[[int], int] = lambda _n: 0) -> None:
    """Calls of one lane, each with a key of its own, in one commit.

    Args:
        due_in: the seconds after which the n-th is due.
    """
    insert = (
        f"INSERT INTO {TABLE} (lane, key, method, path, params, body, content_type, attempts, "
        "due_at) VALUES (%s, %s, 'POST', %s, '{}', '{}', 'application/json', 0, "
        "now() + %s * interval '1 s')"
    )
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
        rows = [(lane, path, path, due_in(number)) for number, path in enumerate(paths)]
        cursor.executemany(insert, rows)


def waiting(dsn: str) -> int:
    """How many calls the outbox holds."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute(f"SELECT count(*) FROM {TABLE}").fetchone()
    assert row is not None
    return int(row[0])
