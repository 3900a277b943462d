"""Cron bindings, triggered at will: the services do what daprd's own clock would make them do."""

from __future__ import annotations

import json

import pytest

from harness import AsyncWorld

BACKEND, NOTIFICATIONS = "backend-service", "notification-service"
CLEANUP = "daily-cleanup"


@pytest.mark.own_stack
@pytest.mark.dapr(time="virtual")
async def test_the_daily_cleanup_takes_a_tick_and_refuses_another_app(dapr: AsyncWorld) -> None:
    """In every service that has it; an invocation is still not the sidecar's own call."""
    ticked = await dapr.clock.tick(CLEANUP)
    invoked = await dapr.sidecar(NOTIFICATIONS).invoke(BACKEND, CLEANUP)

    assert [BACKEND, NOTIFICATIONS] == sorted(each.app for each in ticked.answers)
    assert [{"ran", "removed"}] * 2 == [set(json.loads(each.text)) for each in ticked.answers]
    assert 403 == invoked.status_code
    for app, statuses in {BACKEND: (200, 403), NOTIFICATIONS: (200,)}.items():
        await dapr.ledger.requests(app, f"/{CLEANUP}", method="POST").answered(*statuses)
