"""One Dapr job per task with a reminder, and a safety net for reminders that no job fired.

The job is on time. The safety net covers every way in which it can be missing or late: the
scheduler, the sidecar or this service is unavailable, or there is a backlog before it.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from services.backend_service.events import reminder_due, reminder_scheduled
from services.backend_service.models import Task, TaskRow
from services.common.cron import Fired, tick
from services.common.database import engine, now, session
from services.common.outbox import Call, enqueue
from services.common.relay import Relaying
from services.common.sidecar import from_sidecar

log = logging.getLogger("uvicorn.error")
PREFIX = "reminder-task-"
CLOCK_STEP = timedelta(seconds=1)
"""The maximum amount by which the clock may be set back between scheduling and firing."""

OVERDUE = timedelta(seconds=2)
"""A reminder that is overdue for this long has no job that will still fire it."""

BINDING, STEP = "reminder-cron", timedelta(seconds=5)
"""The cron binding that starts the safety net, and the shortest time between two of its ticks."""

PAGE = 20
"""The number of reminders that one transaction sends."""
router = APIRouter(tags=["reminders"])


def schedule(task: Task) -> tuple[Call, ...]:
    """Schedule, move or cancel the reminder to match the task; publish that it is scheduled."""
    if task.remind_at is None or task.completed:
        return (cancel(task.id),)
    # A second POST with the same name is a conflict unless it sets overwrite; a due time in the
    # past fires at once. Without maxRetries, the scheduler retries without limit.
    body = {
        "dueTime": task.remind_at.isoformat(),
        "data": {"task_id": task.id, "user_id": task.user_id},
        "overwrite": True,
        "failurePolicy": {"constant": {"interval": "5s"}},
    }
    job = Call("job", task.id, "POST", _path(task.id), body=body, due_at=task.remind_at)
    return job, reminder_scheduled(task)


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


@router.post(f"/{BINDING}", dependencies=[Depends(from_sidecar)], include_in_schema=False)
async def check_reminders(fired: Fired, relay: Relaying) -> dict[str, int | bool]:
    """The safety net, called by a cron binding: sends overdue reminders, once per tick."""
    sent = 0
    async with tick(BINDING, fired, STEP) as ours:
        while ours and (page := await _send_page(fired)):
            sent += page
            relay.wake("reminder")
    if sent:
        log.warning("sent %d overdue reminders that no job has fired", sent)
    return {"ran": ours, "sent": sent}


async def _send_page(fired: datetime) -> int:
    """Send some of the reminders that were overdue then; return their number."""
    async with async_sessionmaker(engine(), expire_on_commit=False).begin() as database:
        rows = (await database.scalars(_overdue(fired))).all()
        for row in rows:
            await _send(database, row)
    return len(rows)


def _overdue(fired: datetime) -> Select[TaskRow]:
    """Tasks with an overdue reminder; tasks that are being changed are skipped for now."""
    return (
        select(TaskRow)
        .where(~TaskRow.completed, TaskRow.remind_at.is_distinct_from(TaskRow.reminded_for))
        .where(TaskRow.remind_at <= fired - OVERDUE)
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
