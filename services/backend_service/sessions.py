"""What a user's MCP tools did last, kept in Dapr state.

Every client of the tools shares it, so "it" in a dialogue can mean a task that another client has
just added. It is a memory, not a record: a tool has done its work whether or not it is written.
"""

from __future__ import annotations

import logging
from datetime import datetime

import httpx
from pydantic import BaseModel, ValidationError

from services.common.database import now
from services.common.keys import key
from services.common.settings import settings
from services.common.sidecar import api_path, sidecar
from services.common.times import Time

log = logging.getLogger("uvicorn.error")
WITHIN = 2.0
"""Seconds that a tool waits for the sidecar before it goes on without."""

ATTEMPTS = 5


class Session(BaseModel):
    """The state of a user's tools.

    Attributes:
        user_id: whose tools.
        last_action: the name of the last tool.
        task_id: the last task that a tool read or changed alone.
        started_at: when the first tool was called.
        updated_at: when the last one was.
    """

    user_id: str
    last_action: str
    task_id: str | None = None
    started_at: Time
    updated_at: Time


async def record(user_id: str, action: str, task_id: str | None = None) -> None:
    """Record a tool's call; a sidecar that is away is logged, nothing else."""
    try:
        for _ in range(ATTEMPTS):
            if await _recorded(user_id, action, task_id, now()):
                return
        log.warning("the last action of a user's tools was not recorded: others were faster")
    except httpx.HTTPError as error:
        log.warning("the last action of a user's tools was not recorded: %r", error)


async def current(user_id: str) -> Session | None:
    """The state of a user's tools, or None.

    Raises:
        httpx.HTTPError: the sidecar does not respond.
    """
    return (await _load(user_id))[0]


async def _recorded(user_id: str, action: str, task_id: str | None, at: datetime) -> bool:
    found, version = await _load(user_id)
    session = Session(
        user_id=user_id,
        last_action=action,
        task_id=task_id or (found.task_id if found else None),
        started_at=found.started_at if found else at,
        updated_at=at,
    )
    item = {
        "key": key("session", user_id),
        "value": session.model_dump(mode="json"),
        "options": {"concurrency": "first-write"},
        **({"etag": version} if version else {}),
    }
    path = api_path("state", settings().state_store)
    return (await sidecar().post(path, json=[item], timeout=WITHIN)).is_success


async def _load(user_id: str) -> tuple[Session | None, str]:
    path = api_path("state", settings().state_store, key("session", user_id))
    answer = await sidecar().get(path, timeout=WITHIN)
    answer.raise_for_status()
    if answer.status_code == httpx.codes.NO_CONTENT:
        return None, ""
    try:
        return Session.model_validate_json(answer.content), answer.headers["etag"]
    except ValidationError:  # of another version of this service
        return None, answer.headers["etag"]
