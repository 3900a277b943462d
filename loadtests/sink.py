"""An app that records when events and jobs arrive: a program that stamps before it parses.

    python -m loadtests.sink app|watched|actors HOST PORT

The time is taken when the first bytes of a request are read. An ASGI app is called 0.9 ms later
(p50): by then uvicorn has parsed the request, in Python, and created a task for it. A subscriber
written in Go is called when its server has parsed the head, which takes microseconds.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import h11

Row = list[Any]

PAGE = 20_000
"""The maximum number of rows in one response."""


class Sink:
    """Subscribes to a topic, or hosts actors.

    Args:
        topic: the topic, if any.
        actors: the actor type, if any.

    Attributes:
        received: kind, lane, number, due, sent, entered; for jobs and reminders, due and entered
            are wall-clock times.
    """

    def __init__(self, topic: str = "", actors: str = "") -> None:
        subscription = {"pubsubname": "pubsub", "topic": topic, "route": "/load"}
        self.said = {
            "/dapr/subscribe": [subscription] if topic else [],
            "/dapr/config": {"entities": [actors]} if actors else {},
        }
        self.received: list[Row] = []

    def take(self, target: str, body: bytes, entered: float, wall: float) -> tuple[int, bytes]:
        """Record one request that began at a time of two clocks; return its status and body."""
        found = urlsplit(target)
        if found.path == "/load":
            data = json.loads(body)["data"]
            self._note("event", data, data["due"], entered)
        elif found.path.startswith("/job/"):
            data = json.loads(body)
            self._note("job", data, data["job_due"], wall)
        elif "/method/remind/" in found.path:
            data = json.loads(body)["data"]
            self._note("reminder", data, data["job_due"], wall)
        return self._answer(found.path, found.query)

    def _note(self, kind: str, data: dict[str, Any], due: float, entered: float) -> None:
        self.received.append([kind, data["lane"], data["number"], due, data["sent"], entered])

    def _answer(self, path: str, query: str) -> tuple[int, bytes]:
        if path in self.said:
            return 200, json.dumps(self.said[path]).encode()
        if path == "/received":
            since = int(parse_qs(query)["since"][0])
            return 200, json.dumps(self.received[since : since + PAGE]).encode()
        known = path in ("/load", "/healthz") or path.startswith(("/job/", "/actors/"))
        return (200 if known else 404), b"{}"


class Connection(asyncio.Protocol):
    """One connection to a sink.

    Args:
        sink: the sink.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._http = h11.Connection(h11.SERVER)
        self._began: tuple[float, float] | None = None
        self._target, self._body = "", b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take the time of a request's first bytes, and only then parse them."""
        self._began = self._began or (time.monotonic(), time.time())
        self._http.receive_data(data)
        try:
            self._read()
        except (h11.RemoteProtocolError, ValueError, KeyError, TypeError):
            # Sidecars send nothing like this; closing the connection makes the delivery fail.
            self._transport.close()

    def _read(self) -> None:
        while True:
            event = self._http.next_event()
            if isinstance(event, h11.Request):
                self._target, self._body = event.target.decode(), b""
            elif isinstance(event, h11.Data):
                self._body += event.data
            elif isinstance(event, h11.EndOfMessage):
                self._answer()
            elif event is h11.PAUSED:
                self._http.start_next_cycle()
            else:
                return

    def _answer(self) -> None:
        # A request whose first bytes came with the previous request began when they were read.
        began, self._began = self._began or (time.monotonic(), time.time()), None
        status, body = self._sink.take(self._target, self._body, *began)
        headers = [("content-type", "application/json"), ("content-length", str(len(body)))]
        parts = (h11.Response(status_code=status, headers=headers), h11.Data(body))
        sent = [self._http.send(each) for each in (*parts, h11.EndOfMessage())]
        self._transport.write(b"".join(each for each in sent if each))
        if self._http.our_state is h11.MUST_CLOSE:
            self._transport.close()
        elif self._http.their_state is h11.DONE:
            self._http.start_next_cycle()


SINKS = {"app": Sink("load"), "watched": Sink("load-watched"), "actors": Sink(actors="Probe")}
"""A subscriber; one for behind an inbox; and a host of actors, whose reminders it records."""


async def serve(name: str, host: str, port: int) -> None:
    """Serve until stopped."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(SINKS[name]), host, port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2], int(sys.argv[3])))
