"""An app that tells its own time, and the time at which each job reached it."""

from __future__ import annotations

import json
import time
from datetime import UTC, date, datetime
from typing import Any

delivered: dict[str, str] = {}
"""The app's time when a job of this name reached it."""


def told() -> dict[str, Any]:
    """Its time by several calls."""
    return {
        "now": datetime.now(UTC).isoformat(),
        "time_ns": time.time_ns(),
        "date": date.today().isoformat(),
        "monotonic": time.monotonic(),
    }


async def app(scope: Any, receive: Any, send: Any) -> None:
    """GET / is its time, GET /job/NAME when the job was here."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    path, status = scope["path"], 200
    answer: dict[str, Any] = {}
    if path.startswith("/job/"):
        delivered[path.removeprefix("/job/")] = datetime.now(UTC).isoformat()
    elif path == "/":
        signed = dict(scope["headers"]).get(b"x-now", b"").decode()
        answer = {**told(), "delivered": delivered, "signed": signed}
    else:
        status = 404
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(answer).encode()})
