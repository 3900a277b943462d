"""Where a run looks for acknowledged requests: sinks, inboxes and tables."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import httpx

from harness.deadline import Deadline, Observation, poll
from harness.endpoint import Endpoint
from harness.load.collector import Collector
from harness.load.outcomes import (
    Came,
    Ledger,
    Outcome,
    acknowledged_of,
    at_each,
    lanes_by_outcome,
    settle,
)
from harness.load.targets import Targets
from harness.loopback import ask
from harness.probe.deliveries import Delivery
from harness.probe.inbox import Inbox
from harness.stack import Stack

DRAIN = 15.0
"""Seconds for which acknowledged requests may still be on their way."""

DEAD = 3.0
"""Seconds to look for them if the stack has died."""

HINT = "give it inbox=True, or a route /received as loadtests/sink.py has it"

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
        apps = [app for app, topics in self._subscribed().items() if key in topics]
        seen = [app for app in apps if self._can_see(app)]
        if seen:
            return seen
        if not apps:
            raise Unseen(f"no app subscribes to {outcome.topic!r} of {outcome.pubsub!r}")
        raise Unseen(f"{', '.join(apps)} cannot be looked into; {HINT}")

    def _subscribed(self) -> Mapping[str, set[tuple[str, str]]]:
        if self._subscriptions is None:
            headers = {"dapr-api-token": self._targets.token} if self._targets.token else {}
            self._subscriptions = {}
            for app, url in self._targets.sidecars.items():
                with contextlib.suppress(httpx.HTTPError, ValueError):
                    said = ask("GET", f"{url}/v1.0/metadata", headers=headers).json()
                    self._subscriptions[app] = {
                        (each["pubsubname"], each["topic"])
                        for each in said.get("subscriptions") or ()
                    }
        return self._subscriptions

    def _can_see(self, app: str) -> bool:
        return self._inbox(app) is not None or self._is_sink(app)

    def _inbox(self, app: str) -> Endpoint | None:
        return self._stack.book.endpoints().get((f"{app}-inbox", "main"))

    def _is_sink(self, app: str) -> bool:
        with contextlib.suppress(httpx.HTTPError, ValueError, KeyError):
            answer = ask("GET", f"{self._targets.apps[app]}/received?since=0")
            return answer.status_code == 200 and isinstance(answer.json(), list)
        return False

    def _reader(self, outcome: Outcome, app: str) -> Reader:
        if outcome.kind == "row":
            return RowReader(self._stack, outcome.query, self._offset)
        inbox = self._inbox(app)
        if inbox is not None:
            return InboxReader(Inbox(app, inbox), self._offset)
        if app in self._targets.apps and self._is_sink(app):
            return SinkReader(self._targets.apps[app])
        raise Unseen(f"{app} cannot be looked into; {HINT}")

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


class SinkReader:
    """Reads an app's record: ``GET /received?since=N``, with rows as in `loadtests.sink`.

    Args:
        url: the app's URL.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._count = 0

    def __call__(self) -> list[Came]:
        """The new rows."""
        rows = ask("GET", f"{self._url}/received?since={self._count}").json()
        self._count += len(rows)
        return [
            Came(f"{lane}-{number}", entered, None if kind == "event" else due)
            for kind, lane, number, due, _sent, entered in rows
        ]


class RowReader:
    """Reads a table in the first database of the stack.

    Args:
        query: SQL for ids, and when each row was created (epoch seconds).
        offset: the wall clock minus ``time.monotonic``.
    """

    def __init__(self, stack: Stack, query: str, offset: float) -> None:
        exports = [node.exports(stack.book) for node in stack.topology.nodes]
        self._dsn = next((each["dsn"] for each in exports if "dsn" in each), "")
        self._query = query
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


class InboxReader:
    """Reads an app's inbox: deliveries of its sidecar to which the app responded with a 2xx.

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
        if not 200 <= each.status < 300:
            return None
        if each.event:
            return Came(each.id, each.at)
        if isinstance(each.data, dict) and "job_due" in each.data:
            key = f"{each.data.get('lane')}-{each.data.get('number')}"
            return Came(key, each.at + self._offset, each.data["job_due"])
        return None
