"""Imports tasks of another system, which publishes plain JSON instead of CloudEvents.

They arrive in bulk: a bulk subscription, with a status for each entry.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import uuid
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, ValidationError

from services.backend_service.changes import Changes
from services.backend_service.models import NewTask, TaskRow
from services.backend_service.tasks import row_of
from services.common.deliveries import delivered, route
from services.common.keys import key
from services.common.settings import settings
from services.common.sidecar import from_sidecar
from services.common.text_types import TaskId, UserId

log = logging.getLogger("uvicorn.error")
router = APIRouter(include_in_schema=False)
TOPIC, ROUTE = "task-imports", "/events/imports"
ONE_OF_ANOTHER_SYSTEM = uuid.UUID("6f0b7f5e-5d0c-4a55-9a1c-2f3f0b9c1d11")
"""The namespace for ids derived from theirs: a second delivery results in the same task."""


class Foreign(BaseModel):
    """A task in the other system's format.

    Attributes:
        id: the other system's id.
    """

    model_config = ConfigDict(extra="forbid")

    id: TaskId
    user_id: UserId
    task: NewTask


@router.get("/dapr/subscribe", dependencies=[Depends(from_sidecar)])
async def subscribe() -> list[dict[str, Any]]:
    """The subscriptions, which daprd requests once, by GET, when the app's port opens."""
    return [
        {
            "pubsubname": settings().pubsub_name,
            "topic": TOPIC,
            "route": route(ROUTE),
            "deadLetterTopic": "dead-letters",
            "metadata": {"rawPayload": "true"},
            "bulkSubscribe": {"enabled": True, "maxMessagesCount": 50, "maxAwaitDurationMs": 100},
        }
    ]


@router.post(f"{ROUTE}/{{word}}", dependencies=[Depends(delivered)])
async def take(request: Request, changes: Annotated[Changes, Depends()]) -> dict[str, Any]:
    """Create the tasks that do not exist yet, and return a status for each entry.

    Several deliveries may run at the same time; the database lets one of them create a task.
    """
    body: dict[str, Any] = await request.json()
    statuses = []
    for entry in body["entries"]:
        foreign = _read(entry)
        if foreign is None:
            log.warning("dropped an import that is no task: %s", str(entry)[:300])
        elif await changes.database.get(TaskRow, _own_id(foreign)) is None:
            await changes.add(row_of(foreign.user_id, foreign.task, _own_id(foreign)))
        status = "SUCCESS" if foreign else "DROP"
        statuses.append({"entryId": entry["entryId"], "status": status})
    return {"statuses": statuses}


def _own_id(foreign: Foreign) -> str:
    return str(uuid.uuid5(ONE_OF_ANOTHER_SYSTEM, key(foreign.user_id, foreign.id)))


def _read(entry: Mapping[str, Any]) -> Foreign | None:
    """The contents of an entry: a raw payload is base64-encoded."""
    event = entry.get("event")
    raw = event.get("data_base64") if isinstance(event, dict) else event
    try:
        return Foreign.model_validate(json.loads(base64.b64decode(str(raw), validate=True)))
    except (ValidationError, ValueError, binascii.Error):
        return None
