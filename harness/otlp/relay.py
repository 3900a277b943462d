"""The program that exports what a stack has to tell: a collector for its nodes, and a sender.

    python -m harness.otlp.relay DESCRIPTION SECRETS

It accepts OTLP by HTTP from sidecars and apps and passes it on, follows the log files, and reads
the metrics of the sidecars. The description is a file that `Description` reads. The other file has
the secrets of the stack; no log is read before it is there.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx

from harness.core.deadline import Deadline
from harness.otlp.attributes import COPY
from harness.otlp.description import Description
from harness.otlp.log_files import LogFiles
from harness.otlp.logs import body_of
from harness.otlp.metrics import metrics_request
from harness.otlp.sender import Sender
from harness.otlp.signals import KINDS, PROTOBUF
from harness.ready.loopback import ask

LARGEST = 16 * 1024 * 1024
"""Bytes of a request that is accepted."""

LOOK = 0.5
"""Seconds between two looks at the log files."""

SCRAPE = 10.0
"""Seconds between two looks at the metrics of sidecars."""

OF_A_COPY = 0.3
"""Seconds that the end of an isolated copy waits for a collector: a test waits for it."""

SOON = 0.1
"""Seconds in which a sidecar responds, at least."""

ROUNDS = 64
"""How often the same files are read at once, however fast they grow."""

KEPT_HEADERS = ("content-type", "content-encoding")


class Relay:
    """What the program does, besides listening.

    Args:
        told: what it exports, and where to.
        secrets: a file with a JSON list, which is written when all of them are known.
        sender: sends it.
    """

    def __init__(self, told: Description, secrets: Path, sender: Sender) -> None:
        self.sender = sender
        self._told = told
        self._secrets = secrets
        self._logs: LogFiles | None = None
        self._began = time.time_ns()
        self._lock = threading.Lock()

    def read_logs(self, *, whole: bool = False) -> None:
        """Send what has been added to the logs."""
        with self._lock:
            for _ in range(ROUNDS):
                if not (logs := self._files()) or not (found := logs.more(whole=whole)):
                    return
                resources = {node: self._told.resource(node) for node in found}
                for body in body_of(found, resources):
                    self.sender.put("logs", body)

    def scrape(self) -> None:
        """Send what the metrics of the sidecars are now; one that is away has none."""
        deadline = Deadline(self._told.seconds)
        for node, address in self._told.metrics.items():
            # A sidecar that is paused does not respond; the end must not wait for each of them.
            if deadline.passed:
                return
            with suppress(httpx.HTTPError, ValueError):
                answer = ask("GET", f"http://{address}/", timeout=deadline.remaining + SOON)
                text = answer.raise_for_status().text
                resource = self._told.resource(node)
                self.sender.put("metrics", metrics_request(text, resource, self._began))

    def collect(self) -> None:
        """Send all that can be seen now."""
        self.read_logs()
        self.scrape()

    def conclude(self) -> None:
        """Send the rest, as far as the collector accepts it in time."""
        self.read_logs()
        self.sender.flush(OF_A_COPY if COPY in self._told.shared else self._told.seconds)

    def _files(self) -> LogFiles | None:
        if self._logs is None and self._secrets.exists():
            secrets = json.loads(self._secrets.read_text())
            self._logs = LogFiles(Path(self._told.logs), (*secrets, *self._told.headers.values()))
        return self._logs


def server_of(relay: Relay, address: tuple[str, int]) -> ThreadingHTTPServer:
    """Listens for the nodes of a stack, and for whoever stops it."""

    commands: Mapping[str, Callable[[], None]] = {
        "/collect": relay.collect, "/conclude": relay.conclude,
    }  # fmt: skip

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            size = int(self.headers.get("content-length", -1))
            if not 0 <= size <= LARGEST:
                self.close_connection = True
                self._answer(413 if size > 0 else 411)
                return
            body = self.rfile.read(size)
            kind = self.path.removeprefix("/v1/")
            if kind in KINDS and kind != self.path:
                given = {name: self.headers[name] for name in KEPT_HEADERS if self.headers[name]}
                relay.sender.put(kind, body, {"content-type": PROTOBUF, **given})
                in_json = given.get("content-type", "").startswith("application/json")
                self._answer(200, b"{}" if in_json else b"", given.get("content-type", PROTOBUF))
            elif command := commands.get(self.path):
                command()
                told = {"complaint": relay.sender.complaint()}
                self._answer(200, json.dumps(told).encode(), "application/json")
            else:
                self._answer(404)

        def _answer(self, status: int, body: bytes = b"", kind: str = "text/plain") -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            """Its own log is one of those that are sent."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    return Server(address, Handler)


def main(description: Path, secrets: Path) -> None:
    """Export until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    told = Description.read(description.read_text())
    relay = Relay(told, secrets, Sender(told.url, told.headers))
    host, _, port = told.listen.rpartition(":")
    server = server_of(relay, (host, int(port)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    due = time.monotonic()
    while not stop.wait(LOOK):
        relay.read_logs()
        if time.monotonic() >= due:
            relay.scrape()
            due = time.monotonic() + SCRAPE
    relay.read_logs(whole=True)
    relay.sender.close(told.seconds)
    if told_of_loss := relay.sender.complaint():
        sys.stderr.write(f"{told_of_loss}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
