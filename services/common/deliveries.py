"""Routes that only the app's own sidecar knows.

An invocation reaches an app with the same token as a delivery, and its caller can make the sidecars
leave out every header that distinguishes the two. Therefore the route of a subscription ends in a
random word, which is generated when daprd requests the subscriptions. Other callers receive words
too, but a word is accepted only after the sidecar has reported a subscription with it.
"""

from __future__ import annotations

import secrets

from fastapi import Request

from services.common.problems import Refused
from services.common.sidecar import api_path, from_sidecar, sidecar
from services.common.tracing import untraced

_routes: set[str] = set()
"""The routes of this process's sidecar that have been requested so far."""


def route(path: str) -> str:
    """A route for a subscription: the path and an unguessable part."""
    return f"{path}/{secrets.token_urlsafe(16)}"


async def delivered(request: Request) -> None:
    """Accept only deliveries from the app's own sidecar. For `fastapi.Depends`.

    Raises:
        Refused: it has no subscription with this route.
        httpx.HTTPError: it does not respond; the event will be delivered again.
    """
    await from_sidecar(request)
    # Not `request.url`, which is built from the Host header.
    path = request.scope["path"]
    if path not in _routes:
        _routes.update(await _subscribed())
    if path not in _routes:
        raise Refused(403, "the sidecar has no subscription with this route")


async def _subscribed() -> set[str]:
    """The routes of the sidecar's subscriptions."""
    with untraced():
        answer = await sidecar().get(api_path("metadata"))
    answer.raise_for_status()
    return {
        rule["path"]
        for subscription in answer.json().get("subscriptions") or []
        for rule in subscription.get("rules") or []
        if rule.get("path")
    }
