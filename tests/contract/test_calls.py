"""What an app asks of its sidecar is recorded, on each runtime, and reaches daprd unchanged."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import App, AsyncWorld, ConfigError, ProbeTimeout, Settings, Topology, World, running
from harness.core.deadline import Deadline, Observation, poll
from harness.probe.api_calls import CallRecord
from tests.projects import IN_MEMORY
from tests.support import project

pytestmark = [pytest.mark.real, pytest.mark.timeout(500)]

APP = """
import json, os, threading, urllib.error, urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOST = "http://127.0.0.1:" + os.environ["DAPR_HTTP_PORT"]
assert os.environ.get("DAPR_HTTP_ENDPOINT", HOST) == HOST


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(404, b"")

    def do_POST(self):
        # Whatever is posted here is asked of the sidecar, and its answer is passed on.
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/hang":
            threading.Event().wait(30)
        headers = {"dapr-api-token": os.environ["DAPR_API_TOKEN"],
                   "content-type": "application/json"}
        if "traceparent" in self.headers:
            headers["traceparent"] = self.headers["traceparent"]
        method = self.headers.get("x-method", "POST")
        request = urllib.request.Request(HOST + self.path, body or None, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                self.answer(response.status, response.read())
        except urllib.error.HTTPError as error:
            self.answer(error.code, error.read())
        except OSError as error:
            self.answer(599, repr(error).encode())

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


ThreadingHTTPServer((os.environ["APP_HOST"], int(os.environ["APP_PORT"])), Handler).serve_forever()
"""

STATE = """\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: store}
spec: {type: state.in-memory, version: v1}
"""


@pytest.fixture(scope="module", params=["processes", "containers"])
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    if request.param == "containers":
        request.getfixturevalue("images")
    folder = project(tmp_path_factory.mktemp("calls"), r__bus_yaml=IN_MEMORY, r__store_yaml=STATE)
    command = [sys.executable, "-c", APP]
    shop = App("shop", command=command, image="app", calls=True, replicas=2)
    topology = Topology(shop, App("plain", command=command, image="app"), resources="r")
    settings = Settings.load(folder, runtime=request.param)
    with running(topology, settings) as stack, World(stack) as opened:
        yield opened


def ask(world: World, path: str, body: object = None, *, app: str = "shop", **headers: str) -> int:
    """Have an app ask its sidecar; the status that the app received, 599 if it got no response."""
    content = b"" if body is None else json.dumps(body).encode()
    number = 2 if app == "shop-2" else 1
    client = world.app(app.removesuffix("-2"), replica=number)
    return client.post(path, content=content, headers=headers, timeout=90).status_code


def test_a_call_of_an_app_is_recorded(world: World) -> None:
    """With what it is about, and how the sidecar responded."""
    trace = "0af7651916cd43dd8448eb211c80319c"
    status = ask(
        world,
        "/v1.0/publish/pubsub/orders",
        {"id": 1},
        traceparent=f"00-{trace}-b7ad6b7169203331-01",
    )

    call = world.calls("shop").next(api="publish", target="orders")

    assert 204 == status == call.status
    assert ("POST", "/v1.0/publish/pubsub/orders") == (call.method, call.path)
    assert {"id": 1} == call.data
    assert call.took > 0
    assert trace == call.occurrence("shop").correlation["trace"]


def test_calls_are_matched_like_deliveries(world: World) -> None:
    """By their fields, each returned once by `next`, in the order of their responses."""
    key = world.name("key")
    saved = ask(world, "/v1.0/state/store", [{"key": key, "value": {"a": 1}}])
    read = ask(world, f"/v1.0/state/store/{key}", **{"x-method": "GET"})
    calls = world.calls("shop")

    both = calls.collect(2, api="state", target="store")

    assert [saved, read] == [204, 200] == [each.status for each in both]
    assert ["", '{"a":1}'] == [each.answer for each in both]
    assert [key, key] == [each.occurrence("shop").correlation["key"] for each in both]
    assert both == calls.all(api="state", where=lambda each: key in str(each))
    with pytest.raises(ProbeTimeout, match="calls of shop: nothing matched api='state'"):
        calls.next(api="state", timeout=0)


def test_a_rejected_call_is_recorded_with_its_status(world: World) -> None:
    """The sidecar's words are the answer, and the app receives them."""
    status = ask(world, "/v1.0/publish/nosuch/orders", {"id": 1})

    call = world.calls("shop").next(target="orders", path="/v1.0/publish/nosuch/orders")

    assert status == call.status == 404
    assert "ERR_PUBSUB_NOT_FOUND" in call.answer


