"""``--dapr-otlp``: a test is a trace in a collector, with what it caused in the sidecars."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.collector import Collector, Seen, collecting
from tests.plugin.conftest import Run
from tests.projects import IN_MEMORY
from tests.support import project

CONFTEST = """
import sys
import pytest
from harness import App, Topology

@pytest.fixture(scope="session")
def dapr_topology():
    app = App("shop", command=[sys.executable, "hello.py", "{port}"], inbox=True)
    return Topology(app, resources="components")
"""

APP = """
import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        found = self.path == "/dapr/subscribe"
        self.answer(200 if found else 404,
                    [{"pubsubname": "pubsub", "topic": "orders", "route": "/orders"}])

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        print("WARNING order of", self.headers["traceparent"], flush=True)
        print("the token is", os.environ["DAPR_API_TOKEN"], flush=True)
        print("variables", json.dumps({k: v for k, v in os.environ.items() if "OTEL" in k}),
              flush=True)
        self.answer(200, {})

    def do_OPTIONS(self):
        self.answer(404, {})

    def answer(self, code, value):
        content = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""

TESTS = """
def test_publishes(dapr_sync):
    dapr_sync.sidecar("shop").publish("pubsub", "orders", {"amount": 1})
    found = dapr_sync.inbox("shop").next(path="/orders")
    assert found.headers["traceparent"]

def test_fails(dapr_sync):
    raise ValueError("as planned")
"""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as made:
        yield made


@pytest.mark.real
def test_a_test_is_a_trace_and_each_node_sends_its_logs_and_metrics(
    inner: Run, pytester: pytest.Pytester, collector: Collector
) -> None:
    project(pytester.path, components__pubsub_yaml=IN_MEMORY)
    result = inner(TESTS, f"--dapr-otlp={collector.url}", conftest=CONFTEST, app=APP)
    result.assert_outcomes(passed=1, failed=1)

    for each in collector.spans:
        print(each.trace, each.parent, each.id, each.resource["service.name"], each.item.name)
    print({json.dumps(each.resource) for each in collector.logs})
    print({json.dumps(each.resource) for each in collector.metrics})
    print(len(collector.logs), len(collector.metrics))
    for each in collector.logs:
        print(
            each.resource["dapr_harness.node"],
            each.item.severity_number,
            each.item.body.string_value[:150],
            each.trace,
        )
    assert 0
