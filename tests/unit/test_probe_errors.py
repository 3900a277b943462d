"""Probes raise the project's own errors, with the reason, if their source does not respond."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from harness import ProbeError
from harness.core.endpoint import Endpoint
from harness.core.ports import free_port
from harness.probe.metrics import total
from harness.probe.table import Table


def test_a_table_that_cannot_be_read_is_named_with_the_reason() -> None:
    """And without the password."""
    table = Table(f"postgresql://me:hidden@127.0.0.1:{free_port()}/todo", "tasks")

    with pytest.raises(ProbeError, match="table tasks cannot be read") as caught:
        table.rows()

    assert "refused" in caught.value.last
    assert "hidden" not in str(caught.value)


def test_metrics_that_cannot_be_read_are_named_with_the_reason() -> None:
    """Of a sidecar that has ended, say."""
    endpoint = Endpoint("127.0.0.1", free_port())

    with pytest.raises(ProbeError, match=f"the metrics at {endpoint} cannot be read") as caught:
        total(endpoint, "dapr_x", {})

    assert "ConnectError" in caught.value.last


class Metrics(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b'# TYPE dapr_calls counter\ndapr_calls{a="b"} 3\ndapr_calls{a="c"} 4\n'
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_a_counter_is_found_by_the_name_that_daprd_gives_it_and_by_prometheus_own() -> None:
    """Prometheus's parser adds `_total`, which the names of daprd's counters lack."""
    endpoint = Endpoint("127.0.0.1", free_port())
    with ThreadingHTTPServer((endpoint.host, endpoint.port), Metrics) as server:
        thread = Thread(target=server.serve_forever, args=[0.02])
        thread.start()
        try:
            found = [total(endpoint, name, {}) for name in ("dapr_calls", "dapr_calls_total")]
            assert [7, 7, 4] == [*found, total(endpoint, "dapr_calls", {"a": "c"})]
            assert 0 == total(endpoint, "dapr_call", {})
        finally:
            server.shutdown()
            thread.join()
