"""``--dapr-otlp``: a test is a trace in a collector, with what it caused in the sidecars."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.collector import Collector, Seen, as_dict, collecting
from tests.plugin.conftest import Run
from tests.projects import IN_MEMORY
from tests.support import project

CONFTEST = """
import sys
import pytest
from harness import App, Receiver, Topology

@pytest.fixture(scope="session")
def dapr_topology():
    app = App("shop", command=[sys.executable, "hello.py", "{port}"], inbox=True)
    return Topology(app, Receiver(mail=False), resources="components")
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

TRACING = """\
apiVersion: dapr.io/v1alpha1
kind: Configuration
metadata: {name: tracing}
spec:
  tracing:
    samplingRate: "1"
    zipkin: {endpointAddress: "${receiver.url}/api/v2/spans"}
"""

TESTS = """
def test_publishes(dapr_sync):
    dapr_sync.sidecar("shop").publish("pubsub", "orders", {"amount": 1})
    found = dapr_sync.inbox("shop").next(path="/orders")
    trace = found.headers["traceparent"].split("-")[1]
    dapr_sync.eventually(lambda: len(dapr_sync.trace(trace)) == 2, timeout=30)

def test_fails(dapr_sync):
    raise ValueError("as planned")
"""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as made:
        yield made


@pytest.mark.real
def test_a_test_is_a_trace_and_each_node_sends_its_logs_and_metrics(
    inner: Run, pytester: pytest.Pytester, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Zipkin's spans, which `dapr.trace` reads, go to the receiver as well."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=canary%2D1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "60000")
    project(pytester.path, components__pubsub_yaml=IN_MEMORY, components__tracing_yaml=TRACING)

    result = inner(TESTS, f"--dapr-otlp={collector.url}", conftest=CONFTEST, app=APP)

    result.assert_outcomes(passed=1, failed=1)
    assert "warning: " not in result.stdout.str()
    assert {"canary-1"} == {each.get("api-key") for each in collector.headers}
    names = {each.item.name.rpartition("::")[2]: each for each in collector.spans}
    of_test = [each for each in collector.spans if each.trace == names["test_publishes"].trace]
    spans = {each.item.name.rpartition("::")[2]: each for each in of_test}
    assert {
        "test_publishes": "",
        "setup": spans["test_publishes"].id,
        "call": spans["test_publishes"].id,
        "/v1.0/publish/pubsub/orders": spans["call"].id,
        "pubsub/orders": spans["/v1.0/publish/pubsub/orders"].id,
        "teardown": spans["test_publishes"].id,
    } == {name: each.parent for name, each in spans.items()}
    assert not [each for each in collector.spans if "metadata" in each.item.name]
    lines = [each for each in collector.logs if "order of" in each.item.body.string_value]
    assert [(spans["call"].trace, "shop", 13)] == [
        (each.trace, each.resource["service.name"], each.item.severity_number) for each in lines
    ]
    texts = [each.item.body.string_value for each in collector.logs]
    assert "the token is ***" in texts
    assert not [each for each in texts if "canary-1" in each]
    assert {"placement", "scheduler", "shop", "shop-daprd"} <= nodes(collector.logs)
    assert {"shop-daprd"} == nodes(collector.metrics)
    assert "dapr_http_server_request_count" in {each.item.name for each in collector.metrics}
    runs = {each.resource["dapr_harness.run"] for each in collector.logs}
    assert 1 == len(runs)
    assert runs == {spans["pubsub/orders"].resource["dapr_harness.run"]}


def nodes(found: list[Seen]) -> set[str]:
    return {each.resource["dapr_harness.node"] for each in found}


def test_the_outcome_of_a_test_and_its_exception_are_in_its_trace(
    inner: Run, collector: Collector
) -> None:
    """It needs no stack, and the session's span is linked."""
    test = """
        import pytest

        def test_good():
            pass

        def test_bad():
            raise ValueError("as planned")

        def test_skipped():
            pytest.skip("today")

        @pytest.fixture
        def broken():
            yield
            raise OSError("too late")

        def test_broken(broken):
            pass
    """

    result = inner(test, f"--dapr-otlp={collector.url}")

    result.assert_outcomes(passed=2, failed=1, skipped=1, errors=1)
    roots = [each for each in collector.spans if not each.parent]
    found = {each.item.name.rpartition("::")[2]: each for each in roots}
    session = found.pop("test session")
    assert {
        "test_good": "pass",
        "test_bad": "fail",
        "test_skipped": "skip",
        "test_broken": "fail",
    } == {name: each.attributes["test.case.result.status"] for name, each in found.items()}
    assert {session.item.span_id} == {link.span_id for each in roots for link in each.item.links}
    assert "failure" == session.attributes["test.suite.run.status"]
    told = {
        (each.item.name, as_dict(event.attributes)["exception.message"])
        for each in collector.spans
        for event in each.item.events
    }
    assert {("call", "as planned"), ("teardown", "too late")} == told
    assert {"pytest"} == {each.resource["service.name"] for each in collector.spans}
    assert 4 == len({each.trace for each in found.values()})


def test_workers_tell_what_they_could_not_send(inner: Run, collector: Collector) -> None:
    collector.status = 400

    result = inner("def test_good():\n    pass\n", f"--dapr-otlp={collector.url}", "-n1")

    result.assert_outcomes(passed=1)
    (line,) = [each for each in result.outlines if "warning" in each]
    assert f"5 spans could not be sent to {collector.url}: it responded 400" in line
