"""Dapr resources that a test changes on running sidecars; daprd shows what is in effect."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import App, AsyncWorld, ConfigError, Kafka, Settings, Stack, Topology, World, running
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

PUBSUB = """
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: pubsub}
spec:
  type: pubsub.kafka
  version: v1
  metadata:
  - {name: brokers, value: "${kafka.brokers}"}
  - {name: authType, value: none}
  - {name: initialOffset, value: oldest}
"""

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


async def test_a_component_is_there_within_the_block_even_if_the_test_fails(stack: Stack) -> None:
    extra = {
        "apiVersion": "dapr.io/v1alpha1", "kind": "Component", "metadata": {"name": "extra"},
        "spec": {"type": "state.in-memory", "version": "v1", "metadata": []},
    }  # fmt: skip
    async with AsyncWorld(stack) as dapr:
        shop = dapr.sidecar("shop")
        with pytest.raises(ZeroDivisionError):
            async with dapr.resources(extra):
                await shop.save_state("extra", "k", 1)
                assert 1 == (await shop.get_state("extra", "k")).value
                raise ZeroDivisionError

        with World(stack) as world:
            assert {"pubsub", "store"} == components(world).keys()


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


def test_a_resiliency_restarts_the_sidecar_with_the_reason_and_ends_with_the_block(
    stack: Stack,
) -> None:
    with World(stack) as dapr:
        pid = dapr.instance("shop-daprd").pid

        with dapr.resources(RETRIES) as restarted:
            assert "Resiliency" in restarted["shop-daprd"]
            assert pid != dapr.instance("shop-daprd").pid
            raw = dapr.sidecar("shop").metadata().raw
            assert ["retries"] == [each["name"] for each in raw["resiliencies"]]

        assert not dapr.sidecar("shop").metadata().raw.get("resiliencies")


REFUSED = STORE.replace("state.in-memory", "state.redis").replace("name: store", "name: broken") + (
    "  metadata: [{name: redisHost, value: '127.0.0.1:1'}, {name: maxRetries, value: '0'}]\n"
)


@pytest.mark.parametrize("more", ["", RETRIES], ids=["hot reload", "restart"])
def test_a_component_that_daprd_refuses_is_an_error_with_its_words(stack: Stack, more: str) -> None:
    """The sidecar goes on with what it had; a restart with it would end daprd."""
    before = files(stack)
    with World(stack) as dapr:
        with pytest.raises(ConfigError, match="shop-daprd does not load") as raised:
            with dapr.resources(*filter(None, [REFUSED, more])):
                pytest.fail("the block was entered")

        assert "connection refused" in raised.value.last
        assert {"pubsub", "store"} == components(dapr).keys()
    assert before == files(stack)
    stack.check_alive()
