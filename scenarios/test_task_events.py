"""A task change becomes an event and a notification: once each, in order, for its owner."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from harness import AsyncWorld

STORY = ["created", "updated", "completed", "deleted"]


async def new_task(dapr: AsyncWorld, user: str, **fields: Any) -> dict[str, Any]:
    """Create a task through the backend's API."""
    answer = await dapr.app("backend-service").post(
        f"/api/{user}/tasks", json={"title": "Buy milk", **fields}
    )
    assert answer.status_code == 201, answer.text
    task: dict[str, Any] = answer.json()
    return task


async def notifications(dapr: AsyncWorld, user: str) -> list[dict[str, Any]]:
    """The notifications that the service returns for a user."""
    answer = await dapr.app("notification-service").get(f"/api/{user}/notifications")
    rows: list[dict[str, Any]] = answer.raise_for_status().json()
    return rows


def task_event(dapr: AsyncWorld, event_id: str, **data: Any) -> dict[str, Any]:
    """A CloudEvent in the backend's format."""
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": "scenario",
        "type": "com.taskmanager.task.created",
        "datacontenttype": "application/json",
        "data": {"task_id": dapr.id, "user_id": dapr.name("user"), "title": "Once", **data},
    }


def changes(*names: str) -> list[str]:
    """The types of the events of changes of a task."""
    return [f"com.taskmanager.task.{name}" for name in names]


async def test_every_change_of_a_task_is_an_event_in_order(dapr: AsyncWorld) -> None:
    """The four changes of one task arrive on one partition, in order, with the task in them."""
    user, backend = dapr.name("user"), dapr.app("backend-service")
    task = await new_task(dapr, user)
    path = f"/api/{user}/tasks/{task['id']}"

    await backend.put(path, json={"title": "Buy oat milk"})
    await backend.post(f"{path}/complete")
    await backend.delete(path)
    events = await dapr.topic("task-events").collect(4, subject=task["id"])

    assert changes(*STORY) == [e.type for e in events]
    assert len({event.partition for event in events}) == 1
    assert {"backend-service"} == {event.source for event in events}
    assert {task["id"]} == {event.key for event in events}
    titles = [event.data["task"]["title"] for event in events]
    assert ["Buy milk", "Buy oat milk", "Buy oat milk", "Buy oat milk"] == titles
    assert [False, False, True, True] == [e.data["task"]["completed"] for e in events]


async def test_every_event_becomes_one_notification_of_its_owner(dapr: AsyncWorld) -> None:
    """Four changes are four readable notifications; another user sees none."""
    user, other, backend = dapr.name("user"), dapr.name("other"), dapr.app("backend-service")
    task = await new_task(dapr, user)
    path = f"/api/{user}/tasks/{task['id']}"
    await backend.put(path, json={"title": "Buy oat milk"})
    await backend.post(f"{path}/complete")
    await backend.delete(path)

    async def four() -> list[dict[str, Any]]:
        rows = await notifications(dapr, user)
        assert len(rows) == 4
        return rows

    rows = await dapr.eventually(four)

    assert [
        "Task created: Buy milk",
        "Task updated: Buy oat milk",
        "Task completed: Buy oat milk",
        "Task deleted: Buy oat milk",
    ] == [row["message"] for row in rows]
    assert {task["id"]} == {row["task_id"] for row in rows}
    assert [] == await notifications(dapr, other)


async def test_completing_twice_is_one_event(dapr: AsyncWorld) -> None:
    """A second completion publishes nothing: the deletion directly follows the first one."""
    user, backend = dapr.name("user"), dapr.app("backend-service")
    task = await new_task(dapr, user)
    path = f"/api/{user}/tasks/{task['id']}"

    for _ in range(2):
        await backend.post(f"{path}/complete")
    await backend.delete(path)

    story = changes("created", "completed", "deleted")
    await dapr.ledger.published(*story, topic="task-events", subject=task["id"])


async def route_of(dapr: AsyncWorld, topic: str) -> str:
    """The route at which the notification service's sidecar delivers a topic; only it knows it."""
    metadata = await dapr.sidecar("notification-service").metadata()
    (route,) = (each.routes[0] for each in metadata.subscriptions if each.topic == topic)
    return route


