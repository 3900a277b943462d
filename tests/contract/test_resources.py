"""Dapr resources that a test changes on running sidecars; daprd shows what is in effect."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness import App, AsyncWorld, ConfigError, Kafka, Settings, Stack, Topology, World, running
from harness.ready.kafka import admin_of, assigned_partitions
from harness.stack.images import Images
from harness.stack.reload.difference import Difference
from harness.stack.reload.groups import KafkaGroups
from tests.projects import KAFKA
from tests.support import project

pytestmark = pytest.mark.real

APP = """
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOPICS = b'[{"pubsubname": "pubsub", "topic": "orders", "route": "/orders"}]'


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        found = self.path == "/dapr/subscribe"
        self.answer(200 if found else 404, TOPICS if found else b"")

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"] or 0))
        self.answer(200, b"{}")

    def do_OPTIONS(self):
        self.answer(404, b"")

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


ThreadingHTTPServer((os.environ["APP_HOST"], int(os.environ["APP_PORT"])), Handler).serve_forever()
"""

PUBSUB = f"{KAFKA}  - {{name: initialOffset, value: oldest}}\n"

STORE = """
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: store}
spec:
  type: state.in-memory
  version: v1
"""

SUBSCRIPTION = """
apiVersion: dapr.io/v2alpha1
kind: Subscription
metadata: {name: returns}
spec: {pubsubname: pubsub, topic: returns, routes: {default: /returns}}
"""

RETRIES = """
apiVersion: dapr.io/v1alpha1
kind: Resiliency
metadata: {name: retries}
spec:
  policies: {retries: {twice: {policy: constant, duration: 10ms, maxRetries: 2}}}
  targets: {apps: {shop: {retry: twice}}}
"""


@contextmanager
def started(folder: Path, runtime: str) -> Iterator[Stack]:
    project(folder, c__pubsub_yaml=PUBSUB, c__store_yaml=STORE, test__returns_yaml=SUBSCRIPTION)
    shop = App("shop", command=[sys.executable, "-c", APP], image="app", inbox=True)
    topology = Topology(Kafka(topics=["orders", "returns"]), shop, resources="c")
    with running(topology, Settings.load(folder, runtime=runtime)) as opened:
        yield opened


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with started(tmp_path_factory.mktemp("resources"), "processes") as opened:
        yield opened


@pytest.fixture(scope="module")
def contained(images: Images, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with started(tmp_path_factory.mktemp("resources"), "containers") as opened:
        yield opened


@pytest.fixture(params=["stack", "contained"], ids=["processes", "containers"])
def on_each(request: pytest.FixtureRequest) -> Stack:
    """The stack on each runtime."""
    found: Stack = request.getfixturevalue(request.param)
    return found


def components(world: World) -> dict[str, str]:
    return {each.name: each.type for each in world.sidecar("shop").metadata().components}


def files(stack: Stack) -> dict[str, str]:
    home = stack.folder / "nodes" / "shop-daprd"
    folder = (home / "harness" if stack.runtime == "containers" else home) / "resources"
    return {path.name: path.read_text() for path in folder.iterdir()}


async def test_a_subscription_is_delivered_within_the_block_and_not_after_it(
    on_each: Stack,
) -> None:
    before = files(on_each)
    async with AsyncWorld(on_each) as dapr:
        async with dapr.resources("test/returns.yaml") as restarted:
            assert {} == restarted
            await dapr.sidecar("shop").publish("pubsub", "returns", {"n": 1})
            await dapr.inbox("shop").next(path="/returns")

        await dapr.sidecar("shop").publish("pubsub", "returns", {"n": 2})
        await dapr.sidecar("shop").publish("pubsub", "orders", {"n": 3})
        await dapr.inbox("shop").next(path="/orders")

        seen = [each.path for each in await dapr.inbox("shop").all()]
        assert ["/returns", "/orders"] == seen
        found = (await dapr.sidecar("shop").metadata()).subscriptions
        assert ["orders"] == [each.topic for each in found]
        # The record that wakes the consumer group is not an event of the test's.
        assert {"n": 3} == (await dapr.topic("orders").next()).data
    assert before == files(on_each)


def test_the_group_no_longer_reads_the_topic_after_the_block(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if nothing wakes it up: events of the next test would wait for its change."""
    monkeypatch.setattr(KafkaGroups, "release", lambda *_: None)
    with World(stack) as dapr:
        admin = admin_of(dapr.brokers)
        with dapr.resources(SUBSCRIPTION):
            dapr.sidecar("shop").publish("pubsub", "returns", {"n": 1})
            dapr.inbox("shop").next(path="/returns")
            within = assigned_partitions(admin, ["shop"])["shop"]

        after = assigned_partitions(admin, ["shop"])["shop"]

    assert {("orders", 0), ("returns", 0)} == within
    assert {("orders", 0)} == after


EXTRA = {
    "apiVersion": "dapr.io/v1alpha1",
    "kind": "Component",
    "metadata": {"name": "extra"},
    "spec": {"type": "state.in-memory", "version": "v1", "metadata": []},
}


