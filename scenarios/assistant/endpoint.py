"""An OpenAI-compatible endpoint whose replies a test has written beforehand."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from typing import Any

from fastapi import FastAPI, Request, Response

app = FastAPI()
replies: deque[dict[str, Any]] = deque()
requests: list[dict[str, Any]] = []


@app.put("/replies")
async def write(request: Request) -> None:
    """Write what is replied to the next requests, and forget the earlier ones."""
    replies.clear()
    requests.clear()
    replies.extend(await request.json())


@app.get("/requests")
def asked() -> list[dict[str, Any]]:
    """The requests since then."""
    return requests


@app.post("/v1/chat/completions")
async def complete(request: Request) -> Response:
    """The next reply: words, tools, a status, anything raw, or none at all."""
    requests.append({**await request.json(), "key": request.headers.get("authorization")})
    reply = replies.popleft() if replies else {"say": "Nothing more was written."}
    if reply.get("hold"):
        await asyncio.Event().wait()
    if "raw" in reply or "status" in reply:
        return Response(str(reply.get("raw", "no")), int(reply.get("status", 200)))
    calls: list[dict[str, Any]] = [
        {"id": f"call_{number}", "type": "function",
         "function": {"name": name, "arguments": arguments if isinstance(arguments, str)
                      else json.dumps(arguments)}}
        for number, (name, arguments) in enumerate(reply.get("call", []))
    ]  # fmt: skip
    message = {"role": "assistant", "content": reply.get("say", ""), "tool_calls": calls}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    body = {"id": "c", "object": "chat.completion", "created": 0, "model": "m"}
    return Response(
        json.dumps({**body, "choices": [choice], "usage": usage}), media_type="application/json"
    )
