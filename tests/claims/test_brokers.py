"""Claims about subscriptions and bindings, with two apps that take everything."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from harness import App, DaprError, Settings, Stack, Topology, World, running
from tests.claims.test_components import component
from tests.support import project

pytestmark = pytest.mark.real

HERE = Path(__file__).parent
ONE, TWO = "reader-one", "reader-two"
SOME = 12


def unique(what: str) -> str:
    """A name that no earlier run has used."""
    return f"{what}-{uuid4().hex[:8]}"


@dataclass(frozen=True)
class Topics:
    """Topics of this run alone, on the broker of the reference system."""

    brokers: str
    log: str
    shared: str

    def write(self, topic: str, text: str) -> None:
        """An event before anybody subscribes."""
        producer = Producer({"bootstrap.servers": self.brokers})
        event = {"specversion": "1.0", "id": text, "type": "t", "source": "s", "data": text}
        producer.produce(topic, json.dumps(event))
        assert 0 == producer.flush(20)


@pytest.fixture(scope="module")
def topics(dapr_stack: Stack) -> Topics:
    """New ones; the first has an event already."""
    brokers = dapr_stack.book.exports("broker")["brokers"]
    made = Topics(brokers, unique("log"), unique("shared"))
    admin = AdminClient({"bootstrap.servers": brokers})
    new = [NewTopic(made.log, 1, 1), NewTopic(made.shared, 2, 1)]
    for each in admin.create_topics(new).values():
        each.result(30)
    made.write(made.log, "before")
    return made


def subscription(name: str, pubsub: str, topic: str, routes: str, scopes: str) -> str:
    return f"""\
apiVersion: dapr.io/v2alpha1
kind: Subscription
metadata: {{name: {name}}}
spec: {{pubsubname: {pubsub}, topic: {topic}, routes: {routes}}}
scopes: [{scopes}]
"""


def resources(topics: Topics) -> list[str]:
    """Components of Kafka that differ in one field each, one in memory, and clocks."""

    def kafka(name: str, **fields: str) -> str:
        both = {"brokers": topics.brokers, "authType": "none"}
        return component("pubsub.kafka", name, **both, **fields).replace('"2s"', '"20s"')

    both = f"{ONE}, {TWO}"
    wanted = '{rules: [{match: event.type == "wanted", path: /wanted}]}'
    return [
        kafka("oldest", consumerGroup=unique("oldest"), initialOffset="oldest"),
        kafka("newest", consumerGroup=unique("newest")),
        kafka("grouped", consumerGroup=unique("group")),
        kafka("own"),
        kafka("small", maxMessageBytes="200"),
        kafka("patient", consumerGroup=unique("patient"), consumeRetryInterval="1h"),
        component("pubsub.in-memory", "memory"),
        component("bindings.cron", "ticks", schedule="* * * * * *"),
        component("bindings.cron", "minutes", schedule="* * * * *"),
        subscription("oldest", "oldest", topics.log, "{default: /oldest}", ONE),
        subscription("newest", "newest", topics.log, "{default: /newest}", ONE),
        subscription("grouped", "grouped", topics.shared, "{default: /grouped}", both),
        subscription("own", "own", topics.shared, "{default: /own}", both),
        subscription("patient", "patient", topics.log, "{default: /patient}", ONE),
        subscription("ruled", "memory", "ruled", wanted, ONE),
        subscription("counted", "memory", "counted", "{default: /counted}", ONE),
        subscription("misplaced", "memory", "misplaced", "{default: /misplaced}", ONE).replace(
            "}\n" + f"scopes: [{ONE}]", f", scopes: [{ONE}]" + "}"
        ),
    ]


@pytest.fixture(scope="module")
def stack(topics: Topics, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Two apps and their sidecars."""
    folder = tmp_path_factory.mktemp("resources")
    project(folder, **{f"c{n}_yaml": text for n, text in enumerate(resources(topics))})
    apps = [
        App(name, command=[sys.executable, "accepting.py", "{port}"], cwd=HERE, inbox=True)
        for name in (ONE, TWO)
    ]
    with running(Topology(*apps, resources=folder), Settings.load(runtime="processes")) as up:
        yield up


@pytest.fixture
def world(stack: Stack) -> Iterator[World]:
    """One test's view of them."""
    with World(stack) as found:
        yield found


def data(delivery: Any) -> str:
    return str(delivery.data)


def test_initial_offset_decides_whether_a_new_group_gets_old_events(
    world: World, topics: Topics
) -> None:
    """By default it does not; the event that is newer comes to both."""
    inbox = world.inbox(ONE, from_beginning=True)
    after = world.name("after")
    world.sidecar(TWO).publish("own", topics.log, after)

    for path in ("/oldest", "/newest"):
        inbox.next(path=path, where=lambda each: data(each) == after, timeout=30)
    old = [data(each) for each in inbox.all(path="/oldest")]
    new = [data(each) for each in inbox.all(path="/newest")]
    assert ["before", after] == [old[0], old[-1]]
    assert "before" not in new