async def test_a_component_is_there_within_the_block_even_if_the_test_fails(stack: Stack) -> None:
    async def failing(dapr: AsyncWorld) -> None:
        shop = dapr.sidecar("shop")
        async with dapr.resources(EXTRA):
            await shop.save_state("extra", "k", 1)
            assert 1 == (await shop.get_state("extra", "k")).value
            raise ZeroDivisionError

    async with AsyncWorld(stack) as dapr:
        with pytest.raises(ZeroDivisionError):
            await failing(dapr)

        found = (await dapr.sidecar("shop").metadata()).components
        assert {"pubsub", "store"} == {each.name for each in found}


def test_a_sidecar_that_the_test_has_stopped_starts_with_its_former_resources(
    on_each: Stack,
) -> None:
    with World(on_each) as dapr:
        with dapr.resources(EXTRA):
            dapr.stop("shop-daprd")

        dapr.restart("shop-daprd")

        assert {"pubsub", "store"} == components(dapr).keys()


def test_a_resource_of_the_same_name_is_replaced_and_comes_back(on_each: Stack) -> None:
    """Its contents show which store it is: the one in memory begins empty."""
    with World(on_each) as dapr:
        shop = dapr.sidecar("shop")
        shop.save_state("store", "k", "before")

        with dapr.resources(STORE.replace("version: v1", "version: v1\n  initTimeout: 3s")) as said:
            assert {} == said
            assert not shop.get_state("store", "k").exists
            shop.save_state("store", "k", "within")

        assert not shop.get_state("store", "k").exists


ENDPOINT = """
apiVersion: dapr.io/v1alpha1
kind: HTTPEndpoint
metadata: {name: bank}
spec: {baseUrl: "http://127.0.0.1:1"}
"""

NO_RELOAD = """
apiVersion: dapr.io/v1alpha1
kind: Configuration
metadata: {name: no-reload}
spec: {features: [{name: HotReload, enabled: false}]}
"""


def shown(world: World) -> list[tuple[str, str]]:
    """The resources in the sidecar's metadata that it loads only when it starts."""
    raw = world.sidecar("shop").metadata().raw
    kinds = ("resiliencies", "httpEndpoints")
    return [(kind, each["name"]) for kind in kinds for each in raw.get(kind) or ()]


def test_what_daprd_cannot_reload_restarts_the_sidecar_with_the_reason(on_each: Stack) -> None:
    with World(on_each) as dapr:
        with dapr.resources(RETRIES, ENDPOINT) as restarted:
            assert "to load a Resiliency" in restarted["shop-daprd"]
            assert [("resiliencies", "retries"), ("httpEndpoints", "bank")] == shown(dapr)

        assert [] == shown(dapr)


def test_a_configuration_is_read_by_a_new_start_and_can_switch_hot_reload_off(
    on_each: Stack,
) -> None:
    with World(on_each) as dapr:
        with dapr.resources(NO_RELOAD) as first, dapr.resources(EXTRA) as second:
            assert "Configuration only when it starts" in first["shop-daprd"]
            assert "HotReload off" in second["shop-daprd"]
            assert {"pubsub", "store", "extra"} == components(dapr).keys()

        features = dapr.sidecar("shop").metadata().raw["enabledFeatures"]
        assert "HotReload" in features
        assert {"pubsub", "store"} == components(dapr).keys()


ACTORS = STORE + "  metadata: [{name: actorStateStore, value: 'true'}]\n"


def test_daprd_itself_refuses_to_reload_a_state_store_of_actors(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This is why such a store restarts its sidecar."""
    monkeypatch.setattr(Difference, "restarts", lambda *_: "")
    with World(stack) as dapr, pytest.raises(ConfigError) as raised, dapr.resources(ACTORS):
        pytest.fail("the block was entered")

    assert "Aborting to hot-reload a state store component" in raised.value.last


REFUSED = """
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: broken}
spec:
  type: state.sqlite
  version: v1
  metadata: [{name: connectionString, value: /no/such/folder/data.db}]
"""


@pytest.mark.parametrize("more", ["", RETRIES], ids=["hot reload", "restart"])
def test_a_component_that_daprd_refuses_is_an_error_with_its_words(
    on_each: Stack, more: str
) -> None:
    """The sidecar goes on with what it had; a restart with it would end daprd."""
    before = files(on_each)
    given = [REFUSED, more] if more else [REFUSED]
    with World(on_each) as dapr:
        with pytest.raises(ConfigError, match="does not load") as raised, dapr.resources(*given):
            pytest.fail("the block was entered")

        assert "unable to open database file" in raised.value.last
        assert {"pubsub", "store"} == components(dapr).keys()
    assert before == files(on_each)
    on_each.check_alive()


def test_a_sidecar_that_exits_because_of_a_resource_is_started_with_its_former_ones(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As daprd does whenever a component fails whose errors it is not told to ignore."""
    monkeypatch.setattr("harness.stack.reload.sidecar.lenient", str)
    with World(stack) as dapr:
        with pytest.raises(ConfigError, match="does not load") as raised, dapr.resources(REFUSED):
            pytest.fail("the block was entered")

        assert "unable to open database file" in raised.value.last
        assert {"pubsub", "store"} == components(dapr).keys()
    stack.check_alive()
