"""What the assistant needs of a model, and what both say to each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from services.backend_service.conversations import Ask, Message


@dataclass(frozen=True)
class Turn:
    """A user's turn in a dialogue.

    Attributes:
        user: who says it.
        said: what was said before, oldest first, without this turn.
        text: what is said now.
        zone: the user's time zone.
        now: the current time, in UTC.
    """

    user: str
    said: Sequence[Message]
    text: str
    zone: ZoneInfo
    now: datetime


@dataclass(frozen=True)
class Answer:
    """What the assistant says.

    Attributes:
        text: the words.
        asks: the question that it waits for, if there is one.
    """

    text: str
    asks: Ask | None = None


class ToolFailed(Exception):
    """A tool has refused, and says why."""


class ModelFailed(Exception):
    """The model gave no answer that can be used.

    Args:
        status: the HTTP status for it: 502 nonsense, 503 away, 504 too slow.
        reason: a sentence for the user.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Tools(Protocol):
    """The tools of one user; what is done through them is recorded."""

    async def call(self, name: str, /, **arguments: Any) -> Any:
        """Call a tool of the MCP server.

        Raises:
            ToolFailed: the tool has refused.
        """
        ...

    async def described(self) -> Sequence[Any]:
        """The tools as the MCP server describes them."""
        ...

    async def last_task(self) -> str | None:
        """The id of the last task that a tool has read or changed alone, or None."""
        ...


class Model(Protocol):
    """Answers a user's turn, and acts by the tools only.

    Attributes:
        may_obey_titles: whether the text of tasks can change what it does.
    """

    may_obey_titles: bool

    async def answer(self, turn: Turn, tools: Tools) -> Answer:
        """Answer one turn.

        Raises:
            ModelFailed: there is no answer.
        """
        ...
