"""One Dapr job per task with a reminder, and a safety net for what no job has fired.

The job is on time. The net is for every way in which it can be missing or late: the scheduler, the
sidecar or this service away, or a backlog before it.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from services.backend_service.events import reminder_due
from services.backend_service.models import Task, TaskRow
from services.common.background import at_work, set_within
from services.common.database import engine, now, session
from services.common.outbox import Call, tell
from services.common.relay import Relaying, relay
from services.common.sidecar import from_sidecar

log = logging.getLogger("uvicorn.error")
PREFIX = "reminder-task-"
CLOCK_STEP = timedelta(seconds=1)
"""How far the clock may be set back between scheduling and firing."""

OVERDUE = timedelta(seconds=2)
"""What is due for so long has no job that would fire it now."""

SWEEP, PAGE = 2.0, 20
"""Seconds between two sweeps, and how many reminders one transaction sends."""
router = APIRouter(tags=["reminders"])


def schedule(task: Task) -> Call:
    """Schedule, move or cancel the reminder so that it is as the task says."""
    if task.remind_at is None or task.completed:
        return cancel(task.id)
    # A second POST of the name is a conflict unless it says overwrite; a due time in the past
    # fires at once. Without maxRetries the scheduler tries for ever.
    body = {
        "dueTime": task.remind_at.isoformat(),
        "data": {"task_id": task.id, "user_id": task.user_id},
        "overwrite": True,
        "failurePolicy": {"constant": {"interval": "5s"}},
    }
    return Call("job", task.id, "POST", _path(task.id), body=body, due_at=task.remind_at)


def cancel(task_id: str) -> Call:
    """Cancel the reminder of a task that is done or is no more."""
    return Call("job", task_id, "DELETE", _path(task_id))


@router.post("/job/{name}", dependencies=[Depends(from_sidecar)], include_in_schema=False)
async def fire(
    name: str, database: Annotated[AsyncSession, Depends(session)], relay: Relaying
) -> Response:
    """A job is due: send its reminder, unless the task is done, gone, or was moved meanwhile.

    An error makes the scheduler try again; 404 would make it give up.
    """
    row = await database.get(TaskRow, name.removeprefix(PREFIX), with_for_update=True)
    if row is not None and is_due(row):
        await _send(database, row)
        await database.commit()
        relay.wake("reminder")
    return Response(status_code=200)


def is_due(row: TaskRow) -> bool:
    """Whether a task's reminder is to be sent, and was not sent yet."""
    if row.completed or row.remind_at is None or row.remind_at == row.reminded_for:
        return False
    # Dapr never fires early, so a time still to come means that another job has taken over.
    return row.remind_at <= now() + CLOCK_STEP


def sweeping() -> AbstractAsyncContextManager[None]:
    """The safety net at work, for as long as inside."""
    return at_work(_sweep_again_and_again())


async def _sweep_again_and_again() -> None:
    never = asyncio.Event()
    while True:
        sent = 0
        try:
            sent = await _sweep()
        except Exception as error:  # noqa: BLE001 - whatever it is, the next sweep comes
            log.warning("overdue reminders wait: %r", error)
        if sent < PAGE:
            await set_within(never, SWEEP)


async def _sweep() -> int:
    """Send what is overdue; how many there were."""
    async with async_sessionmaker(engine(), expire_on_commit=False).begin() as database:
        rows = (await database.scalars(_overdue())).all()
        for row in rows:
            await _send(database, row)
    if rows:
        log.warning("sent %d overdue reminders that no job has fired", len(rows))
        relay().wake("reminder")
    return len(rows)


def _overdue() -> Select[TaskRow]:
    """Tasks whose reminder should have been sent; one that is being changed is left for later."""
    return (
        select(TaskRow)
        .where(~TaskRow.completed, TaskRow.remind_at.is_distinct_from(TaskRow.reminded_for))
        .where(TaskRow.remind_at <= now() - OVERDUE)
        .order_by(TaskRow.remind_at)
        .limit(PAGE)
        .with_for_update(skip_locked=True)
    )


async def _send(database: AsyncSession, row: TaskRow) -> None:
    """Have the reminder sent, and note it in the same transaction."""
    row.reminded_for = row.remind_at
    await tell(database, reminder_due(Task.model_validate(row)))


def _path(task_id: str) -> str:
    return f"/v1.0/jobs/{PREFIX}{task_id}"
