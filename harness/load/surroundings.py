"""What stands beside a load run: the floor's server, what came out of the stack, the facts."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.deadline import Deadline, Observation, poll
from harness.endpoint import LOOPBACK, Endpoint
from harness.load.result import Row
from harness.loopback import ask
from harness.ports import free_port
from harness.ready.tcp import TcpCheck
from harness.stack import Stack

DRAIN = 15.0
"""Seconds for which what was acknowledged may be on its way to the sink."""


@contextlib.contextmanager
def null_server() -> Iterator[Endpoint]:
    """A server that does nothing, on this machine, for as long as inside."""
    endpoint = Endpoint(LOOPBACK, free_port())
    program = Path(__file__).with_name("null_server.py")
    with subprocess.Popen([sys.executable, str(program), str(endpoint)]) as server:
        try:
            poll(TcpCheck(endpoint).observe, Deadline(10))
            yield endpoint
        finally:
            server.terminate()


def rows_of_sink(url: str, expected: int, patience: float = DRAIN) -> list[Row]:
    """Every row of the sink, once as many are there as are expected, or patience is at an end."""
    rows: list[Row] = []

    def look() -> Observation:
        more = ask("GET", f"{url}/received?since={len(rows)}").json()
        rows.extend(more)
        return Observation(len(rows) >= expected and not more, f"{len(rows)} rows")

    poll(look, Deadline(patience))
    return rows


def rows_made(stack: Stack) -> dict[str, float] | None:
    """When each notification was made, by its event's id; None without such a table."""
    exports = [node.exports(stack.book) for node in stack.topology.nodes]
    dsn = next((each["dsn"] for each in exports if "dsn" in each), "")
    if not dsn:
        return None
    import psycopg

    query = "SELECT event_id, extract(epoch FROM created_at)::float8 FROM notifications"
    with psycopg.connect(dsn) as connection, contextlib.suppress(psycopg.errors.UndefinedTable):
        return dict(connection.execute(query).fetchall())
    return None


def environment(stack: Stack) -> dict[str, Any]:
    """What a reader must know to compare."""
    metadata = {}
    for node in stack.topology.nodes:
        if node.name.endswith("-daprd"):
            token = node.exports(stack.book)["token"]
            url = stack.book.endpoint(node.name, "http").http
            headers = {"dapr-api-token": token} if token else {}
            with contextlib.suppress(Exception):
                metadata = ask("GET", f"{url}/v1.0/metadata", headers=headers).json()
            break
    return {
        "runtime": stack.runtime,
        "dapr": metadata.get("runtimeVersion", ""),
        "broker": next((n.tools[0] for n in stack.topology.nodes if hasattr(n, "topics")), ""),
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
    }
