"""Tasks per user."""

from __future__ import annotations

from datetime import UTC
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Response
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.backend_service import reminders
from services.backend_service.changes import Changes
from services.backend_service.models import NewTask, Task, TaskChange, TaskRow
from services.common.database import now, session
from services.common.problems import Refused, describe
from services.common.text_types import Flag, TaskId, UserId

router = APIRouter(prefix="/api/{user_id}/tasks", tags=["tasks"])
Database = Annotated[AsyncSession, Depends(session)]
Recording = Annotated[Changes, Depends()]
IfMatch = Annotated[
    str | None, Header(description="the ETag of the version that is changed; 412 if it is not")
]


ABOUT_IT: dict[int | str, dict[str, Any]] = {
    201: {
        "links": {
            operation: {
                "operationId": operation,
                "parameters": {
                    "user_id": "$request.path.user_id",
                    "task_id": "$response.body#/id",
                },
            }
            for operation in ("read_task", "update_task", "complete_task", "delete_task")
        }
    }
}
"""The possible changes of an existing task."""


@router.post("", status_code=201, responses=ABOUT_IT)
async def create_task(
    user_id: UserId, new: NewTask, changes: Recording, response: Response
) -> Task:
    """Create a task, and its reminder if it has one."""
    task = await changes.add(row_of(user_id, new))
    response.headers["etag"] = etag(task)
    return task


@router.get("")
async def list_tasks(user_id: UserId, database: Database, completed: Flag = None) -> list[Task]:
    """The tasks of a user, oldest first; all, or only those that are (not) completed."""
    query = select(TaskRow).where(TaskRow.user_id == user_id).order_by(TaskRow.created_at)
    if completed is not None:
        query = query.where(TaskRow.completed == completed)
    return [Task.model_validate(row) for row in await database.scalars(query)]


@router.get("/{task_id}", responses=describe(404))
async def read_task(
    user_id: UserId, task_id: TaskId, database: Database, response: Response
) -> Task:
    """Read one task; its version is in the ETag header."""
    row = await database.get(TaskRow, task_id)
    if row is None or row.user_id != user_id:
        raise Refused(404, "no such task")
    task = Task.model_validate(row)
    response.headers["etag"] = etag(task)
    return task


@router.put("/{task_id}", responses=describe(404, 409, 412))
async def update_task(
    user_id: UserId,
    task_id: TaskId,
    change: TaskChange,
    changes: Recording,
    response: Response,
    *,
    if_match: IfMatch = None,
) -> Task:
    """Change a task; its reminder is moved or cancelled accordingly."""
    row = await own(changes.database, user_id, task_id, if_match)
    said = _columns(change)
    if "due_at" in said and row.recurrence:
        # The series is counted again from its new time.
        said.setdefault("recurrence", {k: v for k, v in row.recurrence.items() if k != "start"})
    for name, value in said.items():
        setattr(row, name, value)
    row.recurrence = _anchored(row)
    calls = [reminders.schedule] if "remind_at" in change.model_fields_set else []
    task = await changes.record("updated", row, *calls)
    response.headers["etag"] = etag(task)
    return task


@router.post("/{task_id}/complete", responses=describe(404, 412))
async def complete_task(
    user_id: UserId,
    task_id: TaskId,
    changes: Recording,
    response: Response,
    *,
    if_match: IfMatch = None,
) -> Task:
    """Complete a task; completing it twice has no further effect."""
    row = await own(changes.database, user_id, task_id, if_match)
    if row.completed:
        task = Task.model_validate(row)
    else:
        row.completed, row.completed_at = True, now()
        calls = [reminders.schedule] if row.remind_at is not None else []
        task = await changes.record("completed", row, *calls)
    response.headers["etag"] = etag(task)
    return task


@router.delete("/{task_id}", status_code=204, responses=describe(404, 412))
async def delete_task(
    user_id: UserId, task_id: TaskId, changes: Recording, if_match: IfMatch = None
) -> None:
    """Delete a task and its reminder."""
    await changes.remove(await own(changes.database, user_id, task_id, if_match))


def etag(task: Task) -> str:
    """The version of a task as an entity tag."""
    return f'"{task.version}"'


async def own(
    database: AsyncSession, user_id: str, task_id: str, if_match: str | None = None
) -> TaskRow:
    """A user's task, locked until the transaction ends.

    Raises:
        Refused: it does not exist, or another version is current.
    """
    row = await database.get(TaskRow, task_id, with_for_update=True)
    if row is None or row.user_id != user_id:
        raise Refused(404, "no such task")
    if if_match is not None and if_match not in ("*", f'"{row.version}"'):
        raise Refused(412, f"version {row.version} of this task is current")
    return row


def row_of(user_id: str, new: NewTask, task_id: str | None = None) -> TaskRow:
    """A new task, with a new id unless one is given."""
    row = TaskRow(user_id=user_id, **_columns(new), **({"id": task_id} if task_id else {}))
    row.recurrence = _anchored(row)
    return row


def _columns(said: NewTask | TaskChange) -> dict[str, Any]:
    """The fields as columns: a recurrence is stored as JSON."""
    values: dict[str, Any] = {name: getattr(said, name) for name in said.model_fields_set}
    if said.recurrence is not None:
        values["recurrence"] = said.recurrence.model_dump(mode="json", exclude_none=True)
    return values


def _anchored(row: TaskRow) -> dict[str, Any] | None:
    """The recurrence with its first occurrence, from which all others are counted."""
    if not row.recurrence:
        return None
    if row.due_at is None:
        # 409 and not 422: the change is valid in itself, but contradicts the task's state.
        raise Refused(409, "a recurring task needs due_at, from which it recurs")
    return {"start": row.due_at.astimezone(UTC).isoformat(), **row.recurrence}
