"""Clients of an app: all of a world's share connections, and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from harness import AsyncWorld, Stack, World
from harness.core.endpoint import LOOPBACK
from tests.support import Fake
from tests.unit.test_stack import stack_of


class Server(ThreadingHTTPServer):
    """An app that counts its connections, and answers with the header that it was sent."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__((LOOPBACK, 0), Handler)
        self.connections = 0

    def process_request(self, request: object, client_address: object) -> None:
        self.connections += 1
        super().process_request(request, client_address)  # type: ignore[arg-type]  # as received


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        text = self.headers.get("x-user", "nobody").encode()
        self.send_response(200)
        self.send_header("content-length", str(len(text)))
        self.send_header("set-cookie", "session=1")
        self.send_header("cookies", self.headers.get("cookie", "none"))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Write nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


@pytest.fixture
def stack(server: Server, tmp_path: Path) -> Iterator[Stack]:
    """Its app is the server."""
    opened, _ = stack_of(tmp_path, Fake("shop", fixed_ports={"main": server.server_port}))
    with opened:
        yield opened


async def test_many_clients_of_one_app_use_one_connection(stack: Stack, server: Server) -> None:
    """A long ``eventually`` asks for a client at each try."""
    async with AsyncWorld(stack) as dapr:
        for _ in range(20):
            assert "nobody" == (await dapr.app("shop").get("/")).text

    assert 1 == server.connections


def test_many_synchronous_clients_of_one_app_use_one_connection(
    stack: Stack, server: Server
) -> None:
    with World(stack) as dapr:
        for _ in range(20):
            assert "nobody" == dapr.app("shop").get("/").text

    assert 1 == server.connections


async def test_what_a_test_sets_on_a_client_is_not_sent_by_another_one(stack: Stack) -> None:
    """Neither its headers nor the cookies that it was sent."""
    async with AsyncWorld(stack) as dapr:
        hers, other = dapr.app("shop"), dapr.app("shop")
        hers.headers["x-user"] = "ann"

        assert "ann" == (await hers.get("/")).text
        answer = await other.get("/")
        assert ("nobody", "none") == (answer.text, answer.headers["cookies"])
        assert "session=1" == (await hers.get("/")).headers["cookies"]


async def test_a_client_that_a_test_closes_leaves_the_others_open(
    stack: Stack, server: Server
) -> None:
    async with AsyncWorld(stack) as dapr:
        async with dapr.app("shop") as first:
            await first.get("/")

        assert "nobody" == (await dapr.app("shop").get("/")).text
        assert 1 == server.connections


async def test_leaving_the_world_closes_the_connections_to_its_apps(stack: Stack) -> None:
    async with AsyncWorld(stack) as dapr:
        client = dapr.app("shop")
        await client.get("/")

    with pytest.raises(RuntimeError, match="closed"):
        await client.get("/")
