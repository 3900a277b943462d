"""The MCP tools for the assistant: a client of the same server that other clients have.

The client is in this process, so nothing but the transport differs from a client outside: the
server validates arguments, runs the tool, and reports errors in the same way.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
from mcp.client import Client

from services.backend_service import sessions
from services.backend_service.assistant.port import ToolFailed
from services.backend_service.mcp_tools import server

Listener = Callable[[str], Awaitable[None]]


class McpTools:
    """The tools, as one user uses them.

    Attributes:
        did: the names of the tools that have changed something, in order.
    """

    def __init__(self, client: Client, user: str, listener: Listener) -> None:
        self._client = client
        self._user = user
        self._listener = listener
        self.did: list[str] = []

    async def call(self, name: str, /, **arguments: Any) -> Any:
        """Call a tool for this user, whatever user the arguments name."""
        await self._listener(name)
        result = await self._client.call_tool(name, {**arguments, "user_id": self._user})
        if result.is_error:
            texts = (getattr(part, "text", "") for part in result.content)
            raise ToolFailed(_reason(name, " ".join(texts)))
        if name != "list_tasks":
            self.did.append(name)
        answer = result.structured_content
        return answer["result"] if answer and set(answer) == {"result"} else answer

    async def described(self) -> Sequence[Any]:
        """The tools as the server describes them."""
        return (await self._client.list_tools()).tools

    async def last_task(self) -> str | None:
        """The last task of the user's tools, whichever client used them."""
        try:
            session = await sessions.current(self._user)
        except httpx.HTTPError:
            return None
        return session.task_id if session else None


@asynccontextmanager
async def mcp_tools(user: str, listener: Listener) -> AsyncIterator[McpTools]:
    """The tools for one user; the listener is told the name of each before it is called."""
    async with Client(server) as client:
        yield McpTools(client, user, listener)


def _reason(name: str, text: str) -> str:
    """A tool's reason, without what the server puts in front of it."""
    return text.removeprefix(f"Error executing tool {name}: ").strip() or "no reason was given"
