"""What became of what was acknowledged: pure functions of what was seen."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from tests.faults.ledger import Ledger, Reminder
from tests.faults.plan import SESSION, Fault

CLOCK = 0.05
"""Seconds by which two readings of the clock may differ."""


@dataclass
class Seen:
    """What was found after the attack.

    Attributes:
        rows: the version of each task in the database.
        followed: tasks that have a next occurrence.
        events: how often each (task, version) was published.
        fired: when each reminder event was published, by (task, due), seconds since the epoch.
        notified: ids of the events that became notifications.
        event_ids: the ids of all events, published for whatever reason.
        webhooks: how often each notification was sent.
        mails: when the mails of each title came, seconds since the epoch.
    """

    rows: Mapping[str, int] = field(default_factory=dict)
    followed: Collection[str] = ()
    events: Mapping[tuple[str, int], int] = field(default_factory=dict)
    fired: Mapping[tuple[str, float], Sequence[float]] = field(default_factory=dict)
    notified: Collection[str] = ()
    event_ids: Collection[str] = ()
    webhooks: Mapping[str, int] = field(default_factory=dict)
    mails: Mapping[str, Sequence[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Counts:
    """The result of an attack. Lists name what is wrong; lateness is in seconds."""

    writes: int
    reminders: int
    lost_writes: list[str]
    lost_events: list[str]
    lost_followers: list[str]
    lost_notifications: list[str]
    lost_webhooks: list[str]
    never: list[str]
    early: list[str]
    void: list[str]
    events_twice: int
    webhooks_twice: int
    mails_twice: int
    late: list[float]

    @property
    def lost(self) -> int:
        """Everything that was acknowledged, or follows from it, and is not there."""
        of_writes = (self.lost_writes, self.lost_events, self.lost_followers)
        of_events = (self.lost_notifications, self.lost_webhooks, self.never)
        return sum(len(each) for each in (*of_writes, *of_events))

    def lateness(self, percent: int) -> float:
        """A percentile of how late the mails were."""
        if len(self.late) < 2:
            return self.late[0] if self.late else 0.0
        return statistics.quantiles(self.late, n=100, method="inclusive")[percent - 1]


def count(ledger: Ledger, seen: Seen) -> Counts:
    """Hold what was found against what was acknowledged."""
    due = [each for each in ledger.reminders.values() if each.fate != "cancelled"]
    acknowledged = [(task, n) for task, all_of in ledger.versions.items() for n in all_of]
    return Counts(
        writes=ledger.writes,
        reminders=len(due),
        lost_writes=_lost_writes(ledger, seen),
        lost_events=[f"{task} v{n}" for task, n in acknowledged if not seen.events.get((task, n))],
        lost_followers=sorted(ledger.completed - set(seen.followed)),
        lost_notifications=sorted(set(seen.event_ids) - set(seen.notified)),
        lost_webhooks=sorted(set(seen.notified) - set(seen.webhooks)),
        never=[each.title for each in due if not seen.mails.get(each.title)],
        early=[each.title for each in due if _early(each, seen)],
        void=[each.title for each in ledger.reminders.values() if _void(each, seen)],
        events_twice=sum(n - 1 for n in seen.events.values()),
        webhooks_twice=sum(n - 1 for n in seen.webhooks.values()),
        mails_twice=sum(
            max(0, len(seen.mails.get(each.title, ())) - 1) for each in due if each.in_time
        ),
        late=sorted(
            max(0.0, min(seen.mails[each.title]) - each.due)
            for each in due
            if each.in_time and seen.mails.get(each.title)
        ),
    )


def in_flight(faults: Sequence[Fault], slots: int, parts: Collection[str]) -> int:
    """How many calls may have been made without anybody knowing: those that a fault cut off.

    Args:
        slots: calls that are made at one time.
        parts: those that such a call goes through.
    """
    return slots * sum(each.part in parts for each in faults)


def by_kind(faults: Sequence[Fault]) -> str:
    """How many of what, in words."""
    sessions = sum(each.part == SESSION for each in faults)
    kinds = Counter(each.how for each in faults if each.part != SESSION)
    return ", ".join([f"{n} {how}s" for how, n in kinds.items()] + [f"{sessions} of one process"])


def _lost_writes(ledger: Ledger, seen: Seen) -> list[str]:
    short = {
        task for task, versions in ledger.versions.items() if seen.rows.get(task, 0) < max(versions)
    }
    return sorted(short | ledger.vanished)


def _early(reminder: Reminder, seen: Seen) -> bool:
    """Whether a mail, or an event, came before its time."""
    if not reminder.in_time:
        return False
    fired = seen.fired.get((reminder.task, reminder.due), ())
    moments = [*seen.mails.get(reminder.title, ()), *fired]
    return any(each < reminder.due - CLOCK for each in moments)


def _void(reminder: Reminder, seen: Seen) -> bool:
    """Whether it came although it had been cancelled.

    By its event, which names the task: a user whose first try was not acknowledged has made two
    tasks of one title, and the mail could be the other one's.
    """
    if reminder.fate != "cancelled" or not reminder.in_time:
        return False
    return any(task == reminder.task for task, _ in seen.fired)
