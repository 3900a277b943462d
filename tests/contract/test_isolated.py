"""Copies of a running stack see nothing of it, nor of each other, and leave nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import grpc
import httpx
import psycopg
import pytest

from harness import (
    App,
    DaprError,
    InstanceDied,
    Kafka,
    Postgres,
    ProbeTimeout,
    Settings,
    Stack,
    Topology,
    World,
    running,
)
from harness.core.deadline import Deadline, Observation, poll
from harness.core.errors import SystemFailure
from harness.ready.kafka import admin_of, group_names
from harness.runtime.containers.ownership import sweep
from harness.runtime.tree import kill_tree
from harness.stack import cleaning
from harness.stack.cleaning import clean
from harness.stack.images import Images
from harness.stack.isolated import IsolatedStack
from harness.stack.remains import remove_remains
from harness.virtual_time.messages import SERVICE, message
from tests.engine import left_of
from tests.projects import HELLO_APP, KAFKA, POSTGRESQL
from tests.support import environment, leftovers, project

pytestmark = pytest.mark.real

APP = """
import json, os, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import psycopg

PORT = int(sys.argv[1])

def execute(*statement):
    with psycopg.connect(os.environ["DSN"], autocommit=True) as connection:
        connection.execute(*statement)

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/crash":
            os._exit(1)
        known = {"/who": {"port": PORT}, "/dapr/config": {"entities": ["cart"]}}
        self.answer(known.get(self.path))

    def do_PUT(self):
        self.rfile.read(int(self.headers["content-length"] or 0))
        self.answer({"port": PORT, "path": self.path})

    def do_DELETE(self):
        self.answer({})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"] or 0)) or "{}")
        if self.path == "/orders":
            execute("INSERT INTO orders VALUES (%s)", (body["data"]["id"],))
        self.answer({})

    def do_OPTIONS(self):
        self.answer(None)

    def answer(self, found):
        text = json.dumps(found).encode()
        self.send_response(404 if found is None else 200)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

execute("CREATE TABLE IF NOT EXISTS orders (id text)")
ThreadingHTTPServer((os.environ["APP_HOST"], PORT), Handler).serve_forever()
"""

CONNECTED = f"""\
{KAFKA}  - {{name: consumerGroup, value: shops}}
---
{POSTGRESQL}  - {{name: actorStateStore, value: "true"}}
"""
CONNECTED += """\
---
apiVersion: dapr.io/v2alpha1
kind: Subscription
metadata: {name: orders}
spec: {pubsubname: pubsub, topic: orders, routes: {default: /orders}}
scopes: [shop]
---
apiVersion: dapr.io/v1alpha1
kind: Resiliency
metadata: {name: soon}
spec:
  policies: {retries: {soon: {policy: constant, duration: 50ms, maxRetries: -1}}}
  targets: {components: {pubsub: {inbound: {retry: soon}}}}
"""

HOLDING = """
import sys
from pathlib import Path
from harness import Settings, running
from harness.core.deadline import Deadline, Observation, poll
from harness.stack.isolated import IsolatedStack
from harness.stack.pool import Pool
from harness.stack.room import Room
from tests.contract.test_isolated import topology
with running(topology(), Settings.load(Path(sys.argv[1]))) as base, IsolatedStack(base):
    pool = Pool(base, 2, Room(base, patient=False))
    pool.expect(2)
    assert poll(lambda: Observation(bool(pool.spares and pool._filling)), Deadline(90)).ok
    print("one is used, one waits, and one is being started", flush=True)
    sys.stdin.read()
