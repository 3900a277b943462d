"""What people and agents see of a stack that another process has started, and do to it."""

from __future__ import annotations

import json
import re
import runpy
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters

from harness.core.deadline import Deadline, Observation, poll
from harness.core.settings import Settings
from harness.dapr.client import DaprClient
from harness.inspection.inspection import Inspection
from harness.inspection.model import EventRow, PartitionRow
from harness.inspection.sidecars import endpoint_of, sidecars_of
from harness.inspection.traces.model import TraceRow
from harness.stack.registry import Registry
from harness.stack.stack import Stack
from tests.cli.test_ui import messages
from tests.contract.test_ledger import APP, RESOURCES, TOPICS
from tests.contract.test_timeline import TRACING
from tests.going_on import going_on
from tests.projects import PYPROJECT
from tests.support import CLI, cli, environment, leftovers, project

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

CANARY = "canary-of-a-secret"

TOPOLOGY = f"""
import sys
from harness import App, Kafka, Receiver, Topology

mini = Topology(
    Kafka(topics={TOPICS!r}),
    Receiver(mail=False),
    App(
        "shop", command=[sys.executable, "app.py"], record=True,
        env={{"GREETING": "hello", "SHOP_API_KEY": {CANARY!r}, "BANK": "bank://shop:{CANARY}@host"}},
    ),
    resources="r",
)
"""


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project whose stack is up: an app that answers what an event says, on Kafka."""
    app = APP.read_text()
    files = {
        "app_py": app,
        "topology_py": TOPOLOGY,
        "r__all_yaml": RESOURCES,
        "r__tracing_yaml": TRACING,
    }
    folder = project(tmp_path_factory.mktemp("seen"), pyproject_toml=PYPROJECT, **files)
    started = cli(folder, "up", "--runtime", "processes", timeout=120)
    assert started.returncode == 0, started.stderr
    yield folder
    assert 0 == cli(folder, "down").returncode
    assert [] == leftovers(folder)


@pytest.fixture
def seen(up: Path) -> Iterator[Inspection]:
    with opened(up) as inspection:
        yield inspection


def opened(folder: Path) -> Inspection:
    """An inspection in this process."""
    settings = Settings.load(folder, environment(folder))
    record = Registry(settings.state_dir).require("default")
    topology = runpy.run_path(str(folder / "topology.py"))["mini"]
    stack = Stack.join(record, topology, settings, force=True, all_running=False)
    return Inspection(stack, lambda: record)


def publish(
    inspection: Inspection, topic: str, event_id: str, data: Any = None, **more: str
) -> None:
    """One event with an id of its own, by a client that nobody records."""
    stack = Registry(inspection.stack.settings.state_dir).require("default")
    endpoint = endpoint_of(sidecars_of(stack)["shop"].node, "http")
    with DaprClient(endpoint, stack.token) as client:
        metadata = {"cloudevent.id": event_id, **more}
        client.publish("bus", topic, {} if data is None else data, metadata=metadata)


def awaited(look: Callable[[], EventRow | None], outcome: str) -> EventRow:
    """The row of an event as soon as it has this outcome."""
    found: EventRow | None = None

    def judge() -> Observation:
        nonlocal found
        found = look()
        return Observation(found is not None and found.outcome == outcome, str(found))

    assert poll(judge, Deadline(60)).ok, found
    assert found is not None
    return found


def row_of(inspection: Inspection, event_id: str) -> EventRow | None:
    """The event that has this id."""
    found = [each for each in inspection.events(text=event_id).rows if each.id == event_id]
    return found[-1] if found else None


def test_an_event_that_nobody_recorded_is_in_the_ledger_and_is_explained(
    up: Path, seen: Inspection
) -> None:
    """By commands that know of the stack only that it is up."""
    publish(seen, "judged", "e-dropped", {"status": 200, "answer": '{"status": "DROP"}'})
    awaited(lambda: row_of(seen, "e-dropped"), "dead_letter")

    listed = cli(up, "ledger", "--topic", "judged", "--json")
    told = cli(up, "explain", "e-dropped")
    known = json.loads(cli(up, "explain", "e-dropped", "--json").stdout)

    (row,) = [each for each in map(json.loads, listed.stdout.splitlines())
              if each["id"] == "e-dropped"]  # fmt: skip
    assert ("dead_letter", "judged", ["shop"]) == (row["outcome"], row["topic"], row["apps"])
    first, *lines = told.stdout.splitlines()
    assert first.startswith("event e-dropped (com.dapr.event.sent) on judged: dropped by shop")
    assert any("stored at judged[0] offset" in line for line in lines)
    assert any("delivered to shop, attempt 1: status 200" in line for line in lines)
    assert row["key"] == known["row"]["key"]
    assert any("e-dropped" in line["text"] for line in known["logs"]), known["logs"]
    assert any(line["node"] == "shop-daprd" for line in known["logs"])


def test_an_event_is_published_again_as_a_new_one(up: Path, seen: Inspection) -> None:
    """With its data and type; the command says what it does."""
    publish(seen, "orders", "e-once", {"n": "once"}, **{"cloudevent.type": "order.made"})
    awaited(lambda: row_of(seen, "e-once"), "delivered")
    before = seen.events().next

    done = cli(up, "redeliver", "e-once")

    def fresh() -> EventRow | None:
        rows = seen.events(topic="orders", text="once", after=before).rows
        return rows[-1] if rows else None

    new = awaited(fresh, "delivered")
    assert "a new publication to 'orders'" in done.stdout
    assert ("order.made", '{"n": "once"}') == (new.type, seen.event(new.key).data)
    assert "e-once" != new.id


def test_whoever_polls_sees_how_an_event_goes_on(seen: Inspection) -> None:
    """In flight while its app is frozen, then delivered."""
    before = seen.events().next
    seen.act("pause", "shop")
    try:
        publish(seen, "orders", "e-poll")
        awaited(lambda: row_of(seen, "e-poll"), "in_flight")
        states = [each.state for each in seen.nodes() if each.name == "shop"]
        waiting = seen.events(text="e-poll", after=before)
    finally:
        seen.act("resume", "shop")
    awaited(lambda: row_of(seen, "e-poll"), "delivered")
    done = seen.events(text="e-poll", after=waiting.next)
    nothing = seen.events(text="e-poll", after=done.next)

    assert ["paused"] == states
    assert [["in_flight"], ["delivered"], []] == [
        [each.outcome for each in page.rows] for page in (waiting, done, nothing)
    ]


def test_odd_events_are_events_like_others(seen: Inspection) -> None:
    """An id that repeats, a megabyte, a record that is binary."""
    publish(seen, "orders", "e-twice", {"n": 1})
    publish(seen, "orders", "e-twice", {"n": 2})
    publish(seen, "orders", "e-large", {"x": "y" * 1_000_000})
    publish(seen, "raw", "", b"\xff\xfe\x00", rawPayload="true")

    awaited(lambda: row_of(seen, "e-twice"), "delivered")
    large = awaited(lambda: row_of(seen, "e-large"), "delivered")
    twice = seen.event("e-twice")
    raw = seen.events(topic="raw").rows[-1]
    detail = seen.event("e-large")

    assert 2 == len(twice.path["stored"])
    assert large.size > 1_000_000
    assert detail.truncated
    assert len(json.dumps(detail.as_json())) < 2**18
    assert ("", "raw") == (raw.id, raw.topic)
    assert "which is not a CloudEvent" in seen.event(raw.key).path["title"]


def test_the_overview_has_every_part_of_the_stack(up: Path, seen: Inspection) -> None:
    publish(seen, "orders", "e-count")
    awaited(lambda: row_of(seen, "e-count"), "delivered")
    found = seen.overview()
    topics = {each["name"]: each for each in json.loads(cli(up, "topics", "--json").stdout)}
    nodes = {each.name: each for each in found.nodes}

    assert {
        "kafka": "broker", "shop": "app", "shop-daprd": "sidecar", "shop-inbox": "recorder",
        "shop-calls": "recorder", "placement": "control", "scheduler": "control",
        "receiver": "recorder",
    } == {name: each.kind for name, each in nodes.items()}  # fmt: skip
    assert {"running"} == {each.state for each in found.nodes}
    assert all(each.memory > 0 for each in found.nodes)
    assert ("bus", "dead") == (
        topics["judged"]["pubsub"],
        topics["judged"]["subscribers"][0]["dead_letter"],
    )
    assert topics["orders"]["records"] > 0
    assert ["store"] == [each.name for each in found.stores]
    assert {("bus", True), ("store", True)} == {(x.name, x.loaded) for x in found.components}
    assert [] == found.missing


def test_partitions_are_told_with_the_offsets_of_their_groups(up: Path, seen: Inspection) -> None:
    """Nothing is left when the group has handled all; it commits where something was published."""
    publish(seen, "orders", "e-partition")
    awaited(lambda: row_of(seen, "e-partition"), "delivered")
    parts: list[PartitionRow] = []

    def look() -> Observation:
        parts[:] = next(each for each in seen.overview().topics if each.name == "orders").partitions
        lags = [group.lag for part in parts for group in part.groups]
        return Observation({*lags} == {0}, str(parts))

    found = poll(look, Deadline(60))
    told = cli(up, "topics", "--partitions").stdout

    assert found.ok, found.fact
    groups = [group for part in parts for group in part.groups]
    assert [("shop", "shop", True)] * 2 == [(each.group, each.app, each.reads) for each in groups]
    assert [each.end or None for each in parts] == [each.offset for each in groups]
    (used, *_) = [each for each in parts if each.end]
    row = ["orders", str(used.number), str(used.end), "shop", str(used.end), "0", "yes"]
    assert row in [re.split("[ │]+", each.strip("│ ")) for each in told.splitlines()], told


def test_rates_and_what_nodes_use_are_told(up: Path, seen: Inspection) -> None:
    """Of the last minute, and of the moment during which the nodes are watched."""
    publish(seen, "orders", "e-measured")
    awaited(lambda: row_of(seen, "e-measured"), "delivered")

    done = cli(up, "metrics", "--seconds", "60", "--step", "1", "--json")
    shown = cli(up, "metrics", "--seconds", "60")
    refused = cli(up, "metrics", "--seconds", "100000")

    row = json.loads(done.stdout)
    assert (60, 1.0, []) == (row["intervals"], row["step"], row["missing"])
    sums = {(each["what"], each["of"]): sum(each["counts"]) for each in row["rates"]}
    assert sums["published", "orders"] >= 1
    assert sums["delivered", "shop"] >= 1
    used = {each["node"]: each["samples"] for each in row["nodes"]}
    assert {"kafka", "shop", "shop-daprd"} <= {*used}
    assert len(used["shop"]) >= 2
    assert all(each["memory"] > 2**20 for each in used["shop"])
    assert used["kafka"][-1]["cpu"] >= 0
    assert "published" in shown.stdout
    assert 2 == refused.returncode
    assert "cannot be shown" in refused.stderr


def test_a_node_is_described_without_its_secrets(up: Path, seen: Inspection) -> None:
    """Neither those of the stack, nor what a name or an address shows to be one."""
    token = cli(up, "token").stdout.strip()
    done = cli(up, "describe", "shop", "--json")
    texts = [done.stdout, *(cli(up, "describe", each).stdout for each in ("shop", "shop-daprd"))]
    unknown = cli(up, "describe", "shopp")

    row = json.loads(done.stdout)
    shown = {each["name"]: each["value"] for each in row["variables"]}
    assert ("hello", "***", "bank://shop:***@host") == (
        shown["GREETING"], shown["SHOP_API_KEY"], shown["BANK"],
    )  # fmt: skip
    assert "app.py" in row["command"][-1]
    assert row["pid"] == seen.stack.instances["shop"].pid
    assert "--app-id=shop" in texts[-1]
    assert [] == [text for text in texts if CANARY in text or token in text]
    assert (2, True) == (unknown.returncode, "did you mean 'shop'?" in unknown.stderr)


def test_what_is_away_is_named_and_the_rest_is_shown(seen: Inspection) -> None:
    """A broker that is frozen, and a recorder that was killed."""
    publish(seen, "orders", "e-before")
    awaited(lambda: row_of(seen, "e-before"), "delivered")
    seen.act("pause", "kafka")
    seen.act("kill", "shop-calls")
    try:
        page = seen.events(text="e-before")
        overview = seen.overview()
    finally:
        seen.act("resume", "kafka")
        seen.act("restart", "shop-calls")

    assert ["e-before"] == [each.id for each in page.rows]
    assert "what is new on the broker kafka: it is paused" in page.missing
    assert any("the recorder at" in each for each in page.missing), page.missing
    assert ("paused", "exited") == tuple(
        each.state for each in overview.nodes if each.name in ("kafka", "shop-calls")
    )
    assert [] == seen.events().missing


def test_old_events_are_forgotten_where_there_are_too_many(
    up: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever looks is told; a ledger of a test would be an error."""
    with opened(up) as inspection:
        publish(inspection, "orders", "e-many-0")
        awaited(lambda: row_of(inspection, "e-many-0"), "delivered")
        whole = inspection.events(limit=10_000)
        # What is kept is less than what follows, and more than what happens between two looks.
        monkeypatch.setattr("harness.stack.account.MOST", 20)
        for number in range(1, 21):
            publish(inspection, "orders", f"e-many-{number}")
        awaited(lambda: row_of(inspection, "e-many-20"), "delivered")
        page = inspection.events(limit=10_000)

    assert (False, True) == (whole.truncated, page.truncated)
    assert "e-many-20" in [each.id for each in page.rows]
    assert "e-many-0" not in [each.id for each in page.rows]


