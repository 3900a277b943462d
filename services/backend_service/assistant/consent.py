"""What the user is asked before it is done, and how the question is put."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, get_args
from zoneinfo import ZoneInfo

from services.backend_service.assistant.port import ToolFailed, Tools
from services.backend_service.assistant.told import quoted, recurrence_of, task_line, time_of
from services.backend_service.conversations import LONGEST_ARGUMENTS, Ask, ToolName

DELETE, ADD, LIST = "delete_task", "add_task", "list_tasks"
CHANGES = frozenset(get_args(ToolName)) - {ADD}
"""The tools that change a task that is there. A name that no tool has is left to the server."""

_DONE = {DELETE: "Deleted", "complete_task": "Completed", "set_reminder": "Changed the reminder of"}
_WORD = re.compile(r"\w+")


class NeedsConsent(Exception):
    """A model wants to do something that the user is asked about first."""

    def __init__(self, ask: Ask, task: Mapping[str, Any]) -> None:
        super().__init__(ask.title)
        self.ask = ask
        self.task = task


class Careful:
    """The tools as a model has them: what the user is asked about first interrupts the model.

    Deleting always does.

    Args:
        tools: the user's tools.
        turn: the words of a user whose model may obey what it reads in tasks: a change of a task
            that they do not name interrupts it, unless the task was added in the same turn. None
            for a model that knows only the user's words.
    """

    def __init__(self, tools: Tools, turn: str | None) -> None:
        self._tools = tools
        self._turn = turn
        self._free: set[str] = set()

    async def call(self, name: str, /, **arguments: Any) -> Any:
        """Call a tool, unless the user is asked first."""
        if name == DELETE or (self._turn is not None and name in CHANGES):
            await self._require_consent(name, arguments)
        result = await self._tools.call(name, **arguments)
        if name == ADD:
            self._free.add(result["id"])
        return result

    async def described(self) -> Sequence[Any]:
        """The tools as the server describes them."""
        return await self._tools.described()

    async def last_task(self) -> str | None:
        """The id of the last task that a tool has had."""
        return await self._tools.last_task()

    async def _require_consent(self, name: str, arguments: Mapping[str, Any]) -> None:
        if "task_id" not in arguments:
            return  # The server refuses it, or has no such tool.
        task_id = str(arguments["task_id"])
        if name != DELETE and task_id in self._free:
            return
        task = await self._task(task_id)
        if name != DELETE and self._turn is not None and names(self._turn, task["title"]):
            # In the same turn, it may get another title.
            self._free.add(task_id)
            return
        raise NeedsConsent(_ask(name, arguments, task), task)

    async def _task(self, task_id: str) -> Mapping[str, Any]:
        for task in await self._tools.call(LIST):
            if task["id"] == task_id:
                return dict(task)
        raise ToolFailed("no such task")


def names(turn: str, title: str) -> bool:
    """Whether a turn has every word of a title."""
    words = set(_WORD.findall(title.casefold()))
    return bool(words) and words <= set(_WORD.findall(turn.casefold()))


def _ask(name: str, arguments: Mapping[str, Any], task: Mapping[str, Any]) -> Ask:
    title, task_id = task["title"], task["id"]
    if name == DELETE:
        return Ask(about="delete", title=title, task_id=task_id)
    text = json.dumps({each: value for each, value in arguments.items() if each != "task_id"})
    if len(text) > LONGEST_ARGUMENTS:
        raise ToolFailed("this is too long to ask the user about")
    return Ask.model_validate(
        {"about": "change", "title": title, "task_id": task_id, "tool": name, "arguments": text}
    )


def question(
    ask: Ask, zone: ZoneInfo, task: Mapping[str, Any] | None = None, begin: str = "Shall"
) -> str:
    """The words of a question.

    Args:
        task: the task to delete, whose times are told too.
        begin: the words up to and including "shall".
    """
    facts = ""
    if ask.about == "delete" and task is not None:
        facts = task_line(task, zone).removeprefix(" ".join(task["title"].split()))
    return f"{begin} I {_wish(ask, zone)}{facts}? Say yes or no."


async def decided(ask: Ask, decision: bool, tools: Tools) -> str:
    """Do what was asked about, or not; say which."""
    name, title = ask.tool or DELETE, quoted(ask.title)
    if not decision:
        return f"I have kept {title}." if name == DELETE else f"I have left {title} as it is."
    try:
        await tools.call(name, **{**_arguments(ask), "task_id": ask.task_id})
    except ToolFailed as failed:
        return f"I could not {'delete' if name == DELETE else 'change'} {title}: {failed}."
    return f"{_DONE.get(name, 'Changed')} {title}."


def _wish(ask: Ask, zone: ZoneInfo) -> str:
    said, title = _arguments(ask), quoted(ask.title)
    if ask.tool is None:
        return f"delete {title}"
    if ask.tool == "complete_task":
        return f"complete {title}"
    if ask.tool == "set_reminder":
        at = said.get("remind_at")
        return f"remind you of {title} on {_time(at, zone)}" if at else f"not remind you of {title}"
    told: Mapping[str, Callable[[Any], str]] = {
        "title": lambda value: f"call it {quoted(str(value))}",
        "description": lambda value: f"describe it as {quoted(str(value))}",
        "due_at": lambda value: f"make it due {_time(value, zone)}",
        "recurrence": lambda value: f"repeat it {_recurrence(value, zone)}",
    }
    changes = [tell(said[field]) for field, tell in told.items() if said.get(field) is not None]
    return f"change {title} ({', '.join(changes) or 'nothing'})"


def _arguments(ask: Ask) -> dict[str, Any]:
    try:
        said = json.loads(ask.arguments or "{}")
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _time(value: Any, zone: ZoneInfo) -> str:
    """A time as the assistant tells it; whatever a model has said instead, as it is."""
    try:
        at = datetime.fromisoformat(value)
        return time_of(at, zone) if at.tzinfo else str(value)
    except (TypeError, ValueError, OverflowError):
        return str(value)


def _recurrence(value: Any, zone: ZoneInfo) -> str:
    try:
        return recurrence_of(value, zone)
    except (TypeError, AttributeError, KeyError, ValueError):
        return json.dumps(value)
