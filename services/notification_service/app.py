"""The ASGI app: ``uvicorn services.notification_service.app:app``."""

from __future__ import annotations

import base64
import json
import logging
import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.common.app import service
from services.common.cleanup import GIVEN_UP, Old, cleaning
from services.common.cron import Base as Ticks
from services.common.database import session, tables
from services.common.deliveries import delivered, route
from services.common.identity import OF_OPERATOR, for_users, ready
from services.common.keys import key
from services.common.outbox import Base as Outbox
from services.common.problems import describe
from services.common.relay import Relaying, relaying
from services.common.settings import settings
from services.common.sidecar import from_sidecar
from services.common.text_types import UserId
from services.notification_service import sending
from services.notification_service.models import (
    Base,
    Contact,
    ContactRow,
    DeadLetter,
    DeadLetterRow,
    Notification,
    NotificationRow,
    TaskEvent,
)
from services.notification_service.notifying import REMINDER, notify

log = logging.getLogger("uvicorn.error")
Database = Annotated[AsyncSession, Depends(session)]
Limit = Annotated[int, Query(ge=1, le=1000)]

SCHEDULED = "com.taskmanager.reminder.scheduled"
WORDING = {
    "com.taskmanager.task.created": "Task created",
    "com.taskmanager.task.updated": "Task updated",
    "com.taskmanager.task.completed": "Task completed",
    "com.taskmanager.task.deleted": "Task deleted",
    REMINDER: "Reminder",
}
DEAD_LETTERS = "dead-letters"
SUCCESS = {"status": "SUCCESS"}
DROP = {"status": "DROP"}


app = service(
    "notification-service",
    ready,
    tables(Base.metadata, Outbox.metadata, Ticks.metadata),
    relaying,
)
of_users = APIRouter()
app.include_router(
    cleaning(
        Old("notifications", NotificationRow.event_id, NotificationRow.created_at),
        Old("dead letters", DeadLetterRow.key, DeadLetterRow.created_at),
        GIVEN_UP,
    )
)
app.include_router(sending.router)


@app.get("/dapr/subscribe", dependencies=[Depends(from_sidecar)], include_in_schema=False)
async def subscribe() -> list[dict[str, Any]]:
    """The subscriptions, which daprd requests once, by GET, when the app's port opens.

    Dropped events go to the dead-letter topic, which is an ordinary topic. It is read as bytes: a
    dead letter may not be a CloudEvent, and daprd would try to parse it as one forever.
    """
    name = settings().pubsub_name
    rules = {REMINDER: "/events/reminder/due", SCHEDULED: "/events/reminder/scheduled"}
    return [
        {
            "pubsubname": name,
            "topic": "task-events",
            "route": route("/events/task"),
            "deadLetterTopic": DEAD_LETTERS,
        },
        {
            "pubsubname": name,
            "topic": "reminders",
            "routes": {
                "rules": [
                    {"match": f'event.type == "{kind}"', "path": route(path)}
                    for kind, path in rules.items()
                ],
                "default": route("/events/reminder"),
            },
            "deadLetterTopic": DEAD_LETTERS,
        },
        {
            "pubsubname": name,
            "topic": DEAD_LETTERS,
            "route": route("/events/dead-letter"),
            "metadata": {"rawPayload": "true"},
        },
    ]


# The body is read directly: daprd sends application/cloudevents+json, which FastAPI would not
# accept as JSON, and its 422 would be retried forever.
@app.post("/events/task/{word}", dependencies=[Depends(delivered)], include_in_schema=False)
@app.post("/events/reminder/due/{word}", dependencies=[Depends(delivered)], include_in_schema=False)
async def receive(request: Request, database: Database, relay: Relaying) -> dict[str, str]:
    """Turn one event into one notification, however often it is delivered."""
    event: Any = await request.json()
    row = _notification(event)
    if row is None:
        return _drop(event)
    await notify(database, row)
    await database.commit()
    relay.wake()
    return SUCCESS


