"""The floor of a run: a server that does nothing, as a process."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from harness.deadline import Deadline, poll
from harness.endpoint import LOOPBACK, Endpoint
from harness.ports import free_port
from harness.provision.child import mortal
from harness.ready.tcp import TcpCheck


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
