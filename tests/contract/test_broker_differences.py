"""What Redis streams and RabbitMQ do differently from Kafka, as docs/brokers.md lists it."""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from harness import App, DaprError, Kafka, Redis, Settings, Stack, Topology, World, running
from harness.ready.resp import RedisAccess
from scenarios.rabbitmq import ABSENT, Epmd, RabbitMQ, server
from tests import claims
from tests.support import project

pytestmark = pytest.mark.real

APP = Path(claims.__file__).parent
KAFKA = {"brokers": "${kafka.brokers}", "authType": "none", "initialOffset": "oldest"}
REDIS = {"redisHost": "${redis.address}", "redisPassword": "${redis.password}"}
RABBITMQ = {"connectionString": "${rabbitmq.url}", "durable": "true", "deletedWhenUnused": "false"}

COMPONENTS: dict[str, tuple[str, dict[str, str]]] = {
    "kafka": ("pubsub.kafka", KAFKA),
    "redis": ("pubsub.redis", REDIS),
    "redis-single": ("pubsub.redis", {**REDIS, "concurrency": "1"}),
    "rabbitmq": ("pubsub.rabbitmq", RABBITMQ),
    "rabbitmq-single": ("pubsub.rabbitmq", {**RABBITMQ, "concurrencyMode": "single"}),
}
PRESENT = {
    name: each
    for name, each in COMPONENTS.items()
    if server() is not None or not name.startswith("rabbitmq")
}

LONG = 60.0

COMPONENT = """\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {{name: {name}}}
spec:
  type: {kind}
  version: v1
  metadata:
{fields}
"""

SUBSCRIPTION = """\
apiVersion: dapr.io/v2alpha1
kind: Subscription
metadata: {{name: {name}-{topic}}}
spec:
  pubsubname: {name}
  topic: {name}-{topic}
  routes: {{default: /{name}/{topic}}}
{more}
"""

POLICY = """\
apiVersion: dapr.io/v1alpha1
kind: Resiliency
metadata: {{name: policy-{name}}}
spec:
  policies: {{retries: {{again: {{policy: constant, duration: 100ms, maxRetries: -1}}}}}}
  targets: {{components: {{{name}: {{inbound: {{retry: again}}}}}}}}
"""


def component(name: str, kind: str, values: Mapping[str, str]) -> str:
    """A component; on other brokers than Kafka, with a group of its own."""
    own = {**values, "consumerID": name} if kind != "pubsub.kafka" else values
    fields = "\n".join(f'  - {{name: {key}, value: "{each}"}}' for key, each in own.items())
    return COMPONENT.format(name=name, kind=kind, fields=fields)


def resources() -> Iterator[str]:
    """Each component twice: as it is, and with a policy that redelivers."""
    more = {"dead": "  deadLetterTopic: {name}-buried", "raw": '  metadata: {{rawPayload: "true"}}'}
    for name, (kind, values) in PRESENT.items():
        for each in (name, f"{name}-again"):
            yield component(each, kind, values)
            for topic in ("plain", "dead", "raw"):
                tail = more.get(topic, "").format(name=each)
                yield SUBSCRIPTION.format(name=each, topic=topic, more=tail)
        yield POLICY.format(name=f"{name}-again")
    if server() is not None:
        yield component("rabbitmq-unlike", "pubsub.rabbitmq", {**RABBITMQ, "durable": "false"})


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One app that takes everything, on every broker."""
    folder = project(tmp_path_factory.mktemp("brokers"), c__all_yaml="---\n".join(resources()))
    app = App("shop", command=[sys.executable, "accepting.py", "{port}"], cwd=APP, inbox=True)
    others = (Epmd(), RabbitMQ()) if server() is not None else ()
    topology = Topology(Kafka(auto_create=True), Redis(), *others, app, resources="c")
    with running(topology, Settings.load(folder, runtime="processes")) as opened:
        yield opened


@pytest.fixture
def world(stack: Stack) -> Iterator[World]:
    with World(stack) as opened:
        yield opened


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A component whose broker is there."""
    chosen: str = request.param
    if chosen.startswith("rabbitmq") and server() is None:
        pytest.skip(ABSENT)
    return chosen


ONE_AT_A_TIME = ("kafka", "redis-single", "rabbitmq-single")
each_broker = pytest.mark.parametrize("name", COMPONENTS, indirect=True)
others = pytest.mark.parametrize(
    "name", [each for each in COMPONENTS if each != "kafka"], indirect=True
)
one_at_a_time = pytest.mark.parametrize("name", ["kafka", "rabbitmq-single"], indirect=True)
with_rabbitmq = pytest.mark.parametrize("name", ["rabbitmq"], indirect=True)


