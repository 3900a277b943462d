"""A collector for tests: OTLP by HTTP, decoded with the official messages."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from harness.core.deadline import Deadline, Observation, poll
from harness.core.ports import free_port
from harness.otlp.signals import KINDS, request_of


@dataclass(frozen=True)
class Seen:
    """A span, a log record or a metric.

    Attributes:
        resource: the attributes of whoever has sent it.
        item: the message.
    """

    resource: dict[str, str]
    item: Any

    @property
    def attributes(self) -> dict[str, str]:
        return as_dict(self.item.attributes)

    @property
    def trace(self) -> str:
        return str(self.item.trace_id.hex())

    @property
    def id(self) -> str:
        return str(self.item.span_id.hex())

    @property
    def parent(self) -> str:
        return str(self.item.parent_span_id.hex())


class Collector:
    """What has arrived, and how the next requests are answered.

    Attributes:
        url: without ``/v1/traces``.
        headers: of each request.
        status: the status of its responses.
        answer: their body.
        held: as long as it is not set, no request is answered.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.headers: list[dict[str, str]] = []
        self.bodies: list[tuple[str, bytes]] = []
        self.status = 200
        self.answer = b""
        self.held = threading.Event()
        self.held.set()

    @property
    def spans(self) -> list[Seen]:
        return self._all("traces")

    @property
    def logs(self) -> list[Seen]:
        return self._all("logs")

    @property
    def metrics(self) -> list[Seen]:
        return self._all("metrics")

    def wait(self, what: str, found: Any, seconds: float = 20.0) -> None:
        """Wait until a condition holds."""
        poll(lambda: Observation(bool(found())), Deadline(seconds))
        assert found(), f"{what} did not arrive"

    def _all(self, signal: str) -> list[Seen]:
        return [
            seen for kind, body in list(self.bodies) if kind == signal for seen in read(kind, body)
        ]


def read(signal: str, body: bytes) -> Iterator[Seen]:
    request = request_of(signal)
    request.ParseFromString(body)
    first, second, third = KINDS[signal].levels
    for group in getattr(request, first):
        for scope in getattr(group, second):
            for item in getattr(scope, third):
                yield Seen(as_dict(group.resource.attributes), item)


def as_dict(attributes: Any) -> dict[str, str]:
    return {each.key: each.value.string_value for each in attributes}


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that listens."""
    port = free_port()
    made = Collector(f"http://127.0.0.1:{port}")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status = made.status
            made.headers.append({name.lower(): value for name, value in self.headers.items()})
            if status == 200:
                packed = self.headers["content-encoding"] == "gzip"
                plain = gzip.decompress(body) if packed else body
                made.bodies.append((self.path.removeprefix("/v1/"), plain))
            made.held.wait()
            self.send_response(status)
            self.send_header("content-length", str(len(made.answer)))
            self.end_headers()
            self.wfile.write(made.answer)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    server = Server(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, args=[0.02], daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.held.set()
        server.shutdown()
        server.server_close()
        thread.join()
