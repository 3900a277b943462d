"""The tick of a cron binding: what daprd sends by its own clock, and what the clock sends."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness import (
    App,
    ConfigError,
    ProbeError,
    ProbeTimeout,
    Settings,
    Stack,
    Topology,
    VirtualScheduler,
    World,
    running,
)
from harness.core.endpoint import Endpoint
from harness.core.errors import SystemFailure
from harness.dapr.resources import read_resources
from harness.stack.ticks import TickSidecar, targets_of
from harness.virtual_time.ticks import Target, _all, _silence

pytestmark = [pytest.mark.real, pytest.mark.own_stack]

APPS = Path(__file__).parent / "apps"
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
WAITS = "import threading; threading.Event().wait()"
GO_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,9})? \+0000 UTC")
HEADERS = 1
"""The type of an HTTP/2 frame."""

TRACE = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-01")


def topology() -> Topology:
    """Two replicas of one app, and three other apps, each with bindings of its own."""
    return Topology(
        VirtualScheduler(start="2099-01-31T09:00:00.25Z"),
        App("shop", asgi="ticked:app", cwd=APPS, inbox=True, replicas=2),
        App("clerk", asgi="ticked:app", cwd=APPS, inbox=True),
        App("talker", asgi="ticked:app", cwd=APPS, sidecar_flags={"app-protocol": "grpc"}),
        App("worker", command=[sys.executable, "-c", WAITS], listens=False),
        resources=APPS / "bindings",
    )


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Both, up."""
    with running(topology(), Settings.load(runtime="processes")) as found:
        yield found


def posted(world: World, path: str, app: str = "clerk", replica: int = 1) -> list[Any]:
    """The deliveries of a binding."""
    seen = world.inbox(app, replica=replica).seen
    return [each for each in seen if (each.method, each.path) == ("POST", path)]


def is_ticked(delivery: Any) -> bool:
    """Whether it has the year of the clock; daprd's own have that of the real one."""
    at = str(delivery.headers.get("readtimeutc"))
    return delivery.method == "POST" and at.startswith("2099-")


def test_an_app_cannot_tell_a_tick_from_a_call_of_daprds_binding(world: World) -> None:
    """Method, path, body and headers in their order; only the time and the trace differ."""
    inbox = world.inbox("shop")
    by_daprd = inbox.next(path="/each-second", where=lambda each: not is_ticked(each), timeout=30)
    world.clock.tick("each-second")
    by_tick = inbox.next(path="/each-second", where=is_ticked)

    theirs, ours = json.loads(by_daprd.answer), json.loads(by_tick.answer)
    differing = {"readtimeutc": GO_TIME, "traceparent": TRACE}
    for told in (theirs, ours):
        for header in told["headers"]:
            if header[0] in differing:
                assert differing[header[0]].fullmatch(header[1]), header
                header[1] = "compared"
    assert theirs == ours
    names = {name for name, _ in ours["headers"]}
    assert {"dapr-api-token", "readtimeutc", "timezone", "traceparent"} <= names


def test_every_replica_gets_one_call_with_the_moment_of_the_clock(world: World) -> None:
    """The same one, as it is after a move."""
    now = world.clock.advance("24h").now

    ticked = world.clock.tick("hourly")

    assert now == ticked.at
    assert [("shop", 200), ("shop-2", 200)] == [(each.app, each.status) for each in ticked.answers]
    for replica in (1, 2):
        (only,) = posted(world, "/hourly", "shop", replica)
        expected = f"{now:%Y-%m-%d} 09:00:00.25 +0000 UTC"
        assert (expected, None) == (only.headers["readtimeutc"], only.data)


def test_a_binding_has_the_path_of_its_route(world: World) -> None:
    """With an explicit direction, the app is not asked."""
    world.clock.tick("routed")

    assert ["POST"] == [each.method for each in world.inbox("clerk").all(path="/some/where")]


def test_an_app_that_allows_only_post_takes_the_binding(world: World) -> None:
    """It answers 405 to OPTIONS, which is enough for daprd."""
    ticked = world.clock.tick("post-only")

    assert ["clerk"] == [each.app for each in ticked.answers]
    methods = [each.method for each in world.inbox("clerk").all(path="/post-only")]
    assert ["OPTIONS", "POST"] == methods


def test_an_app_that_daprd_would_not_call_is_not_called(world: World) -> None:
    """It answers 404 to OPTIONS, although it would take the call."""
    with pytest.raises(SystemFailure, match="no app uses the cron binding 'not-taken'") as told:
        world.clock.tick("not-taken")

    assert "clerk: 404" in str(told.value)
    assert [] == posted(world, "/not-taken")


def test_an_error_of_the_app_is_told(world: World) -> None:
    """With its status and its answer; daprd would ignore both."""
    with pytest.raises(SystemFailure, match="the tick of 'refused' failed") as told:
        world.clock.tick("refused")

    assert "clerk: 503 {" in str(told.value)
    assert 1 == len(posted(world, "/refused"))


@pytest.mark.parametrize(
    ("binding", "said"),
    [
        ("hourli", r"no sidecar has a cron binding 'hourli'\n.*did you mean 'hourly'\?"),
        ("remembered", "is a component of type state.in-memory, which no clock triggers"),
        ("outgoing", "the direction of 'outgoing' is not input"),
        ("by-grpc", "'by-grpc' cannot be triggered: talker uses grpc"),
        ("unheard", "the cron binding 'unheard' has no app"),
    ],
)
def test_what_has_no_tick_is_refused(world: World, binding: str, said: str) -> None:
    """With the names that there are."""
    with pytest.raises(ConfigError, match=said):
        world.clock.tick(binding)