def test_only_the_newest_records_of_a_long_topic_are_read(
    up: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker may hold millions; the page says that there are more."""
    monkeypatch.setattr("harness.inspection.looking.MOST", 5)
    with opened(up) as inspection:
        for number in range(9):
            publish(inspection, "orders", f"e-long-{number}")
        awaited(lambda: row_of(inspection, "e-long-8"), "delivered")
    with opened(up) as later:
        page = later.events()
        (orders,) = [each for each in later.overview().topics if each.name == "orders"]

    assert page.truncated
    assert orders.records <= 5


def test_no_secret_of_the_stack_is_shown(up: Path, seen: Inspection) -> None:
    """Although it is in the id of an event, in its data, and in an app's answer."""
    secret = Registry(up / "state").require("default").token
    data = {"status": 500, "answer": secret, "times": 1, "token": secret}
    publish(seen, "orders", f"e-{secret}", data)

    def masked() -> EventRow | None:
        rows = seen.events(text="e-***").rows
        return rows[-1] if rows else None

    key = awaited(masked, "delivered").key
    shown = [
        json.dumps(seen.event(key).as_json()),
        json.dumps(seen.overview().as_json()),
        json.dumps(seen.logs(limit=100_000).as_json()),
        json.dumps(seen.deliveries("shop")),
        cli(up, "ledger").stdout,
        cli(up, "explain", key).stdout,
        cli(up, "logs", "--json", "--lines", "10000").stdout,
    ]

    assert all("***" in each for each in (shown[0], shown[3], shown[4], shown[5]))
    assert not any(secret in each for each in shown)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["explain", "nosuch"], "no event has the id 'nosuch'"),
        (["ledger", "--since", "yesterday"], "--since 'yesterday' is not a time"),
        (["logs", "nosuch", "--json"], "has no node 'nosuch'"),
    ],
)
def test_what_cannot_be_shown_is_an_error_with_the_next_step(
    up: Path, words: list[str], said: str
) -> None:
    """Exit code 2."""
    done = cli(up, *words)

    assert 2 == done.returncode
    assert said in " ".join(done.stderr.split())
    assert "next step" in done.stderr or "expected" in done.stderr


