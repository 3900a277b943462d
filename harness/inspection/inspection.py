"""Looks at a stack that is up. Everything here blocks; threads wait for each other."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Sequence
from typing import Any

from harness.bundle.stories import story_of
from harness.core.closing import Closing
from harness.core.roles import HasTopics
from harness.core.settings import Settings
from harness.inspection.event_table import Entry, EventTable, text_of
from harness.inspection.logs import Logs
from harness.inspection.model import (
    Action,
    EventDetail,
    EventPage,
    LogPage,
    NodeRow,
    Overview,
)
from harness.inspection.nodes import act, node_rows
from harness.inspection.overview import (
    component_rows,
    job_rows,
    recorded_apps,
    subscribed,
    topic_rows,
)
from harness.inspection.parts import Inspection as Seen
from harness.inspection.parts import inspect
from harness.inspection.sidecars import at_once, sidecars_of
from harness.ledger.explain import explain
from harness.ledger.model import Ledger
from harness.probe.waiting import unguarded
from harness.stack.account import Account
from harness.stack.beginning import FromStart
from harness.stack.failures import mask
from harness.stack.noted import Noted
from harness.stack.registry import Registry, UpStack
from harness.stack.stack import Stack
from harness.stack.timeline import Observed

DATA = 100_000
"""The number of characters of an event's data that are shown."""

FRESH = 1.0
"""Seconds for which what the sidecars have reported is taken as it is."""

LINES = 200
"""The number of lines of logs that are shown of an event."""


