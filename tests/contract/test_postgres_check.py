"""When a PostgreSQL server counts as ready."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness import Endpoint, Postgres, Settings, Topology, running
from harness.core.endpoint import LOOPBACK
from harness.core.ports import free_port
from harness.provision.postgres import SUPERUSER
from harness.ready.postgres import PostgresCheck

WITHOUT_A_DRIVER = """
import sys
import harness.nodes.postgres, harness.stack.stack
from harness.core.endpoint import Endpoint
from harness.ready.postgres import PostgresCheck
assert not PostgresCheck(Endpoint("127.0.0.1", int(sys.argv[1])), "x").observe().ok
assert not {"psycopg", "filelock"} & {*sys.modules}
"""


@pytest.mark.real
def test_a_server_is_ready_when_it_asks_who_connects(tmp_path: Path) -> None:
    """Its own error is quoted otherwise: here, that a connection has no user."""
    (tmp_path / "pyproject.toml").touch()
    with running(Topology(Postgres(name="pg")), Settings.load(tmp_path)) as stack:
        endpoint = Endpoint(LOOPBACK, int(stack.book.exports("pg")["port"]))
        seen = PostgresCheck(endpoint, SUPERUSER).observe()
        refused = PostgresCheck(endpoint, "").observe()
        passed = [e.facts["check"] for e in stack.journal if e.kind == "check.passed"]
        log = stack.instances["pg"].log.read_text()

    assert (True, f"{endpoint} accepts {SUPERUSER}") == (seen.ok, seen.fact)
    assert not refused.ok
    assert "no PostgreSQL user name specified in startup packet" in refused.fact
    assert ["startup"] == passed
    assert "invalid" not in log


def test_a_port_without_a_server_is_not_ready() -> None:
    """The system's reason is quoted."""
    seen = PostgresCheck(Endpoint(LOOPBACK, free_port()), SUPERUSER).observe()

    assert not seen.ok
    assert "refused" in seen.fact


@pytest.mark.parametrize("answer", [b"", b"E", b"E\0\0", b"E\0\0\0\4", b"HTTP/1.1 400\r\n"])
def test_a_server_that_hangs_up_is_not_ready(answer: bytes) -> None:
    """As the engine's port forwarder does before the server in the container listens."""
    with _answering(answer) as endpoint:
        seen = PostgresCheck(endpoint, SUPERUSER).observe()

    assert (False, f"{endpoint}: hung up") == (seen.ok, seen.fact)


def test_attaching_imports_no_driver_and_no_file_lock() -> None:
    """Neither is needed, and both take long to import."""
    code = [sys.executable, "-c", WITHOUT_A_DRIVER, str(free_port())]
    done = subprocess.run(code, capture_output=True, text=True)

    assert 0 == done.returncode, done.stderr


@contextmanager
def _answering(answer: bytes) -> Iterator[Endpoint]:
    """A server that answers the first message of one connection, and hangs up."""
    with socket.create_server((LOOPBACK, free_port())) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield Endpoint(LOOPBACK, listener.getsockname()[1])
        thread.join()