def test_the_ledger_and_the_logs_are_followed(up: Path, seen: Inspection) -> None:
    """A line of JSON for each change, until the reader goes."""
    publish(seen, "orders", "e-followed-1")
    awaited(lambda: row_of(seen, "e-followed-1"), "delivered")

    with going_on(up, "ledger", "--text", "e-followed", "-f", "--json") as command:
        first = json.loads(command.line())
        publish(seen, "orders", "e-followed-2")
        rows = map(json.loads, command.lines())
        second = next(row for row in rows if row["outcome"] == "delivered")
    with going_on(up, "logs", "shop-daprd", "--lines", "1", "-f", "--json") as command:
        before = json.loads(command.line())
        answer = {"status": 200, "answer": '{"status": "DROP"}'}
        publish(seen, "judged", "e-followed-3", answer)
        rows = map(json.loads, command.lines())
        after = next(row for row in rows if "e-followed-3" in row["text"])

    assert ["e-followed-1", "e-followed-2"] == [first["id"], second["id"]]
    assert {"shop-daprd"} == {before["node"], after["node"]}
    assert before["seq"] < after["seq"]


def traced(inspection: Inspection, event_id: str, spans: int) -> TraceRow:
    """The trace of an event as soon as this number of its spans has been received."""
    found: list[TraceRow] = []

    def judge() -> Observation:
        row = row_of(inspection, event_id)
        trace = row and inspection.event(row.key).path["trace"]
        found[:] = inspection.traces(text=trace).rows if trace else []
        return Observation(bool(found) and found[0].spans >= spans, str(found))

    assert poll(judge, Deadline(60)).ok, found
    return found[0]