class Inspection(Closing):
    """What may be seen of a stack that is up, since it was started; use it in a ``with`` statement.

    Secrets of the stack are masked everywhere. What cannot be read is named in ``missing``.

    Args:
        stack: an attached stack, which is entered and left with this.
        up: its record.

    Raises (in every method):
        HarnessError: the stack has ended.
    """

    def __init__(self, stack: Stack, up: UpStack) -> None:
        self._stack = stack
        self._up = up
        self._lock = threading.Lock()
        self._log_lock = threading.Lock()
        self._seen: tuple[float, list[Seen]] = (0.0, [])

    @classmethod
    def of(cls, name: str = "default", settings: Settings | None = None) -> Inspection:
        """The inspection of a stack by its name.

        Raises:
            ConfigError: no stack of this name is up.
        """
        settings = settings or Settings.load()
        up = Registry(settings.state_dir).require(name)
        return cls(Stack.attach(name, settings=settings, force=True, all_running=False), up)

    def __enter__(self) -> Inspection:
        self._stack.start()
        self._secrets = self._stack.book.secrets()
        observed = Observed(self._stack, FromStart(self._stack), "", {})
        self._account = Account(observed, Noted(), unguarded, forgets=True)
        self._table = EventTable(self.clean)
        self._logs = Logs(self._stack.folder / "logs", self.clean)
        return self

    def close(self) -> None:
        """Disconnect; the stack stays up. Closing twice is allowed."""
        self._account.close()
        self._stack.close()

    @property
    def stack(self) -> Stack:
        """The stack."""
        return self._stack

    @property
    def alive(self) -> bool:
        """Whether the stack is still up."""
        return self._up.alive

    def clean(self, text: str) -> str:
        """A text without the secrets of the stack."""
        return mask(text, self._secrets)

    def overview(self) -> Overview:
        """Nodes, topics, components and jobs now."""
        with self._lock:
            nodes = self._nodes()
            seen = self._sidecars(nodes)
            ledger, missing = self._read(nodes, seen)
            components = component_rows(seen)
            return Overview(
                stack=self._up.name,
                runtime=self._up.runtime,
                at=time.time(),
                up_for=self._up.up_for,
                nodes=nodes,
                topics=topic_rows(seen, recorded_apps(self._stack), ledger, {}),
                stores=[each for each in components if each.type.startswith("state.")],
                components=components,
                jobs=job_rows(ledger, {}),
                missing=[*missing, *(self.clean(each.error) for each in seen if each.error)],
            )

    def events(
        self,
        *,
        topic: str | None = None,
        text: str | None = None,
        since: float = 0.0,
        after: int = 0,
        limit: int = 200,
    ) -> EventPage:
        """Events that fit, the newest last: the last ones, or what has changed after a cursor.

        Args:
            topic: only of this topic.
            text: only those whose id, type, topic or data has this text, in any case.
            since: only those that were first seen at this time or later, seconds since the epoch.
            after: the cursor: `EventPage.next` of the page before.
            limit: the number of events.
        """
        with self._lock:
            missing = self._refresh()
            wanted = text.casefold() if text else ""

            def fits(each: Entry) -> bool:
                return (
                    each.row.revision > after
                    and each.row.at >= since
                    and (topic is None or topic in each.path.topics)
                    and (not wanted or wanted in self._words(each))
                )

            found = self._table.rows(fits)
            revision, forgotten = self._table.revision, self._account.forgotten
        return _page(found, revision, after, limit, missing, forgotten=bool(forgotten))

    def event(self, event: str) -> EventDetail:
        """Everything that is known of one event.

        Args:
            event: its key or its id.

        Raises:
            ConfigError: there is none, or several have this id.
        """
        with self._lock:
            missing = self._refresh()
            entry = self._table.find(event)
        path = entry.path
        story = story_of(path, "", self.clean)
        data = self.clean(text_of(path.data))
        _, *lines = self.clean(explain(path)).splitlines()
        known = [each for each in (path.id, path.trace) if each]
        logs = self.logs(texts=known, limit=LINES).lines if known else ()
        return EventDetail(
            row=entry.row,
            conclusion=story.conclusion,
            path={**story.facts, "title": story.title, "trace": path.trace, "steps": story.steps},
            explanation=[each.strip() for each in lines],
            data=data[:DATA],
            truncated=len(data) > DATA,
            logs=logs,
            missing=missing,
        )

    def logs(
        self,
        *,
        nodes: Collection[str] = (),
        text: str | None = None,
        texts: Collection[str] = (),
        after: int = 0,
        limit: int = 500,
    ) -> LogPage:
        """Lines of the logs that fit, in the order of time: the last ones, or those after a cursor.

        Args:
            nodes: only of these nodes; of all if empty.
            text: only with this text, in any case.
            texts: only with one of these texts.
            after: the cursor: `LogPage.next` of the page before.
            limit: the number of lines.
        """
        with self._log_lock:
            wanted = [text] if text else texts
            return self._logs.page(nodes=nodes, texts=wanted, after=after, limit=limit)

    def act(self, action: Action, node: str) -> None:
        """Restart a node and wait until it is ready, kill it, freeze it, or let it continue.

        Raises:
            ConfigError: there is no such node, it is not running, or somebody else has started it.
            NotReady: after the restart, a readiness check did not pass in time.
        """
        act(self._stack, action, node)

    def _refresh(self) -> list[str]:
        """Bring the table up to date; what could not be read."""
        nodes = self._nodes()
        _, missing = self._read(nodes, self._sidecars(nodes))
        return missing

    def _nodes(self) -> list[NodeRow]:
        self._stack.catch_up()
        return node_rows(self._stack)

    def _sidecars(self, nodes: Sequence[NodeRow]) -> list[Seen]:
        """What the running sidecars report, at most `FRESH` seconds ago."""
        at, seen = self._seen
        if time.monotonic() - at > FRESH:
            running = {each.name for each in nodes if each.state == "running"}
            found = [each for each in sidecars_of(self._up).values() if each.node.name in running]
            seen = at_once(inspect, found)
            self._seen = time.monotonic(), seen
        return seen

    def _read(self, nodes: Sequence[NodeRow], seen: Sequence[Seen]) -> tuple[Ledger, list[str]]:
        brokers = {each.name for each in self._stack.topology.nodes if isinstance(each, HasTopics)}
        away = [each for each in nodes if each.name in brokers and each.state != "running"]
        ledger, errors = self._account.available(broker=not away)
        self._table.update(ledger, subscribed(seen, recorded_apps(self._stack)))
        missing = [f"what is new on the broker {each.name}: it is {each.state}" for each in away]
        return ledger, [*missing, *(self.clean(str(each)) for each in errors)]

    def _words(self, each: Entry) -> str:
        known = (each.path.id, each.path.type, each.row.topic, text_of(each.path.data))
        return self.clean(" ".join(known)).casefold()


def _page(
    found: Sequence[Any],
    revision: int,
    after: int,
    limit: int,
    missing: Sequence[str],
    *,
    forgotten: bool,
) -> EventPage:
    """The last rows; after a cursor, the first ones in the order in which they have changed."""
    if not after:
        shown = found[-limit:] if limit else []
        cut = forgotten or len(found) > len(shown)
        return EventPage(shown, revision, len(found), cut, missing)
    changed = sorted(found, key=lambda row: row.revision)
    shown = changed[:limit]
    more = len(changed) > len(shown)
    upto = shown[-1].revision if more and shown else revision
    return EventPage(shown, upto, len(found), truncated=False, missing=missing)
