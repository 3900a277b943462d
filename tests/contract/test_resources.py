"""Dapr resources that a test changes on running sidecars; daprd shows what is in effect."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness import App, AsyncWorld, ConfigError, Kafka, Settings, Stack, Topology, World, running
from harness.ready.kafka import admin_of, assigned_partitions
from harness.stack.reload.difference import Difference
from harness.stack.reload.groups import KafkaGroups
from tests.projects import KAFKA
from tests.support import project

pytestmark = pytest.mark.real

APP = """
from fastapi import FastAPI

app = FastAPI()


@app.get("/dapr/subscribe")
async def subscribe() -> list:
    return [{"pubsubname": "pubsub", "topic": "orders", "route": "/orders"}]


@app.post("/{topic}")
async def received(topic: str) -> dict:
    return {}
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


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = project(
        tmp_path_factory.mktemp("resources"),
        app_py=APP,
        c__pubsub_yaml=PUBSUB,
        c__store_yaml=STORE,
        test__returns_yaml=SUBSCRIPTION,
    )
    topology = Topology(
        Kafka(topics=["orders", "returns"]), App("shop", asgi="app:app", inbox=True), resources="c"
    )
    with running(topology, Settings.load(folder)) as opened:
        yield opened


def components(world: World) -> dict[str, str]:
    return {each.name: each.type for each in world.sidecar("shop").metadata().components}


def files(stack: Stack) -> dict[str, str]:
    folder = stack.folder / "nodes" / "shop-daprd" / "resources"
    return {path.name: path.read_text() for path in folder.iterdir()}


async def test_a_subscription_is_delivered_within_the_block_and_not_after_it(stack: Stack) -> None:
    before = files(stack)
    async with AsyncWorld(stack) as dapr:
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
    assert before == files(stack)


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


def test_a_sidecar_that_the_test_has_stopped_starts_with_its_former_resources(stack: Stack) -> None:
    with World(stack) as dapr:
        with dapr.resources(EXTRA):
            dapr.stop("shop-daprd")

        dapr.restart("shop-daprd")

        assert {"pubsub", "store"} == components(dapr).keys()


def test_a_resource_of_the_same_name_is_replaced_and_comes_back(stack: Stack) -> None:
    """Its contents show which store it is: the one in memory begins empty."""
    with World(stack) as dapr:
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


def test_what_daprd_cannot_reload_restarts_the_sidecar_with_the_reason(stack: Stack) -> None:
    with World(stack) as dapr:
        with dapr.resources(RETRIES, ENDPOINT) as restarted:
            assert "to load a Resiliency" in restarted["shop-daprd"]
            assert [("resiliencies", "retries"), ("httpEndpoints", "bank")] == shown(dapr)

        assert [] == shown(dapr)


def test_a_configuration_is_read_by_a_new_start_and_can_switch_hot_reload_off(
    stack: Stack,
) -> None:
    with World(stack) as dapr:
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
def test_a_component_that_daprd_refuses_is_an_error_with_its_words(stack: Stack, more: str) -> None:
    """The sidecar goes on with what it had; a restart with it would end daprd."""
    before = files(stack)
    given = [REFUSED, more] if more else [REFUSED]
    with World(stack) as dapr:
        with pytest.raises(ConfigError, match="does not load") as raised, dapr.resources(*given):
            pytest.fail("the block was entered")

        assert "unable to open database file" in raised.value.last
        assert {"pubsub", "store"} == components(dapr).keys()
    assert before == files(stack)
    stack.check_alive()


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
