"""``events`` and ``deliveries``: what goes by in a stack that is up."""

from __future__ import annotations

import json
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import Stack, World
from harness.core.deadline import Deadline, Observation, poll
from harness.ready.loopback import ask
from tests.going_on import going_on
from tests.projects import KAFKA, MINI_FILES
from tests.support import cli, environment, leftovers, project

pytestmark = pytest.mark.real

TOPOLOGY = """
import sys
from harness import App, Kafka, Topology

mini = Topology(
    Kafka(topics=["orders:2", "many"]),
    App("hello", command=[sys.executable, "hello.py", "{port}"], record=True),
    resources="r",
)
"""


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project with Kafka whose stack is up."""
    files = {**MINI_FILES, "topology_py": TOPOLOGY, "r__pubsub_yaml": KAFKA}
    folder = project(tmp_path_factory.mktemp("observed"), **files)
    started = cli(folder, "up", timeout=120)
    assert started.returncode == 0, started.stderr
    yield folder
    assert 0 == cli(folder, "down").returncode
    assert [] == leftovers(folder)


def publish(folder: Path, topic: str, number: int, *options: str) -> None:
    """One event, by the command."""
    done = cli(folder, "publish", topic, json.dumps({"id": number}), *options)
    assert done.returncode == 0, done.stderr


def test_events_of_a_topic_are_shown_in_the_order_of_their_time(up: Path) -> None:
    """From all partitions; one type alone, and as JSON."""
    publish(up, "orders", 1, "--type", "order.made", "--key", "a")
    publish(up, "orders", 2, "--type", "order.paid", "--key", "b")

    every = cli(up, "events", "orders")
    paid = cli(up, "events", "orders", "--type", "order.paid", "--json")

    lines = every.stdout.splitlines()
    assert ['order.made  a  {"id": 1}', 'order.paid  b  {"id": 2}'] == [
        line.split("  ", 2)[2] for line in lines
    ], every.stderr
    (row,) = [json.loads(line) for line in paid.stdout.splitlines()]
    assert ({"id": 2}, "b", "order.paid") == (row["data"], row["key"], row["type"])


def test_new_events_are_shown_as_they_come_and_each_once(up: Path) -> None:
    """After those that were there."""
    publish(up, "many", 1)
    with going_on(up, "events", "many", "-f", "--json") as following:
        first = json.loads(following.line())
        publish(up, "many", 2)
        second = json.loads(following.line())
        publish(up, "many", 3)
        third = json.loads(following.line())

    assert [1, 2, 3] == [each["data"]["id"] for each in (first, second, third)]


def test_recent_events_are_fifty_and_the_beginning_is_all(up: Path) -> None:
    """A topic may hold millions."""
    sent = json.dumps([{"entryId": str(n), "event": n, "contentType": "application/json"}
                       for n in range(60)])  # fmt: skip
    (row,) = json.loads(cli(up, "status", "--json").stdout)
    address = next(n["endpoints"]["http"] for n in row["nodes"] if n["name"] == "hello-daprd")
    token = cli(up, "token").stdout.strip()
    done = subprocess.run(
        ["curl", "-sf", "-X", "POST", f"http://{address}/v1.0/publish/bulk/pubsub/orders",
         "-H", f"dapr-api-token: {token}", "-H", "content-type: application/json", "-d", sent],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr

    recent = cli(up, "events", "orders")
    every = cli(up, "events", "orders", "--from", "beginning")

    assert 50 == len(recent.stdout.splitlines())
    assert 60 <= len(every.stdout.splitlines())
    assert recent.stdout.splitlines()[-1] == every.stdout.splitlines()[-1]


def test_a_bundle_of_a_stack_has_its_events_and_no_secret(up: Path) -> None:
    """As that of a failed test, from the start of the stack on."""
    token = cli(up, "token").stdout.strip()
    publish(up, "orders", 77, "--type", f"order.{token}")

    done = cli(up, "bundle", "--output", "kept", "--json")

    found = json.loads(done.stdout)
    page = (up / found["page"]).read_text()
    with zipfile.ZipFile(up / found["archive"]) as archive:
        texts = {name: archive.read(name).decode() for name in archive.namelist()}
    bundle = json.loads(texts["bundle.json"])
    assert ("stack default", []) == (bundle["test"], bundle["missing"])
    assert ["kept/stack-default.html", "kept/stack-default.zip"] == sorted(
        str(path.relative_to(up)) for path in (up / "kept").iterdir()
    )
    assert ['{"id": 77}'] == [each["data"] for each in bundle["events"] if "77" in each["data"]]
    assert {"kafka", "hello", "hello-daprd"} <= {each["name"] for each in bundle["nodes"]}
    assert "start.begun" in {each["what"].split()[0] for each in bundle["timeline"]}
    assert "dapr initialized" in texts["logs/hello-daprd.log"]
    assert [] == [name for name, text in {**texts, "page": page}.items() if token in text]


def test_a_stack_without_subscribers_is_settled(up: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no consumer group that could have something to handle."""
    monkeypatch.chdir(up)
    for name, value in environment(up).items():
        monkeypatch.setenv(name, value)
    with Stack.attach(force=True, all_running=False) as stack, World(stack) as world:
        assert () == world.ledger.settled().jobs


