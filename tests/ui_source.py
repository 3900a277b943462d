"""A stack as the page sees it, in memory: what `harness.inspection` would report."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from harness.core.errors import ConfigError, HarnessError
from harness.inspection.calling import PublishedRow
from harness.inspection.keys import StateRow
from harness.inspection.model import (
    ComponentRow,
    EventDetail,
    EventPage,
    EventRow,
    InvokedRow,
    JobRow,
    LogLine,
    LogPage,
    NodeRow,
    Overview,
    Subscriber,
    TopicRow,
)

ADDRESS = {"main": "127.0.0.1:1"}


class ShownStack:
    """A stack with one app, one topic, one store and one job.

    Args:
        text: what every name and text consists of.

    Attributes:
        done: what the page has asked for, in order.
        failure: raised by each look at the overview if it is set.
    """

    def __init__(self, text: str = "shop") -> None:
        self.text = text
        self.done: list[tuple[Any, ...]] = []
        self.failure: Exception | None = None
        self.rows: list[EventRow] = []
        self.lines: list[LogLine] = []
        self.states = {f"{text}": "running", f"{text}-daprd": "running"}

    def add(self, count: int, at: float = 1_800_000_000.0) -> None:
        """Add events, each with a log line."""
        for number in range(len(self.rows), len(self.rows) + count):
            self.rows.append(
                EventRow(
                    key=f"key-{number}",
                    id=f"{self.text}-event-{number}",
                    topic=self.text,
                    type=f"{self.text}.made",
                    at=at + number / 1000,
                    published_by=self.text,
                    outcome="delivered",
                    attempts=1,
                    apps=(self.text,),
                    size=100,
                    revision=len(self.rows) + 1,
                )
            )
            self.log(f"{self.text} handled {self.text}-event-{number}", at + number / 1000)

    def log(self, text: str, at: float = 1_800_000_000.0) -> None:
        """Add a log line."""
        self.lines.append(LogLine(len(self.lines) + 1, at, self.text, "info", text))

    def change(self, number: int, **fields: Any) -> None:
        """Change an event."""
        revision = max(each.revision for each in self.rows) + 1
        self.rows[number] = replace(self.rows[number], revision=revision, **fields)

    def overview(self) -> Overview:
        """The stack now."""
        if self.failure:
            raise self.failure
        text, store = self.text, ComponentRow(self.text, "state.postgresql", "v2", (self.text,), {})
        nodes = [
            NodeRow(text, "app", text, self.states[text], None, 50 << 20, 1.5, ADDRESS),
            NodeRow(
                f"{text}-daprd",
                "sidecar",
                text,
                self.states[f"{text}-daprd"],
                None,
                0,
                0.0,
                ADDRESS,
            ),
        ]
        subscriber = Subscriber(text, ("/orders",), "", recorded=True, lag=3)
        topics = [TopicRow(text, "pubsub", len(self.rows), [subscriber])]
        jobs = [JobRow(text, text, "@every 1h", "2030-01-01T00:00:00Z", scheduled=True)]
        return Overview(
            text, "processes", 1.0, 1.0, nodes, topics, [store], [store], jobs, missing=(text,)
        )

    def events(self, *, after: int = 0, limit: int = 200) -> EventPage:
        """What has changed after a cursor."""
        found = sorted(
            (each for each in self.rows if each.revision > after), key=lambda row: row.revision
        )
        shown = found[:limit] if after else found[-limit:]
        last = shown[-1].revision if shown else after
        return EventPage(shown, last, len(found))

    def event(self, event: str) -> EventDetail:
        """One event."""
        row = next((each for each in self.rows if each.key == event), None)
        if row is None:
            raise ConfigError(f"no event has the id {event!r}")
        stored, came = int(row.at * 1e9), int(row.at * 1e9) + 5_000_000
        steps = [
            [stored, f"stored at {self.text}[0] offset 1"],
            [came, f"delivered to {self.text}"],
        ]
        path = {"steps": steps, "attempts": [{"time": came, "outcome": "success"}], "trace": ""}
        data = f'{{"text": "{self.text}"}}'
        return EventDetail(row, f"delivered to {self.text}", path, (), data, False, self.lines[:1])

    def logs(self, *, after: int = 0, limit: int = 500) -> LogPage:
        """The lines after a cursor."""
        found = [each for each in self.lines if each.seq > after]
        shown = found[:limit] if after else found[-limit:]
        return LogPage(shown, shown[-1].seq if shown else after)

    def state(self, key: str, *, app: str | None = None, store: str | None = None) -> StateRow:
        """The value of a key."""
        return StateRow(str(app), str(store), key, True, {"value": self.text}, "1")

    def act(self, action: str, node: str) -> None:
        """Restart, kill, pause or resume a node."""
        if node not in self.states:
            raise ConfigError(f"the stack has no node {node!r}")
        self.done.append((action, node))
        self.states[node] = {"pause": "paused", "kill": "exited"}.get(action, "running")

    def publish(
        self,
        topic: str,
        data: Any,
        *,
        app: str | None = None,
        pubsub: str | None = None,
        event_type: str | None = None,
        key: str | None = None,
    ) -> PublishedRow:
        """Publish an event."""
        self.done.append(("publish", topic, data, app, pubsub, event_type, key))
        return PublishedRow(topic, str(pubsub), str(app))

    def invoke(
        self, app: str, path: str, *, verb: str | None = None, data: Any = None
    ) -> InvokedRow:
        """Call a method of an app."""
        if path == "silent":
            raise HarnessError("the sidecar did not answer")
        self.done.append(("invoke", app, path, verb, data))
        return InvokedRow(200, {"text": self.text})

    def redeliver(self, event: str) -> PublishedRow:
        """Publish an event again."""
        self.done.append(("redeliver", event))
        return PublishedRow(self.text, "pubsub", self.text)