def test_a_trace_is_listed_and_shown_with_its_spans_events_and_lines(
    up: Path, seen: Inspection
) -> None:
    """An event that is refused twice: one publication, three deliveries."""
    publish(seen, "orders", "e-traced", {"status": 500, "times": 2})
    row = traced(seen, "e-traced", spans=4)

    listed = [json.loads(each) for each in cli(up, "traces", "--json").stdout.splitlines()]
    failed = cli(up, "traces", "--errors").stdout
    shown = cli(up, "trace", row.id).stdout.splitlines()
    known = json.loads(cli(up, "trace", row.id.upper(), "--json").stdout)
    explained = cli(up, "explain", "e-traced").stdout

    assert ("/v1.0/publish/bus/orders", 4, ["shop"], 2) == next(
        (each["name"], each["spans"], each["services"], each["errors"])
        for each in listed
        if each["id"] == row.id
    )
    assert f"{row.id}" in failed
    assert "4 spans, 2 failed" in failed
    assert shown[0].startswith(f"trace {row.id}: 4 spans, 2 failed")
    assert 3 == sum("shop: CLIENT pubsub/orders" in line for line in shown)
    assert 2 == sum("failed: Code(500)" in line for line in shown)
    spans = known["spans"]
    assert [0, 1, 1, 1] == [each["depth"] for each in spans]
    assert {"shop-daprd"} == {each["node"] for each in spans}
    assert sorted(each["start"] for each in spans) == [each["start"] for each in spans]
    assert "orders" == spans[1]["attributes"]["messaging.destination.name"]
    assert ["e-traced"] == [each["id"] for each in known["events"]]
    assert any("e-traced" in each["text"] for each in known["logs"])
    assert [] == known["missing"]
    assert f"trace: {row.id}" in explained.splitlines()


