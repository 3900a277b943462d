"""The inbox's proxy between a client and an app: what it keeps open, and what it does not."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from harness.core.deadline import Deadline, poll
from harness.core.endpoint import LOOPBACK, Endpoint
from harness.core.ports import free_port
from harness.probe import inbox_server
from harness.ready.loopback import client
from harness.ready.tcp import TcpCheck

pytestmark = pytest.mark.real


class App(ThreadingHTTPServer):
    """Answers with the number of the connection, and says goodbye where that is asked for."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int) -> None:
        super().__init__((LOOPBACK, port), Handler)
        self.connections = 0
        self.opened: list[Handler] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def die(self) -> None:
        """Without a word to those who are connected."""
        self.shutdown()
        self.server_close()
        for each in self.opened:
            with contextlib.suppress(OSError):
                each.connection.shutdown(socket.SHUT_RDWR)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        """Count it."""
        super().setup()
        assert isinstance(self.server, App)
        self.server.connections += 1
        self.server.opened.append(self)

    def do_POST(self) -> None:
        """Read everything, answer with what came."""
        body = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        if self.path == "/goodbye":
            self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def app() -> Iterator[App]:
    """An app on a port of its own, which is still its own after a restart."""
    made = App(free_port())
    yield made
    with contextlib.suppress(OSError):
        made.die()


@pytest.fixture
def daprd(app: App, tmp_path: Path) -> Iterator[httpx.Client]:
    """Asks the proxy as daprd does: by one connection."""
    listen = Endpoint(LOOPBACK, free_port())
    program = [sys.executable, inbox_server.__file__, str(listen)]
    target, record = f"{LOOPBACK}:{app.server_port}", str(tmp_path / "record")
    with subprocess.Popen([*program, target, record]) as proxy, client(listen.http) as http:
        try:
            assert poll(TcpCheck(listen).observe, Deadline(30)).ok
            yield http
        finally:
            proxy.terminate()


def test_deliveries_share_a_connection(app: App, daprd: httpx.Client) -> None:
    """And each gets its own answer."""
    said = [daprd.post("/a", content=f"{number}").text for number in range(5)]

    assert ["0", "1", "2", "3", "4"] == said
    assert 1 == app.connections


def test_a_connection_that_the_app_closes_is_reopened(app: App, daprd: httpx.Client) -> None:
    """What it answered with its goodbye is passed on; the next delivery does not fail."""
    first, second = daprd.post("/goodbye", content="1"), daprd.post("/a", content="2")

    assert [(200, "1"), (200, "2")] == [(each.status_code, each.text) for each in (first, second)]
    assert 2 == app.connections


def test_connections_are_reopened_after_a_restart_of_the_app(app: App, daprd: httpx.Client) -> None:
    """A connection that died while nothing was on its way is not used."""
    daprd.post("/a", content="1")
    app.die()
    again = App(app.server_port)
    try:
        answer = daprd.post("/a", content="2")
    finally:
        again.die()

    assert (200, "2") == (answer.status_code, answer.text)
    assert 1 == again.connections


def test_an_unreachable_app_is_a_bad_gateway_with_the_reason(app: App, daprd: httpx.Client) -> None:
    """As a bad gateway, with the reason."""
    daprd.post("/a", content="1")
    app.die()

    answer = daprd.post("/a", content="2")

    assert 502 == answer.status_code
    assert "cannot be reached" in answer.text


def test_the_record_is_its_owners_alone(daprd: httpx.Client, tmp_path: Path) -> None:
    """Bodies of events and mails are in it; a receiver's is written by the same code."""
    daprd.post("/a", content="1")

    assert 0o600 == (tmp_path / "record").stat().st_mode & 0o777