def test_a_bundle_that_cannot_be_written_is_an_error_with_a_next_step(up: Path) -> None:
    """A file has the name of the folder; and there is no bundle of a stack that is not up."""
    (up / "taken").write_text("")
    taken = cli(up, "bundle", "--output", "taken")
    unknown = cli(up, "bundle", "defualt")

    assert (3, 2) == (taken.returncode, unknown.returncode)
    assert "the bundle of stack default cannot be written" in taken.stderr
    assert "choose another folder than taken with --output" in taken.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["events", "ordres"], "did you mean 'orders'?"),
        (["events", "orders", "--from", "end"], "recent or beginning"),
        (["events", "orders", "--pubsub", "nosuch"], "the past events of topic 'orders'"),
        (["events", "orders", "--pubsub", "nosuch", "-f"], "no pub/sub component 'nosuch'"),
        (["deliveries", "helo"], "app 'helo' has no inbox"),
        (["calls", "helo"], "the calls of app 'helo' are not recorded"),
        (["events", "orders", "-n", "nobody"], "no stack named 'nobody' is up"),
    ],
)
def test_what_cannot_be_shown_is_an_error_with_the_next_step(
    up: Path, words: list[str], said: str
) -> None:
    """Exit code 2."""
    done = cli(up, *words)

    assert 2 == done.returncode
    assert said in " ".join(done.stderr.split())


def test_deliveries_to_an_app_are_shown_with_its_responses(up: Path) -> None:
    """Since the stack began, and as they come."""
    with going_on(up, "deliveries", "hello", "-f", "--json") as following:
        first = json.loads(following.line())
        assert 0 == cli(up, "invoke", "hello", "x").returncode
        rows = map(json.loads, following.lines())
        last = next(row for row in rows if row["path"] == "/x")
    shown = cli(up, "deliveries", "hello")

    assert first["path"].startswith("/dapr/")
    assert ("GET", 200) == (last["method"], last["status"])
    assert any(line.startswith("GET /x -> 200  ") for line in shown.stdout.splitlines())


def test_calls_of_an_app_are_shown_with_the_responses_of_its_sidecar(up: Path) -> None:
    """Since the stack began, and as they come; its recorder is one of the nodes of `status`."""
    (row,) = json.loads(cli(up, "status", "--json").stdout)
    recorder = next(n["endpoints"] for n in row["nodes"] if n["name"] == "hello-calls")
    api = f"http://{recorder['main']}/v1.0/"
    token = {"dapr-api-token": cli(up, "token").stdout.strip()}
    assert 404 == ask("POST", f"{api}publish/nosuch/t", json={"id": 1}, headers=token).status_code
    with going_on(up, "calls", "hello", "-f", "--json") as following:
        first = json.loads(following.line())
        ask("GET", f"{api}metadata", headers=token).raise_for_status()
        second = json.loads(following.line())
    shown = cli(up, "calls", "hello").stdout.splitlines()

    assert ("publish", "t", 404) == (first["api"], first["target"], first["status"])
    assert ("metadata", "GET", 200) == (second["api"], second["method"], second["status"])
    assert shown[0].startswith("POST /v1.0/publish/nosuch/t -> 404  ")
    assert shown[0].endswith('{"id": 1}')
    assert not any(token["dapr-api-token"] in line for line in [str(first), *shown])


def test_following_ends_with_the_stack(tmp_path: Path) -> None:
    """And says so."""
    files = {
        **MINI_FILES,
        "topology_py": TOPOLOGY.replace('Kafka(topics=["orders:2", "many"]),', ""),
    }
    folder = project(tmp_path, **{**files, "r__x_yaml": ""})
    assert 0 == cli(folder, "up").returncode
    with going_on(folder, "deliveries", "hello", "-f") as following:
        following.line()
        cli(folder, "down")
        said = following.ended()

    assert "stack 'default' has ended" in said
    assert poll(lambda: Observation(not leftovers(folder)), Deadline(30)).ok