"""


def topology() -> Topology:
    """An app with a hard-coded topic, a table, a store and jobs."""
    command = [sys.executable, "shop.py", "{port}"]
    dsn, packages = {"DSN": "${postgres.dsn}"}, "requirements.txt"
    shop = App("shop", command=command, env=dsn, inbox=True, requirements=packages)
    clerk = App("clerk", command=["sleep", "600"], image="app", listens=False)
    return Topology(Kafka(["orders"]), Postgres(), shop, clerk, resources="components")


def written(folder: Path) -> Path:
    files = {"shop_py": APP, "components__all_yaml": CONNECTED, "pyproject_toml": ""}
    return project(folder, **files, requirements_txt="psycopg[binary]\n")


@pytest.fixture(scope="module", params=["processes", "containers"])
def stack(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    if request.param == "containers":
        request.getfixturevalue("images")
    folder = written(tmp_path_factory.mktemp("isolated"))
    settings = Settings.load(folder, dict(os.environ), runtime=request.param)
    with running(topology(), settings) as opened:
        yield opened


@pytest.fixture(scope="module")
def copies(stack: Stack) -> Iterator[list[IsolatedStack]]:
    with ExitStack() as opened:
        yield [opened.enter_context(IsolatedStack(stack)) for _ in range(2)]


@pytest.fixture
def worlds(stack: Stack, copies: list[IsolatedStack]) -> Iterator[list[World]]:
    """A view of both copies, and one of the stack itself."""
    with ExitStack() as opened:
        yield [opened.enter_context(World(each)) for each in (*copies, stack)]


def test_events_and_rows_of_each_are_its_own(worlds: list[World]) -> None:
    """The same topic, group and table; taps and inboxes of each see its own event alone."""
    taps = [each.topic("orders") for each in worlds]
    for number, world in enumerate(worlds):
        world.sidecar("shop").publish("pubsub", "orders", {"id": f"order-{number}"})

    for number, world in enumerate(worlds):
        own = f"order-{number}"
        assert world.table("orders").row(id=own, timeout=30)
        rows = [each["id"] for each in world.table("orders").rows()]
        assert [own] == [each for each in rows if each.startswith("order-")]
        assert [own] == [each.data["id"] for each in world.inbox("shop").all(path="/orders")]
        taps[number].next(timeout=30)
        assert [own] == [each.data["id"] for each in taps[number].all()]


def test_the_same_key_has_a_value_of_its_own_in_each(worlds: list[World]) -> None:
    """State is written by the first one alone, then by the second one too."""
    first, second, base = (each.sidecar("shop") for each in worlds)
    first.save_state("store", "key", "one")
    assert [None, None] == [each.get_state("store", "key").value for each in (second, base)]

    second.save_state("store", "key", "two")
    assert "one" == first.get_state("store", "key").value


def test_a_job_of_the_same_name_fires_in_each(worlds: list[World]) -> None:
    """Deleting it in one leaves the job of the other."""
    first, second, _ = worlds
    for number, world in enumerate(worlds):
        world.sidecar("shop").schedule_job("bill", due="1s", data={"of": number})
        world.sidecar("shop").schedule_job("later", due="1h", data={"of": number})
    for number, world in enumerate(worlds):
        fired = world.inbox("shop").next(path="/job/bill", timeout=30)
        assert {"of": number} == fired.data

    first.sidecar("shop").delete_job("later")
    assert "later" == second.sidecar("shop").get_job("later")["name"]
    assert all(1 == len(each.inbox("shop").all(path="/job/bill")) for each in worlds)


def test_an_invocation_reaches_the_app_of_the_same_copy(worlds: list[World]) -> None:
    """Called by another app, whose sidecar has to find it by its app-id."""
    for world in worlds:
        found = world.sidecar("clerk").invoke("shop", "who", verb="GET").json()
        assert {"port": port_of(world)} == found


def test_an_actor_lives_in_the_app_of_the_same_copy(worlds: list[World]) -> None:
    """The same type and id in each: placement keeps namespaces apart."""
    for world in worlds:
        address, token = world.sidecar_address("shop")
        url = f"{address.http}/v1.0/actors/cart/1/method/who"
        found = httpx.put(url, headers={"dapr-api-token": token}, timeout=30, trust_env=False)
        assert port_of(world) == found.json()["port"]


def port_of(world: World) -> int:
    """The port of its app, which no other app has."""
    return world.stack.book.endpoint("shop").port


def test_the_clock_of_a_copy_is_its_own(tmp_path: Path) -> None:
    """The scheduler with virtual time is not shared: its time is that of one stack."""
    folder = project(tmp_path, hello_py=HELLO_APP, pyproject_toml="")
    hello = App("hello", command=[sys.executable, "hello.py", "{port}"])
    settings = Settings.load(folder, dict(os.environ), runtime="processes")
    with (
        running(Topology(hello, time="virtual"), settings) as base,
        IsolatedStack(base) as copy,
        World(base) as of_base,
        World(copy) as of_copy,
    ):
        before = of_base.clock.now()
        assert before + timedelta(days=1) <= of_copy.clock.advance("2 days").now
        assert before == of_base.clock.now()


def test_a_fault_is_injected_in_one_alone(worlds: list[World]) -> None:
    """An inbox fails for its own copy."""
    first, second, _ = worlds
    first.inbox("shop").fail_next("/orders")
    second.sidecar("shop").publish("pubsub", "orders", {"id": "unharmed"})

    assert 200 == second.inbox("shop").next(path="/orders", timeout=30).status


def test_a_shared_node_cannot_be_stopped_from_a_copy(worlds: list[World]) -> None:
    """It would end the others, too."""
    with pytest.raises(Exception, match="kafka is external: the stack has not started it"):
        worlds[0].stop("kafka")


def test_the_death_of_an_app_ends_waits_of_its_copy_alone(
    stack: Stack, worlds: list[World]
) -> None:
    """And a copy leaves no database, topic or group, whatever happened in it."""
    with IsolatedStack(stack) as crashing:
        namespace = crashing.book.namespace
        remind(stack, namespace)
        assert [1, 1] == planned(stack, namespace)
        with World(crashing) as view:
            with suppress(httpx.HTTPError, SystemFailure, InstanceDied):
                view.app("shop").get("/crash")
            with pytest.raises((SystemFailure, InstanceDied)):
                view.inbox("shop").next(timeout=30)
        stack.check_alive()
        for world in worlds:
            world.stack.check_alive()

    assert [] == [each for each in kept(stack) if namespace in each]
    assert [0, 0] == planned(stack, namespace)
    assert any(worlds[0].stack.book.namespace in each for each in kept(stack))


def test_what_a_killed_copy_has_left_is_removed_when_the_next_one_ends(stack: Stack) -> None:
    """As by another worker of xdist, while the stack goes on."""
    killed = IsolatedStack(stack)
    killed.start()
    namespace = killed.book.namespace
    remind(stack, namespace)
    kill_tree(killed._running.owner)
    if stack.runtime == "containers":  # as its supervisor does when its last client is gone
        assert [] == sweep(cast("Images", stack.tools).engine, killed.folder.name)
        assert [] == left_of(killed.folder.name, within=0)
    assert killed._mark
    killed._mark.close()  # as the end of its process does
    assert any(namespace in each for each in kept(stack))

    def gone() -> Observation:
        # A group of a sidecar that was killed has a member until its session times out.
        remove_remains(stack)
        return Observation(not any(namespace in each for each in kept(stack)))

    assert poll(gone, Deadline(60)).ok
    assert [0, 0] == planned(stack, namespace)
    killed.close()


TARGETS: list[dict[str, Any]] = [{"job": {}}, {"actor": {"type": "cart", "id": "1"}}]


def remind(stack: Stack, namespace: str) -> None:
    """Schedule a job and an actor's reminder, as a sidecar does."""
    for target in TARGETS:
        metadata = {"namespace": namespace, "app_id": "shop", "target": target}
        job = {"due_time": "1h"}
        ask(stack, "ScheduleJob", name="left", job=job, metadata=metadata)