def publish(world: World, name: str, topic: str, **metadata: str) -> tuple[str, str]:
    """Two events, one after the other; returns their data."""
    texts = (world.name("one"), world.name("two"))
    for text in texts:
        world.sidecar("shop").publish(name, f"{name}-{topic}", text, metadata=metadata)
    return texts


@each_broker
def test_an_event_that_fails_is_overtaken_unless_one_is_delivered_at_a_time(
    world: World, name: str
) -> None:
    """With a policy that redelivers; Kafka keeps the order of a partition without being told."""
    inbox, path = world.inbox("shop"), f"/{name}-again/plain"
    inbox.fail_next(path, contains=world.name("one"), times=10_000)
    one, two = publish(world, f"{name}-again", "plain")

    if name in ONE_AT_A_TIME:
        inbox.collect(5, path=path, where=lambda each: each.data == one, timeout=LONG)
    else:
        inbox.next(path=path, where=lambda each: each.data == two, timeout=LONG)
    inbox.clear_faults()

    def handled() -> list[str]:
        found = [each.data for each in inbox.all(path=path) if each.status == 200]
        assert {one, two} == {*found}
        return found

    expected = [one, two] if name in ONE_AT_A_TIME else [two, one]
    assert expected == world.eventually(handled, timeout=LONG)


def test_one_worker_of_redis_is_held_up_in_every_topic_of_its_component(world: World) -> None:
    """Unlike a partition of Kafka, which holds up its own events only."""
    inbox, name = world.inbox("shop"), "redis-single-again"
    inbox.fail_next(f"/{name}/plain", times=10_000)
    publish(world, name, "plain")
    publish(world, name, "dead")

    inbox.collect(5, path=f"/{name}/plain", timeout=LONG)
    inbox.clear_faults()
    inbox.collect(2, path=f"/{name}/dead", timeout=LONG)

    seen = [each.path.rpartition("/")[2] for each in inbox.all() if each.status == 200]
    assert ["plain", "plain", "dead", "dead"] == seen


@one_at_a_time
def test_a_partition_or_a_queue_that_is_held_up_holds_up_no_other_topic(
    world: World, name: str
) -> None:
    """With a policy that redelivers, and one event at a time."""
    inbox, name = world.inbox("shop"), f"{name}-again"
    inbox.fail_next(f"/{name}/plain", times=10_000)
    publish(world, name, "plain")
    publish(world, name, "dead")

    inbox.collect(2, path=f"/{name}/dead", timeout=LONG)
    inbox.collect(5, path=f"/{name}/plain", timeout=LONG)
    inbox.clear_faults()
    inbox.collect(2, path=f"/{name}/plain", where=lambda each: each.status == 200, timeout=LONG)

    seen = [each.path.rpartition("/")[2] for each in inbox.all() if each.status == 200]
    assert ["dead", "dead", "plain", "plain"] == seen


@others
def test_without_a_policy_an_event_that_fails_once_is_lost(
    stack: Stack, world: World, name: str
) -> None:
    """The broker has its acknowledgement; on Kafka it is delivered again."""
    inbox, path = world.inbox("shop"), f"/{name}/plain"
    inbox.fail_next(path, contains=world.name("one"))
    one, two = publish(world, name, "plain")

    inbox.next(path=path, where=lambda each: each.data == two, timeout=LONG)
    assert [500] == [each.status for each in inbox.all(path=path) if each.data == one]
    if name.startswith("redis"):
        assert 0 == pending(stack, f"{name}-plain", name)


def pending(stack: Stack, stream: str, group: str) -> int:
    """The events of a group that Redis would deliver again."""
    exports = stack.book.exports("redis")
    access = RedisAccess(stack.book.endpoint("redis"), exports["password"])
    (rows,) = access.ask(("XPENDING", stream, group))
    assert isinstance(rows, list)
    return int(str(rows[0]))


def test_without_a_policy_kafka_delivers_an_event_that_failed_again(world: World) -> None:
    """And nothing overtakes it."""
    inbox, path = world.inbox("shop"), "/kafka/plain"
    inbox.fail_next(path, contains=world.name("one"))
    one, two = publish(world, "kafka", "plain")

    inbox.next(path=path, where=lambda each: each.data == two, timeout=LONG)
    seen = [(each.data, each.status) for each in inbox.all(path=path)]
    assert [(one, 500), (one, 200), (two, 200)] == seen


