"""Services stop and start; acknowledged events remain."""

from __future__ import annotations

import asyncio

from harness import AsyncWorld
from scenarios.test_task_events import new_task

TASKS = 60


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

    async def all_there() -> list[str]:
        rows = await dapr.table("notifications").rows(user_id=user)
        found = [row["task_id"] for row in rows]
        assert made == set(found)
        return found

    found = await dapr.eventually(all_there, timeout=30)

    assert TASKS == len(found)


async def test_a_killed_sidecar_of_the_subscriber_loses_nothing(dapr: AsyncWorld) -> None:
    """kill -9 of daprd with events in flight: they are redelivered, and notified once."""
    user = dapr.name("user")

    first = {(await new_task(dapr, user))["id"] for _ in range(10)}
    await dapr.kill("notification-service-daprd")
    second = {(await new_task(dapr, user))["id"] for _ in range(10)}
    await dapr.restart("notification-service-daprd")

    async def all_there() -> int:
        rows = await dapr.table("notifications").rows(user_id=user)
        found = [row["task_id"] for row in rows]
        assert first | second == set(found)
        return len(found)

    assert 20 == await dapr.eventually(all_there, timeout=30)
