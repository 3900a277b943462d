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
from harness.render.compose.text import PAUSE, READY, healthcheck

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


WAITS = "it waits"


def look(node: App, port: int, ready: Path) -> tuple[int, bool]:
    """Run the health check of an app that listens on a port.

    Args:
        ready: the file with which the check remembers that it has succeeded.

    Returns:
        its exit code, and whether it has waited before it looked.
    """
    build = Build(Path())
    found = healthcheck(
        node, Launch("shop", ("true",), container=InContainer(build), ports={"main": port})
    )
    assert found is not None
    assert ["CMD", "bash", "-c"] == found["test"][:3]
    said = found["test"][3].replace(READY, str(ready)).replace(f"sleep {PAUSE}", f"echo {WAITS}")
    done = subprocess.run(["bash", "-c", said], capture_output=True, text=True, timeout=20)
    return done.returncode, WAITS in done.stdout


@pytest.mark.parametrize(
    ("status", "healthy"), [(200, True), (204, True), (404, False), (503, False)]
)
def test_an_app_is_healthy_when_its_health_path_answers_2xx(
    tmp_path: Path, status: int, healthy: bool
) -> None:
    """In the container's own shell, without a Python for each look."""
    with answering(status) as port:
        code, _ = look(App("shop", asgi="shop:app", health="/ready"), port, tmp_path / "ready")

    assert healthy == (code == 0)


def test_an_app_without_a_health_path_is_healthy_when_it_listens(tmp_path: Path) -> None:
    """Whatever it answers."""
    with answering(503) as port:
        assert 0 == look(App("shop", asgi="shop:app"), port, tmp_path / "a")[0]

    assert 0 != look(App("shop", asgi="shop:app"), port, tmp_path / "b")[0]
    assert 0 != look(App("shop", asgi="shop:app", health="/ready"), port, tmp_path / "c")[0]


@pytest.mark.parametrize("health", ["", "/ready"])
def test_a_check_waits_only_before_it_looks_again_at_what_was_ready(
    tmp_path: Path, health: str
) -> None:
    """Soon while it is not ready, and soon again when it no longer is."""
    app, ready = App("shop", asgi="shop:app", health=health), tmp_path / "ready"
    with answering(200) as port:
        seen = [look(app, port, ready), look(app, port, ready)]
    seen += [look(app, port, ready), look(app, port, ready)]

    assert [(0, False), (0, True), (1, True), (1, False)] == seen


def test_the_engine_gives_a_check_more_time_than_it_waits() -> None:
    """Otherwise a service that is ready would be unhealthy after the first wait."""
    launch = Launch("shop", ("true",), container=InContainer(Build(Path())), ports={"main": 1})
    found = healthcheck(App("shop", asgi="shop:app"), launch)

    assert found is not None
    assert PAUSE + 3 < int(found["timeout"].removesuffix("s"))