def test_who_only_looks_leaves_no_trace(up: Path, seen: Inspection) -> None:
    """Sidecars trace every request, and are asked for metadata and jobs again and again."""
    seen.overview()
    seen.jobs()
    assert 0 == cli(up, "status").returncode
    # Its spans are sent with those that came before, or after them.
    publish(seen, "orders", "e-after-a-look")
    traced(seen, "e-after-a-look", spans=2)

    names = [each.name for each in seen.traces(limit=10_000).rows]
    assert not [each for each in names if "metadata" in each or "Jobs" in each]


def test_a_trace_of_which_only_an_event_is_known_is_shown(seen: Inspection) -> None:
    """Its publisher has decided that it is not sampled."""
    trace = "1234567890abcdef1234567890abcdef"
    publish(
        seen, "orders", "e-unsampled", **{"cloudevent.traceparent": f"00-{trace}-{'1' * 16}-00"}
    )
    row = awaited(lambda: row_of(seen, "e-unsampled"), "delivered")
    found = seen.trace(seen.event(row.key).path["trace"])

    assert ([], 0, ["e-unsampled"]) == (
        list(found.spans), found.row.spans, [each.id for each in found.events],
    )  # fmt: skip
    assert any("none has been received" in each for each in found.missing)


def test_the_page_is_told_of_traces(up: Path, seen: Inspection) -> None:
    publish(seen, "orders", "e-on-the-page")
    row = traced(seen, "e-on-the-page", spans=2)
    with going_on(up, "ui", "--no-browser") as page:
        address = page.line().split()[-1]
        with httpx.stream("GET", f"{address}stream", trust_env=False, timeout=60) as stream:
            rows = (
                each
                for kind, data in messages(stream.iter_lines())
                if kind == "traces"
                for each in data["rows"]
            )
            told = next(each for each in rows if each["id"] == row.id)
        answer = httpx.get(f"{address}trace", params={"id": row.id}, trust_env=False)
        measured = httpx.get(f"{address}metrics", trust_env=False).json()
        described = httpx.get(f"{address}node", params={"name": "shop"}, trust_env=False).json()

    assert 2 == told["spans"]
    assert "shop" in {each["node"] for each in measured["nodes"] if each["samples"]}
    assert ("running", "***") == (
        described["row"]["state"],
        next(x["value"] for x in described["variables"] if x["name"] == "SHOP_API_KEY"),
    )
    assert ["e-on-the-page"] == [each["id"] for each in answer.json()["events"]]


