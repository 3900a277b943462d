"""Where a run looks for acknowledged requests: sinks, inboxes and tables."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import httpx

from harness.core.deadline import Deadline, Observation, poll
from harness.core.endpoint import Endpoint
from harness.core.names import inbox_name
from harness.load.measure.collector import Collector
from harness.load.measure.outcomes import Came, acknowledged_of, at_each, lanes_by_outcome, settle
from harness.load.model.declared import Outcome
from harness.load.model.result import Ledger
from harness.load.model.targets import Targets
from harness.load.model.typed import read
from harness.probe.deliveries import Delivery
from harness.probe.inbox import Inbox
from harness.ready.loopback import ask
from harness.stack.stack import Stack

DRAIN = 30.0
"""Seconds for which acknowledged requests may still be on their way."""

DEAD = 3.0
"""Seconds to look for them if the stack has died."""

HINT = "give it inbox=True, or a record of its own: docs/load.md"

Reader = Callable[[], Iterable[Came]]
"""Returns what has arrived since the last call."""


class Unseen(Exception):
    """Arrivals cannot be observed; the text says why and what to do."""


class Receivers:
    """Determines what happened to acknowledged requests.

    Args:
        stack: the stack, running or dying.
        targets: its addresses.
        offset: the wall clock minus ``time.monotonic``.
        patience: seconds for which requests may still be on their way.
    """

    def __init__(
        self, stack: Stack, targets: Targets, offset: float, patience: float = DRAIN
    ) -> None:
        self._stack = stack
        self._targets = targets
        self._offset = offset
        self._patience = patience
        self._subscriptions: dict[str, set[tuple[str, str]]] | None = None
        self._ids: dict[str, str] = {}

    def ledgers(self, collector: Collector) -> dict[str, Ledger]:
        """The ledger of each declared outcome, by name; latencies are added to the collector."""
        found: dict[str, Ledger] = {}
        for declared, lanes in lanes_by_outcome(collector).items():
            asked = acknowledged_of(collector, lanes)
            try:
                places = at_each(declared, self._apps(declared))
            except Unseen as error:
                found[declared.name] = Ledger(len(asked), problem=str(error))
                continue
            for outcome, app in places:
                if outcome.name in found:
                    outcome = replace(outcome, name=f"{outcome.name} of {declared.topic or app}")
                found[outcome.name] = self._ledger(collector, outcome, app, asked)
        return found

    def _ledger(
        self, collector: Collector, outcome: Outcome, app: str, asked: Mapping[str, float]
    ) -> Ledger:
        try:
            came = self._drain(self._reader(outcome, app), asked)
        except Unseen as error:
            return Ledger(len(asked), problem=str(error))
        return settle(collector, outcome.name, asked, came)

    def _apps(self, outcome: Outcome) -> Sequence[str]:
        """The apps that receive an outcome; for a row, one without a name."""
        if outcome.kind == "row":
            return [""]
        if outcome.app:
            return [outcome.app]
        key = (outcome.pubsub, outcome.topic)
        apps = self._one_of_each(
            [app for app, topics in self._subscribed().items() if key in topics]
        )
        seen = [app for app in apps if self._can_see(app, outcome.record)]
        if seen:
            return seen
        if not apps:
            raise Unseen(f"no app subscribes to {outcome.topic!r} of {outcome.pubsub!r}")
        raise Unseen(f"{', '.join(apps)} cannot be looked into; {HINT}")

    def _subscribed(self) -> Mapping[str, set[tuple[str, str]]]:
        if self._subscriptions is None:
            headers = {"dapr-api-token": self._targets.token} if self._targets.token else {}
            self._subscriptions = {}
            # Replicas of an app have one app-id, and each event arrives at one of them.
            for app, url in self._targets.sidecars.items():
                with contextlib.suppress(httpx.HTTPError, ValueError):
                    said = ask("GET", f"{url}/v1.0/metadata", headers=headers).json()
                    self._ids[app] = said.get("id", app)
                    self._subscriptions[app] = {
                        (each["pubsubname"], each["topic"])
                        for each in said.get("subscriptions") or ()
                    }
        return self._subscriptions

    def _one_of_each(self, apps: Sequence[str]) -> list[str]:
        """The first replica of each app."""
        return list({self._ids[app]: app for app in reversed(apps)}.values())[::-1]

    def _replicas(self, app: str) -> list[str]:
        self._subscribed()
        return [each for each, app_id in self._ids.items() if app_id == self._ids.get(app)] or [app]

    def _can_see(self, app: str, record: str) -> bool:
        return self._inbox(app) is not None or self._has_record(app, record)

    def _inbox(self, app: str) -> Endpoint | None:
        return self._stack.book.endpoints().get((inbox_name(app), "main"))

    def _has_record(self, app: str, record: str) -> bool:
        with contextlib.suppress(httpx.HTTPError, ValueError, KeyError):
            answer = ask("GET", f"{self._targets.apps[app]}{record}?since=0")
            return answer.status_code == 200 and isinstance(answer.json(), list)
        return False

    def _reader(self, outcome: Outcome, app: str) -> Reader:
        if outcome.kind == "row":
            return RowReader(self._databases(), outcome, self._offset)
        readers = [self._reader_of(outcome, each) for each in self._replicas(app)]
        return lambda: [came for reader in readers for came in reader()]

    def _reader_of(self, outcome: Outcome, app: str) -> Reader:
        inbox = self._inbox(app)
        if inbox is not None:
            return InboxReader(Inbox(app, inbox), self._offset)
        if self._has_record(app, outcome.record):
            return RecordReader(f"{self._targets.apps[app]}{outcome.record}")
        raise Unseen(f"{app} cannot be looked into; {HINT}")

    def _databases(self) -> dict[str, str]:
        """Connection strings by node."""
        found = {
            node.name: self._stack.book.exports(node.name).get("dsn", "")
            for node in self._stack.topology.nodes
        }
        return {node: dsn for node, dsn in found.items() if dsn}

    def _drain(self, reader: Reader, asked: Mapping[str, float]) -> list[Came]:
        """Everything that arrives until nothing is missing, or the time is up."""
        came: list[Came] = []
        missing, problem = set(asked), ["never asked"]

        def look() -> Observation:
            try:
                more = list(reader())
            except httpx.HTTPError as error:
                problem[:] = [f"what came cannot be read any more: {error!r}"]
                return Observation(False)
            problem.clear()
            came.extend(more)
            missing.difference_update(each.id for each in more)
            return Observation(not missing and not more)

        poll(look, Deadline(self._patience), interval=0.1)
        if problem:
            raise Unseen(problem[0])
        return came


class Arrived(NamedTuple):
    """A row of an app's own record; ``due`` and ``at`` of a job are on the wall clock."""

    kind: str
    lane: str
    number: int
    due: float
    sent: float
    at: float


