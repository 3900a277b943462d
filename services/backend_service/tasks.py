"""Tasks per user."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Path
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.backend_service import reminders
from services.backend_service.events import Change, publish_task
from services.backend_service.models import NewTask, Task, TaskChange, TaskRow
from services.common.database import session

router = APIRouter(prefix="/api/{user_id}/tasks", tags=["tasks"])
Database = Annotated[AsyncSession, Depends(session)]
UserId = Annotated[str, Path(min_length=1, max_length=200, examples=["ada"])]


@router.post("", status_code=201)
async def create_task(user_id: UserId, new: NewTask, database: Database) -> Task:
    """Make a task, and its reminder if it has one."""
    row = TaskRow(user_id=user_id, **new.model_dump())
    database.add(row)
    return await _changed("created", row, database, reminder=new.remind_at is not None)


@router.get("")
async def list_tasks(user_id: UserId, database: Database) -> list[Task]:
    """All tasks of a user, oldest first."""
    query = select(TaskRow).where(TaskRow.user_id == user_id).order_by(TaskRow.created_at)
    return [Task.model_validate(row) for row in await database.scalars(query)]


@router.get("/{task_id}", responses={404: {"description": "no such task"}})
async def read_task(user_id: UserId, task_id: str, database: Database) -> Task:
    """One task."""
    return Task.model_validate(await _own(user_id, task_id, database))


@router.put("/{task_id}", responses={404: {"description": "no such task"}})
async def update_task(
    user_id: UserId, task_id: str, change: TaskChange, database: Database
) -> Task:
    """Change a task; its reminder is moved or cancelled along."""
    row = await _own(user_id, task_id, database)
    for name, value in change.model_dump(exclude_unset=True).items():
        setattr(row, name, value)
    reminder = "remind_at" in change.model_fields_set
    return await _changed("updated", row, database, reminder=reminder)


@router.post("/{task_id}/complete", responses={404: {"description": "no such task"}})
async def complete_task(user_id: UserId, task_id: str, database: Database) -> Task:
    """Complete a task; completing twice is one completion."""
    row = await _own(user_id, task_id, database)
    if row.completed:
        return Task.model_validate(row)
    row.completed = True
    return await _changed("completed", row, database, reminder=row.remind_at is not None)


@router.delete("/{task_id}", status_code=204, responses={404: {"description": "no such task"}})
async def delete_task(user_id: UserId, task_id: str, database: Database) -> None:
    """Delete a task and its reminder."""
    row = await _own(user_id, task_id, database)
    task = Task.model_validate(row)
    await database.delete(row)
    await database.commit()
    await reminders.cancel(task.id)
    await publish_task("deleted", task)


async def _own(user_id: str, task_id: str, database: AsyncSession) -> TaskRow:
    row = await database.get(TaskRow, task_id)
    if row is None or row.user_id != user_id:
        raise HTTPException(404, "no such task")
    return row


async def _changed(change: Change, row: TaskRow, database: AsyncSession, *, reminder: bool) -> Task:
    """Commit first, then tell: an event about a task that was rolled back would be a lie."""
    await database.commit()
    await database.refresh(row)
    task = Task.model_validate(row)
    if reminder:
        await reminders.schedule(task)
    await publish_task(change, task)
    return task
