"""One record for everything that is observed, and its drawing."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness import Occurrence
from harness.core.journal import Entry, entry_of
from harness.core.observation import Source, epoch_ns
from harness.probe.api_calls import read_call
from harness.probe.deliveries import read_delivery
from harness.probe.events import event_of
from harness.probe.inbox_server import row_of
from harness.probe.spans import Span
from harness.report.timeline import WIDTH, draw_timeline
from harness.runtime.fake import FakeRuntime
from harness.stack.beginning import Beginning
from harness.stack.timeline import JOURNAL, Observed
from tests.support import Fake
from tests.unit.test_stack import stack_of

NOON = int(datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp()) * 10**9
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


def test_a_monotonic_time_becomes_the_time_of_the_wall_clock() -> None:
    """In nanoseconds since the epoch, also for what happened earlier."""
    before = time.time_ns()
    found = epoch_ns(time.monotonic())
    earlier = epoch_ns(time.monotonic() - 60)
    after = time.time_ns()

    # Two clocks are read, one after the other.
    assert before - 10**6 <= found <= after + 10**6
    assert before - 10**6 <= earlier + 60 * 10**9 <= after + 10**6


def test_an_entry_of_the_journal_is_an_occurrence() -> None:
    """Its facts are its payload; its time is on the clock of the others."""
    at = time.monotonic()
    found = Entry(at, "process.exited", "shop", {"pid": 7, "code": 1}).occurrence()

    assert ("journal", "shop", "process.exited pid=7 code=1") == (
        found.source, found.node, found.what,
    )  # fmt: skip
    assert {"pid": 7, "code": 1} == found.payload
    assert abs(epoch_ns(at) - found.time) < 10**6


def test_a_row_of_the_runs_journal_is_an_entry() -> None:
    """Without what only the supervisor needs."""
    row = {"seq": 4, "at": 1.5, "kind": "node.ready", "node": "a", "client": 1, "by": "x"}

    assert Entry(1.5, "node.ready", "a", {"by": "x"}) == entry_of(row)


def test_an_event_is_an_occurrence() -> None:
    """With the id of its trace, and its key."""
    envelope = {"specversion": "1.0", "id": "e1", "type": "made", "subject": "s", "data": {"a": 1}}
    raw = json.dumps({**envelope, "traceparent": PARENT}).encode()
    at = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)

    found = event_of(raw, "orders", 0, 0, at, key="k").occurrence("kafka")

    assert (NOON + 123_456_000, "event", "kafka") == (found.time, found.source, found.node)
    assert ("orders made", {"a": 1}) == (found.what, found.payload)
    assert {"trace": TRACE, "event": "e1", "key": "k", "subject": "s"} == found.correlation


def delivery(path: str, body: object, **more: Any) -> Occurrence:
    row = row_of("POST", path, json.dumps(body).encode())
    return read_delivery({**row, "time": NOON, "took": 0.5, **more}).occurrence("shop")


def test_a_delivery_is_an_occurrence() -> None:
    """The trace is that of its headers; an event without them names it itself."""
    event = {"specversion": "1.0", "id": "e1", "type": "made", "data": 1, "traceparent": PARENT}
    found = delivery("/ship", event)
    other = delivery("/ship", event, headers={"Traceparent": PARENT.replace("0af", "fff")})

    assert (NOON, "delivery", "shop", 0.5) == (found.time, found.source, found.node, found.took)
    assert ("POST /ship made -> 202", 1) == (found.what, found.payload)
    assert {"trace": TRACE, "event": "e1"} == found.correlation
    assert TRACE.replace("0af", "fff") == other.correlation["trace"]


def test_a_delivered_job_is_known_by_its_name() -> None:
    """And a delivery that the inbox failed says so."""
    found = delivery("/job/nightly", {"n": 1}, status=500, failed="after")

    assert {"job": "nightly"} == found.correlation
    assert "POST /job/nightly -> 500 (failed after the app)" == found.what


def call(path: str, body: object = None, **more: Any) -> Occurrence:
    row = {"at": 1.0, "time": NOON, "took": 0.5, "method": "POST", "path": path, "headers": {}}
    row |= {"body": "" if body is None else json.dumps(body), "status": 204, "answer": ""}
    return read_call({**row, **more}).occurrence("shop")


def test_a_call_is_an_occurrence() -> None:
    """With the trace that the app has passed on."""
    found = call("/v1.0/publish/bus/orders", {"id": 1}, headers={"Traceparent": PARENT})

    assert (NOON, "call", "shop", 0.5) == (found.time, found.source, found.node, found.took)
    assert ("POST /v1.0/publish/bus/orders -> 204", {"id": 1}) == (found.what, found.payload)
    assert {"trace": TRACE} == found.correlation


def test_a_call_is_correlated_with_what_it_is_about() -> None:
    """A job's name, keys of a state store, the id of an event that the app has made itself."""
    assert {"job": "nightly"} == call("/v1.0-alpha1/jobs/nightly").correlation
    assert {"key": "a/b"} == call("/v1.0/state/store/a%2Fb?consistency=strong").correlation
    saved = call("/v1.0/state/store", [{"key": "a", "value": 1}, {"key": "b", "value": 2}])
    assert {"key": "a, b"} == saved.correlation
    assert {} == call("/v1.0/state/store/bulk", {"keys": ["a"]}).correlation
    own = call("/v1.0/publish/bus/orders", {"specversion": "1.0", "id": "e1"})
    assert {"event": "e1"} == own.correlation