@each_broker
def test_a_dead_letter_topic_gets_an_event_that_fails_once(world: World, name: str) -> None:
    """Dapr publishes it there; it is an ordinary topic of the broker."""
    inbox, tap = world.inbox("shop"), world.topic(f"{name}-buried", name)
    inbox.fail_next(f"/{name}/dead", contains=world.name("one"))
    one, _ = publish(world, name, "dead")

    assert one == tap.next(timeout=LONG).data


SEEN = {
    "kafka": {"partitionkey", "__key", "__offset", "__partition", "__timestamp", "__topic"},
    "redis": {"partitionkey"},
    "rabbitmq": set[str](),
}


@each_broker
def test_a_raw_event_arrives_the_same_with_other_headers(world: World, name: str) -> None:
    """Kafka tells key and position; Redis has what the publisher gave; RabbitMQ has neither."""
    text, inbox = world.name("raw"), world.inbox("shop")
    raw = {"rawPayload": "true", "partitionKey": "k"}
    world.sidecar("shop").publish(name, f"{name}-raw", text, metadata=raw)

    seen = inbox.next(path=f"/{name}/raw", timeout=LONG)
    assert "application/octet-stream" == seen.event["datacontenttype"]
    assert text.encode() in base64.b64decode(seen.event["data_base64"])
    known = {header for header in seen.headers if header[:2] == "__" or header == "partitionkey"}
    assert SEEN[name.partition("-")[0]] == known


@with_rabbitmq
def test_components_that_differ_in_durable_cannot_share_a_topic_of_rabbitmq(
    world: World, name: str
) -> None:
    """The second one is refused; the topic is an exchange, which the first one has declared."""
    publish(world, name, "plain")

    with pytest.raises(DaprError, match=r"PRECONDITION_FAILED.*'durable'"):
        world.sidecar("shop").publish("rabbitmq-unlike", f"{name}-plain", "never")


LATE = {
    # component: whether its group, which is new, gets events that were published before
    "kafka-oldest": True,
    "kafka-newest": False,
    "redis": True,
    "rabbitmq": False,
}


def late_resources(exports: Mapping[str, str]) -> Iterator[str]:
    """Components and subscriptions of an app that starts later, on the same brokers."""
    kafka = {**KAFKA, "brokers": exports["kafka.brokers"]}
    values = {
        "kafka-oldest": {**kafka, "consumerGroup": "late-oldest"},
        "kafka-newest": {**kafka, "consumerGroup": "late-newest", "initialOffset": "newest"},
        "redis": {
            "redisHost": exports["redis.address"],
            "redisPassword": exports["redis.password"],
        },
        "rabbitmq": {**RABBITMQ, "connectionString": exports.get("rabbitmq.url", "")},
    }
    for name in present(LATE):
        kind = name.partition("-")[0]
        yield component(name, f"pubsub.{kind}", values[name])
        text = SUBSCRIPTION.format(name=name, topic="late", more="")
        yield text.replace(f"topic: {name}-late", f"topic: {kind}-late")


def present(names: Mapping[str, bool]) -> list[str]:
    return [each for each in names if each != "rabbitmq" or server() is not None]


@pytest.fixture(scope="module")
def late(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A second app, with groups that are new; a first event came before it."""
    nodes = ("kafka", "redis", *(("rabbitmq",) if server() is not None else ()))
    exports = {
        f"{node}.{key}": value for node in nodes for key, value in stack.book.exports(node).items()
    }
    with World(stack) as world:
        for kind in nodes:
            world.sidecar("shop").publish(kind, f"{kind}-late", "before")
    folder = project(
        tmp_path_factory.mktemp("late"), c__all_yaml="---\n".join(late_resources(exports))
    )
    app = App("late", command=[sys.executable, "accepting.py", "{port}"], cwd=APP, inbox=True)
    settings = Settings.load(folder, runtime="processes")
    with running(Topology(app, resources="c"), settings) as opened, World(opened) as other:
        yield other


@pytest.mark.parametrize("name", LATE, indirect=True)
def test_where_a_new_group_begins(world: World, late: World, name: str) -> None:
    """On Kafka as `initialOffset` says, on Redis with the stream, on RabbitMQ with its queue."""
    kind, text = name.partition("-")[0], world.name("after")
    world.sidecar("shop").publish(kind, f"{kind}-late", text)

    inbox = late.inbox("late", from_beginning=True)
    inbox.next(path=f"/{name}/late", where=lambda each: each.data == text, timeout=LONG)

    seen = [each.data for each in inbox.all(path=f"/{name}/late")]
    assert LATE[name] == ("before" in seen)
