"""Answers a turn: asks before it deletes, whatever the model says, and leaves the rest to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from services.backend_service.assistant.intents import NO, YES
from services.backend_service.assistant.port import Answer, Model, ToolFailed, Tools, Turn
from services.backend_service.assistant.told import quoted, task_line
from services.backend_service.conversations import Ask


async def answered(turn: Turn, model: Model, tools: Tools, seen: str | None = None) -> Answer:
    """The answer to a turn.

    Args:
        turn: what the user says.
        model: answers everything but a yes or no to the question before a task is deleted.
        tools: the user's tools.
        seen: the id of the last message that the user had seen; None if that is not known.

    Raises:
        ModelFailed: there is no answer.
    """
    question = turn.said[-1] if turn.said else None
    ask, decision = question.asks if question else None, _decision(turn.text)
    if question is None or ask is None or ask.about != "delete" or decision is None:
        return await _by_model(turn, model, tools)
    if seen is not None and seen != question.id:
        # Another window has caused this question: its user has not seen it.
        return _question(ask, "Meanwhile there is another question: shall")
    return await _decided(ask, decision, tools)


class NeedsConsent(Exception):
    """A model wants to delete a task."""

    def __init__(self, task_id: str) -> None:
        super().__init__(task_id)
        self.task_id = task_id


class Careful:
    """The tools as a model has them: deleting is interrupted, because the user is asked first."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def call(self, name: str, /, **arguments: Any) -> Any:
        """Call a tool, unless it deletes."""
        if name == "delete_task":
            raise NeedsConsent(str(arguments.get("task_id")))
        return await self._tools.call(name, **arguments)

    async def described(self) -> Sequence[Any]:
        """The tools as the server describes them."""
        return await self._tools.described()

    async def last_task(self) -> str | None:
        """The id of the last task that a tool has had."""
        return await self._tools.last_task()


async def _by_model(turn: Turn, model: Model, tools: Tools) -> Answer:
    try:
        return await model.answer(turn, Careful(tools))
    except NeedsConsent as held:
        return await _asked_about(held.task_id, turn, tools)


async def _asked_about(task_id: str, turn: Turn, tools: Tools) -> Answer:
    try:
        tasks = await tools.call("list_tasks")
    except ToolFailed as failed:
        return Answer(f"That did not work: {failed}.")
    for task in tasks:
        if task["id"] == task_id:
            facts = task_line(task, turn.zone).removeprefix(" ".join(task["title"].split()))
            ask = Ask(about="delete", title=task["title"], task_id=task_id)
            return _question(ask, "Shall", facts)
    return Answer("That did not work: no such task.")


def _question(ask: Ask, begin: str, facts: str = "") -> Answer:
    return Answer(f"{begin} I delete {quoted(ask.title)}{facts}? Say yes or no.", ask)


async def _decided(ask: Ask, decision: bool, tools: Tools) -> Answer:
    if not decision:
        return Answer(f"I have kept {quoted(ask.title)}.")
    try:
        await tools.call("delete_task", task_id=ask.task_id)
    except ToolFailed as failed:
        return Answer(f"I could not delete {quoted(ask.title)}: {failed}.")
    return Answer(f"Deleted {quoted(ask.title)}.")


def _decision(text: str) -> bool | None:
    """Yes, no, or something else."""
    if YES.fullmatch(text.strip()):
        return True
    return False if NO.fullmatch(text.strip()) else None
