"""Looks at a stack that is up. Everything here blocks; threads wait for each other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any, Self

from harness.bundle.stories import story_of
from harness.core.closing import Closing
from harness.core.masking import cleaned, mask
from harness.inspection.event_table import Entry, EventTable, page_of, text_of
from harness.inspection.keys import StateRow, state_row
from harness.inspection.logs import Logs
from harness.inspection.model import (
    EventDetail,
    EventPage,
    JobRow,
    LogPage,
    NodeRow,
    Overview,
)
from harness.inspection.nodes import node_rows
from harness.inspection.overview import (
    component_rows,
    delivery_row,
    job_rows,
    recorded_apps,
    subscribed,
    topic_rows,
)
from harness.inspection.partitions import Partitions
from harness.inspection.reports import Reports
from harness.ledger.explain import explain
from harness.ledger.model import Ledger
from harness.probe.waiting import unguarded
from harness.stack.account import MOST, Account
from harness.stack.beginning import FromStart
from harness.stack.noted import Noted
from harness.stack.registry import UpStack
from harness.stack.stack import Stack
from harness.stack.timeline import Observed

DATA = 100_000
"""The number of characters of an event's data that are shown."""

LINES = 200
"""The number of lines of logs that are shown of an event."""


class Looking(Closing):
    """What may be seen of a stack that is up.

    Args:
        stack: an attached stack, which is entered and left with this.
        record: what is known of it once it was entered.
    """

    def __init__(self, stack: Stack, record: Callable[[], UpStack]) -> None:
        self._stack = stack
        self._record = record
        self._lock = threading.Lock()
        self._log_lock = threading.Lock()

    def __enter__(self) -> Self:
        self._stack.start()
        try:
            self._begin()
        except BaseException:
            self._stack.close()
            raise
        return self

    def _begin(self) -> None:
        self._up = self._record()
        self._secrets = self._stack.book.secrets()
        self._reports = Reports(self._stack, self._up, self.clean)
        away = self._reports.brokers_away(self.nodes())
        beginning = FromStart(self._stack, None if away else MOST)
        self._skipped = beginning.skipped
        observed = Observed(self._stack, beginning, "", {})
        self._account = Account(observed, Noted(), unguarded, forgets=True)
        self._table = EventTable(self.clean)
        self._logs = Logs(self._stack.folder / "logs", self.clean)

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

    def nodes(self) -> list[NodeRow]:
        """The nodes now."""
        self._stack.catch_up()
        return node_rows(self._stack)

    def overview(self) -> Overview:
        """Nodes, topics, components and jobs now."""
        with self._lock:
            nodes = self.nodes()
            seen = self._reports.sidecars.now(nodes)
            ledger, missing = self._read(nodes)
            known = self._reports.partitions.now(nodes)
            scheduled, unasked = self._reports.jobs.now(nodes)
            components = component_rows(seen)
            untold = [f"{known.untold} partitions: there are too many"] if known.untold else []
            silent = [f"what a sidecar has loaded: {each.error}" for each in seen if each.error]
            return Overview(
                stack=self._up.name,
                runtime=self._up.runtime,
                at=time.time(),
                up_for=self._up.up_for,
                nodes=nodes,
                topics=topic_rows(seen, recorded_apps(self._stack), ledger, known),
                stores=[each for each in components if each.type.startswith("state.")],
                components=components,
                jobs=job_rows(ledger, scheduled),
                missing=[*missing, *map(self.clean, silent), *unasked, *untold],
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
            revision, forgotten = self._table.revision, self._account.forgotten + self._skipped
        return page_of(found, revision, after, limit, missing, forgotten=bool(forgotten))

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

    def deliveries(self, app: str, *, limit: int = 200) -> list[dict[str, Any]]:
        """The last deliveries to an app, in the order of time, with its answers.

        Raises:
            ConfigError: its deliveries are not recorded.
        """
        with self._lock:
            self._refresh()
            found = self._account.deliveries(app)[-limit:]
        return [delivery_row(each, self.clean) for each in found]

    def jobs(self) -> list[JobRow]:
        """Every job that the schedulers have, or that was observed."""
        with self._lock:
            nodes = self.nodes()
            self._reports.jobs.forget()
            ledger, _ = self._read(nodes)
            return job_rows(ledger, self._reports.jobs.now(nodes)[0])

    def state(self, key: str, *, app: str | None = None, store: str | None = None) -> StateRow:
        """The value of a key of a state store, with secrets masked.

        Args:
            key: as the app uses it, without a prefix.
            app: whose key it is; not needed if only one has a state store.
            store: not needed if the app has only one.

        Raises:
            ConfigError: there is no such store, or it is not clear which one is meant.
            SystemFailure, ProbeError: the sidecar refused, or did not answer.
        """
        found = state_row(self._up, key, app, store)
        return replace(found, value=self.cleaned(found.value))

    def cleaned(self, value: Any) -> Any:
        """A JSON value without the secrets of the stack."""
        return cleaned(value, self.clean)

    def _pubsubs(self) -> dict[str, str]:
        """The pub/sub component of each topic that has subscribers."""
        with self._lock:
            seen = self._reports.sidecars.now(self.nodes())
        rows = topic_rows(seen, set(), Ledger(), Partitions())
        return {each.name: each.pubsub for each in rows}

    def _refresh(self) -> list[str]:
        """Bring the table up to date; what could not be read."""
        _, missing = self._read(self.nodes())
        return missing

    def _read(self, nodes: Sequence[NodeRow]) -> tuple[Ledger, list[str]]:
        away = self._reports.brokers_away(nodes)
        ledger, errors = self._account.available(broker=not away)
        seen = self._reports.sidecars.now(nodes)
        self._table.update(ledger, subscribed(seen, recorded_apps(self._stack)))
        missing = [f"what is new on the broker {each.name}: it is {each.state}" for each in away]
        return ledger, [*missing, *(self.clean(str(each)) for each in errors)]

    def _words(self, each: Entry) -> str:
        known = (each.path.id, each.path.type, each.row.topic, text_of(each.path.data))
        return self.clean(" ".join(known)).casefold()
