"""The tools for MCP clients: the operations of the HTTP API."""

from __future__ import annotations

import functools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, ParamSpec, TypeVar

from fastapi import HTTPException, Response
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import BaseModel, ValidationError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import async_sessionmaker

from services.backend_service import sessions, tasks
from services.backend_service.changes import Changes
from services.backend_service.models import NewTask, Task, TaskChange
from services.common.database import engine
from services.common.identity import require_caller
from services.common.recurrence import Recurrence
from services.common.relay import relay
from services.common.text_types import TaskId, UserId

log = logging.getLogger("uvicorn.error")
server = MCPServer(
    "todo",
    instructions="Tasks per user; times need a zone, such as ...+01:00 or Z.",
    # It configures logging for the whole process: below this level, httpx would log every call.
    log_level="WARNING",
)


M = TypeVar("M", bound=BaseModel)
P = ParamSpec("P")
R = TypeVar("R")


def _tool(function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """Offer a function as a tool to its own user; what it did is kept as the last action."""

    @functools.wraps(function)
    async def recorded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            require_caller(str(kwargs["user_id"]))
        except HTTPException as refused:
            raise ToolError(str(refused.detail)) from None
        result = await function(*args, **kwargs)
        named = result.id if isinstance(result, Task) else kwargs.get("task_id")
        task_id = None if named is None else str(named)
        await sessions.record(str(kwargs["user_id"]), function.__name__, task_id)
        return result

    server.tool()(recorded)
    return recorded


@asynccontextmanager
async def _changes() -> AsyncIterator[Changes]:
    """A transaction like that of an HTTP API request; its errors become tool errors."""
    async with async_sessionmaker(engine(), expire_on_commit=False)() as database:
        try:
            yield Changes(database, relay())
        except HTTPException as refused:
            raise ToolError(str(refused.detail)) from None
        except (DBAPIError, PoolTimeout, OSError) as error:
            log.warning("the database failed: %r", error)
            raise ToolError("the database does not answer now") from None


@_tool
async def add_task(
    user_id: UserId,
    title: str,
    description: str = "",
    *,
    due_at: datetime | None = None,
    remind_at: datetime | None = None,
    recurrence: Recurrence | None = None,
) -> Task:
    """Add a task for a user."""
    said = {"title": title, "description": description, "due_at": due_at, "remind_at": remind_at}
    new = _valid(NewTask, {**said, "recurrence": recurrence})
    async with _changes() as changes:
        return await tasks.create_task(user_id, new, changes, Response())


@_tool
async def list_tasks(user_id: UserId, completed: bool | None = None) -> list[Task]:
    """List a user's tasks, oldest first; all, or only those that are (not) completed."""
    async with _changes() as changes:
        return await tasks.list_tasks(user_id, changes.database, completed)


@_tool
async def complete_task(user_id: UserId, task_id: TaskId) -> Task:
    """Complete a task; a task of a series recurs automatically."""
    async with _changes() as changes:
        return await tasks.complete_task(user_id, task_id, changes, Response())


@_tool
async def update_task(
    user_id: UserId,
    task_id: TaskId,
    title: str | None = None,
    *,
    description: str | None = None,
    due_at: datetime | None = None,
    recurrence: Recurrence | None = None,
) -> Task:
    """Change a task; fields that are left out do not change."""
    said = {
        "title": title, "description": description, "due_at": due_at, "recurrence": recurrence,
    }  # fmt: skip
    return await _update(user_id, task_id, {k: v for k, v in said.items() if v is not None})


@_tool
async def set_reminder(user_id: UserId, task_id: TaskId, remind_at: datetime | None) -> Task:
    """Set the time of a task's reminder, or remove the reminder."""
    return await _update(user_id, task_id, {"remind_at": remind_at})


@_tool
async def delete_task(user_id: UserId, task_id: TaskId) -> None:
    """Delete a task and its reminder."""
    async with _changes() as changes:
        await tasks.delete_task(user_id, task_id, changes)


async def _update(user_id: UserId, task_id: TaskId, said: dict[str, Any]) -> Task:
    change = _valid(TaskChange, said)
    async with _changes() as changes:
        return await tasks.update_task(user_id, task_id, change, changes, Response())


def _valid(kind: type[M], said: dict[str, Any]) -> M:
    """The arguments, validated like an HTTP API request, or the tool's own error."""
    try:
        return kind.model_validate(said)
    except ValidationError as error:
        places = (("/".join(map(str, each["loc"])), each["msg"]) for each in error.errors())
        raise ToolError("; ".join(f"{at}: {says}".lstrip(": ") for at, says in places)) from None