def test_apps_of_one_consumer_group_share_its_events(world: World, topics: Topics) -> None:
    """Each event comes to one of them; with the default, which is the app-id, to both."""
    sent = [world.name(f"n{number}") for number in range(SOME)]
    for number, text in enumerate(sent):
        key = {"partitionKey": str(number)}
        world.sidecar(ONE).publish("own", topics.shared, text, metadata=key)

    def come(path: str) -> list[str]:
        found = [world.inbox(app).all(path=path) for app in (ONE, TWO)]
        return sorted(data(each) for rows in found for each in rows)

    world.eventually(lambda: come("/own") == sorted(sent * 2), timeout=30)
    world.eventually(lambda: come("/grouped") == sorted(sent), timeout=30)


def test_an_event_is_delivered_again_long_before_the_consumers_retry_interval(
    world: World, topics: Topics
) -> None:
    """It is an hour here; between deliveries it does not matter."""
    inbox, text = world.inbox(ONE), world.name("again")
    inbox.fail_next("/patient", contains=text)

    world.sidecar(TWO).publish("own", topics.log, text)
    come = inbox.collect(2, path="/patient", where=lambda each: data(each) == text, timeout=60)

    assert [500, 200] == [each.status for each in come]


def test_a_message_beyond_the_components_maximum_is_not_published(
    world: World, topics: Topics
) -> None:
    """The one component refuses what another one takes."""
    text = "x" * 1000

    with pytest.raises(DaprError) as refused:
        world.sidecar(TWO).publish("small", topics.log, text)
    world.sidecar(TWO).publish("own", topics.log, text)

    assert 500 == refused.value.status
    assert "larger than" in refused.value.message


def test_an_event_that_no_rule_matches_is_dropped(world: World) -> None:
    """There is no default route, and an event that is published as JSON has Dapr's own type."""
    sidecar, inbox = world.sidecar(ONE), world.inbox(ONE)
    sidecar.publish("memory", "ruled", world.name("plain"))
    for kind in ("other", "wanted"):
        text = world.name(kind)
        sidecar.publish("memory", "ruled", text, metadata={"cloudevent.type": kind})

    inbox.next(path="/wanted", where=lambda each: data(each) == world.name("wanted"))

    texts = {world.name("other"), world.name("plain")}
    assert [] == inbox.all(where=lambda each: data(each) in texts)
    labels = {"component": "memory", "topic": "ruled", "process_status": "drop"}
    assert 2 == world.metric(ONE, INGRESS, **labels)


def test_scopes_inside_the_spec_of_a_subscription_limit_nothing(world: World) -> None:
    """Both apps have it, and both get its events; one with scopes at the top is of one app."""
    for app in (ONE, TWO):
        world.sidecar(app).publish("memory", "misplaced", world.name(app))

    for app in (ONE, TWO):
        found = world.inbox(app).next(path="/misplaced")
        assert world.name(app) == data(found)
    topics = {app: _subscribed(world, app) for app in (ONE, TWO)}
    assert {"misplaced", "counted"} <= topics[ONE]
    assert "counted" not in topics[TWO]


def _subscribed(world: World, app: str) -> set[str]:
    return {each.topic for each in world.sidecar(app).metadata().subscriptions}


def test_without_a_resiliency_resource_an_invocation_that_fails_is_made_once(world: World) -> None:
    """And no breaker opens: each of eight calls arrives, and the caller gets the app's own 500."""
    inbox, path = world.inbox(TWO), f"/{world.name('fails')}"
    inbox.fail_next(path, times=100)

    answers = [world.sidecar(ONE).invoke(TWO, path).status_code for _ in range(8)]

    assert [500] * 8 == answers
    assert [500] * 8 == [each.status for each in inbox.all(path=path)]


EGRESS = "dapr_component_pubsub_egress_count"
INGRESS = "dapr_component_pubsub_ingress_count"


def test_egress_counts_what_an_app_published_and_ingress_what_it_was_given(world: World) -> None:
    """By value and by what became of it: of five events one is dropped."""
    sidecar, inbox = world.sidecar(ONE), world.inbox(ONE)
    inbox.fail_next("/counted", contains=world.name("n1"), status=200, answer='{"status": "DROP"}')
    labels = {"component": "memory", "topic": "counted"}

    for number in range(5):
        sidecar.publish("memory", "counted", world.name(f"n{number}"))

    def counted(name: str, **more: str) -> float:
        return world.metric(ONE, name, **labels, **more)

    world.eventually(lambda: counted(INGRESS, process_status="success") == 4)
    assert 5 == counted(EGRESS, success="true")
    assert 1 == counted(INGRESS, process_status="drop")
    assert 5 == counted(INGRESS)
    assert 0 == world.metric(TWO, EGRESS, **labels)


def test_a_cron_binding_asks_for_its_route_and_then_posts_to_it_each_second(world: World) -> None:
    """The path is the component's name; OPTIONS comes first, and both apps are called."""
    for app in (ONE, TWO):
        inbox = world.inbox(app, from_beginning=True)
        inbox.collect(3, path="/ticks", timeout=30)
        methods = [each.method for each in inbox.all(path="/ticks")]

        assert ["OPTIONS", "POST", "POST"] == methods[:3]


def test_a_cron_binding_of_five_fields_is_loaded_and_asks_for_its_route(world: World) -> None:
    """Its first call comes with the minute."""
    inbox = world.inbox(ONE, from_beginning=True)

    assert "OPTIONS" == inbox.next(path="/minutes").method
    assert "minutes" in {each.name for each in world.sidecar(ONE).metadata().components}
