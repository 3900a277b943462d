"""The ASGI app: ``uvicorn services.frontend.app:app``.

A browser cannot reach a sidecar: it calls this service, which calls the others through its own
sidecar. The list below contains all allowed requests, and each is one operation of another
service.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.staticfiles import StaticFiles
from sse_starlette import EventSourceResponse

from services.common.app import service
from services.common.browsers import change
from services.common.deliveries import delivered, route
from services.common.identity import Identity, ready
from services.common.settings import settings
from services.common.sidecar import from_sidecar, invoke
from services.frontend import session
from services.frontend.live import Live
from services.frontend.session import own_page

BACKEND, NOTIFICATIONS = "backend-service", "notification-service"
TASKS, TALK = "/api/{user_id}/tasks", "/api/{user_id}/conversations/{conversation_id}"
CHAT = "/api/{user_id}/chat"
OPERATIONS = (
    (BACKEND, TASKS, ("GET", "POST")),
    (BACKEND, f"{TASKS}/{{task_id}}", ("GET", "PUT", "DELETE")),
    (BACKEND, f"{TASKS}/{{task_id}}/complete", ("POST",)),
    (BACKEND, TALK, ("GET",)),
    (BACKEND, f"{TALK}/messages", ("POST",)),
    (BACKEND, CHAT, ("POST",)),
    (NOTIFICATIONS, "/api/{user_id}/notifications", ("GET",)),
    (NOTIFICATIONS, "/api/{user_id}/contact", ("GET", "PUT")),
)
"""The page's requests: the service, the path, which is the same there, and the methods."""

PATIENCE = {CHAT: 90.0}
"""Seconds for the operations that may take long: a language model may take its time."""

ASKED_WITH = ("content-type", "if-match")
ANSWERED_WITH = ("content-type", "etag", "retry-after", "www-authenticate")
DIALOGUE = "com.taskmanager.chat."
"""What the types of the updates of a dialogue begin with; all others are notifications."""

live = Live()


@asynccontextmanager
async def listeners() -> AsyncIterator[None]:
    """Disconnect all listeners at the end."""
    yield
    live.close()


app = service("frontend", ready, listeners)
app.include_router(session.router)
browsers = APIRouter(dependencies=[Depends(change), Depends(own_page)], include_in_schema=False)


def pass_on(app_id: str, path: str, methods: tuple[str, ...]) -> None:
    """Add a route that forwards a request to another service and returns its response."""
    parts = path.strip("/").split("/")

    async def ask(request: Request) -> Response:
        # Rebuilt from its parts: no part of the incoming path is forwarded unchecked.
        segments = (request.path_params.get(part.strip("{}"), part) for part in parts)
        answer = await invoke(
            request.method, app_id, *segments,
            params=request.query_params.multi_items(), content=await request.body(),
            headers=_forwarded(request), timeout=PATIENCE.get(path, 10.0),
        )  # fmt: skip
        return Response(answer.content, answer.status_code, _kept(answer.headers, ANSWERED_WITH))

    browsers.add_api_route(path, ask, methods=list(methods))


for operation in OPERATIONS:
    pass_on(*operation)


@app.get("/dapr/subscribe", dependencies=[Depends(from_sidecar)], include_in_schema=False)
async def subscribe() -> list[dict[str, str]]:
    """The subscription that daprd requests once: every new notification and dialogue.

    Its component gives every replica every event, because a page is connected to one of them.
    """
    where = route("/events/update")
    return [{"pubsubname": settings().updates_name, "topic": "task-updates", "route": where}]


@app.post("/events/update/{word}", dependencies=[Depends(delivered)], include_in_schema=False)
async def update(request: Request) -> dict[str, str]:
    """Push an update to a user's pages; pages that are not open read the list later."""
    event: dict[str, Any] = await request.json()
    data = event.get("data")
    if not isinstance(data, dict) or not data.get("user_id"):
        return {"status": "DROP"}
    kind = "chat" if str(event.get("type")).startswith(DIALOGUE) else "notification"
    live.enqueue(data["user_id"], kind, data)
    return {"status": "SUCCESS"}


@browsers.get("/live/{user_id}")
async def listen(
    request: Request, user_id: str, listener: Annotated[str, Depends(live.name)]
) -> EventSourceResponse:
    """A user's new notifications, and what happens in dialogues, as server-sent events.

    The stream ends with the session.
    """
    until = identity.expires_at if (identity := _identity(request)) else None
    return EventSourceResponse(live.listen(user_id, listener, until), ping=15)


def _identity(request: Request) -> Identity | None:
    """Who has been accepted by `own_page`; None if sign-in is off."""
    found: Identity | None = request.state.identity
    return found


def _forwarded(request: Request) -> dict[str, str]:
    """Headers for another service, which verifies the token itself."""
    kept = _kept(request.headers, ASKED_WITH)
    identity = _identity(request)
    return {**kept, "authorization": f"Bearer {identity.token}"} if identity else kept


def _kept(headers: Any, names: tuple[str, ...]) -> dict[str, str]:
    return {name: headers[name] for name in names if name in headers}


app.include_router(browsers)
app.mount("/", StaticFiles(directory=Path(__file__).parent / "page", html=True), name="page")
