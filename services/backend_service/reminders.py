"""One Dapr job per task with a reminder, and a safety net for reminders that no job fired.

The job is on time. The safety net covers every way in which it can be missing or late: the
scheduler, the sidecar or this service is unavailable, or there is a backlog before it.
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
from services.common.outbox import Call, enqueue
from services.common.relay import Relaying, relay
from services.common.sidecar import from_sidecar

log = logging.getLogger("uvicorn.error")
PREFIX = "reminder-task-"
CLOCK_STEP = timedelta(seconds=1)
"""The maximum amount by which the clock may be set back between scheduling and firing."""

OVERDUE = timedelta(seconds=2)
"""A reminder that is overdue for this long has no job that will still fire it."""

SWEEP, PAGE = 2.0, 20
"""Seconds between two sweeps, and the number of reminders that one transaction sends."""
router = APIRouter(tags=["reminders"])


def schedule(task: Task) -> Call:
    """Schedule, move or cancel the reminder to match the task."""
    if task.remind_at is None or task.completed:
        return cancel(task.id)
    # A second POST with the same name is a conflict unless it sets overwrite; a due time in the
    # past fires at once. Without maxRetries, the scheduler retries without limit.
    body = {
        "dueTime": task.remind_at.isoformat(),
        "data": {"task_id": task.id, "user_id": task.user_id},
        "overwrite": True,
        "failurePolicy": {"constant": {"interval": "5s"}},
    }
    return Call("job", task.id, "POST", _path(task.id), body=body, due_at=task.remind_at)


def cancel(task_id: str) -> Call:
    """Cancel the reminder of a task that was completed or deleted."""
    return Call("job", task_id, "DELETE", _path(task_id))


@router.post("/job/{name}", dependencies=[Depends(from_sidecar)], include_in_schema=False)
async def fire(
    name: str, database: Annotated[AsyncSession, Depends(session)], relay: Relaying
) -> Response:
    """A job is due: send its reminder, unless the task was completed, deleted or moved meanwhile.

    An error makes the scheduler retry; 404 would make it give up.
    """
    row = await database.get(TaskRow, name.removeprefix(PREFIX), with_for_update=True)
    if row is not None and is_due(row):
        await _send(database, row)
        await database.commit()
        relay.wake("reminder")
    return Response(status_code=200)


def is_due(row: TaskRow) -> bool:
    """Whether a task's reminder is due and has not been sent yet."""
    if row.completed or row.remind_at is None or row.remind_at == row.reminded_for:
        return False
    # Dapr never fires early, so a future time means that another job has replaced this one.
    return row.remind_at <= now() + CLOCK_STEP


def sweeping() -> AbstractAsyncContextManager[None]:
    """The safety net runs for the duration of the ``with`` block."""
    return at_work(_sweep_again_and_again())


async def _sweep_again_and_again() -> None:
    never = asyncio.Event()
    while True:
        sent = 0
        try:
            sent = await _sweep()
        except Exception as error:  # noqa: BLE001 - in any case, the next sweep follows
            log.warning("overdue reminders wait: %r", error)
        if sent < PAGE:
            await set_within(never, SWEEP)


async def _sweep() -> int:
    """Send overdue reminders; return their number."""
    async with async_sessionmaker(engine(), expire_on_commit=False).begin() as database:
        rows = (await database.scalars(_overdue())).all()
        for row in rows:
            await _send(database, row)
    if rows:
        log.warning("sent %d overdue reminders that no job has fired", len(rows))
        relay().wake("reminder")
    return len(rows)


def _overdue() -> Select[TaskRow]:
    """Tasks with an overdue reminder; tasks that are being changed are skipped for now."""
    return (
        select(TaskRow)
        .where(~TaskRow.completed, TaskRow.remind_at.is_distinct_from(TaskRow.reminded_for))
        .where(TaskRow.remind_at <= now() - OVERDUE)
        .order_by(TaskRow.remind_at)
        .limit(PAGE)
        .with_for_update(skip_locked=True)
    )


async def _send(database: AsyncSession, row: TaskRow) -> None:
    """Send the reminder, and record this in the same transaction."""
    row.reminded_for = row.remind_at
    await enqueue(database, reminder_due(Task.model_validate(row)))


def _path(task_id: str) -> str:
    return f"/v1.0/jobs/{PREFIX}{task_id}"
