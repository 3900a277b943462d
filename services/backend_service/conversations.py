"""Conversations of a user, kept in Dapr state with optimistic locking."""

from __future__ import annotations

from typing import Annotated, Literal

import httpx
from fastapi import APIRouter, Header, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from services.common.database import now
from services.common.keys import key
from services.common.problems import Refused, describe
from services.common.settings import settings
from services.common.sidecar import api_path, sidecar
from services.common.text_types import Storable, UserId
from services.common.times import Time

router = APIRouter(prefix="/api/{user_id}/conversations/{conversation_id}", tags=["conversations"])
Name = Annotated[
    str,
    # Names of dots only are path segments.
    Path(
        min_length=1,
        max_length=100,
        pattern=r"^\.*[A-Za-z0-9_-][A-Za-z0-9_.-]*$",
        examples=["c1"],
    ),
]
Etag = Annotated[
    str | None, Header(min_length=1, description="the ETag of the version that is replaced")
]


APPENDS = 100
"""If n writers write at the same time, the last one needs n attempts."""

STALE = (409, 500)
"""daprd's statuses for a stale version, and for a first write to an existing key."""


LARGEST = {"assistant": 4_000_000, "user": 3_800_000}
"""Bytes of a conversation after a message of this role: daprd rejects a request above 4 MiB, and
an answer must fit after the turn that it answers."""

ToolName = Literal[
    "add_task", "complete_task", "update_task", "set_reminder", "delete_task"
]  # fmt: skip
"""The tools that change something."""


LONGEST_ARGUMENTS = 12_000
"""Characters of the arguments that a question keeps: a description has up to 10,000."""


def _is_none(value: object) -> bool:
    return value is None


class Ask(BaseModel):
    """What a question of the assistant waits for.

    Attributes:
        about: whether a task may be deleted or changed, or the time of a reminder.
        title: the task's title.
        task_id: the task, or None for a task that the answer creates.
        tool: the tool that makes the change.
        arguments: those of the tool, as JSON.
    """

    about: Literal["delete", "change", "time"]
    title: Storable = Field(max_length=200)
    task_id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9-]{1,100}$")
    tool: ToolName | None = Field(default=None, exclude_if=_is_none)
    arguments: Storable | None = Field(
        default=None, max_length=LONGEST_ARGUMENTS, exclude_if=_is_none
    )


MessageId = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,100}$")]


class Message(BaseModel):
    """One message of a conversation; what only a turn with the assistant has is left out if unset.

    Attributes:
        id: of a user's message, the id of the turn; of an answer, its own.
        answers: the turn that it answers.
        asks: what it waits for.
        did: the tools by which the assistant changed something.
    """

    role: Literal["user", "assistant"]
    text: Storable = Field(max_length=20_000)
    at: Time | None = None
    id: MessageId | None = Field(default=None, exclude_if=_is_none)
    answers: MessageId | None = Field(default=None, exclude_if=_is_none)
    asks: Ask | None = Field(default=None, exclude_if=_is_none)
    did: list[ToolName] | None = Field(default=None, max_length=100, exclude_if=_is_none)


class Conversation(BaseModel):
    """The messages of a conversation, oldest first."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"messages": [{"role": "user", "text": "Hello"}]}]}
    )

    messages: list[Message] = []


@router.get("", responses=describe(404))
async def read_conversation(
    user_id: UserId, conversation_id: Name, response: Response
) -> Conversation:
    """Read a conversation; its version is in the ETag header."""
    found, version = await load(user_id, conversation_id)
    if found is None:
        raise Refused(404, "no such conversation")
    response.headers["etag"] = version
    return found


@router.post("/messages", status_code=201, responses=describe(409, 413))
async def append_message(user_id: UserId, conversation_id: Name, message: Message) -> Conversation:
    """Append a message; concurrent messages of others are kept."""
    return (await append(user_id, conversation_id, message))[0]


async def append(user_id: str, conversation_id: str, message: Message) -> tuple[Conversation, bool]:
    """Append a message, unless one with its id is there.

    Returns:
        The conversation, up to this message if it is new, and whether it is.

    Raises:
        Refused: 409, if others were faster every time; 413, if the conversation is full.
        httpx.HTTPError: the sidecar or the store does not respond.
    """
    said = message.model_copy(update={"at": message.at or now()})
    for _ in range(APPENDS):
        found, version = await load(user_id, conversation_id)
        messages = found.messages if found else []
        if said.id is not None and any(each.id == said.id for each in messages):
            return Conversation(messages=messages), False
        longer = Conversation(messages=[*messages, said])
        _refuse_full(longer, LARGEST[said.role])
        answer = await _save(user_id, conversation_id, longer, version)
        if answer.is_success:
            return longer, True
        if answer.status_code not in STALE:
            answer.raise_for_status()
    raise Refused(409, "others were faster every time")


@router.put("", status_code=204, responses=describe(409, 413))
async def save_conversation(
    user_id: UserId, conversation_id: Name, conversation: Conversation, if_match: Etag = None
) -> None:
    """Save a conversation; with If-Match, only over that version."""
    _refuse_full(conversation, LARGEST["assistant"])
    _refuse_stale(await _save(user_id, conversation_id, conversation, if_match))


@router.delete("", status_code=204, responses=describe(409))
async def delete_conversation(
    user_id: UserId, conversation_id: Name, if_match: Etag = None
) -> None:
    """Delete a conversation; with If-Match, only that version."""
    headers = {"if-match": if_match} if if_match is not None else {}
    answer = await sidecar().delete(
        _path(user_id, conversation_id),
        headers=headers,
        params={"concurrency": "first-write"} if if_match is not None else {},
    )
    _refuse_stale(answer)


async def load(user_id: str, conversation_id: str) -> tuple[Conversation | None, str]:
    """A conversation and its version; None and "" if there is none."""
    answer = await sidecar().get(_path(user_id, conversation_id))
    answer.raise_for_status()
    # For a missing key, daprd responds with 204 and no body, not with 404.
    if answer.status_code == 204:
        return None, ""
    return Conversation.model_validate_json(answer.content), answer.headers["etag"]


async def _save(
    user_id: str, conversation_id: str, conversation: Conversation, version: str | None
) -> httpx.Response:
    """Save over one version; "" means none yet, None means any."""
    item: dict[str, object] = {
        "key": _key(user_id, conversation_id),
        "value": conversation.model_dump(mode="json"),
    }
    if version is not None:
        item["options"] = {"concurrency": "first-write"}
    if version:
        item["etag"] = version
    return await sidecar().post(api_path("state", settings().state_store), json=[item])


def _refuse_full(conversation: Conversation, largest: int) -> None:
    if len(conversation.model_dump_json().encode()) > largest:
        raise Refused(413, "this conversation is full: begin another one")


def _key(user_id: str, conversation_id: str) -> str:
    return key("conversation", user_id, conversation_id)


def _path(user_id: str, conversation_id: str) -> str:
    return api_path("state", settings().state_store, _key(user_id, conversation_id))


def _refuse_stale(answer: httpx.Response) -> None:
    # 409: another version is current; 400: the store cannot have issued this ETag.
    if answer.status_code in (400, 409):
        raise Refused(409, "another version of this conversation is current")
    answer.raise_for_status()
