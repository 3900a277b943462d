"""Tells the user's open pages what happens in a dialogue, as it happens.

The pages show it and read the conversation, so what is lost here is only shown later.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import async_sessionmaker

from services.common.database import engine
from services.common.outbox import enqueue, publishing
from services.common.relay import relay
from services.common.sidecar import cloud_event

log = logging.getLogger("uvicorn.error")
TOPIC = "task-updates"
USE = timedelta(minutes=1)
"""How long an update is of use: later, a page has read the conversation anyway."""


async def said(user: str, conversation: str) -> None:
    """A message was added to a conversation."""
    await _tell("said", user, conversation)


async def working(user: str, conversation: str, tool: str) -> None:
    """The assistant uses a tool."""
    await _tell("working", user, conversation, tool=tool)


async def _tell(what: str, user: str, conversation: str, **more: str) -> None:
    data = {"user_id": user, "conversation": conversation, "what": what, **more}
    event = cloud_event(f"com.taskmanager.chat.{what}", user, data)
    call = replace(publishing(TOPIC, f"chat-{user}", event), expires_in=USE)
    try:
        async with async_sessionmaker(engine()).begin() as database:
            await enqueue(database, call)
        relay().wake("event")
    except (SQLAlchemyError, OSError) as error:
        log.warning("the pages are not told of a dialogue: %r", error)
