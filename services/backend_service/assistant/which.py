"""Which of a user's tasks somebody means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.backend_service.assistant.port import Tools
from services.backend_service.assistant.told import quoted

Task = Mapping[str, Any]
IT = ("it", "this", "that", "this one", "that one")


class Unknown(ValueError):
    """No task fits, or several do; says so."""


async def which(words: str, tools: Tools, completed: bool | None = False) -> Task:
    """The one task that some words mean: its title, a part of it, or words of it.

    Raises:
        Unknown: no task or several tasks fit.
        ToolFailed: the tasks cannot be read.
    """
    tasks: Sequence[Task] = await tools.call("list_tasks", completed=completed)
    if words.lower() in IT:
        found = [task for task in tasks if task["id"] == await tools.last_task()]
        if not found:
            raise Unknown("I do not know which task you mean. Say it with the title.")
        return found[0]
    # A series leaves completed tasks of the same title: an open one is meant, if there is one.
    still_open = [task for task in tasks if not task["completed"]]
    folded = words.casefold()
    fitting = _fitting(folded, still_open) or _fitting(folded, tasks)
    if not fitting:
        kind = "open task" if completed is False else "task"
        raise Unknown(f"You have no {kind} that is called {quoted(words)}.")
    if len({_folded(task) for task in fitting}) > 1:
        titles = ", ".join(quoted(task["title"]) for task in fitting[:5])
        raise Unknown(f"{len(fitting)} tasks fit {quoted(words)}: {titles}. Which one?")
    # Of tasks with the same title, the oldest.
    return fitting[0]


def _fitting(words: str, tasks: Sequence[Task]) -> Sequence[Task]:
    """The tasks that fit best: by the whole title, else a part of it, else all of the words."""
    wanted = words.split()
    ways = (
        lambda title: title == words,
        lambda title: words in title,
        lambda title: all(word in title.split() for word in wanted),
    )
    for way in ways:
        if found := [task for task in tasks if way(_folded(task))]:
            return found
    return ()


def _folded(task: Task) -> str:
    return " ".join(task["title"].casefold().split())
