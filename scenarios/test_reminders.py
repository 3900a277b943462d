"""A reminder is a Dapr job: on time, moved, cancelled, overdue, and safe in a restart."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from harness import AsyncWorld
from scenarios.test_series import has_job
from scenarios.test_task_events import new_task

DUE = "com.taskmanager.reminder.due"


def in_seconds(seconds: float) -> str:
    """A moment to come, as the API takes it."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def moment(event: Any) -> datetime:
    """When the reminder was due, by the event's own word."""
    return datetime.fromisoformat(event.data["remind_at"])


async def test_a_reminder_fires_on_time_and_is_notified(dapr: AsyncWorld) -> None:
    """Not before it is due; and it names the task and its owner."""
    user, remind_at = dapr.name("user"), in_seconds(1)

    task = await new_task(dapr, user, title="Call mum", remind_at=remind_at)
    event = await dapr.topic("reminders").next(subject=task["id"])
    row = dapr.table("notifications").row(event_id=event.id)

    assert datetime.fromisoformat(remind_at) == moment(event)
    # Record times are cut to milliseconds.
    assert event.time >= moment(event) - timedelta(milliseconds=1)
    assert (user, "Call mum") == (event.data["user_id"], event.data["title"])
    assert (user, DUE, "Reminder: Call mum") == (row["user_id"], row["kind"], row["message"])


async def test_a_moved_reminder_fires_at_its_new_time_only(dapr: AsyncWorld) -> None:
    """Moved to later: the first event of this task is the one of the new time."""
    user, later = dapr.name("user"), in_seconds(2.5)
    task = await new_task(dapr, user, remind_at=in_seconds(1.5))

    path = f"/api/{user}/tasks/{task['id']}"
    await dapr.app("backend-service").put(path, json={"remind_at": later})
    event = await dapr.topic("reminders").next(subject=task["id"])

    assert datetime.fromisoformat(later) == moment(event)
    assert event.time >= moment(event) - timedelta(milliseconds=1)


async def test_a_cancelled_reminder_does_not_fire(dapr: AsyncWorld) -> None:
    """Cancelled, completed and deleted: none of the three has fired when a later one does."""
    user, backend, soon = dapr.name("user"), dapr.app("backend-service"), in_seconds(1)
    tasks = [await new_task(dapr, user, remind_at=soon) for _ in range(3)]
    paths = [f"/api/{user}/tasks/{task['id']}" for task in tasks]

    await backend.put(paths[0], json={"remind_at": None})
    await backend.post(f"{paths[1]}/complete")
    await backend.delete(paths[2])
    later = await new_task(dapr, user, remind_at=in_seconds(1.5))

    async def none_left() -> None:
        assert not any([await has_job(dapr, task["id"]) for task in tasks])

    await dapr.eventually(none_left)

    await dapr.topic("reminders").nothing_before(
        {"subject": later["id"]}, subject={task["id"] for task in tasks}.__contains__
    )


async def test_a_reminder_in_the_past_fires_at_once(dapr: AsyncWorld) -> None:
    """Overdue is due."""
    user = dapr.name("user")

    task = await new_task(dapr, user, remind_at=in_seconds(-3600))
    event = await dapr.topic("reminders").next(subject=task["id"])

    assert (DUE, user) == (event.type, event.data["user_id"])


async def test_a_reminder_survives_a_restart_of_the_scheduler(dapr: AsyncWorld) -> None:
    """The job is in the scheduler's data folder; it fires once after the restart."""
    user = dapr.name("user")
    task = await new_task(dapr, user, remind_at=in_seconds(4))

    dapr.stack.restart("scheduler")
    dapr.stack.await_ready("backend-service-daprd")
    event = await dapr.topic("reminders").next(subject=task["id"], timeout=30)

    assert event.time >= moment(event) - timedelta(milliseconds=1)
    dapr.table("notifications").row(event_id=event.id)
    assert dapr.table("notifications").count(task_id=task["id"], kind=DUE) == 1
