"""Planted bugs, each found in the first line of the bundle of the test that they make fail."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import zipfile
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from playwright.sync_api import sync_playwright

from tests.plugin.conftest import CACHE, Run
from tests.projects import HELLO_APP, KAFKA, POSTGRESQL
from tests.support import CLI, PYTEST, environment

pytestmark = pytest.mark.real

APP = """
import json
import os
import sys
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ITEMS = []
SUBSCRIPTIONS = [
    {"pubsubname": "pubsub", "topic": "orders", "route": "/orders", "deadLetterTopic": "dead"},
    {"pubsubname": "pubsub", "topic": "dropped", "route": "/dropped"},
    {"pubsubname": "pubsub", "topic": "slow", "route": "/slow"},
    {"pubsubname": "pubsub", "topic": "refused", "route": "/refused"},
    {"pubsubname": "pubsub", "topic": "raw", "route": "/orders"},
]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/dapr/subscribe":
            self.answer(200, SUBSCRIPTIONS)
        elif self.path.startswith("/items/"):
            self.answer(200 if self.path.split("/")[2] in ITEMS else 404, {})
        else:
            self.answer(404 if self.path.startswith("/dapr/") else 200, {})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])) or b"{}")
        if self.path == "/orders" and body["data"].get("amount", 0) < 0:
            print("the token is", os.environ["DAPR_API_TOKEN"], flush=True)
            print("<script>window.hacked = 1</script>", flush=True)
            print("ValueError: the amount of an order is negative", flush=True)
            self.answer(500, {"error": "negative"})
        elif self.path == "/items":
            ITEMS.append(uuid.uuid4().hex)
            self.answer(200, {"item": ITEMS[-1]})
        elif self.path == "/dropped":
            self.answer(200, {"status": "DROP"})
        elif self.path == "/refused":
            self.answer(401, {})
        else:
            self.answer(200, {})

    def do_OPTIONS(self):
        self.answer(404, {})

    def answer(self, code, value):
        content = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""

TOPOLOGY = """
import sys

from harness import App, Kafka, Postgres, Topology

command = [sys.executable, "app.py", "{port}"]
planted = Topology(
    Postgres(),
    Kafka(topics=("orders", "dead", "dropped", "slow", "refused", "raw", "nobody", "scoped")),
    App("shop", command=command, inbox=True, calls=True),
    resources="components",
)
"""

SCOPED = """
apiVersion: dapr.io/v2alpha1
kind: Subscription
metadata: {name: for-another}
spec: {pubsubname: pubsub, topic: scoped, routes: {default: /orders}}
scopes: [another]
"""

MEMORY = """
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: store}
spec: {type: state.in-memory, version: v1}
"""

ABSENT = """
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: absent}
spec:
  type: state.postgresql
  version: v2
  ignoreErrors: true
  metadata:
  - {name: connectionString, value: "host=127.0.0.1 port=1 user=nobody connect_timeout=1"}
"""

KEPT = POSTGRESQL.replace("{name: store}", "{name: kept}")
"""A store in a database, beside the one in memory."""

RESILIENCY = """
apiVersion: dapr.io/v1alpha1
kind: Resiliency
metadata: {name: twice}
spec:
  policies: {retries: {twice: {policy: constant, duration: 50ms, maxRetries: 1}}}
  targets: {components: {pubsub: {inbound: {retry: twice}}}}
"""

