"""Requests of readiness checks: answered, refused, cut off; and what they do not import."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import create_server
from typing import Any, ClassVar

import pytest

from harness import DaprError, Endpoint
from harness.core.endpoint import LOOPBACK
from harness.core.ports import free_port
from harness.dapr.health import HealthCheck
from harness.dapr.status import SidecarStatus
from harness.ready.http import HttpCheck
from harness.ready.local_http import UNANSWERED, LocalHttp, get

ATTACHING = """
import sys
import harness.stack.registry, harness.stack.run, harness.stack.stack
from harness import App, Broker, Postgres, Receiver, Redis, Topology, Endpoint
from harness.dapr.health import HealthCheck
from harness.dapr.status import SidecarStatus
from harness.ready.http import HttpCheck
Topology(Broker(), Postgres(), Redis(), Receiver(), App("a", asgi="a:app", inbox=True, calls=True))
closed = Endpoint("127.0.0.1", int(sys.argv[1]))
assert not HttpCheck(closed.http).observe().ok
assert not HealthCheck(SidecarStatus(closed), outbound=False, name="app").observe().ok
slow = {"asyncio", "click", "h11", "httpx", "psycopg", "psutil", "rich", "tarfile"}
building = {f"harness.provision.{each}" for each in ("archive", "gobuild", "golang")}
unused = {"harness.nodes.exporter", "harness.nodes.virtual_scheduler", "harness.ready.amqp",
          "harness.provision.kubernetes", "harness.virtual_time.messages"}
print(*(slow | building | unused) & {*sys.modules})
"""


class Handler(BaseHTTPRequestHandler):
    """Answers with what it was asked; with nonsense at `/broken`, and as daprd at `/v1.0`."""

    protocol_version = "HTTP/1.1"
    connections: ClassVar[list[Any]] = []

    def do_GET(self) -> None:
        if self.connection not in self.connections:
            self.connections.append(self.connection)
        if self.path == "/broken":
            self.close_connection = True
            self.wfile.write(b"nonsense\r\n\r\n")
            return
        refused = self.path.startswith("/v1.0")
        token = self.headers.get("dapr-api-token", "")
        error = b'{"errorCode": "ERR_HEALTH_NOT_READY", "message": "not yet"}'
        body = error if refused else f"{self.path} {token}".encode()
        self.send_response(500 if refused else 200)
        self.send_header("Some-Thing", "x")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def server() -> Iterator[Endpoint]:
    Handler.connections = []
    with ThreadingHTTPServer((LOOPBACK, free_port()), Handler) as found:
        found.daemon_threads = True
        thread = threading.Thread(target=found.serve_forever, args=[0.01])
        thread.start()
        yield Endpoint(LOOPBACK, found.server_port)
        found.shutdown()
        thread.join()


def test_a_request_has_its_query_and_its_headers(server: Endpoint) -> None:
    """Names of headers are in lower case in the answer."""
    answer = get(f"{server.http}/a/b?c=d&e", headers={"dapr-api-token": "t"})

    assert (200, True, "/a/b?c=d&e t") == (answer.status_code, answer.is_success, answer.text)
    assert "x" == answer.headers["some-thing"]


def test_requests_of_a_client_share_a_connection_until_one_fails(server: Endpoint) -> None:
    """The next one opens another."""
    with LocalHttp(server) as client:
        client.get("/1")
        client.get("/2")
        before = len(Handler.connections)
        with pytest.raises(UNANSWERED):
            client.get("/broken")
        answer = client.get("/3")

    assert (1, 2, "/3 ") == (before, len(Handler.connections), answer.text)


def test_a_refused_connection_is_an_observation() -> None:
    """With the system's reason."""
    seen = HttpCheck(f"http://{LOOPBACK}:{free_port()}/x").observe()

    assert not seen.ok
    assert "refused" in seen.fact


def test_an_answer_that_is_not_http_is_an_observation() -> None:
    """A server of something else has the port."""
    with create_server((LOOPBACK, free_port())) as listener, _speaking(listener, b"SSH-2.0\r\n"):
        endpoint = Endpoint(*listener.getsockname())

        seen = HttpCheck(endpoint.http).observe()

    assert not seen.ok
    assert "SSH-2.0" in seen.fact


def test_an_answer_without_success_is_quoted(server: Endpoint) -> None:
    """With its status and its body."""
    seen = HttpCheck(f"{server.http}/v1.0/x").observe()

    assert not seen.ok
    assert "-> 500 " in seen.fact
    assert "not yet" in seen.fact


def test_a_sidecar_that_is_not_ready_says_why(server: Endpoint) -> None:
    """Its error is typed, as that of the other client."""
    with SidecarStatus(server, "t") as client:
        seen = HealthCheck(client, outbound=False, name="app").observe()
        with pytest.raises(DaprError, match="ERR_HEALTH_NOT_READY"):
            client.metadata()

    assert (False, "500 ERR_HEALTH_NOT_READY: not yet") == (seen.ok, seen.fact)


def test_other_errors_of_a_check_are_not_observations() -> None:
    """A mistake of ours ends the wait."""

    class Wrong:
        endpoint = Endpoint(LOOPBACK, 1)

        def metadata(self) -> Any:
            raise AssertionError

        def health(self, *, outbound: bool = False) -> None:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        HealthCheck(Wrong(), outbound=False, name="app").observe()


def test_attaching_imports_no_client_library() -> None:
    """Their imports took more than half of the time of attaching."""
    code = [sys.executable, "-c", ATTACHING, str(free_port())]
    done = subprocess.run(code, capture_output=True, text=True)

    assert (0, "") == (done.returncode, done.stdout.strip()), done.stderr


@contextmanager
def _speaking(listener: Any, words: bytes) -> Iterator[None]:
    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(words)

    thread = threading.Thread(target=serve)
    thread.start()
    yield
    thread.join()
