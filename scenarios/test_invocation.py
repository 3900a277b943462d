"""One app calls another through the sidecars."""

from __future__ import annotations

from functools import partial

import httpx
import pytest

from harness import AsyncWorld, DaprError
from scenarios.signing import PURPOSE, bearer


async def test_an_app_is_reached_through_another_ones_sidecar(dapr: AsyncWorld) -> None:
    """Method, path, body and status pass through unchanged."""
    user, sidecar = dapr.name("user"), dapr.sidecar("notification-service")
    invoke = partial(sidecar.invoke, "backend-service", headers=bearer(dapr.token(PURPOSE), user))

    made = await invoke(f"api/{user}/tasks", json={"title": "By invocation"})
    listed = await invoke(f"api/{user}/tasks", verb="GET")
    missing = await invoke(f"api/{user}/tasks/none", verb="GET")

    mine = dapr.ledger.requests("backend-service", where=lambda each: user in each.path)
    sent = await mine.answered(made, listed, missing)
    assert [201, 200, 404] == [each.status for each in sent]
    assert "By invocation" == made.json()["title"]
    assert "application/problem+json" == missing.headers["content-type"]


async def test_an_unknown_app_is_an_error_of_dapr(dapr: AsyncWorld) -> None:
    """The client raises daprd's own error, with its code."""
    with pytest.raises(DaprError) as caught:
        await dapr.sidecar("notification-service").invoke("nobody", "x", verb="GET")

    assert (500, "ERR_DIRECT_INVOKE") == (caught.value.status, caught.value.error_code)


async def test_a_sidecar_asks_for_its_token(dapr: AsyncWorld) -> None:
    """Health needs no token, everything else does."""
    base = dapr.sidecar("backend-service").endpoint.http
    async with httpx.AsyncClient(base_url=base) as stranger:
        health = await stranger.get("/v1.0/healthz")
        metadata = await stranger.get("/v1.0/metadata")

    assert (204, 401) == (health.status_code, metadata.status_code)
