"""An app that tells what it is asked, and answers as the path says."""

from __future__ import annotations

import json
from typing import Any

STATUSES = {
    "/post-only": {"OPTIONS": 405},
    "/refused": {"POST": 503},
    "/not-taken": {"OPTIONS": 404},
}


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the request, as JSON."""
    if scope["type"] != "http":
        return
    body = b""
    more = True
    while more:
        part = await receive()
        body += part.get("body", b"")
        more = part.get("more_body", False)
    method, path = scope["method"], scope["path"]
    status = 404 if path.startswith("/dapr") else STATUSES.get(path, {}).get(method, 200)
    headers = [[name.decode(), value.decode()] for name, value in scope["headers"]]
    query = scope["query_string"].decode()
    told = {"method": method, "path": path, "query": query, "headers": headers, "body": body.hex()}
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(told).encode()})
