"""Taps on brokers that are not Kafka: a sidecar of the harness's own subscribes for the test."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator

import pytest

from harness import (
    App,
    AsyncWorld,
    ConfigError,
    ProbeError,
    Redis,
    Settings,
    Stack,
    Topology,
    World,
    running,
)
from harness.core.errors import InstanceDied
from harness.dapr.model import BulkEntry
from harness.probe.marker import TYPE
from tests.projects import HELLO_ANYWHERE, IN_MEMORY
from tests.support import project

pytestmark = pytest.mark.real

LONG = 60.0
"""Seconds for what must come, on a machine that is busy."""

APP = HELLO_ANYWHERE.replace(
    "    def do_OPTIONS(self):",
    """\
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def do_OPTIONS(self):""",
)

REDIS = """\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: NAME}
spec:
  type: pubsub.redis
  version: v1
  metadata:
  - {name: redisHost, value: "${redis.address}"}
  - {name: redisPassword, secretKeyRef: {name: REDIS_PASSWORD, key: REDIS_PASSWORD}}
  - {name: consumerID, value: shop}
auth: {secretStore: env}
scopes: [shop]
"""

SECRETS = """\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: env}
spec: {type: secretstores.local.env, version: v1}
"""

SUBSCRIPTION = """\
apiVersion: dapr.io/v2alpha1
kind: Subscription
metadata: {name: orders}
spec: {pubsubname: bus, topic: orders, routes: {default: /orders}, deadLetterTopic: dead}
scopes: [shop]
"""

BROKEN = """\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: broken}
spec:
  type: pubsub.redis
  version: v1
  initTimeout: 1s
  metadata: [{name: redisHost, value: "127.0.0.1:9"}]
scopes: [nobody]
"""


@pytest.fixture(scope="module", params=["processes", "containers"])
def stack(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """An app in the group of its own component, and two components on one Redis."""
    if request.param == "containers":
        request.getfixturevalue("images")
    folder = project(
        tmp_path_factory.mktemp("taps"),
        shop_py=APP,
        components__bus_yaml=REDIS.replace("NAME", "bus"),
        components__other_yaml=REDIS.replace("NAME", "other"),
        components__env_yaml=SECRETS,
        components__orders_yaml=SUBSCRIPTION,
        components__broken_yaml=BROKEN,
        components__memory_yaml=IN_MEMORY.replace("pubsub}", "memory}"),
    )
    shop = App(
        "shop",
        command=[sys.executable, "shop.py", "{port}"],
        inbox=True,
        sidecar_env={"REDIS_PASSWORD": "${redis.password}"},
    )
    topology = Topology(Redis(), shop, resources="components")
    # As `make` exports it: no part of a tap may take it for a placeholder.
    environ = {**os.environ, "MAKEOVERRIDES": "${-*-command-variables-*-}"}
    with running(topology, Settings.load(folder, environ, runtime=request.param)) as opened:
        yield opened


@pytest.fixture
def world(stack: Stack) -> Iterator[World]:
    with World(stack) as opened:
        yield opened


def test_a_tap_sees_what_the_app_gets_and_takes_nothing_from_it(world: World) -> None:
    """From the first event on; each of both has all of them."""
    tap, inbox = world.topic("orders", "bus"), world.inbox("shop")
    sent = [world.name(f"order-{n}") for n in range(20)]
    for each in sent:
        world.sidecar("shop").publish("bus", "orders", {"id": each})

    seen = {tap.next(timeout=LONG, where=lambda event: event.type).data["id"] for _ in sent}
    for each in sent:
        inbox.next(path="/orders", timeout=LONG, where=lambda it, text=each: text in str(it.data))

    assert {*sent} == seen


def test_two_components_on_one_broker_share_no_group(world: World) -> None:
    """Taps of both see each event, though the components' files name one group."""
    taps = [world.topic("shared", name) for name in ("bus", "other")]
    for n in range(10):
        world.sidecar("shop").publish("bus", "shared", n)

    for tap in taps:
        assert {*range(10)} == {each.data for each in tap.collect(10, timeout=LONG)}


