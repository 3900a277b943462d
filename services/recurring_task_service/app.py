"""The ASGI app: ``uvicorn services.recurring_task_service.app:app``."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Annotated, Any

import httpx
from fastapi import Depends, Query, Request
from pydantic import BaseModel, ConfigDict, ValidationError

from services.common.app import service
from services.common.recurrence import Recurrence
from services.common.sidecar import from_app, from_sidecar, invoke, is_ours
from services.common.text_types import TaskId, UserId
from services.common.times import FIRST_YEAR, LAST_YEAR, Time
from services.recurring_task_service.occurrences import next_due
from services.recurring_task_service.repairs import JOB, scheduling

log = logging.getLogger("uvicorn.error")
BACKEND = "backend-service"
SUCCESS, DROP = {"status": "SUCCESS"}, {"status": "DROP"}
NOTHING_TO_DO = (404, 409)
"""The backend's statuses for a task that was deleted, or is not a completed one of a series."""


class CompletedTask(BaseModel):
    """The required fields of a completed task."""

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={
            "examples": [
                {
                    "id": "5d1c2f9e-0000-4000-8000-000000000000",
                    "user_id": "ada",
                    "completed_at": "2030-01-31T10:00:00Z",
                    "due_at": "2030-01-31T09:00:00Z",
                    "recurrence": {"frequency": "daily", "start": "2030-01-31T09:00:00Z"},
                }
            ]
        },
    )

    id: TaskId
    user_id: UserId
    completed_at: Time
    due_at: Time | None = None
    remind_at: Time | None = None
    recurrence: Recurrence | None = None


class Following(BaseModel):
    """The result for a completed task."""

    due_at: datetime | None = None
    task_id: str | None = None


app = service("recurring-task-service", scheduling)


# Used by the declarative subscription, which routes completions here and drops the rest. Everyone
# can know this route, so an event must prove its origin.
@app.post("/events/completed", dependencies=[Depends(from_sidecar)], include_in_schema=False)
async def completed(request: Request) -> dict[str, str]:
    """Handle a completed task; if delivered twice, it still has only one next occurrence."""
    event: dict[str, Any] = await request.json()
    task = _read(event)
    if task is None:
        log.warning("dropped an event that is not one of ours: %s", str(event)[:300])
        return DROP
    try:
        await follow(task)
    except Exception as error:
        if _may_pass(error):
            raise
        # It would always fail, and block its partition: the safety net retries it later.
        log.exception("cannot follow up %s", task.id)
        return DROP
    return SUCCESS


def _read(event: dict[str, Any]) -> CompletedTask | None:
    try:
        return CompletedTask.model_validate(event["data"]["task"]) if is_ours(event) else None
    except (ValidationError, KeyError, TypeError, AttributeError):
        return None


@app.post("/process-completion", dependencies=[Depends(from_app(BACKEND))], tags=["series"])
async def process_completion(task: CompletedTask) -> Following:
    """Create the next occurrence of a completed task now, and return when it is."""
    return await follow(task)


@app.post(f"/job/{JOB}", dependencies=[Depends(from_sidecar)], include_in_schema=False)
async def repair(seconds: Annotated[int, Query(ge=0)] = 30) -> dict[str, int]:
    """The safety net, called by a job: handles tasks that no event has followed up."""
    answer = await invoke("GET", BACKEND, "series", "waiting", params={"seconds": seconds})
    answer.raise_for_status()
    tasks = [CompletedTask.model_validate(each) for each in answer.json()]
    repaired = 0
    for task in tasks:
        try:
            await follow(task)
            repaired += 1
        except Exception:
            # One task that cannot be followed up must not delay the others.
            log.exception("cannot follow up %s", task.id)
    return {"repaired": repaired}


def _may_pass(error: Exception) -> bool:
    """Whether a dependency is unavailable, so that the same call may succeed later."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.is_server_error
    return isinstance(error, httpx.HTTPError)


def _remind(task: CompletedTask, due: datetime) -> datetime | None:
    """The same time before the next occurrence as before this one."""
    assert task.due_at is not None
    assert task.remind_at is not None
    remind = due - (task.due_at - task.remind_at)
    return remind if FIRST_YEAR <= remind.year <= LAST_YEAR else None


async def follow(task: CompletedTask) -> Following:
    """Have the backend create the next occurrence, or record the end of the series.

    Raises:
        httpx.HTTPError: the backend failed; the event will be delivered again.
    """
    if task.recurrence is None or task.due_at is None:
        return Following()
    due = next_due(task.recurrence, task.due_at, task.completed_at)
    remind = _remind(task, due) if due and task.remind_at else None
    body = {
        "due_at": due.isoformat() if due else None,
        "remind_at": remind.isoformat() if remind else None,
    }
    path = ("api", task.user_id, "tasks", task.id, "next")
    answer = await invoke("POST", BACKEND, *path, json=body)
    if answer.status_code in NOTHING_TO_DO:
        return Following()
    answer.raise_for_status()
    # 204: the series has ended.
    made = answer.json() if answer.status_code != httpx.codes.NO_CONTENT else {}
    return Following(due_at=due, task_id=made.get("id"))
