"""Claims about the connection that a sidecar keeps to its app."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

from harness import App, DaprError, Settings, Stack, Topology, World, running

pytestmark = pytest.mark.real

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """An app that closes connections as they are used, and one that uvicorn serves."""
    found = Topology(
        App("closing", command=[sys.executable, "closing.py", "{port}"], cwd=HERE),
        App("served", asgi="loadtests.echo:app", cwd=HERE.parents[1]),
    )
    with running(found, Settings.load(runtime="processes")) as up:
        yield up


@pytest.fixture
def world(stack: Stack) -> Iterator[World]:
    """One test's view of them."""
    with World(stack) as found:
        yield found


def test_a_call_on_a_connection_that_the_app_closes_is_lost(world: World) -> None:
    """daprd keeps connections, and does not send a call again: of ten, some meet one twice."""
    caller = world.sidecar("served")

    def call(number: int) -> DaprError | None:
        try:
            assert 200 == caller.invoke("closing", f"/{number}", verb="GET").status_code
        except DaprError as error:
            return error
        return None

    answers = [call(number) for number in range(10)]

    lost = [each for each in answers if each]
    assert 0 < len(lost) < 10
    assert {(500, "ERR_DIRECT_INVOKE", "EOF")} == {
        (each.status, each.error_code, each.message[-3:]) for each in lost
    }
    assert all("--timeout-keep-alive" in "".join(each.__notes__) for each in lost)


def test_an_asgi_app_keeps_an_idle_connection(world: World) -> None:
    """For longer than uvicorn's own five seconds."""
    served = world.app("served").base_url
    with closing(HTTPConnection(served.host, served.port, timeout=10)) as kept:
        kept.request("GET", "/healthz")
        assert kept.getresponse().read()
        kept.sock.settimeout(7)

        with pytest.raises(TimeoutError):
            kept.sock.recv(1)
