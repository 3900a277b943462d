"""How the assistant tells tasks, times and recurrences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from services.backend_service.assistant.words import DAYS

Task = Mapping[str, Any]
LONGEST = 20
"""The number of tasks that are listed in one answer."""

_UNITS = {"daily": "day", "weekly": "week", "monthly": "month", "yearly": "year"}
_NAMES = {day[:2]: day.title() for day in DAYS}


def time_of(instant: datetime | str, zone: ZoneInfo) -> str:
    """A time as in "Mon 30 Nov 2026, 09:00", in the user's zone."""
    at = datetime.fromisoformat(instant) if isinstance(instant, str) else instant
    at = at.astimezone(zone)
    seconds = ":%S" if at.second else ""
    return f"{at:%a} {at.day} {at:%b %Y, %H:%M}{at.strftime(seconds)}"


def recurrence_of(recurrence: Mapping[str, Any], zone: ZoneInfo) -> str:
    """A recurrence as in "every Monday and Thursday"."""
    unit, interval = _UNITS[recurrence["frequency"]], recurrence.get("interval") or 1
    days = [_NAMES[day] for day in recurrence.get("weekdays") or ()]
    if days == [day.title() for day in DAYS[:5]]:
        days = ["weekday"]
    text = _joined(days) if days else unit
    if interval != 1:
        text = f"{interval} {unit}s" + (f" on {_joined(days)}" if days else "")
    ends = [
        f"until {time_of(recurrence['until'], zone)}" if recurrence.get("until") else "",
        f"{recurrence['count']} times" if recurrence.get("count") else "",
    ]
    return ", ".join([f"every {text}", *filter(None, ends)])


def quoted(title: str) -> str:
    """A title in quotes, on one line."""
    return f"“{' '.join(title.split())}”"


def task_line(task: Task, zone: ZoneInfo) -> str:
    """A task in one line: title, times, recurrence."""
    due, remind = task["due_at"], task["remind_at"]
    facts = [
        f"due {time_of(due, zone)}" if due else "",
        f"reminder {time_of(remind, zone)}" if remind and remind != due else "",
        recurrence_of(task["recurrence"], zone) if task["recurrence"] else "",
    ]
    said = " · ".join(filter(None, facts))
    return " ".join(task["title"].split()) + (f" — {said}" if said else "")


def task_list(tasks: Sequence[Task], zone: ZoneInfo) -> str:
    """Tasks, one a line; of many, the first ones and the number of the others."""
    lines = [f"• {task_line(task, zone)}" for task in tasks[:LONGEST]]
    more = len(tasks) - LONGEST
    return "\n".join([*lines, *([f"… and {more} more"] if more > 0 else [])])


def _joined(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
