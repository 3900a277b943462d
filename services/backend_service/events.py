"""The events of this service, as calls in its outbox."""

from __future__ import annotations

from typing import Literal

from services.backend_service.models import Task
from services.common.outbox import Call, publishing
from services.common.sidecar import cloud_event

TASK_EVENTS = "task-events"
REMINDERS = "reminders"

Change = Literal["created", "updated", "completed", "deleted"]


def task_changed(change: Change, task: Task) -> Call:
    """The event for a changed task; events of one task keep their order."""
    data = {"task_id": task.id, "user_id": task.user_id, "task": task.model_dump(mode="json")}
    return publishing(
        TASK_EVENTS, task.id, cloud_event(f"com.taskmanager.task.{change}", task.id, data)
    )


def reminder_scheduled(task: Task) -> Call:
    """The event for a reminder that was set or moved.

    It goes with the other events, not with due reminders: many at once must not make those late.
    Therefore that of a reminder in the past may come after it.
    """
    event = cloud_event("com.taskmanager.reminder.scheduled", task.id, _reminder(task))
    return publishing(REMINDERS, task.id, event)


def reminder_due(task: Task) -> Call:
    """The event for a task's due reminder; it does not wait for other events of the task.

    The id is derived from the task and its time, not random: a job fires at least once, and a
    second firing must be recognised as the same reminder.
    """
    data = _reminder(task)
    event_id = f"reminder-{task.id}-{data['remind_at']}"
    event = cloud_event("com.taskmanager.reminder.due", task.id, data, event_id=event_id)
    return publishing(REMINDERS, task.id, event, lane="reminder")


def _reminder(task: Task) -> dict[str, str]:
    due = task.remind_at.isoformat() if task.remind_at else ""
    return {"task_id": task.id, "user_id": task.user_id, "title": task.title, "remind_at": due}
