"""Turns of a dialogue with the assistant: ``POST /api/{user}/chat``."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from services.backend_service.assistant import live
from services.backend_service.assistant.agent import answered
from services.backend_service.assistant.models import model
from services.backend_service.assistant.port import Answer, ModelFailed, Tools, Turn
from services.backend_service.conversations import Conversation, Message, MessageId, append
from services.common.database import now
from services.common.problems import Refused, describe
from services.common.recurrence import TimeZone
from services.common.settings import settings
from services.common.text_types import UserId, Visible

router = APIRouter(prefix="/api/{user_id}/chat", tags=["chat"])
LONGEST = 2_000
"""Characters of a turn; longer ones are rejected before anything is stored."""

ANSWER = 20_000
"""Characters of an answer; what a model says beyond them is cut off."""


class Said(BaseModel):
    """What a user says to the assistant.

    Attributes:
        text: at least one character that is not white space.
        timezone: the zone of the times in it and in the answer.
        conversation: where the turn and its answer are appended.
        id: identifies the turn: a repeated one has no further effect.
        seen: the id of the last message that was shown to the user; a yes or no is for no other.
    """

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"text": "remind me tomorrow at nine to call mum", "timezone": "UTC"}]
        },
    )

    text: Visible = Field(max_length=LONGEST)
    timezone: TimeZone = "UTC"
    conversation: Annotated[
        str, Field(max_length=100, pattern=r"^\.*[A-Za-z0-9_-][A-Za-z0-9_.-]*$")
    ] = "page"
    id: MessageId | None = None
    seen: MessageId | None = None


class Answered(BaseModel):
    """A turn and its answer, as they are in the conversation."""

    said: Message
    answer: Message


@router.post(
    "",
    status_code=201,
    responses={
        200: {"model": Answered, "description": "it was answered before"},
        **describe(409, 413, 502, 504),
    },
)
async def say(user_id: UserId, said: Said, response: Response) -> Answered:
    """Say something to the assistant, which acts by the MCP tools and answers.

    The turn is stored before it is answered, and what went wrong is an answer, too.
    """
    turn_id = said.id or str(uuid.uuid4())
    mine = Message(role="user", text=said.text, id=turn_id)
    before, is_new = await append(user_id, said.conversation, mine)
    if not is_new:
        response.status_code = 200
        return _earlier(before, turn_id)
    await live.said(user_id, said.conversation)
    said_before = before.messages[:-1]
    answer, failure = await _answer(user_id, said, said_before, answers=turn_id)
    after, _ = await append(user_id, said.conversation, answer)
    await live.said(user_id, said.conversation)
    if failure is not None:
        raise Refused(failure.status, answer.text, {"retry-after": "10"})
    return Answered(said=before.messages[-1], answer=after.messages[-1])


async def _answer(
    user: str, said: Said, before: Sequence[Message], answers: str
) -> tuple[Message, ModelFailed | None]:
    """The answer as a message, and the failure that it tells of, if there was one."""
    # Imported on the first turn, like the MCP endpoint: most starts do not need it.
    tools = await asyncio.to_thread(import_module, "services.backend_service.assistant.tools")
    turn = Turn(user, before, said.text, ZoneInfo(said.timezone), now())
    failure: ModelFailed | None = None
    async with tools.mcp_tools(user, partial(live.working, user, said.conversation)) as own:
        # Errors are caught in here, because the client's task group would wrap them.
        try:
            answer = await _within(settings().assistant_seconds, turn, own, said.seen)
        except ModelFailed as failed:
            failure = failed
            done = f" Done before that: {', '.join(own.did)}." if own.did else ""
            answer = Answer(f"{failed}{done}")
        message = Message(
            role="assistant",
            text=answer.text[:ANSWER],
            id=str(uuid.uuid4()),
            answers=answers,
            asks=answer.asks,
            did=own.did or None,
        )
    return message, failure


async def _within(seconds: float, turn: Turn, tools: Tools, seen: str | None) -> Answer:
    try:
        async with asyncio.timeout(seconds):
            return await answered(turn, await model(), tools, seen)
    except TimeoutError:
        raise ModelFailed(504, f"The assistant had no answer within {seconds:g} s.") from None


def _earlier(conversation: Conversation, turn_id: str) -> Answered:
    """The answer to a turn that is repeated.

    Raises:
        Refused: 409, it is not answered yet, or its first request has died.
    """
    (said,) = (each for each in conversation.messages if each.id == turn_id)
    for each in conversation.messages:
        if each.answers == turn_id:
            return Answered(said=said, answer=each)
    raise Refused(409, "this turn was received before, and has no answer yet")