@app.post(
    "/events/reminder/scheduled/{word}", dependencies=[Depends(delivered)], include_in_schema=False
)
async def note_scheduled(request: Request) -> dict[str, str]:
    """A reminder was set or moved: who did that has seen it, so that nobody is notified."""
    event: Any = await request.json()
    return SUCCESS if _read(event) else _drop(event)


@app.post("/events/reminder/{word}", dependencies=[Depends(delivered)], include_in_schema=False)
async def drop_unknown(request: Request) -> dict[str, str]:
    """The default route: an event of the topic whose type no rule knows becomes a dead letter."""
    return _drop(await request.json())


def _drop(event: object) -> dict[str, str]:
    log.warning("dropped an event that is not one of ours: %s", str(event)[:300])
    return DROP


@app.post("/events/dead-letter/{word}", dependencies=[Depends(delivered)], include_in_schema=False)
async def store_dead_letter(request: Request, database: Database) -> dict[str, str]:
    """Store an event that no handler could accept, unchanged, for inspection."""
    letter: dict[str, Any] = await request.json()
    text = base64.b64decode(letter.get("data_base64", "")).decode("utf-8", "replace")
    try:
        event = json.loads(text)
    except ValueError:
        event = {}
    known = event if isinstance(event, dict) and "specversion" in event else {}
    # An event without an id gets the same one when it is delivered again.
    letter_id = str(known.get("id") or uuid.uuid5(uuid.NAMESPACE_OID, text))
    row = {
        # An id is unique only among the events of its source.
        "key": _storable(key(str(known.get("source") or "unknown"), letter_id)),
        "id": _storable(letter_id),
        "kind": _storable(str(known.get("type"))),
        "event": _storable(text),
    }
    await database.execute(insert(DeadLetterRow).values(row).on_conflict_do_nothing())
    await database.commit()
    return SUCCESS


@app.get(
    "/api/dead-letters",
    tags=["dead letters"],
    dependencies=OF_OPERATOR,
    responses=describe(401, 403),
)
async def list_dead_letters(database: Database, limit: Limit = 100) -> list[DeadLetter]:
    """Events that no handler could accept, of all users, latest first; for operators."""
    query = select(DeadLetterRow).order_by(DeadLetterRow.created_at.desc()).limit(limit)
    return [DeadLetter.model_validate(row) for row in await database.scalars(query)]


@of_users.get("/api/{user_id}/notifications", tags=["notifications"])
async def list_notifications(user_id: UserId, database: Database) -> list[Notification]:
    """All notifications of a user, oldest first."""
    query = (
        select(NotificationRow)
        .where(NotificationRow.user_id == user_id)
        .order_by(NotificationRow.created_at)
    )
    return [Notification.model_validate(row) for row in await database.scalars(query)]


@of_users.get("/api/{user_id}/contact", tags=["contact"])
async def read_contact(user_id: UserId, database: Database) -> Contact:
    """Where else a user is notified, besides the page."""
    row = await database.get(ContactRow, user_id)
    return Contact.model_validate(row) if row else Contact()


@of_users.put("/api/{user_id}/contact", tags=["contact"])
async def set_contact(user_id: UserId, contact: Contact, database: Database) -> Contact:
    """Set where else a user is notified from now on."""
    values = contact.model_dump()
    said = insert(ContactRow).values(user_id=user_id, **values)
    await database.execute(said.on_conflict_do_update(index_elements=["user_id"], set_=values))
    await database.commit()
    return contact


for_users(app, of_users)


def _notification(event: Any) -> dict[str, Any] | None:
    """The row for an event; None if it is not one of our events."""
    told = _read(event)
    wording = WORDING.get(told.type) if told else None
    if told is None or wording is None:
        return None
    title = told.data.title or (told.data.task.title if told.data.task else "")
    return {
        "event_id": told.id,
        "user_id": told.data.user_id,
        "task_id": told.data.task_id,
        "kind": told.type,
        "message": f"{wording}: {title}",
    }


def _read(event: Any) -> TaskEvent | None:
    try:
        return TaskEvent.model_validate(event)
    except ValidationError:
        return None


def _storable(text: str) -> str:
    """The text without what PostgreSQL cannot store: NUL, and half a surrogate pair."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
