"""The model that needs no network: rules for plain English, always with the same result.

It does what it understood completely, and says what it did not understand instead of guessing.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import date, datetime
from typing import Any

from services.backend_service.assistant import when
from services.backend_service.assistant.intents import (
    NO,
    YES,
    Intent,
    sentence,
    task_words,
    title_of,
    understood,
    unquoted,
)
from services.backend_service.assistant.marks import marks
from services.backend_service.assistant.port import Answer, ToolFailed, Tools, Turn
from services.backend_service.assistant.told import (
    quoted,
    recurrence_of,
    task_line,
    task_list,
    time_of,
)
from services.backend_service.assistant.which import Unknown, which
from services.backend_service.conversations import Ask

HELP = (
    "I keep your tasks. You can say, for example:\n"
    "• add buy milk tomorrow at 18:00\n"
    "• remind me tomorrow at nine to call mum, every weekday\n"
    "• what do I have to do?\n"
    "• complete buy milk\n"
    "• rename buy milk to buy oat milk\n"
    "• move buy milk to Friday at 9\n"
    "• repeat water plants every Monday\n"
    "• delete buy milk"
)


class Rules:
    """The deterministic model."""

    may_obey_titles = False

    async def answer(self, turn: Turn, tools: Tools) -> Answer:
        """Answer one turn."""
        dialogue = Dialogue(turn, tools)
        try:
            return await dialogue.answered()
        except (when.Unclear, Unknown) as unclear:
            return Answer(str(unclear))
        except ToolFailed as failed:
            return Answer(f"That did not work: {failed}.")


class Dialogue:
    """One turn, by what it asks for."""

    def __init__(self, turn: Turn, tools: Tools) -> None:
        self._turn = turn
        self._tools = tools
        self._zone = turn.zone

    async def answered(self) -> Answer:
        """The answer, after what was asked for was done."""
        if YES.fullmatch(self._turn.text.strip()):
            return Answer("There is no question open that you could say yes to.")
        if (ask := self._awaited()) is not None and (answer := await self._completed(ask)):
            return answer
        intent = understood(self._turn.text)
        if not intent.name:
            # "Tomorrow at nine, remind me to call mum": the time comes first.
            intent = understood(self._read(self._turn.text).rest)
            if intent.name in NEED_TIMES:
                intent = Intent(intent.name, intent.task, intent.title, self._all_but_verb(intent))
        do = DOES.get(intent.name)
        return await do(self, intent) if do else Answer(self._not_understood())

    def _all_but_verb(self, intent: Intent) -> str:
        """What was said, with the times that came before the verb."""
        found = marks(self._turn.text)
        times = " ".join(self._turn.text[mark.start : mark.end] for mark in found)
        return f"{intent.rest} {times}"

    def _not_understood(self) -> str:
        words = " ".join(self._turn.text.split())
        short = words if len(words) <= 80 else f"{words[:79]}…"
        return f"I did not understand “{short}”, and have changed nothing. Say “help” for examples."

    # What waits for an answer: the time of a reminder.

    def _awaited(self) -> Ask | None:
        last = self._turn.said[-1] if self._turn.said else None
        return last.asks if last is not None and last.asks and last.asks.about == "time" else None

    async def _completed(self, ask: Ask) -> Answer | None:
        if NO.fullmatch(self._turn.text.strip()):
            return Answer("All right, no reminder.")
        try:
            said = self._read(self._turn.text)
        except when.Unclear as unclear:
            return Answer(str(unclear), ask)
        if said.at is None or re.search(r"\w", re.sub(r"\b(?:at|on|to|for)\b", "", said.rest)):
            return None
        return await self._reminded(ask.title, ask.task_id, said)

    # What a turn can ask for.

    async def help(self, _intent: Intent) -> Answer:
        """Say what can be asked."""
        return Answer(HELP)

    async def greet(self, _intent: Intent) -> Answer:
        """Be polite."""
        return Answer("At your service. Ask me for “help” to see what I can do.")

    async def add(self, intent: Intent) -> Answer:
        """Add a task, with its time and recurrence."""
        said = self._read(intent.rest)
        title = title_of(said.rest)
        if not title:
            return Answer("What shall I add? Say, for example: add buy milk tomorrow at nine.")
        task = await self._tools.call("add_task", title=title, **_fields(said, "due_at"))
        return Answer(f"Added {self._told(task)}.")

    async def remind(self, intent: Intent) -> Answer:
        """Remind of a task that exists, or of a new one."""
        said = self._read(intent.rest)
        title = title_of(said.rest)
        task_id = None
        if task_words(said.rest).lower() in ("", "it", "this", "that"):
            if not said.rest:
                return Answer("Of what shall I remind you?")
            task = await which("it", self._tools)
            title, task_id = task["title"], task["id"]
        else:
            tasks = await self._tools.call("list_tasks", completed=False)
            same = [each for each in tasks if each["title"].casefold() == title.casefold()]
            task_id = same[0]["id"] if len(same) == 1 else None
        if said.at is None:
            ask = Ask(about="time", title=title[:200], task_id=task_id)
            return Answer(f"When shall I remind you of {quoted(title)}?", ask)
        return await self._reminded(title, task_id, said)

    async def _reminded(self, title: str, task_id: str | None, said: when.When) -> Answer:
        if task_id is not None and said.recurrence is None:
            at = _text(said.at)
            task = await self._tools.call("set_reminder", task_id=task_id, remind_at=at)
        else:
            # A series recurs from when it is due.
            names = ("due_at", "remind_at") if said.recurrence else ("remind_at",)
            task = await self._tools.call("add_task", title=title, **_fields(said, *names))
        repeats = self._repeats(task)
        at = time_of(task["remind_at"], self._zone)
        return Answer(f"I will remind you of {quoted(task['title'])} on {at}{repeats}.")

    async def unremind(self, intent: Intent) -> Answer:
        """Remove the reminder of a task."""
        task = await which(task_words(intent.task), self._tools)
        if not task["remind_at"]:
            return Answer(f"{quoted(task['title'])} has no reminder.")
        await self._tools.call("set_reminder", task_id=task["id"], remind_at=None)
        return Answer(f"I will not remind you of {quoted(task['title'])}.")

    async def list(self, intent: Intent) -> Answer:
        """List tasks: open, done or all; of a day."""
        words = intent.rest.lower()
        done = bool(re.search(r"\b(?:done|completed|finished)\b", words))
        completed = None if re.search(r"\ball\b", words) and not done else done
        tasks = await self._tools.call("list_tasks", completed=completed)
        kind, day = {True: "done ", False: "open ", None: ""}[completed], ""
        if re.search(r"\boverdue\b", words):
            tasks = [each for each in tasks if self._is_due_before(each, self._turn.now)]
            kind = "overdue "
        elif on := when.day_of(intent.rest, self._turn.now, self._zone):
            tasks = [each for each in tasks if self._is_on(each, on)]
            day = f" on {on:%A}, {on.day} {on:%B}"
        if not tasks:
            return Answer(f"You have no {kind}tasks{day}.")
        count = f"{len(tasks)} {kind}task" + ("s" if len(tasks) != 1 else "")
        return Answer(f"You have {count}{day}:\n{task_list(tasks, self._zone)}")

    async def complete(self, intent: Intent) -> Answer:
        """Complete a task."""
        task = await which(task_words(intent.task), self._tools)
        await self._tools.call("complete_task", task_id=task["id"])
        more = " The next one of its series follows." if task["recurrence"] else ""
        return Answer(f"Done: {quoted(task['title'])}.{more}")

    async def rename(self, intent: Intent) -> Answer:
        """Give a task another title."""
        task = await which(task_words(intent.task), self._tools)
        title = sentence(unquoted(intent.title))
        changed = await self._tools.call("update_task", task_id=task["id"], title=title)
        return Answer(f"Renamed {quoted(task['title'])} to {quoted(changed['title'])}.")

    async def move(self, intent: Intent) -> Answer:
        """Set when a task is due."""
        said = self._read(intent.rest)
        task = await which(task_words(_before(said.rest)), self._tools)
        if said.at is None:
            return Answer(f"To when shall I move {quoted(task['title'])}? Say it with a time.")
        fields = {**_fields(said, "due_at"), "task_id": task["id"]}
        task = await self._tools.call("update_task", **fields)
        return Answer(f"Moved {self._told(task)}.")

    async def repeat(self, intent: Intent) -> Answer:
        """Have a task recur."""
        said = self._read(intent.rest)
        task = await which(task_words(_before(said.rest)), self._tools)
        if said.recurrence is None:
            return Answer(f"How often shall {quoted(task['title'])} repeat? Say: every weekday.")
        keeps = task["due_at"] is not None and not self._names_a_time()
        fields = {"recurrence": said.recurrence, "task_id": task["id"]}
        due = {} if keeps else {"due_at": _text(said.at)}
        task = await self._tools.call("update_task", **fields, **due)
        return Answer(f"From now on: {self._told(task)}.")

    async def delete(self, intent: Intent) -> Answer:
        """Ask before a task is deleted."""
        words = task_words(intent.rest)
        if not words:
            return Answer("Which task shall I delete? Say it with the title.")
        if re.fullmatch(r"(?:all|everything|every|both)\b.*", words, re.IGNORECASE):
            return Answer("I delete one task at a time. Say which one, with its title.")
        task = await which(words, self._tools, completed=None)
        # Whoever holds the tools asks the user first.
        await self._tools.call("delete_task", task_id=task["id"])
        return Answer(f"Deleted {quoted(task['title'])}.")

    # Details.

    def _read(self, text: str) -> when.When:
        return when.read(text, self._turn.now, self._zone)

    def _names_a_time(self) -> bool:
        kinds = {mark.kind for mark in marks(self._turn.text)}
        return bool(kinds & {"clock", "part", "day", "date", "weekday", "in", "instant"})

    def _is_on(self, task: Mapping[str, Any], day: date) -> bool:
        times = (task["due_at"], task["remind_at"])
        return day in {
            datetime.fromisoformat(at).astimezone(self._zone).date() for at in times if at
        }

    @staticmethod
    def _is_due_before(task: Mapping[str, Any], now: datetime) -> bool:
        return bool(task["due_at"]) and datetime.fromisoformat(task["due_at"]) < now

    def _told(self, task: Mapping[str, Any]) -> str:
        line = task_line(task, self._zone)
        title = " ".join(task["title"].split())
        return f"{quoted(title)}{line.removeprefix(title)}"

    def _repeats(self, task: Mapping[str, Any]) -> str:
        if not task["recurrence"]:
            return ""
        return f", then {recurrence_of(task['recurrence'], self._zone)}"


DOES: Mapping[str, Callable[[Dialogue, Intent], Awaitable[Answer]]] = {
    name: getattr(Dialogue, name)
    for name in (
        "help", "greet", "add", "remind", "unremind", "list", "complete", "rename", "move",
        "repeat", "delete",
    )
}  # fmt: skip
NEED_TIMES = ("add", "remind", "move", "repeat")


def _fields(said: when.When, *names: str) -> dict[str, Any]:
    """Fields of a task for what was said of time."""
    fields: dict[str, Any] = {name: _text(said.at) for name in names} if said.at else {}
    return {**fields, **({"recurrence": said.recurrence} if said.recurrence else {})}


def _text(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def _before(text: str) -> str:
    """The words for a task, without those that led to its time."""
    return re.sub(r"\s+(?:(?:is\s+)?due|to|until|till|for|repeat|recur)$", "", text.strip(),
                  flags=re.IGNORECASE)  # fmt: skip