def test_the_calls_of_a_test_are_not_those_of_the_app(world: World) -> None:
    """A test's client of the sidecar talks to daprd itself."""
    mine, last = world.name("mine"), world.name("last")
    world.sidecar("shop").publish("pubsub", mine, {})
    ask(world, f"/v1.0/publish/pubsub/{last}", {})

    world.calls("shop").nothing_before({"target": last}, target=mine)


def test_each_replica_has_its_own_record(world: World) -> None:
    """Its calls go to its own sidecar."""
    topic = world.name("second")
    ask(world, f"/v1.0/publish/pubsub/{topic}", {}, app="shop-2")

    assert 204 == world.calls("shop", replica=2).next(target=topic).status
    assert [] == world.calls("shop").all(target=topic)


async def test_an_asynchronous_test_sees_the_same_calls(world: World) -> None:
    """From its own beginning on."""
    async with AsyncWorld(world.stack) as dapr:
        topic = dapr.name("later")
        answer = await dapr.app("shop").post(f"/v1.0/publish/pubsub/{topic}", content=b"{}")

        assert [204] == [each.status for each in await dapr.calls("shop").collect(1, target=topic)]
        assert 204 == answer.status_code
        assert 1 == len(await dapr.calls("shop").all())


def test_an_app_that_is_not_recorded_says_so(world: World) -> None:
    """Recording is off by default."""
    with pytest.raises(
        ConfigError, match=r"calls of app 'plain' are not recorded(.|\n)*calls=True"
    ):
        world.calls("plain")


def test_only_an_app_whose_calls_are_recorded_calls_a_recorder(world: World) -> None:
    """By HTTP; tests/contract/test_calls_grpc.py has calls by gRPC."""
    shop, plain = (world.stack.launch(name).env for name in ("shop", "plain"))

    assert plain["DAPR_GRPC_PORT"] == world.exports("plain-daprd")["grpc"]
    assert shop["DAPR_HTTP_PORT"] == str(world.address("shop-calls").port)
    assert plain["DAPR_HTTP_PORT"] == world.exports("plain-daprd")["http"]
    assert "DAPR_HTTP_ENDPOINT" not in plain


def test_a_sidecar_that_is_gone_looks_gone_and_comes_back(world: World) -> None:
    """The app's connection is closed without a response, and its next calls are recorded again."""
    path = f"/v1.0/publish/pubsub/{world.name('back')}"
    world.kill("shop-daprd")
    try:
        assert 599 == ask(world, path, {})
    finally:
        world.restart("shop-daprd")

    assert 204 == ask(world, path, {})
    assert [204] == [each.status for each in world.calls("shop").all(path=path)]


def test_a_call_that_a_dying_sidecar_never_answered_has_no_status(world: World) -> None:
    """The app got no response either."""
    path = "/v1.0/invoke/plain/method/hang"
    reader = CallRecord(world.address("shop-calls", "record"), 0)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask, world, path, {})
        assert poll(lambda: Observation(reader.oldest_open() < math.inf), Deadline(30)).ok
        world.kill("shop-daprd")
        try:
            assert 599 == asked.result()
        finally:
            world.restart("shop-daprd")

    call = world.calls("shop").next(path=path)

    assert call.status is None
    assert "POST /v1.0/invoke/plain/method/hang -> no response" == call.occurrence("shop").what