async def test_an_event_that_is_published_twice_is_notified_once(dapr: AsyncWorld) -> None:
    """At least once on the broker, exactly once for the user."""
    event = task_event(dapr, dapr.name("event"))
    sidecar, inbox = dapr.sidecar("backend-service"), dapr.inbox("notification-service")

    for _ in range(2):
        await sidecar.publish_event("pubsub", "task-events", event)
    deliveries = await inbox.collect(2, id=event["id"])

    assert [200, 200] == [each.status for each in deliveries]
    assert await dapr.table("notifications").count(event_id=event["id"]) == 1


async def test_two_deliveries_at_the_same_moment_are_one_notification(dapr: AsyncWorld) -> None:
    """Ten deliveries of one event race; all are acknowledged and one leaves a row."""
    event = task_event(dapr, dapr.name("event"))
    app, route = dapr.app("notification-service"), await route_of(dapr, "task-events")
    headers = {
        "content-type": "application/cloudevents+json",
        "dapr-api-token": dapr.token("app-api"),
    }

    answers: list[httpx.Response] = await asyncio.gather(
        *(app.post(route, json=event, headers=headers) for _ in range(10))
    )

    assert [{"status": "SUCCESS"}] * 10 == [each.json() for each in answers]
    assert await dapr.table("notifications").count(event_id=event["id"]) == 1


async def test_only_the_sidecar_may_deliver(dapr: AsyncWorld) -> None:
    """A delivery without the app's token is rejected and leaves nothing."""
    event, route = task_event(dapr, dapr.name("event")), await route_of(dapr, "task-events")

    answer = await dapr.app("notification-service").post(route, json=event)

    assert answer.status_code == 401
    assert await dapr.table("notifications").count(event_id=event["id"]) == 0


async def test_a_handler_that_fails_twice_gets_the_event_until_it_succeeds(
    dapr: AsyncWorld,
) -> None:
    """Two failures before the work: three deliveries, one notification."""
    inbox, user = dapr.inbox("notification-service"), dapr.name("user")
    await inbox.fail_next("/events/task", contains=user, times=2)

    await new_task(dapr, user)
    event = dapr.ledger.event(topic="task-events", data={"user_id": user})
    path = await event.delivered_to("notification-service", attempts=3)

    assert ["before", "before", ""] == [each.failed for each in path.attempts]
    assert len(await notifications(dapr, user)) == 1


async def test_a_lost_acknowledgement_does_not_notify_twice(dapr: AsyncWorld) -> None:
    """The handler did its work, the response was lost: delivered again, notified once."""
    inbox, user = dapr.inbox("notification-service"), dapr.name("user")
    await inbox.fail_next("/events/task", contains=user, times=1, after=True)

    await new_task(dapr, user)
    event = dapr.ledger.event(topic="task-events", data={"user_id": user})
    path = await event.delivered_to("notification-service", attempts=2)

    assert ["after", ""] == [each.failed for each in path.attempts]
    assert len(await notifications(dapr, user)) == 1


NOT_OURS: dict[str, dict[str, Any]] = {
    "no-task": {"data": {"no": "task"}},
    "text": {"data": "text"},
    "long-user": {"data": {"task_id": "t", "user_id": "u" * 201}},
    "user-is-an-object": {"data": {"task_id": "t", "user_id": {"name": "ada"}}},
    "task-is-text": {"data": {"task_id": "t", "user_id": "ada", "task": "text"}},
    "nul-in-title": {"data": {"task_id": "t", "user_id": "ada", "title": "a\0b"}},
    "unknown-type": {"type": "com.taskmanager.task.\0"},
}


@pytest.mark.parametrize("other", NOT_OURS.values(), ids=NOT_OURS.keys())
async def test_an_event_that_is_not_one_of_ours_is_a_dead_letter(
    dapr: AsyncWorld, other: dict[str, Any]
) -> None:
    """Invalid events block no partition: they are dropped, become dead letters, and are shown."""
    event = task_event(dapr, dapr.name("event")) | other

    await dapr.sidecar("backend-service").publish_event("pubsub", "task-events", event)
    await dapr.ledger.event(event["id"]).dropped_by("notification-service")
    await dapr.ledger.event(event["id"]).dead_lettered("dead-letters")

    async def buried() -> dict[str, Any]:
        letters = (await dapr.app("notification-service").get("/api/dead-letters")).json()
        found: list[dict[str, Any]] = [each for each in letters if each["id"] == event["id"]]
        assert 1 == len(found)
        return found[0]

    letter = await dapr.eventually(buried)
    assert event["data"] == json.loads(letter["event"])["data"]
    assert await dapr.table("notifications").count(event_id=event["id"]) == 0
