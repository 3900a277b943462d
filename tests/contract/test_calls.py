"""What an app asks of its sidecar is recorded, on each runtime, and reaches daprd unchanged."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from harness import App, Settings, Topology, World, running
from tests.projects import IN_MEMORY
from tests.support import project

pytestmark = [pytest.mark.real, pytest.mark.timeout(500)]

APP = """
import json, os, urllib.error, urllib.request
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


def test_a_call_of_an_app_is_recorded(world: World) -> None:
    """With what it is about."""
    answer = world.app("shop").post("/v1.0/publish/pubsub/orders", json={"id": 1})

    call = world.calls("shop").next(api="publish")

    assert 204 == answer.status_code, answer.text
    assert ("POST", "/v1.0/publish/pubsub/orders", "orders") == (
        call.method,
        call.path,
        call.target,
    )
    assert ({"id": 1}, 204) == (call.data, call.status)