@asynccontextmanager
async def agent(folder: Path) -> AsyncIterator[Client]:
    """A client of the server, which is a process of its own."""
    server = StdioServerParameters(
        command=sys.executable,
        args=[*CLI[1:], "mcp"],
        env=environment(folder),
        cwd=folder,
    )
    async with Client(server) as client:
        yield client


async def told(client: Client, tool: str, **arguments: Any) -> Any:
    """The result of a tool, or the text of its error."""
    result = await client.call_tool(tool, arguments)
    if result.is_error:
        return " ".join(str(getattr(each, "text", "")) for each in result.content)
    return result.structured_content


async def test_an_agent_publishes_explains_kills_and_restarts(up: Path) -> None:
    """By the real protocol on standard input and output; errors are the harness's own sentences."""
    async with agent(up) as client:
        tools = {each.name for each in (await client.list_tools()).tools}
        done = await told(client, "publish", topic="orders", data={"of": "the agent"})
        rows: list[dict[str, Any]] = []
        while not rows or rows[-1]["outcome"] == "in_flight":
            rows = (await told(client, "list_events", text="the agent"))["rows"]
        path = await told(client, "explain_event", event=rows[-1]["id"])
        unknown = await told(client, "explain_event", event="nosuch")
        overview = await told(client, "overview")
        traces: list[dict[str, Any]] = []
        while not traces or traces[-1]["spans"] < 2:
            listed = await told(client, "list_traces", text=path["path"]["trace"])
            traces = listed["rows"]
        trace = await told(client, "explain_trace", trace=traces[-1]["id"])
        no_trace = await told(client, "explain_trace", trace="nosuch")
        answer = await told(client, "invoke", app="shop", path="dapr/subscribe")
        described = await told(client, "describe_node", node="shop")
        measured = await told(client, "metrics")
        killed = await told(client, "kill_node", node="shop")
        again = await told(client, "kill_node", node="shop")
        started = await told(client, "restart_node", node="shop")
        misspelt = await told(client, "restart_node", node="shopp")

    assert {
        "overview", "list_events", "explain_event", "list_traces", "explain_trace", "deliveries",
        "logs", "state", "jobs", "list_keys", "stored_value", "list_tables", "rows",
        "metrics", "describe_node",
        "publish", "invoke", "redeliver", "restart_node", "kill_node", "pause_node", "resume_node",
    } == tools  # fmt: skip
    assert {"topic": "orders", "pubsub": "bus", "app": "shop"} == done
    assert "delivered" == rows[-1]["outcome"]
    assert "delivered to shop" == path["conclusion"]
    assert '{"of": "the agent"}' == path["data"]
    assert "no event has the id 'nosuch'" in unknown
    assert ([], ["shop"]) == (listed["missing"], traces[-1]["services"])
    assert ["/v1.0/publish/bus/orders", "pubsub/orders"] == [
        each["name"] for each in trace["spans"]
    ]
    assert [rows[-1]["key"]] == [each["key"] for each in trace["events"]]
    assert "no trace has the id 'nosuch'" in no_trace
    assert "default" == overview["stack"]
    assert (200, "orders") == (answer["status"], answer["body"][0]["topic"])
    assert "GREETING" in {each["name"] for each in described["variables"]}
    assert CANARY not in str(described)
    assert ("published", "orders") in {(each["what"], each["of"]) for each in measured["rates"]}
    assert ("exited", -9) == (killed["state"], killed["exit_code"])
    assert "shop is not running" in again
    assert ("running", None) == (started["state"], started["exit_code"])
    assert "did you mean 'shop'" in misspelt