TESTS = """
import asyncio

import pytest

EVIL = "</script><img src=x onerror='window.hacked = 1'><!--"


@pytest.fixture
async def basket(dapr):
    "In a database until the test and its bundle are complete."
    client, key = dapr.sidecar("shop"), dapr.name("basket")
    content = {"note": EVIL, "token": dapr.token("dapr-api")}
    await client.save_state("kept", "large", "y" * 1_000_000)
    await client.save_state("kept", key, content)
    yield key
    for each in ("large", key):
        await client.delete_state("kept", each)


async def test_handler_error(dapr, basket):
    order = {"id": dapr.id, "amount": -1, "note": EVIL, "token": dapr.token("dapr-api")}
    print("CANARY", dapr.token("dapr-api"))
    await dapr.sidecar("shop").publish("pubsub", "orders", order)
    await dapr.ledger.event(topic="orders", data={"id": dapr.id}).delivered_to("shop", timeout=1.5)


async def test_dropped(dapr):
    await dapr.sidecar("shop").publish("pubsub", "dropped", {"id": dapr.id})
    await dapr.ledger.event(topic="dropped", data={"id": dapr.id}).delivered_to("shop", timeout=1.5)


async def test_nobody_subscribes(dapr):
    await dapr.sidecar("shop").publish("pubsub", "nobody", {"id": dapr.id})
    await dapr.inbox("shop").next(data={"id": dapr.id}, timeout=1)


async def test_scoped_out(dapr):
    await dapr.sidecar("shop").publish("pubsub", "scoped", {"id": dapr.id})
    await dapr.inbox("shop").next(data={"id": dapr.id}, timeout=1)


async def test_expired(dapr):
    await dapr.pause("shop-daprd")
    try:
        event = {
            "specversion": "1.0", "id": dapr.name("event"), "source": "test", "type": "t",
            "datacontenttype": "application/json", "data": {"id": dapr.id},
            "expiration": "2020-01-01T00:00:00Z",
        }
        write(dapr, "orders", event)
    finally:
        await dapr.resume("shop-daprd")
    await dapr.inbox("shop").next(data={"id": dapr.id}, timeout=3)


async def test_not_a_cloud_event(dapr):
    write(dapr, "raw", "a plain text " + dapr.id)
    await dapr.inbox("shop").next(path="/orders", timeout=1.5)


async def test_token_refused(dapr):
    await dapr.sidecar("shop").publish("pubsub", "refused", {"id": dapr.id})
    await dapr.ledger.event(topic="refused", data={"id": dapr.id}).delivered_to("shop", timeout=1.5)


async def test_unknown_pubsub(dapr):
    await dapr.sidecar("shop").publish("pubsubb", "orders", {"id": dapr.id})


async def test_unknown_app(dapr):
    bill = {"token": dapr.token("dapr-api")}
    await dapr.sidecar("shop").schedule_job("bill", due="1h", data=bill)
    await dapr.sidecar("shop").invoke("shopp", "orders")


async def test_key_collision(dapr):
    client, key = dapr.sidecar("shop"), dapr.name("cart")
    await client.save_state("store", key, 1)
    item = await client.get_state("store", key)
    await client.save_state("store", key, 2)
    await client.save_state("store", key, 3, etag=item.etag)


async def test_fault(dapr):
    await dapr.inbox("shop").fail_next("/orders", contains=dapr.id, times=9)
    item = (await dapr.app("shop").post("/items", json={"data": {}})).json()["item"]
    assert (await dapr.app("shop").get("/items/" + item)).status_code == 200
    await dapr.sidecar("shop").publish("pubsub", "orders", {"id": dapr.id, "item": item})
    await dapr.ledger.event(topic="orders", data={"id": dapr.id}).delivered_to("shop", timeout=1.5)


async def test_app_killed(dapr):
    await dapr.kill("shop")
    try:
        await dapr.app("shop").get("/")
    finally:
        assert False, "the shop does not answer"


async def test_broker_away(dapr):
    await dapr.restart("shop")
    await dapr.kill("kafka")
    await dapr.sidecar("shop").publish("pubsub", "orders", {"id": dapr.id})


def write(dapr, topic, value):
    import json

    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": dapr.brokers})
    content = value if isinstance(value, str) else json.dumps(value)
    headers = [] if isinstance(value, str) else [("content-type", b"application/cloudevents+json")]
    producer.produce(topic, content.encode(), headers=headers)
    assert producer.flush(10) == 0
"""

FIRST_LINES = {
    "handler_error": "on orders with status 500, 2 times; it is a dead letter now: "
    "ValueError: the amount of an order is negative",
    "dropped": "on dropped with status 200",
    "nobody_subscribes": "no app subscribes to 'nobody'",
    "scoped_out": "no app subscribes to 'scoped'",
    "expired": "expired at 2020-01-01T00:00:00Z",
    "not_a_cloud_event": "which is not a CloudEvent, so the sidecar cannot deliver it",
    "token_refused": "shop refuses deliveries of its own sidecar with status 401",
    "unknown_pubsub": "the component that the call named does not exist for this app",
    "unknown_app": "an invocation found no app with the app-id",
    "key_collision": "a state key was changed by somebody else in the meantime",
    "fault": "a fault of the test's inbox fails the delivery to shop of event ",
    "app_killed": "shop is still exited, as the test has asked for",
    "broker_away": "the broker 'kafka' is not available: the test has stopped it",
}


