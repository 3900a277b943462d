"""An app that takes jobs; those with "gated" in their names wait until the gate is opened."""

from __future__ import annotations

import asyncio
import json
from typing import Any

opened = asyncio.Event()
arrived: list[str] = []


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer 200, with the jobs that have arrived; 404 to what Dapr asks at the start."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    if "/job/" in scope["path"]:
        arrived.append(scope["path"].removeprefix("/job/"))
    if scope["path"] == "/open":
        opened.set()
    elif "gated" in scope["path"]:
        await opened.wait()
    status = 404 if scope["path"].startswith("/dapr") else 200
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(arrived).encode()})
