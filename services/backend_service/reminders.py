"""One Dapr job per task with a reminder."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from sqlalchemy.ext.asyncio import AsyncSession

from services.backend_service.events import publish_reminder
from services.backend_service.models import Task, TaskRow
from services.common.database import now, session
from services.common.sidecar import from_sidecar, sidecar

PREFIX = "reminder-task-"
CLOCK_STEP = timedelta(seconds=1)
"""How far the clock may be set back between scheduling and firing."""
router = APIRouter(tags=["reminders"])


async def schedule(task: Task) -> None:
    """Schedule, move or cancel the reminder so that it is as the task says."""
    name = f"/v1.0/jobs/{PREFIX}{task.id}"
    if task.remind_at is None or task.completed:
        answer = await sidecar().delete(name)
    else:
        # A second POST of the name is a conflict unless it says overwrite; a due time in the
        # past fires at once.
        body = {
            "dueTime": task.remind_at.isoformat(),
            "data": {"task_id": task.id, "user_id": task.user_id},
            "overwrite": True,
            "failurePolicy": {"constant": {"interval": "1s", "maxRetries": 30}},
        }
        answer = await sidecar().post(name, json=body)
    answer.raise_for_status()


async def cancel(task_id: str) -> None:
    """Cancel the reminder of a task that is no more."""
    (await sidecar().delete(f"/v1.0/jobs/{PREFIX}{task_id}")).raise_for_status()


@router.post("/job/{name}", dependencies=[Depends(from_sidecar)], include_in_schema=False)
async def fire(name: str, database: Annotated[AsyncSession, Depends(session)]) -> Response:
    """A job is due: tell it, unless the task is done, gone, or was moved meanwhile.

    An error makes daprd try again; 404 would make it give up.
    """
    row = await database.get(TaskRow, name.removeprefix(PREFIX))
    # Dapr never fires early, so a time still to come means that another job has taken over.
    if row and not row.completed and row.remind_at and row.remind_at <= now() + CLOCK_STEP:
        await publish_reminder(Task.model_validate(row))
    return Response(status_code=200)