def planned(stack: Stack, namespace: str) -> list[int]:
    """How many jobs and reminders the scheduler has."""
    found = []
    for target in TARGETS:
        metadata = {"namespace": namespace, "app_id": "shop", "target": target}
        found.append(len(ask(stack, "ListJobs", metadata=metadata).jobs))
    return found


def ask(stack: Stack, method: str, **fields: Any) -> Any:
    address = str(stack.book.endpoint("scheduler"))
    with grpc.insecure_channel(address, (("grpc.enable_http_proxy", 0),)) as channel:
        call = channel.unary_unary(
            f"/{SERVICE}/{method}",
            request_serializer=lambda request: request.SerializeToString(),
            response_deserializer=message(f"{method}Response").FromString,
        )
        return call(message(f"{method}Request")(**fields), timeout=30)


def kept(stack: Stack) -> list[str]:
    """The names of what a stack's servers keep."""
    admin = admin_of(stack.book.exports("kafka")["brokers"])
    with psycopg.connect(stack.book.exports("postgres")["dsn"]) as connection:
        databases = connection.execute("SELECT datname FROM pg_database").fetchall()
    names = [name for (name,) in databases]
    return [*names, *admin.list_topics(timeout=10).topics, *group_names(admin, 10)]


def test_a_clean_stack_has_handled_every_event_and_has_no_data(
    stack: Stack, worlds: list[World]
) -> None:
    """Events that fail at first are waited for. The app goes on, and copies keep their data."""
    other, base = worlds[0], worlds[-1]
    for world in (other, base):
        world.sidecar("shop").save_state("store", "kept", "value")
        world.sidecar("shop").schedule_job("kept", due="1h", data=1)
    remind(stack, "default")
    base.inbox("shop").fail_next("/orders", contains="late", times=5)
    base.sidecar("shop").publish("pubsub", "orders", {"id": "late"})

    clean(stack)

    statuses = [each.status for each in base.inbox("shop").all(path="/orders")]
    assert [500] * 5 + [200] == statuses
    assert 0 == base.table("orders").count()
    assert base.table("dapr_metadata").count(), "daprd would run its migrations again"
    assert not base.sidecar("shop").get_state("store", "kept").exists
    with pytest.raises(DaprError):
        base.sidecar("shop").get_job("kept")
    assert [0, 0] == planned(stack, "default")
    assert "value" == other.sidecar("shop").get_state("store", "kept").value
    assert "kept" == other.sidecar("shop").get_job("kept")["name"]
    base.sidecar("shop").publish("pubsub", "orders", {"id": "next"})
    base.sidecar("shop").save_state("store", "kept", "new")
    assert base.table("orders").row(id="next", timeout=30)


def test_a_stack_that_does_not_settle_is_not_emptied(
    stack: Stack, worlds: list[World], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the group, the topic and the offset."""
    monkeypatch.setattr(cleaning, "SETTLING", 1.5)
    base = worlds[-1]
    base.sidecar("shop").save_state("store", "survivor", "value")
    base.inbox("shop").fail_next("/orders", contains="never", times=1000)
    base.sidecar("shop").publish("pubsub", "orders", {"id": "never"})

    with pytest.raises(ProbeTimeout, match=r"group shops is at offset \d+ of orders\[0\]"):
        clean(stack)

    assert base.sidecar("shop").get_state("store", "survivor").exists
    base.inbox("shop").clear_faults()
    assert base.table("orders").row(id="never", timeout=30)


def test_a_killed_test_process_leaves_neither_stack_nor_copies(tmp_path: Path) -> None:
    """Each has a supervisor whose lifeline the process holds."""
    folder = written(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(folder)],
        env=environment(folder),
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        process.kill()

    assert "one is used, one waits, and one is being started\n" == said
    assert [] == leftovers(folder)
