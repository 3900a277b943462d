"""What the system has acknowledged, written down by its clients."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

Fate = Literal["due", "moved", "cancelled"]


@dataclass
class Reminder:
    """A reminder that was acknowledged.

    Attributes:
        title: of its task, which no other task has.
        due: seconds since the epoch.
        fate: what its owner did to it before it was due.
        settled: when that was acknowledged, seconds since the epoch.
        was_due: when it was due before it was moved.
    """

    task: str
    title: str
    due: float
    fate: Fate = "due"
    settled: float = 0.0
    was_due: float = 0.0

    @property
    def in_time(self) -> bool:
        """Whether its owner was early enough: what is acknowledged in the last moment may fire."""
        return self.fate == "due" or self.settled < self.was_due - 2


@dataclass
class Ledger:
    """What was acknowledged.

    Attributes:
        versions: of each task, those that an answer has named.
        completed: tasks of a series that are done, whose next occurrence must come.
        refused: how often an answer did not acknowledge, by its status or error.
        vanished: tasks that were acknowledged and then not found by a later request.
    """

    versions: dict[str, set[int]] = field(default_factory=dict)
    reminders: dict[str, Reminder] = field(default_factory=dict)
    completed: set[str] = field(default_factory=set)
    refused: Counter[str] = field(default_factory=Counter)
    vanished: set[str] = field(default_factory=set)

    @property
    def writes(self) -> int:
        """How many were acknowledged."""
        return sum(len(versions) for versions in self.versions.values())

    def note(self, task: dict[str, Any]) -> None:
        """One acknowledged write."""
        self.versions.setdefault(task["id"], set()).add(task["version"])
