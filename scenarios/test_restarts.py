"""Services stop and start; acknowledged events remain."""

from __future__ import annotations

import asyncio

import pytest

from harness import AsyncWorld
from scenarios.test_task_events import new_task

APP, TASKS = "notification-service", 60


@pytest.mark.dapr(exclusive=True)
async def test_a_restart_of_the_subscriber_loses_nothing(dapr: AsyncWorld) -> None:
    """Tasks are created while the notification service restarts: one notification each."""
    user, half = dapr.name("user"), asyncio.Event()

    async def stream() -> set[str]:
        made = set()
        for number in range(TASKS):
            made.add((await new_task(dapr, user, title=f"Task {number}"))["id"])
            if number == TASKS // 4:
                half.set()
        return made

    async def restart() -> None:
        await half.wait()
        await dapr.restart("notification-service")

    made, _ = await asyncio.gather(stream(), restart())

    for task in made:
        await dapr.ledger.event(topic="task-events", subject=task).delivered_to(APP, timeout=30)
    assert TASKS == len(made) == await dapr.table("notifications").count(user_id=user)


@pytest.mark.dapr(exclusive=True)
async def test_a_killed_sidecar_of_the_subscriber_loses_nothing(dapr: AsyncWorld) -> None:
    """kill -9 of daprd with events in flight: they are redelivered, and notified once."""
    user = dapr.name("user")

    first = {(await new_task(dapr, user))["id"] for _ in range(10)}
    await dapr.kill("notification-service-daprd")
    second = {(await new_task(dapr, user))["id"] for _ in range(10)}
    await dapr.restart("notification-service-daprd")

    for task in first | second:
        await dapr.ledger.event(topic="task-events", subject=task).delivered_to(APP, timeout=30)
    assert 20 == await dapr.table("notifications").count(user_id=user)
