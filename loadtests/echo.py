"""An app to call: plain ASGI, with the minimum cost of a small Python service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

ECHO = b"x" * 1024
PATHS = ("/echo", "/healthz")


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """A kilobyte for each call, and 404 for requests from sidecars."""
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    while (await receive()).get("more_body"):
        pass
    status, body = (200, ECHO) if scope["path"] in PATHS else (404, b"{}")
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
