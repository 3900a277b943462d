"""Conversations of a user, kept in Dapr state with optimistic locking."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import quote

import httpx
from fastapi import APIRouter, Header, HTTPException, Path, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from services.common.settings import settings
from services.common.sidecar import sidecar

router = APIRouter(prefix="/api/{user_id}/conversations/{conversation_id}", tags=["conversations"])
Name = Annotated[str, Path(min_length=1, max_length=100, pattern=r"^[\w.-]+$", examples=["c1"])]
Etag = Annotated[str | None, Header(description="the ETag of the version that is replaced")]


class Message(BaseModel):
    """One thing that was said."""

    role: Literal["user", "assistant"]
    text: str = Field(max_length=20_000)
    at: AwareDatetime | None = None


class Conversation(BaseModel):
    """What was said, oldest first."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"messages": [{"role": "user", "text": "Hello"}]}]}
    )

    messages: list[Message] = []


@router.get("", responses={404: {"description": "no such conversation"}})
async def read_conversation(
    user_id: Name, conversation_id: Name, response: Response
) -> Conversation:
    """A conversation, with its version in the ETag header."""
    answer = await sidecar().get(_path(user_id, conversation_id))
    answer.raise_for_status()
    # daprd answers a missing key with 204 and no body, not with 404.
    if answer.status_code == 204:
        raise HTTPException(404, "no such conversation")
    response.headers["etag"] = answer.headers["etag"]
    return Conversation.model_validate_json(answer.content)


@router.put(
    "", status_code=204, responses={409: {"description": "somebody else saved another version"}}
)
async def save_conversation(
    user_id: Name, conversation_id: Name, conversation: Conversation, if_match: Etag = None
) -> None:
    """Save a conversation; with If-Match only over that version."""
    item: dict[str, object] = {
        "key": _key(user_id, conversation_id),
        "value": conversation.model_dump(mode="json"),
    }
    if if_match is not None:
        item |= {"etag": if_match, "options": {"concurrency": "first-write"}}
    answer = await sidecar().post(f"/v1.0/state/{quote(settings().state_store)}", json=[item])
    _refuse_stale(answer)


@router.delete(
    "", status_code=204, responses={409: {"description": "somebody else saved another version"}}
)
async def delete_conversation(user_id: Name, conversation_id: Name, if_match: Etag = None) -> None:
    """Forget a conversation; with If-Match only that version."""
    headers = {"if-match": if_match} if if_match is not None else {}
    answer = await sidecar().delete(
        _path(user_id, conversation_id),
        headers=headers,
        params={"concurrency": "first-write"} if if_match is not None else {},
    )
    _refuse_stale(answer)


def _key(user_id: str, conversation_id: str) -> str:
    return f"conversation-{user_id}-{conversation_id}"


def _path(user_id: str, conversation_id: str) -> str:
    key = quote(_key(user_id, conversation_id), safe="")
    return f"/v1.0/state/{quote(settings().state_store)}/{key}"


def _refuse_stale(answer: httpx.Response) -> None:
    # 409: another version is current; 400: the ETag is none that the store could have given.
    if answer.status_code in (400, 409):
        raise HTTPException(409, "another version of this conversation is current")
    answer.raise_for_status()