def test_events_may_be_larger_than_a_message_of_grpc(world: World) -> None:
    """Its default is 4 MB; daprd's own limit for a request is 4 MiB, so one is written to Redis."""
    import socket

    tap = world.topic("large", "bus")
    body = json.dumps({"specversion": "1.0", "id": "1", "data": "x" * 6_000_000})
    endpoint, password = world.stack.book.endpoint("redis"), world.exports("redis")["password"]
    with socket.create_connection((endpoint.host, endpoint.port)) as opened:
        opened.sendall(
            f"AUTH {password}\r\n*5\r\n$4\r\nXADD\r\n$5\r\nlarge\r\n$1\r\n*\r\n$4\r\ndata\r\n"
            f"${len(body)}\r\n{body}\r\nQUIT\r\n".encode()
        )
        assert "+OK" in opened.makefile().read()

    assert 6_000_000 == len(tap.next(timeout=LONG).data)


def publish_many(world: World, topic: str, prefix: str) -> set[str]:
    """A hundred events in one request; returns their data."""
    sent = [f"{prefix}-{n}" for n in range(100)]
    entries = [BulkEntry(each, each, "text/plain") for each in sent]
    world.sidecar("shop").publish_bulk("bus", topic, entries)
    return {*sent}


def test_a_tap_shows_what_is_published_after_it_was_opened_and_nothing_else(
    stack: Stack, world: World
) -> None:
    """Within one second, and though Redis gives a new group everything that a stream holds; the
    tests that follow share the subscription and begin where they open their own tap."""
    publish_many(world, "history", "old")
    first = world.topic("history", "bus")
    earlier = publish_many(world, "history", "new")
    with World(stack) as other:
        second = other.topic("history", "bus")
        later = publish_many(other, "history", "newer")
        shown = {each.data for each in second.collect(100, timeout=LONG)}

    # The last one that was published has come, so all have; and no marker is among them.
    assert later == shown == {each.data for each in second.all()}
    assert earlier | later == {each.data for each in first.collect(200, timeout=LONG)}
    assert 200 == len(first.all())
    assert 1 == len([key for key in stack.shared if key.startswith("tap:bus:history")])


async def test_an_asynchronous_test_has_the_same_tap(stack: Stack) -> None:
    """It begins where it is awaited."""
    async with AsyncWorld(stack) as world:
        await world.sidecar("shop").publish("bus", "later", "old")
        tap = await world.topic("later", "bus")
        await world.sidecar("shop").publish("bus", "later", "new")
        assert "new" == (await tap.next(timeout=LONG)).data
        assert ["new"] == [each.data for each in await tap.all()]


def test_the_marker_of_a_tap_reaches_no_app(stack: Stack) -> None:
    """daprd drops it, as it has expired; a tap on the dead-letter topic does not show it either."""
    with World(stack) as world:
        dead, inbox = world.topic("dead", "bus"), world.inbox("shop")
        world.topic("orders", "bus")
        order = world.name("order")
        world.sidecar("shop").publish("bus", "orders", {"id": order})
        inbox.next(path="/orders", timeout=LONG, where=lambda each: order in str(each.data))
        # The marker lies before the order, and what it is answered with is logged and counted.
        expired = "dropping expired pub/sub event tap-opened-"
        world.eventually(
            # A node that has logged nothing so far is not among them.
            lambda: expired in world.logs().get("shop-daprd", ""),
            timeout=LONG,
        )
        world.sidecar("shop").publish("bus", "dead", "barrier")

        dead.nothing_before({"data": "barrier"}, timeout=LONG, where=lambda e: e.data != "barrier")
        assert [] == inbox.all(type=TYPE)


def test_a_tap_that_cannot_be_is_a_sentence_and_spoils_nothing(stack: Stack, world: World) -> None:
    """A broker that is not there, one within a sidecar, a component that is not there."""
    with pytest.raises((InstanceDied, ProbeError), match=r"connecting to redis at 127\.0\.0\.1:9"):
        world.topic("orders", "broken")
    with pytest.raises(ConfigError, match=r"within one sidecar(.|\n)*dapr\.inbox"):
        world.topic("orders", "memory")
    with pytest.raises(ConfigError, match=r"no pub/sub component 'buss'(.|\n)*did you mean 'bus'"):
        world.topic("orders", "buss")
    with pytest.raises(ConfigError, match=r"pass pubsub=(.|\n)*bus"):
        world.topic("orders")

    stack.check_alive()
    assert world.eventually(lambda: world.app("shop").get("/").text == "hello")


def test_the_tap_is_no_part_of_the_system(stack: Stack, world: World) -> None:
    """No node, no sidecar of a test, and no address of the stack that was started."""
    world.topic("orders", "bus")

    assert not [node.name for node in stack.topology.nodes if node.name.startswith("tap-")]
    assert not [name for name in stack.instances if name.startswith("tap-")]
