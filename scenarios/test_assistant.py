"""The assistant: what is said ends in the right tasks and events, and nothing is lost."""

from __future__ import annotations

from typing import Any

from harness import AsyncWorld

BACKEND = "backend-service"
ZONE = "Europe/Berlin"


class Dialogue:
    """What one user says to the assistant, in one conversation."""

    def __init__(self, dapr: AsyncWorld, user: str, conversation: str = "page") -> None:
        self._client = dapr.app(BACKEND)
        self.user = user
        self.conversation = conversation
        self.last: dict[str, Any] = {}

    async def say(self, text: str, **more: Any) -> str:
        """The words of the answer to a turn."""
        answer = await self.post(text=text, **more)
        assert 201 == answer.status_code, answer.text
        self.last = answer.json()["answer"]
        return str(self.last["text"])

    async def post(self, **said: Any) -> Any:
        """The response to a turn."""
        body = {"timezone": ZONE, "conversation": self.conversation, **said}
        return await self._client.post(f"/api/{self.user}/chat", json=body, timeout=40)

    async def tasks(self) -> list[dict[str, Any]]:
        """The user's tasks, oldest first."""
        found = (await self._client.get(f"/api/{self.user}/tasks")).raise_for_status()
        return list(found.json())

    async def titles(self) -> list[str]:
        """The titles of the user's open tasks."""
        return [task["title"] for task in await self.tasks() if not task["completed"]]

    async def messages(self) -> list[dict[str, Any]]:
        """The conversation."""
        path = f"/api/{self.user}/conversations/{self.conversation}"
        return list((await self._client.get(path)).raise_for_status().json()["messages"])


async def test_what_is_said_is_added_by_a_tool(dapr: AsyncWorld) -> None:
    """The task is there, its event too, and both messages are in the conversation."""
    talk = Dialogue(dapr, dapr.name("user"))

    answer = await talk.say("add buy milk tomorrow at 18:00")

    (task,) = await talk.tasks()
    assert "Buy milk" == task["title"]
    assert "“Buy milk”" in answer
    assert ["user", "assistant"] == [each["role"] for each in await talk.messages()]
    assert (
        "com.taskmanager.task.created"
        == (await dapr.topic("task-events").next(subject=task["id"])).type
    )