LENGTHY = "broker_away"
"""daprd tries for ten seconds to publish without a broker."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with planted bugs, whose tests have run and failed."""
    folder = tmp_path_factory.mktemp("planted")
    (folder / "components").mkdir()
    documents = (KAFKA, SCOPED, MEMORY, RESILIENCY, KEPT)
    (folder / "components" / "all.yaml").write_text("---\n".join(documents))
    (folder / "app.py").write_text(APP)
    (folder / "topology.py").write_text(TOPOLOGY)
    (folder / "test_planted.py").write_text(TESTS)
    (folder / "pyproject.toml").write_text(
        '[tool.dapr-harness]\ntopology = "topology:planted"\n'
        '[tool.pytest.ini_options]\nasyncio_mode = "auto"\n'
        'asyncio_default_fixture_loop_scope = "function"\n'
    )
    command = [*PYTEST, "--junitxml=junit.xml"]
    done = subprocess.run(
        command, cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=170
    )
    (folder / "output").write_text(done.stdout + done.stderr)
    assert f"{len(FIRST_LINES)} failed" in done.stdout, done.stdout + done.stderr
    return folder


def bundle_of(folder: Path, test: str) -> dict[str, Any]:
    """The bundle of one of the tests, from its archive."""
    with zipfile.ZipFile(folder / "artefacts" / f"test_planted.py--test_{test}.zip") as archive:
        found: dict[str, Any] = json.loads(archive.read("bundle.json"))
    return found


@pytest.mark.parametrize("test", FIRST_LINES)
def test_the_first_line_of_the_bundle_names_the_planted_bug(folder: Path, test: str) -> None:
    """Without having seen the code of the app or of the test."""
    causes = bundle_of(folder, test)["causes"]

    assert FIRST_LINES[test] in causes[0]["sentence"], json.dumps(causes, indent=1)


def test_no_secret_is_in_a_bundle(folder: Path) -> None:
    """Not in the page, not in the archive: the app has logged its token, and an event has it."""
    (token,) = {
        line.split()[1]
        for line in (folder / "output").read_text().splitlines()
        if line.startswith("CANARY")
    }
    files = [*(folder / "artefacts").iterdir()]
    texts = [each.read_text() for each in files if each.suffix == ".html"]
    for each in files:
        if each.suffix == ".zip":
            with zipfile.ZipFile(each) as archive:
                texts += [archive.read(name).decode() for name in archive.namelist()]

    assert len(files) == 2 * len(FIRST_LINES)
    assert [] == [text[:80] for text in texts if token in text]
    assert "the token is ***" in bundle_of(folder, "handler_error")["logs"]["shop"]


def test_a_bundle_has_the_jobs_and_the_processor_time_of_its_test(folder: Path) -> None:
    """As its ledger tells them; other tests have no job."""
    jobs = bundle_of(folder, "unknown_app")["jobs"]
    nodes = bundle_of(folder, "unknown_app")["nodes"]

    assert [("shop", "bill")] == [(each["app"], each["name"]) for each in jobs]
    assert any("/v1.0/jobs/bill -> 204" in text for _, text in jobs[0]["steps"]), jobs
    assert [] == bundle_of(folder, "unknown_pubsub")["jobs"]
    assert all(0 <= each["used"] <= each["cpu"] for each in nodes)
    kafka = next(each for each in nodes if each["name"] == "kafka")
    assert kafka["used"] < kafka["cpu"]


