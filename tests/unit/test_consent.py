"""What the assistant asks about before it is done, and in which words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, get_args
from zoneinfo import ZoneInfo

import pytest

from services.backend_service.assistant.consent import Careful, NeedsConsent, names, question
from services.backend_service.assistant.port import ToolFailed
from services.backend_service.conversations import Ask, ToolName
from services.backend_service.mcp_tools import server

BERLIN = ZoneInfo("Europe/Berlin")
MINE = {"id": "1", "title": "Pay the rent", "due_at": None, "remind_at": None, "recurrence": None}


class Tools:
    """The tools of a user with one task, which note what is called."""

    def __init__(self) -> None:
        self.called: list[str] = []

    async def call(self, name: str, /, **arguments: Any) -> Any:
        self.called.append(name)
        return [MINE] if name == "list_tasks" else {**MINE, "id": "2", **arguments}

    async def described(self) -> Sequence[Any]:
        return ()

    async def last_task(self) -> str | None:
        return None


@pytest.mark.parametrize(
    ("turn", "title", "named"),
    [
        ("complete pay the rent", "Pay the rent", True),
        ("The rent: I did pay it!", "Pay the rent", True),
        ("ZAHLE DIE MIETE AN MÜLLER", "Zahle die Miete an Müller.", True),
        ("what is there to do?", "Pay the rent", False),
        ("pay the bill", "Pay the rent", False),
        ("pay the rental", "Pay the rent", False),
        ("parents: pay the", "Pay the rent", False),
        ("anything", "…!?", False),
        ("", "Pay", False),
    ],
)
def test_a_turn_names_a_task_by_all_words_of_its_title(turn: str, title: str, named: bool) -> None:
    """In any order, whatever the case and the punctuation; parts of words are not words."""
    assert named is names(turn, title)


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        ("complete_task", {}, "Shall I complete “Mine”?"),
        ("set_reminder", {"remind_at": None}, "Shall I not remind you of “Mine”?"),
        ("set_reminder", {"remind_at": "2031-01-31T08:00:00Z"},
         "Shall I remind you of “Mine” on Fri 31 Jan 2031, 09:00?"),
        ("set_reminder", {"remind_at": "soon"}, "Shall I remind you of “Mine” on soon?"),
        ("update_task", {"title": "Theirs", "due_at": "2031-01-31T08:00:00"},
         "Shall I change “Mine” (call it “Theirs”, make it due 2031-01-31T08:00:00)?"),
        ("update_task", {"description": "a\nb", "recurrence": {"frequency": "daily"}},
         "Shall I change “Mine” (describe it as “a b”, repeat it every day)?"),
        ("update_task", {"recurrence": ["daily"]},
         "Shall I change “Mine” (repeat it [\"daily\"])?"),
        ("update_task", {"color": "red", "title": None}, "Shall I change “Mine” (nothing)?"),
    ],
)  # fmt: skip
def test_a_question_tells_all_that_would_change(
    tool: str, arguments: dict[str, Any], words: str
) -> None:
    """Times in the user's zone, and what is no time as the model has said it."""
    body = {"about": "change", "title": "Mine", "task_id": "1", "tool": tool}
    ask = Ask.model_validate({**body, "arguments": json.dumps(arguments)})

    assert f"{words} Say yes or no." == question(ask, BERLIN)


@pytest.mark.parametrize("tool", sorted({*get_args(ToolName)} - {"add_task"}))
async def test_every_tool_that_changes_a_task_waits_for_consent(tool: str) -> None:
    """If the model may obey titles, and the turn does not name the task."""
    tools = Tools()

    with pytest.raises(NeedsConsent) as held:
        await Careful(tools, "what is there to do?").call(tool, task_id="1")

    assert ["list_tasks"] == tools.called
    assert ("Pay the rent", "1") == (held.value.ask.title, held.value.ask.task_id)


async def test_every_tool_of_the_server_is_known_to_read_or_to_change() -> None:
    """A new one must be named here, and is then held back."""
    offered = {tool.name for tool in await server.list_tools()}

    assert offered == {"list_tasks", *get_args(ToolName)}


@pytest.mark.parametrize("arguments", [{}, {"task_id": "1"}])
async def test_a_tool_that_does_not_exist_is_left_to_the_server(arguments: dict[str, str]) -> None:
    """Which refuses it, and the model is told."""
    tools = Tools()

    await Careful(tools, "hello").call("make_coffee", **arguments)

    assert ["make_coffee"] == tools.called


async def test_a_task_is_free_once_it_was_named_or_added_in_the_turn() -> None:
    """Except for its deletion."""
    tools = Tools()
    careful = Careful(tools, "rename pay the rent to something")

    await careful.call("update_task", task_id="1", title="Something")
    await careful.call("complete_task", task_id="1")
    added = await careful.call("add_task", title="New")
    await careful.call("set_reminder", task_id=added["id"], remind_at=None)

    assert ["list_tasks", "update_task", "complete_task", "add_task", "set_reminder"] == (
        tools.called
    )
    with pytest.raises(NeedsConsent):
        await careful.call("delete_task", task_id="1")


async def test_a_model_that_knows_only_the_users_words_is_asked_about_deletions_only() -> None:
    """The rules read no titles."""
    tools = Tools()
    careful = Careful(tools, None)

    await careful.call("complete_task", task_id="1")

    assert ["complete_task"] == tools.called
    with pytest.raises(NeedsConsent):
        await careful.call("delete_task", task_id="1")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [({"task_id": "3"}, "no such task"), ({"task_id": "1", "title": "x" * 12_000}, "too long")],
)
async def test_what_cannot_be_asked_about_is_refused(
    arguments: dict[str, Any], reason: str
) -> None:
    """A task that is not there, and more than a question can keep."""
    tools = Tools()

    with pytest.raises(ToolFailed, match=reason):
        await Careful(tools, "hello").call("update_task", **arguments)

    assert ["list_tasks"] == tools.called
