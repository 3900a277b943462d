"""An app whose jobs schedule the next one before they are answered."""

from __future__ import annotations

import json
import os
from typing import Any

import httpx

SIDECAR = f"http://127.0.0.1:{os.environ['DAPR_HTTP_PORT']}"
TOKEN = {"dapr-api-token": os.environ.get("DAPR_API_TOKEN", "")}


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer 200 to jobs; 404 to what Dapr asks at the start."""
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        event = await receive()
        body, more = body + event.get("body", b""), event.get("more_body", False)
    if scope["path"].startswith("/job/"):
        await follow_up(scope["path"].removeprefix("/job/"), json.loads(body))
    status = 404 if scope["path"].startswith("/dapr") else 200
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def follow_up(name: str, data: dict[str, Any]) -> None:
    """Schedule the next job, as often as the data say."""
    if not data["left"]:
        return
    job = {"dueTime": data["after"], "data": {**data, "left": data["left"] - 1}}
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        answer = await client.post(
            f"{SIDECAR}/v1.0/jobs/{name}-{data['left']}", json=job, headers=TOKEN
        )
    answer.raise_for_status()
