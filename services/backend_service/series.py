"""Series of recurring tasks, for the service that computes the occurrences."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy import select
from sqlalchemy.orm import aliased

from services.backend_service.models import Next, Task, TaskRow
from services.backend_service.tasks import Database, Recording, etag, own
from services.common.database import now
from services.common.problems import Refused, describe
from services.common.sidecar import from_app
from services.common.text_types import TaskId, UserId

RECURRING = "recurring-task-service"
router = APIRouter(tags=["series"], dependencies=[Depends(from_app(RECURRING))])
PAGE = 100


@router.post(
    "/api/{user_id}/tasks/{task_id}/next",
    status_code=201,
    responses={
        200: {"model": Task, "description": "it was there already"},
        204: {"description": "the series is over"},
        **describe(401, 403, 404, 409),
    },
)
async def next_occurrence(
    user_id: UserId, task_id: TaskId, following: Next, changes: Recording, response: Response
) -> Task | None:
    """Create the next occurrence of a completed task; a repeated request creates no other."""
    row = await own(changes.database, user_id, task_id)
    if not row.completed or row.recurrence is None:
        raise Refused(409, "only a completed task of a series has a next occurrence")
    if following.due_at is None:
        row.series_over = True
        await changes.database.commit()
        response.status_code = 204
        return None
    made = await changes.database.scalar(select(TaskRow).where(TaskRow.follows == task_id))
    if made is not None:
        response.status_code = 200
        return Task.model_validate(made)
    task = await changes.add(
        TaskRow(
            user_id=user_id,
            title=row.title,
            description=row.description,
            recurrence=row.recurrence,
            follows=row.id,
            **following.model_dump(),
        )
    )
    response.headers["etag"] = etag(task)
    return task


@router.get("/series/waiting", responses=describe(401, 403))
async def waiting(
    database: Database, seconds: Annotated[int, Query(ge=0, le=86_400)] = 30
) -> list[Task]:
    """Completed tasks of a series that have had no next occurrence for this many seconds."""
    follower = aliased(TaskRow)
    query = (
        select(TaskRow)
        .outerjoin(follower, follower.follows == TaskRow.id)
        .where(TaskRow.completed, TaskRow.recurrence.is_not(None), ~TaskRow.series_over)
        .where(follower.id.is_(None), TaskRow.completed_at <= now() - timedelta(seconds=seconds))
        .order_by(TaskRow.completed_at)
        .limit(PAGE)
    )
    return [Task.model_validate(row) for row in await database.scalars(query)]
