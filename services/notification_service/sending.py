"""Notifications on behalf of other services, by invocation."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from sqlalchemy.ext.asyncio import AsyncSession

from services.common.database import session
from services.common.keys import key
from services.common.problems import describe
from services.common.relay import Relaying
from services.common.sidecar import from_app
from services.notification_service.models import NewNotification, Notification, NotificationRow
from services.notification_service.notifying import notify

SENDERS = ("backend-service", "recurring-task-service")
"""The page's service is none of them: users cannot notify others."""

KIND = "com.taskmanager.notification.sent"
router = APIRouter(tags=["notifications"], dependencies=[Depends(from_app(*SENDERS))])


@router.post(
    "/send-notification",
    status_code=201,
    responses={
        200: {"model": Notification, "description": "it was there already"},
        **describe(401, 403),
    },
)
async def send_notification(
    new: NewNotification,
    database: Annotated[AsyncSession, Depends(session)],
    relay: Relaying,
    response: Response,
) -> Notification:
    """Notify a user; a repeated request with the same id notifies once."""
    said = new.model_dump(exclude={"id"})
    event_id = key("sent", new.user_id, new.id or str(uuid.uuid4()))
    if not await notify(database, {"event_id": event_id, "kind": KIND, **said}):
        response.status_code = 200
    made = await database.get_one(NotificationRow, event_id)
    await database.commit()
    relay.wake()
    return Notification.model_validate(made)