def test_a_span_is_an_occurrence() -> None:
    """Its node is the app-id that reported it."""
    span = Span(TRACE, "1", "", "pubsub/orders", "shop", "PRODUCER", NOON / 1e9, 0.25, {"a": "b"})
    found = span.occurrence()

    assert (NOON, "span", "shop", 0.25) == (found.time, found.source, found.node, found.took)
    assert ("PRODUCER pubsub/orders", {"trace": TRACE}) == (found.what, found.correlation)


def test_a_stack_without_a_supervisor_has_its_own_journal(tmp_path: Path) -> None:
    """Sorted, since the world began, marked with its id where it is mentioned."""
    stack, _ = stack_of(tmp_path, Fake("app"))
    with stack:
        began = Beginning(stack, "a test")
        stack.note("x.happened", "app", why="it is cafe0123")
        found, missing = Observed(stack, began, "cafe0123", {}).available()

    assert [("x.happened why=it is cafe0123", "cafe0123")] == [(e.what, e.world) for e in found]
    assert [] == missing


def test_the_journal_of_the_run_is_read_besides_the_clients_own(tmp_path: Path) -> None:
    """Other clients act on the stack as well; who comes and goes, and half a line, are left out."""
    stack, made = stack_of(tmp_path, Fake("app"))
    with stack:
        began = Beginning(stack, "a test")
        stack.note("only.here")
        rows = [
            {"seq": 1, "at": began.at - 1, "kind": "too.early", "node": ""},
            {"seq": 2, "at": began.at + 2, "kind": "process.exited", "node": "app"},
            {"seq": 3, "at": began.at + 1, "kind": "client.joined", "node": ""},
            {"seq": 4, "at": began.at + 1, "kind": "operation.begun", "node": "app"},
        ]
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder_of(made) / JOURNAL).write_text(lines + '{"seq": 5, "at"')
        found, _ = Observed(stack, began, "cafe0123", {}).available()

    assert ["only.here", "operation.begun", "process.exited"] == [each.what for each in found]


def folder_of(made: list[FakeRuntime]) -> Path:
    return made[-1].folder


def some(at: float, source: Source, node: str, what: str, **ids: str) -> list[Occurrence]:
    return [Occurrence(NOON + int(at * 1e9), source, node, what, ids)]


def test_a_timeline_is_drawn_as_a_table() -> None:
    """One row each, in columns."""
    found = [
        *some(0, "call", "shop", "POST /v1.0/publish/bus/orders -> 204", trace="t1"),
        *some(0.0125, "delivery", "billing-service", "POST /bill -> 200", event="e", trace="t1"),
    ]

    assert draw_timeline(found).splitlines() == [
        "time (UTC)    source    node             what                                  ids",
        "12:00:00.000  call      shop             POST /v1.0/publish/bus/orders -> 204  trace=t1",
        "12:00:00.012  delivery  billing-service  POST /bill -> 200"
        + " " * 21
        + "event=e trace=t1",
    ]


def test_rows_that_differ_only_in_their_time_are_drawn_once() -> None:
    """Retries of another event are rows of their own."""
    same = [each for n in range(50) for each in some(n, "delivery", "a", "POST /x -> 500")]
    other = some(60, "delivery", "a", "POST /x -> 500", event="e2")

    _, first, folded, last = draw_timeline([*same, *other]).splitlines()

    assert first.endswith("POST /x -> 500")
    assert "repeated 49 more times" in folded
    assert last.endswith("event=e2")


def test_a_long_timeline_is_drawn_from_its_end() -> None:
    """How many rows are missing is said; folded ones count once."""
    found = [each for n in range(30) for each in some(n, "call", "a", f"GET /{n} -> 200")]

    head, more, *rows = draw_timeline(found, limit=10).splitlines()

    assert head.startswith("time")
    assert "[20 earlier rows are left out]" == more
    assert [f"GET /{n} -> 200" for n in range(20, 30)] == [
        row.split("  ")[-1].strip() for row in rows
    ]


def test_a_row_is_one_line_of_limited_width() -> None:
    """Whatever was asked for."""
    (_, row) = draw_timeline(some(0, "call", "a", "GET /x\n" + "y" * 500)).splitlines()

    assert row.endswith("y...")
    assert len(row) < WIDTH + 40


def test_a_secret_is_masked_before_a_row_is_shortened() -> None:
    """Half a secret would be left otherwise; ids are masked as well."""
    found = some(0, "call", "a", "x" * (WIDTH - 10) + "a-long-s3cret", key="a-long-s3cret")

    drawn = draw_timeline(found, clean=lambda text: text.replace("a-long-s3cret", "***"))

    assert "a-long" not in drawn
    assert drawn.endswith("x***  key=***")


def test_a_timeline_without_occurrences_is_its_head() -> None:
    """Nothing happened."""
    assert "time (UTC)  source  node  what  ids" == draw_timeline([])
