"""An MCP client uses the same operations as the API: same code, same events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

from harness import AsyncWorld
from scenarios.signing import PURPOSE, bearer
from scenarios.test_series import DAILY, TOMORROW, follower_of, has_job
from scenarios.test_task_events import changes

TOOLS = {
    "add_task", "list_tasks", "complete_task", "update_task", "set_reminder", "delete_task",
}  # fmt: skip


class Tools:
    """The backend's tools, for one user."""

    def __init__(self, client: Client, user: str) -> None:
        self.client = client
        self._user = user

    async def __call__(self, name: str, **arguments: Any) -> Any:
        """The result of a tool; a rejection raises AssertionError."""
        result = await self.client.call_tool(name, {"user_id": self._user, **arguments})
        assert not result.is_error, result.content
        answer = result.structured_content
        return answer["result"] if answer and set(answer) == {"result"} else answer


@asynccontextmanager
async def tools(dapr: AsyncWorld, user: str) -> AsyncIterator[Tools]:
    """A client of the backend's MCP server."""
    async with mcp_client(dapr, bearer(dapr.token(PURPOSE), user)) as client:
        yield Tools(client, user)


@asynccontextmanager
async def mcp_client(dapr: AsyncWorld, headers: Mapping[str, str]) -> AsyncIterator[Client]:
    """A client of the backend's MCP server that sends these headers."""
    async with create_mcp_http_client(headers=dict(headers)) as http:
        url = dapr.url("backend-service")
        transport = streamable_http_client(f"{url}/mcp", http_client=http)
        async with Client(transport) as client:
            yield client


async def test_a_task_lives_through_mcp_as_through_the_api(dapr: AsyncWorld) -> None:
    """Created, changed, reminded, completed, deleted: visible in the API and in the events."""
    user, backend = dapr.name("user"), dapr.app("backend-service")
    later = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    async with tools(dapr, user) as tool:
        task = await tool("add_task", title="By MCP", due_at=later)
        await tool("update_task", task_id=task["id"], title="By tool")
        await tool("set_reminder", task_id=task["id"], remind_at=later)
        (listed,) = await tool("list_tasks", completed=False)
        path = f"/api/{user}/tasks/{task['id']}"
        seen = (await backend.get(path)).json()
        await tool("complete_task", task_id=task["id"])
        await tool("delete_task", task_id=task["id"])

    story = changes("created", "updated", "updated", "completed", "deleted")
    await dapr.ledger.published(*story, topic="task-events", subject=task["id"])
    assert ("By tool", seen["remind_at"]) == (listed["title"], listed["remind_at"])
    assert seen["description"] == task["description"]
    assert 404 == (await backend.get(path)).status_code


async def test_a_task_is_made_a_series_by_mcp(dapr: AsyncWorld) -> None:
    """It recurs from its due time; without one, the tool refuses and the task stays as it is."""
    user = dapr.name("user")
    async with tools(dapr, user) as tool:
        due = await tool("add_task", title="With", due_at=TOMORROW.isoformat())
        none = await tool("add_task", title="Without")
        changed = await tool("update_task", task_id=due["id"], recurrence=DAILY)
        arguments = {"user_id": user, "task_id": none["id"], "recurrence": DAILY}
        refused = await tool.client.call_tool("update_task", arguments)
        listed = await tool("list_tasks")

    assert "daily" == changed["recurrence"]["frequency"]
    assert "due_at" in str(refused.content)
    assert [changed, none] == listed


async def test_the_tools_are_described(dapr: AsyncWorld) -> None:
    """With everything that a model needs to know to use them."""
    async with tools(dapr, dapr.name("user")) as tool:
        found = (await tool.client.list_tools()).tools

    assert TOOLS == {each.name for each in found}
    assert all(each.description and "user_id" in each.input_schema["required"] for each in found)


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("complete_task", {"task_id": "none"}, "no such task"),
        ("delete_task", {"task_id": "none"}, "no such task"),
        ("add_task", {"title": ""}, "title"),
        ("add_task", {"title": "x", "remind_at": "2030-01-01T00:00:00"}, "remind_at"),
        ("add_task", {"title": "x", "recurrence": {"frequency": "daily"}}, "due_at"),
        ("add_task", {}, "title"),
    ],
)
async def test_what_the_api_refuses_the_tools_refuse(
    dapr: AsyncWorld, name: str, arguments: dict[str, Any], says: str
) -> None:
    """As a tool error that explains the problem; nothing is stored."""
    user = dapr.name("user")
    async with tools(dapr, user) as tool:
        result = await tool.client.call_tool(name, {"user_id": user, **arguments})

    assert result.is_error
    assert says in str(result.content)
    assert [] == (await dapr.app("backend-service").get(f"/api/{user}/tasks")).json()


@pytest.mark.parametrize("user", ["..", ".", "a/b", ""])
async def test_no_tool_takes_a_user_who_cannot_be_one(dapr: AsyncWorld, user: str) -> None:
    """Such a name would change the path, or is not a path segment."""
    arguments = {"task_id": "none", "title": "x", "remind_at": None}
    async with tools(dapr, dapr.name("user")) as tool:
        described = (await tool.client.list_tools()).tools
        for each in described:
            known = {k: v for k, v in arguments.items() if k in each.input_schema["properties"]}
            result = await tool.client.call_tool(each.name, {"user_id": user, **known})

            assert result.is_error, each.name
            assert "user_id" in str(result.content), each.name


async def test_a_series_and_a_reminder_by_mcp(dapr: AsyncWorld) -> None:
    """The other building blocks do not depend on how a task was created."""
    user = dapr.name("user")
    async with tools(dapr, user) as tool:
        arguments = {"due_at": TOMORROW.isoformat(), "recurrence": DAILY}
        task = await tool("add_task", title="Water", remind_at=TOMORROW.isoformat(), **arguments)

        async def scheduled() -> None:
            assert await has_job(dapr, task["id"])

        await dapr.eventually(scheduled)
        await tool("complete_task", task_id=task["id"])
        following = await follower_of(dapr, task)

    assert "Water" == following["title"]
