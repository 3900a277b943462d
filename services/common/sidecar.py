"""Talking to the own sidecar, and telling its calls from anybody else's."""

from __future__ import annotations

import hmac
import uuid
from functools import cache
from typing import Annotated, Any
from urllib.parse import quote

import httpx
from fastapi import Header

from services.common.database import now
from services.common.problems import Refused
from services.common.settings import settings
from services.common.tracing import trace_headers

CLOUD_EVENT = "application/cloudevents+json"
"""Under another content type daprd would wrap the event into one of its own."""


@cache
def sidecar() -> httpx.AsyncClient:
    """One client per process; daprd asks for its token in a header."""
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


async def from_sidecar(dapr_api_token: Annotated[str, Header()] = "") -> None:
    """Let only the sidecar call: it alone knows APP_API_TOKEN. For `fastapi.Depends`."""
    expected = settings().app_api_token
    if expected and not hmac.compare_digest(dapr_api_token, expected):
        raise Refused(401, "only the sidecar may call this")


def cloud_event(
    event_type: str, subject: str, data: dict[str, Any], event_id: str | None = None
) -> dict[str, Any]:
    """A CloudEvent 1.0, whole: daprd fills neither ``id`` nor ``datacontenttype``."""
    return {
        "specversion": "1.0",
        "id": event_id or str(uuid.uuid4()),
        "source": settings().app_id or "unknown",
        "type": event_type,
        "subject": subject,
        "time": now().isoformat(),
        "datacontenttype": "application/json",
        "data": data,
    }


async def invoke(method: str, app: str, path: str, **request: Any) -> httpx.Response:
    """Call another service through both sidecars; its answer as it is.

    Args:
        path: with its query, percent-encoded where it must be.
        request: what httpx takes: json, content, headers.
    """
    url = f"/v1.0/invoke/{quote(app)}/method/{path.lstrip('/')}"
    return await sidecar().request(method, url, **request)


def publish_path(topic: str) -> str:
    """Where a sidecar takes an event for a topic."""
    return f"/v1.0/publish/{quote(settings().pubsub_name)}/{quote(topic)}"
