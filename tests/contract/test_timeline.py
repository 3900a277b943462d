"""A test's timeline: all sources of a real system as one type of record, in the order of time."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import pytest

from harness import (
    App,
    AsyncWorld,
    Kafka,
    Occurrence,
    ProbeError,
    Receiver,
    Settings,
    Stack,
    Topology,
    World,
    running,
)
from tests.projects import BUS
from tests.support import project

pytestmark = [pytest.mark.real, pytest.mark.timeout(500)]

APP = """
import json, os, urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

API = "http://127.0.0.1:" + os.environ["DAPR_HTTP_PORT"]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        found = self.path == "/dapr/subscribe"
        self.answer(200 if found else 404,
                    [{"pubsubname": "bus", "topic": "orders", "route": "/ship"}])

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/buy":
            headers = {"dapr-api-token": os.environ["DAPR_API_TOKEN"],
                       "content-type": "application/json",
                       "traceparent": self.headers["traceparent"]}
            url = API + "/v1.0/publish/bus/orders"
            with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60):
                pass
        self.answer(200, {})

    def answer(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


ThreadingHTTPServer((os.environ["APP_HOST"], int(os.environ["APP_PORT"])), Handler).serve_forever()
"""

TRACING = """\
apiVersion: dapr.io/v1alpha1
kind: Configuration
metadata: {name: tracing}
spec:
  tracing:
    samplingRate: "1"
    zipkin: {endpointAddress: "${receiver.url}/api/v2/spans"}
"""

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture(scope="module", params=["processes", "containers"])
def stack(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    if request.param == "containers":
        request.getfixturevalue("images")
    folder = project(tmp_path_factory.mktemp("timeline"), r__bus_yaml=BUS, r__tracing_yaml=TRACING)
    topology = Topology(
        Kafka(topics=["orders"]),
        Receiver(mail=False),
        App("shop", command=[sys.executable, "-c", APP], image="app", record=True),
        resources="r",
    )
    with running(topology, Settings.load(folder, runtime=request.param)) as opened:
        yield opened


def buy(world: World) -> None:
    """One order, from the call of the app to its delivery and the spans of both."""
    headers = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
    body = {"id": world.name("order")}
    world.app("shop").post("/buy", json=body, headers=headers).raise_for_status()
    world.topic("orders").next(data=body, timeout=60)
    world.inbox("shop").next(path="/ship", data=body, timeout=60)
    world.eventually(lambda: len(world.trace(TRACE)) >= 2, timeout=60)


def of(found: list[Occurrence], source: str) -> list[Occurrence]:
    return [each for each in found if each.source == source]


def test_every_source_is_in_the_timeline_in_the_order_of_time(stack: Stack) -> None:
    """A call, the event it published, its delivery, spans, and a restart, on one clock."""
    began = time.time_ns()
    with World(stack) as world:
        buy(world)
        world.restart("shop")
        found = world.timeline()
        ended = time.time_ns()

        (call,) = of(found, "call")
        (event,) = of(found, "event")
        (delivery,) = of(found, "delivery")
        assert ("shop", "POST /v1.0/publish/bus/orders -> 204") == (call.node, call.what)
        assert ("kafka", "orders com.dapr.event.sent") == (event.node, event.what)
        assert ("shop", "POST /ship com.dapr.event.sent -> 200") == (delivery.node, delivery.what)
        assert event.correlation["event"] == delivery.correlation["event"]
        traces = [each.correlation["trace"] for each in (call, event, delivery)]
        assert [TRACE] * 3 == traces
        assert TRACE in {each.correlation["trace"] for each in of(found, "span")}
        assert [world.id] * 3 == [each.world for each in (call, event, delivery)]
        journal = [each.what.split()[0] for each in of(found, "journal") if each.node == "shop"]
        steps = ["restart.begun", "process.exited", "node.ready"]
        assert steps == [each for each in journal if each in steps]

    times = [each.time for each in found]
    assert times == sorted(times)
    assert call.time <= delivery.time
    # A broker keeps milliseconds.
    assert all(began - 1_000_000 <= each <= ended for each in times)


def test_what_was_observed_before_a_test_is_not_in_its_timeline(stack: Stack) -> None:
    """Each world begins with nothing."""
    with World(stack) as earlier:
        buy(earlier)
    with World(stack) as world:
        assert not [each for each in world.timeline() if earlier.id in str(each)]


async def test_an_asynchronous_test_has_the_same_timeline(stack: Stack) -> None:
    """The tap is read when the timeline is asked for."""
    async with AsyncWorld(stack) as dapr:
        tap = dapr.topic("orders")
        headers = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
        await dapr.app("shop").post("/buy", json={"id": dapr.name("o")}, headers=headers)
        await dapr.inbox("shop").next(path="/ship", timeout=60)
        await dapr.eventually(lambda: _some(dapr, "event"), timeout=60)

        assert {"call", "event", "delivery"} <= {each.source for each in await dapr.timeline()}
        assert 1 == len(await tap.all())


async def _some(dapr: AsyncWorld, source: str) -> bool:
    return bool(of(await dapr.timeline(), source))


def test_a_recorder_that_is_away_is_named(stack: Stack) -> None:
    """A timeline with a hole is not passed off as a whole one."""
    with World(stack) as world:
        world.kill("shop-calls")
        try:
            with pytest.raises(ProbeError, match=r"the recorder at .* does not answer GET"):
                world.timeline()
        finally:
            stack.restart("shop-calls")
