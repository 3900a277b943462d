"""The events of this service."""

from __future__ import annotations

from typing import Literal

from services.backend_service.models import Task
from services.common.sidecar import cloud_event, publish

TASK_EVENTS = "task-events"
REMINDERS = "reminders"

Change = Literal["created", "updated", "completed", "deleted"]


async def publish_task(change: Change, task: Task) -> None:
    """Tell that a task was changed; events of one task keep their order."""
    data = {"task_id": task.id, "user_id": task.user_id, "task": task.model_dump(mode="json")}
    event = cloud_event(f"com.taskmanager.task.{change}", task.id, data)
    await publish(TASK_EVENTS, event, key=task.id)


async def publish_reminder(task: Task) -> None:
    """Tell that a task's reminder is due.

    The id is made of the task and its time, not drawn: a job fires at least once, and a second
    firing must be recognised as the same reminder.
    """
    due = task.remind_at.isoformat() if task.remind_at else ""
    data = {"task_id": task.id, "user_id": task.user_id, "title": task.title, "remind_at": due}
    event = cloud_event(
        "com.taskmanager.reminder.due", task.id, data, event_id=f"reminder-{task.id}-{due}"
    )
    await publish(REMINDERS, event, key=task.id)