@pytest.mark.parametrize(("internal", "mtls"), [("", False), ("127.0.0.1:1", True)])
def test_a_sidecar_that_only_sidecars_can_call_is_refused(internal: str, mtls: bool) -> None:
    """Before anything is called: its port is in a container, or needs a certificate."""
    resources = read_resources([APPS / "bindings"])
    sidecar = TickSidecar("shop", Endpoint("127.0.0.1", 1), "", internal, resources)

    with pytest.raises(ConfigError, match="only sidecars can call its sidecars"):
        targets_of("hourly", [sidecar], mtls=mtls)


@pytest.mark.parametrize(
    ("code", "details", "kind"),
    [
        ("DEADLINE_EXCEEDED", "Deadline Exceeded", ProbeTimeout),
        ("INTERNAL", "error invoking app channel: context deadline exceeded", ProbeTimeout),
        ("INTERNAL", "error invoking app channel: connection refused", ProbeError),
        ("CANCELLED", "Channel closed!", ProbeError),
        ("UNAVAILABLE", "failed to connect to all addresses", ProbeError),
    ],
)
def test_a_deadline_is_a_time_out_whoever_notices_it_first(
    code: str, details: str, kind: type[Exception]
) -> None:
    """The client, or daprd, which has been told of it."""
    error = SimpleNamespace(code=lambda: SimpleNamespace(name=code), details=lambda: details)

    made = _silence("POST", Target("clerk", "127.0.0.1:1", "/", asks=False), error, 1.0)

    assert kind is type(made)


def test_a_stream_that_the_server_has_reset_is_a_time_out() -> None:
    """Its transport has noticed the deadline first; the words are those of the client's library."""
    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor() as pool:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        pool.submit(reset_the_first_stream, listening)
        with pytest.raises(ProbeTimeout, match="clerk did not answer the tick"):
            _all("POST", [Target("clerk", address, "/", asks=False)], {}, 30)


def reset_the_first_stream(listening: socket.socket) -> None:
    """Speak as much HTTP/2 as that takes: RFC 9113, sections 4.1, 6.4 and 6.5."""
    settings, acknowledged = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]), bytes([0, 0, 0, 4, 1, 0, 0, 0, 0])
    cancel = bytes([0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 8])
    connection, _ = listening.accept()
    with connection, connection.makefile("rb") as received:
        connection.sendall(settings + acknowledged)
        received.read(len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
        kind = None
        while kind != HEADERS:
            head = received.read(9)
            kind = head[3]
            received.read(int.from_bytes(head[:3], "big"))
        connection.sendall(cancel)
        received.read()


def test_an_app_that_is_away_is_named(world: World) -> None:
    """And so is its sidecar; the other replica is not called either."""
    world.pause("clerk-inbox")
    try:
        with pytest.raises(ProbeTimeout, match="clerk did not answer the tick"):
            world.clock.tick("routed", timeout=1)
    finally:
        world.resume("clerk-inbox")

    world.kill("shop-2-inbox")
    with pytest.raises(ProbeError, match="the app of the tick is away: shop-2") as told:
        world.clock.tick("hourly")
    assert "connection refused" in str(told.value)
    assert "no app was called" in str(told.value)
    world.restart("shop-2-inbox")

    world.kill("shop-2-daprd")
    with pytest.raises(ProbeError, match="the sidecar of the tick is away: shop-2"):
        world.clock.tick("hourly")
    world.restart("shop-2-daprd")
    assert [] == posted(world, "/hourly", "shop")
    assert 2 == len(world.clock.tick("hourly").answers)


def test_a_tick_in_real_time_has_the_real_moment() -> None:
    """Everything else that a clock does is refused."""
    app = App("clerk", asgi="ticked:app", cwd=APPS, inbox=True)
    stack = running(Topology(app, resources=APPS / "bindings"), Settings.load(runtime="processes"))
    with stack as found, World(found) as world:
        before = datetime.now(UTC)
        ticked = world.clock.tick("routed")

        assert before <= ticked.at <= datetime.now(UTC)
        (delivery,) = posted(world, "/some/where")
        assert delivery.headers["readtimeutc"].startswith(f"{ticked.at:%Y-%m-%d %H:%M:%S}")
        for refused in (world.clock.now, world.clock.next_due, world.clock.freeze):
            with pytest.raises(ConfigError, match="follows real time"):
                refused()


@pytest.mark.skipif(FAKETIME is None, reason="libfaketime is not installed")
def test_a_cron_binding_does_not_follow_libfaketime() -> None:
    """daprd is a static program, which does not load it; a Python program with the same does."""
    fake = {"LD_PRELOAD": str(FAKETIME), "FAKETIME": "+100d x3600"}
    app = App("shop", asgi="ticked:app", cwd=APPS, inbox=True, sidecar_env=fake)
    stack = running(Topology(app, resources=APPS / "bindings"), Settings.load(runtime="processes"))
    with stack as found, World(found) as world:
        pid = world.instance("shop-daprd").pid
        inbox = world.inbox("shop", from_beginning=True)
        # By a clock that is 3600 times as fast, the hour of the other binding is over by then.
        inbox.collect(4, path="/each-second", timeout=30)
        told = [each.headers["readtimeutc"] for each in posted(world, "/each-second", "shop")]
        hourly = [each.method for each in inbox.all(path="/hourly")]

        assert b"libfaketime" in Path(f"/proc/{pid}/environ").read_bytes()
        assert "libfaketime" not in Path(f"/proc/{pid}/maps").read_text()
        assert max(told)[:19] <= f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
        assert ["OPTIONS"] == hourly

    code = "import time; print(time.time())"
    env = {**os.environ, **fake}
    python = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert float(python.stdout) > time.time() + 99 * 86_400
