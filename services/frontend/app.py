"""The ASGI app: ``uvicorn services.frontend.app:app``.

A browser reaches no sidecar: it asks this service, which asks the others through its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.staticfiles import StaticFiles
from sse_starlette import EventSourceResponse

from services.common.app import service
from services.common.settings import settings
from services.common.sidecar import from_sidecar, invoke
from services.frontend.live import Live

BACKEND, NOTIFICATIONS = "backend-service", "notification-service"
PASSED_ON = ("content-type", "etag", "retry-after")
live = Live()


@asynccontextmanager
async def listeners() -> AsyncIterator[None]:
    """They are let go at the end."""
    yield
    live.close()


app = service("frontend", listeners)


@app.api_route(
    "/api/{user_id}/tasks{rest:path}",
    methods=["GET", "POST", "PUT", "DELETE"],
    include_in_schema=False,
)
@app.api_route(
    "/api/{user_id}/conversations/{rest:path}",
    methods=["GET", "POST", "PUT", "DELETE"],
    include_in_schema=False,
)
async def to_backend(request: Request) -> Response:
    """Ask the backend what the page has asked."""
    return await _pass_on(BACKEND, request)


@app.get("/api/{user_id}/notifications", include_in_schema=False)
@app.api_route("/api/{user_id}/contact", methods=["GET", "PUT"], include_in_schema=False)
async def to_notifications(request: Request) -> Response:
    """Ask the notification service what the page has asked."""
    return await _pass_on(NOTIFICATIONS, request)


@app.get("/dapr/subscribe", dependencies=[Depends(from_sidecar)], include_in_schema=False)
async def subscribe() -> list[dict[str, str]]:
    """What daprd asks once: every notification that was made."""
    return [
        {"pubsubname": settings().pubsub_name, "topic": "task-updates", "route": "/events/update"}
    ]


@app.post("/events/update", dependencies=[Depends(from_sidecar)], include_in_schema=False)
async def update(request: Request) -> dict[str, str]:
    """Tell the pages of a user; who is not there now will read the list later."""
    event: dict[str, Any] = await request.json()
    data = event.get("data")
    if not isinstance(data, dict) or not data.get("user_id"):
        return {"status": "DROP"}
    live.tell(data["user_id"], data)
    return {"status": "SUCCESS"}


@app.get("/live/{user_id}", include_in_schema=False)
async def listen(user_id: str, listener: Annotated[str, Depends(live.name)]) -> EventSourceResponse:
    """Notifications of a user as they are made, as server-sent events."""
    return EventSourceResponse(live.listen(user_id, listener), ping=15)


async def _pass_on(service: str, request: Request) -> Response:
    """The same request to a service through both sidecars, and its answer as it is."""
    query = f"?{request.url.query}" if request.url.query else ""
    headers = {
        name: value
        for name, value in request.headers.items()
        if name in ("content-type", "if-match")
    }
    answer = await invoke(
        # As it came: the decoded path would lose what was encoded in it.
        request.method, service, request.scope["raw_path"].decode() + query,
        content=await request.body(), headers=headers,
    )  # fmt: skip
    kept = {name: answer.headers[name] for name in PASSED_ON if name in answer.headers}
    return Response(answer.content, answer.status_code, kept)


app.mount("/", StaticFiles(directory=Path(__file__).parent / "page", html=True), name="page")
