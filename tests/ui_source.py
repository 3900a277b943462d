"""A stack as the page sees it, in memory: what `harness.inspection` would report."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from harness.core.errors import ConfigError, HarnessError
from harness.inspection.calling import PublishedRow
from harness.inspection.describing import NodeDetail, Variable
from harness.inspection.keys import StateRow
from harness.inspection.measuring import Metrics, NodeSamples, Rate, Sample
from harness.inspection.model import (
    ComponentRow,
    EventDetail,
    EventPage,
    EventRow,
    GroupPosition,
    InvokedRow,
    JobRow,
    LogLine,
    LogPage,
    NodeRow,
    Overview,
    PartitionRow,
    Subscriber,
    TopicRow,
)
from harness.inspection.traces.model import SpanRow, Status, TraceDetail, TracePage, TraceRow
from tests.ui_stored import ShownDatabases

ADDRESS = {"main": "127.0.0.1:1"}


def trace_id(number: int) -> str:
    """The id of the trace of an event."""
    return f"{number:032x}"


class ShownStack(ShownDatabases):
    """A stack with one app, one topic, one store and one job.

    Args:
        text: what every name and text consists of.

    Attributes:
        done: what the page has asked for, in order.
        failure: raised by each look at the overview if it is set.
    """

    def __init__(self, text: str = "shop") -> None:
        super().__init__()
        self.text = text
        self.done: list[tuple[Any, ...]] = []
        self.failure: Exception | None = None
        self.event_rows: list[EventRow] = []
        self.lines: list[LogLine] = []
        self.spans: list[TraceRow] = []
        self.untold: list[str] = []
        self.states = {f"{text}": "running", f"{text}-daprd": "running"}

    def add(self, count: int, at: float = 1_800_000_000.0) -> None:
        """Add events, each with a log line."""
        for number in range(len(self.event_rows), len(self.event_rows) + count):
            self.event_rows.append(
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
                    revision=len(self.event_rows) + 1,
                )
            )
            self.log(f"{self.text} handled {self.text}-event-{number}", at + number / 1000)

    def log(self, text: str, at: float = 1_800_000_000.0) -> None:
        """Add a log line."""
        self.lines.append(LogLine(len(self.lines) + 1, at, self.text, "info", text))

    def change(self, number: int, **fields: Any) -> None:
        """Change an event."""
        revision = max(each.revision for each in self.event_rows) + 1
        self.event_rows[number] = replace(self.event_rows[number], revision=revision, **fields)

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
        group = GroupPosition(text, text, len(self.event_rows), 3, reads=True)
        parts = [PartitionRow(0, len(self.event_rows) + 3, [group]), PartitionRow(1, 0, [])]
        topics = [TopicRow(text, "pubsub", len(self.event_rows), [subscriber], parts)]
        jobs = [JobRow(text, text, "@every 1h", "2030-01-01T00:00:00Z", scheduled=True)]
        return Overview(
            text, "processes", 1.0, 1.0, nodes, topics, [store], [store], jobs, missing=(text,)
        )

    def events(self, *, after: int = 0, limit: int = 200) -> EventPage:
        """What has changed after a cursor."""
        found = sorted(
            (each for each in self.event_rows if each.revision > after),
            key=lambda row: row.revision,
        )
        shown = found[:limit] if after else found[-limit:]
        last = shown[-1].revision if shown else after
        return EventPage(shown, last, len(found))

    def event(self, event: str) -> EventDetail:
        """One event."""
        row = next((each for each in self.event_rows if each.key == event), None)
        if row is None:
            raise ConfigError(f"no event has the id {event!r}")
        stored, came = int(row.at * 1e9), int(row.at * 1e9) + 5_000_000
        steps = [
            [stored, f"stored at {self.text}[0] offset 1"],
            [came, f"delivered to {self.text}"],
        ]
        trace = trace_id(self.event_rows.index(row))
        path = {"steps": steps, "attempts": [{"time": came, "outcome": "success"}], "trace": trace}
        data = f'{{"text": "{self.text}"}}'
        return EventDetail(row, f"delivered to {self.text}", path, (), data, False, self.lines[:1])

    def trace_events(self, count: int) -> None:
        """Add a trace of two spans for each of the next events, every third of which failed."""
        begin = len(self.spans)
        for number, row in enumerate(self.event_rows[begin : begin + count], begin):
            name, failed = f"{self.text} publishes {number}", int(number % 3 == 2)
            made = TraceRow(
                trace_id(number), name, row.at, 0.02, 2, [self.text], failed, number + 1
            )
            self.spans.append(made)

    def traces(self, *, after: int = 0, limit: int = 200) -> TracePage:
        """What has changed after a cursor."""
        found = [each for each in self.spans if each.revision > after]
        shown = found[:limit] if after else found[-limit:]
        last = shown[-1].revision if shown else after
        return TracePage(shown, last, len(found), missing=[*self.untold])

    def trace(self, trace: str) -> TraceDetail:
        """One trace: a publication, and a delivery whose attributes are hostile, too."""
        row = next((each for each in self.spans if each.id == trace), None)
        if row is None:
            raise ConfigError(f"no trace has the id {trace!r}")
        text, known = self.text, {self.text: self.text}
        status: Status = "error" if row.errors else "unset"
        error = text if row.errors else ""
        spans = [
            SpanRow("1", "", 0, row.name, text, text, text, 0.0, 0.01, "ok", "", known),
            SpanRow(text, "1", 1, text, text, "", "", 0.005, 0.015, status, error, known),
        ]  # fmt: skip
        events = [self.event_rows[self.spans.index(row)]]
        return TraceDetail(row, spans, False, events, self.lines[:1], [*self.untold])

    def metrics(self) -> Metrics:
        """A publication in each third interval, and four samples of the app."""
        counts = [int(number % 3 == 0) * 5 for number in range(60)]
        rates = [Rate("published", self.text, counts), Rate("failed", self.text, [0, 1] * 30)]
        samples = [
            Sample(1_800_000_000.0 + 2 * number, (50 + number) << 20, 10.0 * number or None)
            for number in range(4)
        ]
        return Metrics(1_799_999_710.0, 5.0, 60, rates, [NodeSamples(self.text, samples)])

    def node(self, name: str) -> NodeDetail:
        """One node."""
        row = next((each for each in self.overview().nodes if each.name == name), None)
        if row is None:
            raise ConfigError(f"the stack has no node {name!r}")
        known = [Variable("GREETING", self.text, masked=False), Variable("KEY", "***", masked=True)]
        return NodeDetail(row, 42, [self.text, "serve"], known, f"/logs/{self.text}.log")

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
