"""Calls the app's own sidecar, and distinguishes its calls from all others."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from typing import Any
from urllib.parse import quote

import httpx
from fastapi import Request

from services.common.database import now
from services.common.keys import key
from services.common.problems import Refused
from services.common.settings import settings
from services.common.tracing import trace_headers

CLOUD_EVENT = "application/cloudevents+json"
"""With another content type, daprd would wrap the event in a CloudEvent of its own."""

CALLER = "dapr-caller-app-id"
MARKS = (CALLER, "dapr-callee-app-id", "dapr-caller-namespace")
"""Headers that the caller's sidecar adds to an invocation, and no sidecar to a delivery."""

STEPS = ("", ".", "..")
"""Segments that clients and servers interpret as relative path segments."""

STRUCTURE = re.compile(r"[\x00-\x1f\x7f/\\%?#]")
"""Characters that daprd rejects in the path of an invocation or does not treat literally: it
decodes the path before it forwards it (1.18.2)."""


READY_WITHIN = 2.0
"""Seconds for the sidecar to answer whether it is ready."""


@cache
def sidecar() -> httpx.AsyncClient:
    """One client per process; daprd requires its token in a header."""
    own = settings()
    headers = {"dapr-api-token": own.dapr_api_token} if own.dapr_api_token else {}
    return httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{own.dapr_http_port}",
        headers=headers,
        timeout=10.0,
        event_hooks={"request": [_in_its_trace]},
    )


async def _in_its_trace(request: httpx.Request) -> None:
    for name, value in trace_headers().items():
        request.headers.setdefault(name, value)


async def is_ready() -> bool:
    """Whether the sidecar responds, and has loaded its components."""
    try:
        answer = await sidecar().get("/v1.0/healthz/outbound", timeout=READY_WITHIN)
    except httpx.HTTPError:
        return False
    return answer.is_success


async def from_sidecar(request: Request) -> None:
    """Accept only deliveries from the app's own sidecar. For `fastapi.Depends`.

    Only the sidecar knows APP_API_TOKEN, but it adds the token to invocations too.

    Raises:
        Refused: 401 without the token, 403 for an invocation.
    """
    _require_token(request)
    if any(mark in request.headers for mark in MARKS):
        raise Refused(403, "this is for the sidecar to call, not for other apps")


def from_app(*app_ids: str) -> Callable[[Request], Awaitable[None]]:
    """Accept only invocations by these apps. For `fastapi.Depends`.

    The caller's sidecar states who it is: a caller can add another name or remove all of them, but
    cannot replace the sidecar's name.
    """

    async def from_app(request: Request) -> None:
        _require_token(request)
        callers = request.headers.getlist(CALLER)
        if len(callers) != 1 or callers[0] not in app_ids:
            raise Refused(403, f"only {' and '.join(app_ids)} may invoke this")

    return from_app


def has_token(request: Request) -> bool:
    """Whether a request has the app's token, if there is one."""
    expected = settings().app_api_token
    given = request.headers.get("dapr-api-token", "")
    return bool(expected) and hmac.compare_digest(given.encode(), expected.encode())


def _require_token(request: Request) -> None:
    if settings().app_api_token and not has_token(request):
        raise Refused(401, "only the sidecar may call this")


def proof(*parts: str) -> str:
    """A value that requires knowledge of APP_API_TOKEN: for routes that everyone knows."""
    token = settings().app_api_token.encode()
    return hmac.new(token, key(*parts).encode(), hashlib.sha256).hexdigest()


def proven(given: object, *parts: str) -> bool:
    """Whether this is the proof for these parts."""
    return isinstance(given, str) and hmac.compare_digest(given.encode(), proof(*parts).encode())


def cloud_event(
    event_type: str, subject: str, data: dict[str, Any], event_id: str | None = None
) -> dict[str, Any]:
    """A complete CloudEvent 1.0: daprd sets neither ``id`` nor ``datacontenttype``."""
    event = {
        "specversion": "1.0",
        "id": event_id or str(uuid.uuid4()),
        "source": settings().app_id or "unknown",
        "type": event_type,
        "subject": subject,
        "time": now().isoformat(),
        "datacontenttype": "application/json",
        "data": data,
    }
    return {**event, "proof": proof(*_content(event))}


def is_ours(event: Mapping[str, Any]) -> bool:
    """Whether one of these services created this event unchanged."""
    try:
        return proven(event.get("proof"), *_content(event))
    except (KeyError, ValueError):
        return False


def _content(event: Mapping[str, Any]) -> tuple[str, ...]:
    # Sorted, because sidecars decode and re-encode the data.
    data = json.dumps(event["data"], sort_keys=True)
    return "event", str(event["id"]), str(event["type"]), data


def api_path(*segments: str) -> str:
    """A path in the sidecar's API with exactly these segments, whatever characters they contain.

    Raises:
        Refused: a segment is a relative path segment, which no service accepts as a name.
    """
    if any(segment in STEPS for segment in segments):
        raise Refused(422, "a name must not be empty, '.' or '..'")
    return "/".join(("/v1.0", *(quote(segment, safe="") for segment in segments)))


def invocation_path(app: str, *segments: str) -> str:
    """The sidecar's path for an invocation of exactly this operation of this app.

    Raises:
        Refused: daprd would interpret a segment as several, or as none.
    """
    if any(STRUCTURE.search(segment) for segment in segments):
        raise Refused(422, r"a name must not contain control characters or any of / \ % ? #")
    return api_path("invoke", app, "method", *segments)


async def invoke(method: str, app: str, *segments: str, **request: Any) -> httpx.Response:
    """Call another service through both sidecars; return its response unchanged.

    Args:
        segments: the segments of the path, unencoded.
        request: httpx's arguments: params, json, content, headers.

    Raises:
        Refused: see `invocation_path`.
    """
    return await sidecar().request(method, invocation_path(app, *segments), **request)


def publish_path(topic: str) -> str:
    """The sidecar's path for publishing to a topic."""
    return api_path("publish", settings().pubsub_name, topic)
