"""Looks at what a system holds and has sent, after an attack."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql

from harness import World
from harness.core.deadline import Deadline, Observation, poll
from harness.probe.deliveries import Delivery
from harness.ready.kafka import admin_of, committed_offsets, end_offsets
from tests.faults.counts import Seen

OUTBOXES = ("outbox_backend_service", "outbox_notification_service")
TOPICS = ("task-events", "reminders")
DUE = "com.taskmanager.reminder.due"
READING = 60.0
"""Seconds within which a tap reads what a topic has."""

CALLS = {
    "events": "/v1.0/publish/",
    "mails": "/v1.0/bindings/mail",
    "webhooks": "/v1.0/bindings/web",
}


class Look:
    """Reads what is there; of one attack's users only, and from now on.

    Args:
        users: their names.
    """

    def __init__(self, world: World, users: set[str]) -> None:
        self._world = world
        self._users = users
        brokers = world.stack.book.exports("broker")["brokers"]
        self._admin = admin_of(brokers)
        self._begin = end_offsets(self._admin, TOPICS)

    def waiting(self) -> int:
        """Calls that the outboxes still hold."""
        return sum(self._query(f"SELECT count(*) FROM {name}")[0][0] for name in OUTBOXES)

    def seen(self) -> Seen:
        """Everything, as it is now."""
        rows, notified = self._tasks(), self._notified()
        events = self._events("task-events")
        reminders = [each for each in self._events("reminders") if each.type == DUE]
        mails, webhooks = self._received()
        fired: dict[tuple[str, float], list[float]] = defaultdict(list)
        for each in reminders:
            due = datetime.fromisoformat(each.data["remind_at"]).timestamp()
            fired[each.subject, due].append(each.time.timestamp())
        return Seen(
            rows={row[0]: row[1] for row in rows},
            followed={row[2] for row in rows if row[2]},
            events=Counter((each.subject, each.data["task"]["version"]) for each in events),
            fired=fired,
            notified=notified,
            event_ids={each.id for each in (*events, *reminders)},
            webhooks=webhooks,
            mails=mails,
        )

    def failed(self) -> Counter[str]:
        """How often a relay made a call in vain, by kind and by its own word."""
        found: Counter[str] = Counter()
        for line in "".join(self._world.logs().values()).splitlines():
            for kind, path in CALLS.items():
                found[kind] += f"the outbox keeps POST {path}" in line
        return found

    def about(self, event_ids: Collection[str]) -> list[str]:
        """What can still be seen of some events: where they are, and who wrote what about them."""
        if not event_ids:
            return []
        committed = committed_offsets(self._admin)
        lines = [
            f"{node}: {line}"
            for node, text in self._world.logs().items()
            for line in text.splitlines()
        ]
        letters = {row[0] for row in self._query("SELECT id FROM dead_letters")}
        found: list[str] = []
        for each in (each for topic in TOPICS for each in self._events(topic)):
            if each.id not in event_ids:
                continue
            at = (each.topic, each.partition)
            groups = {group: offsets.get(at) for group, offsets in committed.items()}
            found.append(
                f"{each.id}, {each.type} of {each.time}: {each.topic}/{each.partition}/"
                f"{each.offset}; committed: {groups}; a dead letter: {each.id in letters}"
            )
            where = f"{each.topic}/{each.partition}/{each.offset} "
            found += [line for line in lines if each.id in line or where in line]
        return found

    def _tasks(self) -> list[Any]:
        return self._query(
            "SELECT id, version, follows FROM tasks WHERE user_id = ANY(%s)", [*self._users]
        )

    def _notified(self) -> set[str]:
        query = "SELECT event_id FROM notifications WHERE user_id = ANY(%s)"
        return {row[0] for row in self._query(query, [*self._users])}

    def _query(self, query: str, *parameters: Any) -> list[Any]:
        dsn = self._world.stack.book.exports("postgres")["dsn"]
        with psycopg.connect(dsn) as connection:
            return connection.execute(sql.SQL(query), parameters).fetchall()

    def _events(self, topic: str) -> list[Any]:
        """All that the topic has by now: a tap that was just opened has read nothing yet."""
        end, tap = end_offsets(self._admin, [topic])[topic], self._world.topic(topic)

        def read() -> Observation:
            at = dict(self._begin[topic])
            at |= {each.partition: each.offset + 1 for each in tap.seen}
            behind = {n: (at[n], offset) for n, offset in end.items() if at[n] < offset}
            return Observation(not behind, f"read and there, by partition: {behind}")

        seen = poll(read, Deadline(READING), interval=0.1)
        assert seen.ok, f"{topic} was not read to its end within {READING:.0f} s: {seen.fact}"
        return tap.all(where=lambda each: each.data["user_id"] in self._users)

    def _received(self) -> tuple[dict[str, list[float]], Counter[str]]:
        """When mails came, by the title in their subject; how often webhooks came, by event."""
        offset = time.time() - time.monotonic()
        mails: dict[str, list[float]] = defaultdict(list)
        webhooks: Counter[str] = Counter()
        for each in self._deliveries():
            if each.method == "MAIL" and each.path.partition("@")[0] in self._users:
                mails[each.data["subject"].removeprefix("Reminder: ")].append(each.at + offset)
            elif each.path.removeprefix("/webhooks/") in self._users:
                webhooks[each.data["event_id"]] += 1
        return mails, webhooks

    def _deliveries(self) -> Sequence[Delivery]:
        """All of them: the record is read in pieces of some megabytes."""
        inbox = self._world.inbox("receiver")
        found = inbox.seen
        while len(more := inbox.seen) > len(found):
            found = more
        return found
