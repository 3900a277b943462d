"""Routes that the own sidecar alone knows.

An invocation reaches an app with the same token as a delivery, and its caller can have the sidecars
leave out every header that tells the two apart. So the route of a subscription ends in a word that
is drawn when daprd asks for subscriptions; whoever else asks is given words as well, and none of
them is good before the sidecar says that it has subscribed with it.
"""

from __future__ import annotations

import secrets

from fastapi import Request

from services.common.problems import Refused
from services.common.sidecar import api_path, from_sidecar, sidecar
from services.common.tracing import untraced

_routes: set[str] = set()
"""Of this process's sidecar, as far as they were asked for."""


def route(path: str) -> str:
    """A route to subscribe with: the path, and a word that nobody can guess."""
    return f"{path}/{secrets.token_urlsafe(16)}"


async def delivered(request: Request) -> None:
    """Let only deliveries of the own sidecar in. For `fastapi.Depends`.

    Raises:
        Refused: it has no subscription with this route.
        httpx.HTTPError: it does not answer now; the delivery comes again.
    """
    await from_sidecar(request)
    # Not `request.url`, which is put together with the Host header.
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
