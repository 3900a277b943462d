"""A new notification: its row, and the calls that tell pages, mail and webhook about it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.common.bindings import mail, webhook
from services.common.outbox import Call, enqueue, publishing
from services.common.sidecar import cloud_event
from services.notification_service.models import ContactRow, NotificationRow

REMINDER = "com.taskmanager.reminder.due"
UPDATES = "task-updates"


async def notify(database: AsyncSession, row: dict[str, Any]) -> bool:
    """Store a notification and enqueue the calls about it; return whether it is new."""
    made = insert(NotificationRow).values(row).on_conflict_do_nothing()
    new = await database.scalar(made.returning(NotificationRow.event_id))
    if new is not None:
        # In the same commit: the pages learn about every stored notification.
        contact = await database.get(ContactRow, row["user_id"])
        await enqueue(database, _update(row), *(_sent_out(row, contact) if contact else ()))
    return new is not None


def _sent_out(row: dict[str, Any], contact: ContactRow) -> Iterator[Call]:
    """A webhook for each notification, a mail only for reminders."""
    user = row["user_id"]
    if contact.webhook:
        yield webhook(user, f"/{user}", row["event_id"], row)
    if contact.email and row["kind"] == REMINDER:
        yield mail(user, [contact.email], row["event_id"], [row["message"], f"For {user}."])


def _update(row: dict[str, Any]) -> Call:
    """Push a new notification to a user's pages."""
    event = cloud_event(
        "com.taskmanager.notification.made",
        row["task_id"] or row["user_id"],
        row,
        event_id=f"update-{row['event_id']}",
    )
    return publishing(UPDATES, row["user_id"], event)
