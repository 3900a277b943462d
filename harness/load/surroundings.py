"""The environment of a load run: the floor's server, the sink's rows, facts about the machine."""

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
from harness.loopback import ask
from harness.ports import free_port
from harness.provision.child import mortal
from harness.ready.tcp import TcpCheck
from harness.roles import HasTopics
from harness.stack import Stack

DRAIN = 15.0
"""Seconds for which acknowledged requests may still be on their way to the sink."""

Row = list[Any]
"""Kind, lane, number, due, sent, entered."""


@contextlib.contextmanager
def null_server() -> Iterator[Endpoint]:
    """A server that does nothing, on this machine, for the duration of the ``with`` block."""
    endpoint = Endpoint(LOOPBACK, free_port())
    program = Path(__file__).with_name("null_server.py")
    command = mortal([sys.executable, str(program), str(endpoint)])
    with subprocess.Popen(command) as server:
        try:
            poll(TcpCheck(endpoint).observe, Deadline(10))
            yield endpoint
        finally:
            server.terminate()


def rows_of_sink(url: str, expected: int, patience: float = DRAIN) -> list[Row]:
    """Every row of the sink, once there are as many as expected, or the time is up."""
    rows: list[Row] = []

    def look() -> Observation:
        more = ask("GET", f"{url}/received?since={len(rows)}").json()
        rows.extend(more)
        return Observation(len(rows) >= expected and not more, f"{len(rows)} rows")

    poll(look, Deadline(patience))
    return rows


def environment(stack: Stack) -> dict[str, Any]:
    """The facts that a reader needs for a comparison."""
    metadata = {}
    for node in stack.topology.sidecars()[:1]:
        token = stack.book.exports(node.name)["token"]
        url = stack.book.endpoint(node.name, "http").http
        headers = {"dapr-api-token": token} if token else {}
        with contextlib.suppress(Exception):
            metadata = ask("GET", f"{url}/v1.0/metadata", headers=headers).json()
    return {
        "runtime": stack.runtime,
        "dapr": metadata.get("runtimeVersion", ""),
        "broker": next((n.tools[0] for n in stack.topology.nodes if isinstance(n, HasTopics)), ""),
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
    }
