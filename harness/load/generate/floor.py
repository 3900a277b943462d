"""The floor of a run: a server that does nothing, as a process."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from harness.load.generate.generator import program
from harness.stack import Stack


@contextlib.contextmanager
def null_server(stack: Stack) -> Iterator[str]:
    """The URL of a server that does nothing, on this machine, for the duration of the ``with``."""
    file = Path(__file__).with_name("null_server.py")
    server = stack.add(program("load-floor", [sys.executable, str(file), "{host}:{port}"], {}))
    try:
        yield stack.book.endpoint(server.name).http
    finally:
        server.stop()
