"""The floor of a run: a server that does nothing, as a process."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from harness.core.deadline import Deadline, poll
from harness.core.endpoint import LOOPBACK, Endpoint
from harness.core.ports import free_port
from harness.load.generate.generator import program
from harness.ready.tcp import TcpCheck
from harness.stack.stack import Stack


@contextlib.contextmanager
def null_server(stack: Stack) -> Iterator[str]:
    """The URL of a server that does nothing, on this machine, for the duration of the ``with``."""
    # On the loopback whatever the runtime: a node's own address is for containers as well.
    endpoint = Endpoint(LOOPBACK, free_port())
    file = Path(__file__).with_name("null_server.py")
    server = stack.add(program("load-floor", [sys.executable, str(file), str(endpoint)], {}))
    try:
        poll(TcpCheck(endpoint).observe, Deadline(10))
        yield endpoint.http
    finally:
        server.stop()