class RecordReader:
    """Reads an app's own record of arrivals: ``GET URL?since=N`` returns rows from number N on.

    Args:
        url: the record's URL.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._count = 0

    def __call__(self) -> list[Came]:
        """The new rows.

        Raises:
            Unseen: they are no rows of arrivals.
        """
        try:
            rows = read(list[Arrived], ask("GET", f"{self._url}?since={self._count}").json())
        except ValueError as error:
            raise Unseen(
                f"{self._url} does not return rows [kind, lane, number, due, sent, at]: {error}"
            ) from None
        self._count += len(rows)
        return [
            Came(f"{each.lane}-{each.number}", each.at, None if each.kind == "event" else each.due)
            for each in rows
        ]


class RowReader:
    """Reads the table of an outcome.

    Args:
        databases: connection strings by node.
        outcome: the database, and SQL for ids and when each row was created (epoch seconds).
        offset: the wall clock minus ``time.monotonic``.

    Raises:
        Unseen: the outcome does not determine a database.
    """

    def __init__(self, databases: Mapping[str, str], outcome: Outcome, offset: float) -> None:
        node, _, database = outcome.database.partition("/")
        self._dsn = _database(databases, node, database)
        self._query = outcome.query
        self._offset = offset
        self._seen: set[str] = set()

    def __call__(self) -> list[Came]:
        """The new rows.

        Raises:
            Unseen: they cannot be read.
        """
        import psycopg

        try:
            with psycopg.connect(self._dsn) as connection:
                rows = connection.execute(self._query.encode()).fetchall()
        except psycopg.Error as error:
            raise Unseen(f"the rows cannot be read: {error}".strip()) from None
        new = [Came(str(key), at - self._offset) for key, at in rows if str(key) not in self._seen]
        self._seen.update(each.id for each in new)
        return new


def _database(databases: Mapping[str, str], node: str, database: str) -> str:
    from psycopg.conninfo import make_conninfo

    if not databases:
        raise Unseen("rows cannot be read: the topology has no database")
    if not node and len(databases) > 1:
        raise Unseen(f"several nodes have databases, {', '.join(databases)}: set `database`")
    if node and node not in databases:
        raise Unseen(f"no database of a node {node!r}: there is {', '.join(databases)}")
    dsn = databases[node or next(iter(databases))]
    return make_conninfo(dsn, dbname=database) if database else dsn


class InboxReader:
    """Reads an app's inbox: deliveries of its sidecar that the app has accepted.

    Args:
        inbox: the app's inbox.
        offset: the wall clock minus ``time.monotonic``.
    """

    def __init__(self, inbox: Inbox, offset: float) -> None:
        self._inbox = inbox
        self._offset = offset
        self._seen = 0

    def __call__(self) -> list[Came]:
        """The new deliveries."""
        every = self._inbox.all()
        new, self._seen = every[self._seen :], len(every)
        return [came for each in new if (came := self._came(each)) is not None]

    def _came(self, each: Delivery) -> Came | None:
        if not accepted(each):
            return None
        if each.event:
            return Came(each.id, each.at)
        if isinstance(each.data, dict) and "job_due" in each.data:
            key = f"{each.data.get('lane')}-{each.data.get('number')}"
            return Came(key, each.at + self._offset, each.data["job_due"])
        return None


def accepted(delivery: Delivery) -> bool:
    """Whether the app took the delivery: with status 200, an event can still be dropped."""
    if not 200 <= delivery.status < 300:
        return False
    try:
        body = json.loads(delivery.answer)
    except ValueError:
        return True
    status = body.get("status") if delivery.event and isinstance(body, dict) else None
    # As daprd reads it: without a status, or with something else as status, it is a success.
    return not isinstance(status, str) or status in ("", "SUCCESS")
