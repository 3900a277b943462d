"""One Dapr job per task with a reminder."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from sqlalchemy.ext.asyncio import AsyncSession

from services.backend_service.events import reminder_due
from services.backend_service.models import Task, TaskRow
from services.common.database import now, session
from services.common.outbox import Call, tell
from services.common.relay import Relaying
from services.common.sidecar import from_sidecar

PREFIX = "reminder-task-"
CLOCK_STEP = timedelta(seconds=1)
"""How far the clock may be set back between scheduling and firing."""
router = APIRouter(tags=["reminders"])


def schedule(task: Task) -> Call:
    """Schedule, move or cancel the reminder so that it is as the task says."""
    if task.remind_at is None or task.completed:
        return cancel(task.id)
    # A second POST of the name is a conflict unless it says overwrite; a due time in the past
    # fires at once.
    body = {
        "dueTime": task.remind_at.isoformat(),
        "data": {"task_id": task.id, "user_id": task.user_id},
        "overwrite": True,
        "failurePolicy": {"constant": {"interval": "1s", "maxRetries": 30}},
    }
    return Call(_key(task.id), "POST", _path(task.id), body=body)


def cancel(task_id: str) -> Call:
    """Cancel the reminder of a task that is done or is no more."""
    return Call(_key(task_id), "DELETE", _path(task_id))


@router.post("/job/{name}", dependencies=[Depends(from_sidecar)], include_in_schema=False)
async def fire(
    name: str, database: Annotated[AsyncSession, Depends(session)], relay: Relaying
) -> Response:
    """A job is due: tell it, unless the task is done, gone, or was moved meanwhile.

    An error makes daprd try again; 404 would make it give up.
    """
    row = await database.get(TaskRow, name.removeprefix(PREFIX))
    # Dapr never fires early, so a time still to come means that another job has taken over.
    if row and not row.completed and row.remind_at and row.remind_at <= now() + CLOCK_STEP:
        await tell(database, reminder_due(Task.model_validate(row)))
        await database.commit()
        relay.wake()
    return Response(status_code=200)


def _path(task_id: str) -> str:
    return f"/v1.0/jobs/{PREFIX}{task_id}"


def _key(task_id: str) -> str:
    # Of its own: a scheduler that is away must not hold up the task's events.
    return f"job-{task_id}"
