"""An app that notes when events and jobs reach it: plain ASGI, nothing between entry and stamp."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Row = list[Any]

ECHO = b"x" * 1024
PAGE = 20_000
"""Rows that one answer holds."""


class Sink:
    """Subscribes to a topic, and is a host of actors.

    Args:
        topic: which, if any.
        actors: their type, if there are any.

    Attributes:
        received: kind, lane, number, due, sent, entered; for jobs and reminders due and entered are
            of the wall clock.
    """

    def __init__(self, topic: str = "", actors: str = "") -> None:
        subscription = {"pubsubname": "pubsub", "topic": topic, "route": "/load"}
        self.said = {
            "/dapr/subscribe": [subscription] if topic else [],
            "/dapr/config": {"entities": [actors]} if actors else {},
        }
        self.received: list[Row] = []

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """One request."""
        entered, wall = time.monotonic(), time.time()
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        path, body = scope["path"], await _body(receive)
        if path == "/load":
            data = json.loads(body)["data"]
            self._note("event", data, data["due"], entered)
        elif path.startswith("/job/"):
            data = json.loads(body)
            self._note("job", data, data["job_due"], wall)
        elif "/method/remind/" in path:
            data = json.loads(body)["data"]
            self._note("reminder", data, data["job_due"], wall)
        await _answer(send, *self._said(path, scope))

    def _note(self, kind: str, data: dict[str, Any], due: float, entered: float) -> None:
        self.received.append([kind, data["lane"], data["number"], due, data["sent"], entered])

    def _said(self, path: str, scope: dict[str, Any]) -> tuple[int, bytes]:
        if path in self.said:
            return 200, json.dumps(self.said[path]).encode()
        if path == "/received":
            since = int(parse_qs(scope["query_string"].decode())["since"][0])
            return 200, json.dumps(self.received[since : since + PAGE]).encode()
        if path == "/echo":
            return 200, ECHO
        known = path in ("/load", "/healthz") or path.startswith(("/job/", "/actors/"))
        return (200 if known else 404), b"{}"


async def _body(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


async def _answer(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _live(receive: Receive, send: Send) -> None:
    while (await receive())["type"] != "lifespan.shutdown":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})


app = Sink("load")
watched = Sink("load-watched")
"""The same, for behind an inbox: what watching costs."""
actors = Sink(actors="Probe")
"""A host of actors, whose reminders it notes."""
