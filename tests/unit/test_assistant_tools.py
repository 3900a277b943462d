"""The assistant's tools: a client in this process of the server that other clients have."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from mcp.client import Client
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

from services.backend_service.assistant.port import ToolFailed
from services.backend_service.assistant.tools import McpTools

USER = "ada"


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[McpTools, list[str]]]:
    """Tools of a server that says who asked, and the names that were told."""
    server, told = MCPServer("test", log_level="WARNING"), list[str]()

    @server.tool()
    def add_task(user_id: str, title: str) -> list[str]:
        if not title:
            raise ToolError("title: is empty")
        return [user_id, title]

    @server.tool()
    def list_tasks(user_id: str) -> list[str]:
        return [user_id]

    async def listener(name: str) -> None:
        told.append(name)

    async with Client(server) as client:
        yield McpTools(client, USER, listener), told


async def test_a_tool_is_called_for_its_user_whatever_the_arguments_say() -> None:
    """And each call is told before it is made."""
    async with connected() as (own, told):
        assert [USER, "x"] == await own.call("add_task", title="x", user_id="bob")
        assert [USER] == await own.call("list_tasks", user_id="bob")
        assert ["add_task", "list_tasks"] == told
        assert ["add_task"] == own.did


async def test_a_refusal_is_the_tools_own_sentence() -> None:
    """Without what the server puts before it, and nothing counts as done."""
    async with connected() as (own, _told):
        with pytest.raises(ToolFailed, match=r"^title: is empty$"):
            await own.call("add_task", title="")
        with pytest.raises(ToolFailed, match="make_coffee"):
            await own.call("make_coffee")
        assert [] == own.did