def test_a_bundle_has_the_rows_and_the_keys_of_its_test(folder: Path) -> None:
    """The last written first, with what is hostile and large, and without the token."""
    bundle = bundle_of(folder, "handler_error")
    (kept,) = (each for each in bundle["stores"] if each["name"] == "kept")
    (state,) = (each for each in bundle["tables"] if each["name"] == "state")
    own, large = kept["keys"]

    assert ("shop", True, False) == (own["app"], own["own"], own["cut"])
    assert own["key"].startswith("basket-")
    assert "</script><img src=x" in own["value"]
    assert '"token": "***"' in own["value"]
    assert ("large", 1_000_002, True) == (large["key"], large["size"], large["cut"])
    assert (2, "last written first") == (state["count"], state["order"])
    assert [True, False] == [each["own"] for each in state["rows"]]
    assert [] == bundle["missing"]
    assert any("state.in-memory" in each["unread"] for each in bundle["stores"])


def test_a_bundle_has_rows_although_the_broker_is_away(folder: Path) -> None:
    """What could not be read hides nothing else; earlier tests have removed their keys."""
    bundle = bundle_of(folder, "broker_away")

    assert any("broker" in each for each in bundle["missing"])
    assert {"state": 0} == {
        each["name"]: each["count"] for each in bundle["tables"] if each["name"] == "state"
    }


def test_junit_and_the_end_of_the_session_name_the_page_and_the_cause(folder: Path) -> None:
    """As properties of the test case, and as two lines."""
    page = folder / "artefacts" / "test_planted.py--test_dropped.html"
    cases = ElementTree.parse(folder / "junit.xml").iter("testcase")
    case = next(each for each in cases if each.get("name") == "test_dropped")
    found = {each.get("name"): each.get("value") for each in case.iter("property")}
    output = (folder / "output").read_text()

    assert str(page) == found["dapr-bundle"]
    assert FIRST_LINES["dropped"] in str(found["dapr-cause"])
    assert f"dapr-harness:   {page}" in output
    assert f"probable cause: {found['dapr-cause']}" in output


OPEN = "all => all.forEach(each => each.parentElement.open = true)"
"""Opens what is folded."""


def test_the_page_shows_what_an_app_has_logged_and_runs_none_of_it(folder: Path) -> None:
    """In Chromium, offline: the cause, the event's path, the log; also on a phone."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium is installed; tools/browser installs Debian's")
    page_file = folder / "artefacts" / "test_planted.py--test_handler_error.html"
    errors: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        for width in (1280, 390):
            page = browser.new_page(viewport={"width": width, "height": 900}, offline=True)
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.goto(page_file.as_uri())
            text = page.inner_text("main")
            page.get_by_label("Node", exact=True).select_option("shop")
            log = page.inner_text("#logs pre")
            closed = page.inner_text("#state")
            page.locator("#tables, #state").locator("summary").evaluate_all(OPEN)
            keys, rows = page.inner_text("#state"), page.inner_text("#tables")
            hacked = page.evaluate("window.hacked")
            wide = page.evaluate("document.documentElement.scrollWidth")

            assert FIRST_LINES["handler_error"] in text
            assert "delivered to shop, attempt 2: status 500" in text
            assert "<script>window.hacked = 1</script>" in log
            assert "</script><img src=x" not in closed
            assert "</script><img src=x" in keys
            assert "</script><img src=x" in rows
            assert "1,000,002 in all" in rows
            assert "2 rows, last written first" in rows
            assert (None, width) == (hacked, wide)
        browser.close()
    assert [] == errors


def replayed(folder: Path, *tests: str) -> tuple[int, list[dict[str, Any]]]:
    """The exit code of a replay of tests, as fast as possible, and what it tells."""
    archives = [f"artefacts/test_planted.py--test_{each}.zip" for each in tests]
    command = [*CLI, "replay", *archives, "--speed", "0", "--json", "--folder", "replays"]
    done = subprocess.run(
        command, cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=350
    )
    assert done.returncode in (0, 1), done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return done.returncode, found


@pytest.mark.timeout(400)
def test_every_planted_bug_is_reproduced_from_its_archive_alone(folder: Path) -> None:
    """On one new stack, on which the bugs come again in another order; nothing else differs."""
    tests = [*sorted({*FIRST_LINES} - {LENGTHY, "app_killed"}), "app_killed"]
    code, found = replayed(folder, *tests)

    assert [] == [each for each in found if not each["reproduced"]], json.dumps(found, indent=1)
    assert (1, len(tests)) == (code, len(found))
    for test, each in zip(tests, found, strict=True):
        assert FIRST_LINES[test] in each["now"]
        assert ([], []) == (each["differences"], each["not_repeated"])


def test_a_bug_that_was_fixed_is_not_reproduced_and_the_changed_source_is_named(
    folder: Path,
) -> None:
    """The exit code is 0, and the difference of both runs has the deliveries."""
    fixed = APP.replace('body["data"].get("amount", 0) < 0', "False")
    assert fixed != APP
    (folder / "app.py").write_text(fixed)
    try:
        code, (found,) = replayed(folder, "handler_error")
    finally:
        (folder / "app.py").write_text(APP)
    name = "test_planted.py--test_handler_error"
    command = [*CLI, "diff", f"artefacts/{name}.zip", f"replays/{name}--replay.zip"]
    told = subprocess.run(
        command, cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=60
    ).stdout

    assert (0, False) == (code, found["reproduced"]), json.dumps(found, indent=1)
    assert ["the source of shop has changed"] == found["differences"]
    assert "delivered to shop: 2 times (500 retry, 500 retry), now 1 times (200 success)" in told
    assert "dead letters: 1, now 0" in told


MINI = """
import sys

