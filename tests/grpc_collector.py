"""A collector for tests: OTLP by gRPC, by the official services."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2_grpc as logs
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as metrics
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from harness.core.ports import free_port
from tests.collector import Collector

SERVICES: dict[str, tuple[Any, Any, Any]] = {
    "traces": (
        trace.TraceServiceServicer,
        trace.add_TraceServiceServicer_to_server,
        ExportTraceServiceResponse,
    ),
    "metrics": (
        metrics.MetricsServiceServicer,
        metrics.add_MetricsServiceServicer_to_server,
        ExportMetricsServiceResponse,
    ),
    "logs": (
        logs.LogsServiceServicer,
        logs.add_LogsServiceServicer_to_server,
        ExportLogsServiceResponse,
    ),
}
"""By the kind of telemetry."""


class GrpcCollector(Collector):
    """What has arrived, and how the next requests are answered.

    Attributes:
        code: the status of its responses, with which it refuses them; None to accept them.
        refused: how much of each request is not accepted.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.code: grpc.StatusCode | None = None
        self.refused = 0

    def take(self, signal: str, request: Any, context: grpc.ServicerContext) -> Any:
        """Answer a request."""
        self.headers.append({name: str(value) for name, value in context.invocation_metadata()})
        if self.code is not None:
            context.abort(self.code, "as the test says")
        self.bodies.append((signal, request.SerializeToString()))
        answer = SERVICES[signal][2]()
        if self.refused and signal == "traces":
            answer.partial_success.rejected_spans = self.refused
            answer.partial_success.error_message = "too old"
        return answer


@contextmanager
def collecting_by_grpc(
    credentials: grpc.ServerCredentials | None = None,
) -> Iterator[GrpcCollector]:
    """A collector that listens.

    Args:
        credentials: with which it identifies itself; without, there is no TLS.
    """
    port = free_port()
    scheme = "grpcs" if credentials else "grpc"
    made = GrpcCollector(f"{scheme}://127.0.0.1:{port}")
    server = grpc.server(ThreadPoolExecutor(4))
    for signal, (servicer, add, _) in SERVICES.items():

        def export(_self: Any, request: Any, context: Any, signal: str = signal) -> Any:
            return made.take(signal, request, context)

        add(type("Servicer", (servicer,), {"Export": export})(), server)
    address = f"127.0.0.1:{port}"
    if credentials:
        server.add_secure_port(address, credentials)
    else:
        server.add_insecure_port(address)
    server.start()
    try:
        yield made
    finally:
        server.stop(None).wait(10)
