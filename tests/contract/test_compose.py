"""What the committed compose file runs inside containers, run here."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from harness.core.launch import Build, InContainer, Launch
from harness.nodes.app import App
from harness.render.compose.text import healthcheck

pytestmark = pytest.mark.real


@contextmanager
def answering(status: int) -> Iterator[int]:
    """The port of a server that answers each request for /ready with a status, others with 404."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/ready" else 404)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def verdict(node: App, port: int) -> int:
    """The exit code of the health check of an app that listens on a port."""
    build = Build(Path())
    found = healthcheck(
        node, Launch("shop", ("true",), container=InContainer(build), ports={"main": port})
    )
    assert found is not None
    assert "CMD" == found["test"][0]
    return subprocess.run(found["test"][1:], capture_output=True, timeout=20).returncode


@pytest.mark.parametrize(
    ("status", "healthy"), [(200, True), (204, True), (404, False), (503, False)]
)
def test_an_app_is_healthy_when_its_health_path_answers_2xx(status: int, healthy: bool) -> None:
    """In the container's own shell, without a Python for each look."""
    with answering(status) as port:
        assert healthy == (verdict(App("shop", asgi="shop:app", health="/ready"), port) == 0)


def test_an_app_without_a_health_path_is_healthy_when_it_listens() -> None:
    """Whatever it answers."""
    with answering(503) as port:
        assert 0 == verdict(App("shop", asgi="shop:app"), port)

    assert 0 != verdict(App("shop", asgi="shop:app"), port)
    assert 0 != verdict(App("shop", asgi="shop:app", health="/ready"), port)