from harness import App, Topology

mini = Topology(App("hello", command=[sys.executable, "hello.py", "{port}"]))
"""

WITH_MINI = """
import pytest
from mini_system import mini

@pytest.fixture(scope="session")
def dapr_topology():
    return mini
"""


def test_a_start_that_fails_is_its_own_cause_and_is_reproduced(
    inner: Run, pytester: pytest.Pytester
) -> None:
    """The topology is found although a fixture returns it; and without the error, it starts."""
    broken = "raise ValueError('the hello app has no configuration')"
    (pytester.path / "mini_system.py").write_text(MINI)
    inner("def test_hello(dapr_sync): pass", conftest=WITH_MINI, app=broken)
    (archive,) = pytester.path.glob("artefacts/*.zip")
    command = [*CLI, "replay", str(archive), "--json"]
    env = environment(pytester.path, DAPR_HARNESS_CACHE_DIR=CACHE)
    run = partial(
        subprocess.run, command, cwd=pytester.path, env=env, capture_output=True, text=True,
        timeout=80,
    )  # fmt: skip
    again = run()
    (pytester.path / "hello.py").write_text(HELLO_APP)
    fixed = run()

    (found,) = json.loads(again.stdout)
    assert (1, True) == (again.returncode, found["reproduced"]), again.stdout + again.stderr
    assert "the hello app has no configuration" in found["recorded"].splitlines()[0]
    assert (0, "") == (fixed.returncode, json.loads(fixed.stdout)[0]["now"])


DRAWING = """
import random
import sys

from harness import App, Topology

command = [sys.executable, "hello.py", "{port}"]
mini = Topology(App("hello", command=command, env={"DRAWN": str(random.random())}))
"""


def test_a_replay_draws_for_the_topology_what_the_seed_of_the_session_has_drawn(
    inner: Run, pytester: pytest.Pytester
) -> None:
    """Of a module that a test module imports, after pytest-randomly has seeded the session."""
    (pytester.path / "drawing.py").write_text(DRAWING)
    text = WITH_MINI.replace("mini_system", "drawing") + "def test_hello(dapr_sync): pass\n"
    broken = "import os\nraise ValueError(f\"drawn: {os.environ['DRAWN']}\")"
    inner(text, "-p", "randomly", "--randomly-seed=7", app=broken)
    (archive,) = pytester.path.glob("artefacts/*.zip")

    again = subprocess.run(
        [*CLI, "replay", str(archive)], cwd=pytester.path, capture_output=True, text=True,
        env=environment(pytester.path, DAPR_HARNESS_CACHE_DIR=CACHE), timeout=80,
    )  # fmt: skip

    drawn = f"drawn: {random.Random(7).random()}"
    assert 2 == again.stdout.count(drawn), again.stdout + again.stderr
    assert "the test had the seed 7 of pytest-randomly: `random` began with it here" in again.stdout
