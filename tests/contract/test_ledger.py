"""The ledger of a running system: what daprd does with events, and what the ledger tells of it."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import App, Kafka, ProbeTimeout, Settings, Stack, Topology, World, running
from harness.core.errors import ConfigError, HarnessError
from harness.dapr.model import BulkEntry, StateOperation
from harness.ledger.outcomes import outcome_of
from harness.probe.broker_reader import BrokerReader
from tests.projects import BUS
from tests.support import ROOT, project

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

APP = Path(__file__).parent / "ledger_app.py"

RESOURCES = f"""\
{BUS}  - {{name: backOffDuration, value: 50ms}}
  - {{name: initialOffset, value: oldest}}
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {{name: store}}
spec:
  type: state.in-memory
  version: v1
  metadata:
  - {{name: outboxPublishPubsub, value: bus}}
  - {{name: outboxPublishTopic, value: orders}}
"""

TOPICS = ("orders:2", "raw", "judged", "dead", "graveyard", "bulks", "defaultshopordersoutbox")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = project(tmp_path_factory.mktemp("ledger"), r__all_yaml=RESOURCES)
    topology = Topology(
        Kafka(topics=TOPICS),
        App("shop", command=[sys.executable, str(APP)], record=True),
        resources="r",
    )
    with running(topology, Settings.load(folder, runtime="processes")) as opened:
        yield opened


@pytest.fixture
def world(stack: Stack) -> Iterator[World]:
    with World(stack) as opened:
        yield opened


def publish(world: World, topic: str, event_id: str, data: Any = None, **more: Any) -> None:
    """One event with an id of its own; its data says what the app answers."""
    metadata = {"cloudevent.id": event_id, **more}
    world.sidecar("shop").publish("bus", topic, data or {}, metadata=metadata)


ANSWERS = [
    (200, ""),
    (204, ""),
    (200, "fine"),
    (200, '{"status": "SUCCESS"}'),
    (200, '{"status": 5}'),
    (200, '{"status": "DROP"'),
    (200, '["DROP"]'),
    (200, '{"STATUS": "DROP"}'),
    (200, '{"status": "RETRY", "Status": "SUCCESS", "status": "DROP"}'),
    (200, '{"status": "processed"}'),
    (200, '{"status": "RETRY"}'),
    (404, ""),
    (422, '{"status": "SUCCESS"}'),
    (500, ""),
]


def test_outcomes_are_those_of_a_running_daprd(world: World) -> None:
    """It delivers again what is to be retried, and dead-letters what is dropped at once.

    The app answers only the first delivery on `orders` like this, and each one on `judged`, whose
    subscription has a dead-letter topic.
    """
    for number, (status, answer) in enumerate(ANSWERS):
        data = {"status": status, "answer": answer}
        publish(world, "orders", f"{world.id}-again-{number}", {**data, "times": 1})
        publish(world, "judged", f"{world.id}-dead-{number}", data)

    world.ledger.settled(timeout=60)

    for number, (status, answer) in enumerate(ANSWERS):
        again = world.ledger.event(f"{world.id}-again-{number}").path()
        dead = world.ledger.event(f"{world.id}-dead-{number}").path()
        expected = outcome_of(status, answer)
        seen = "retry" if len(again.attempts) > 1 else "drop" if dead.dead_letters else "success"
        assert (number, expected) == (number, seen)
        assert (number, expected) == (number, again.attempts[0].outcome)
        assert bool(dead.dead_letters) == (expected != "success")


def test_a_path_has_every_step_from_the_test_to_the_state_store(world: World) -> None:
    """The test publishes by its own client; the app saves a key while it handles the event."""
    key = world.name("key")
    world.sidecar("shop").publish("bus", "orders", {"save": key})

    event = world.ledger.event(data={"save": key})
    path = event.state_committed(key)
    event.delivered_to("shop", attempts=1)
    event.published_once()

    assert [("test", "shop", "bus", "orders", 204)] == [
        (each.app, each.sidecar, each.pubsub, each.topic, each.status) for each in path.publications
    ]
    assert ["orders"] == [each.position.topic for each in path.records]


def test_requests_that_are_no_events_are_told_with_their_answers(world: World) -> None:
    """In their order; a wrong answer is told at once, and no event is among them."""
    name = world.name("work")
    publish(world, "orders", name, {"id": name})
    for _ in range(2):
        body = {"id": name, "data": {"status": 418, "times": 1}}
        world.sidecar("shop").invoke("shop", "work?of=the-test", json=body)
    asked = world.ledger.requests("shop", "/work", data={"id": name}, method="POST")

    first, second = asked.answered(418, 200)
    with pytest.raises(ProbeTimeout, match=r"(?s)expected: 200.*POST /work -> 418"):
        asked.answered(200, timeout=100_000)
    with pytest.raises(ConfigError, match="'nobody' has no inbox"):
        world.ledger.requests("nobody", "/work").answered()

    assert ("shop", "shop") == (first.app, first.node)
    assert first.time < second.time
    world.ledger.event(name).delivered_to("shop")
    assert [] == world.ledger.requests("shop", "/orders").now()


def test_the_example_of_the_docs_passes(world: World) -> None:
    """As it stands there."""
    page = (ROOT / "docs" / "ledger.md").read_text()
    names: dict[str, Any] = {}
    exec(page.split("```python\n")[1].split("```")[0], names)

    names["test_an_order_is_shipped_once"](world)


def test_a_chain_of_dead_letters_is_one_event(world: World) -> None:
    """Each topic's deliveries are told apart, and `settled` waits for the end of the chain."""
    publish(world, "judged", world.id, {"answer": '{"status": "DROP"}'})

    world.ledger.settled(timeout=60)

    path = world.ledger.event(world.id).dead_lettered("graveyard")
    world.ledger.event(world.id).dropped_by("shop")
    assert ["dead", "graveyard"] == [each.position.topic for each in path.dead_letters]
    assert [("judged", False), ("dead", True)] == [
        (each.topic, each.dead_letter) for each in path.attempts
    ]


def test_events_of_a_bulk_have_paths_of_their_own(world: World) -> None:
    """Published in one request, delivered in one, and each with its own outcome."""
    entries = [
        BulkEntry(f"{n}", {"n": n, "world": world.id, "word": word})
        for n, word in enumerate(["SUCCESS", "DROP", "RETRY"])
    ]
    world.sidecar("shop").publish_bulk("bus", "bulks", entries)

    world.ledger.settled(timeout=60)

    found = [world.ledger.event(data={"n": n, "world": world.id}).path() for n in range(3)]
    first = [each.attempts[0].outcome for each in found]
    assert ["success", "drop", "retry"] == first
    assert "success" == found[2].outcome_of("shop")
    assert [1, 1, 1] == [len(each.publications) for each in found]
    assert all(len(each.records) == 1 for each in found)


def test_settled_waits_for_a_slow_app(world: World) -> None:
    """And for what it publishes meanwhile."""
    publish(world, "orders", world.id, {"wait": 2, "publish": world.name("next")})

    ledger = world.ledger.settled(timeout=60)

    (path,) = [each for each in ledger.events if each.id == world.id]
    (following,) = [each for each in ledger.events if each.data == {"name": world.name("next")}]
    assert ("success", "success") == (path.outcome_of("shop"), following.outcome_of("shop"))
    assert ["shop"] == [each.app for each in following.publications]


def test_settled_is_not_deceived_by_a_sidecar_that_is_paused(world: World) -> None:
    """Its group loses its member after some seconds, and nobody would seem to wait."""
    publish(world, "orders", world.name("before"))
    world.ledger.event(world.name("before")).delivered_to("shop")
    world.pause("shop-daprd")
    try:
        with pytest.raises(ProbeTimeout, match="shop-daprd does not respond"):
            world.ledger.settled(timeout=2)
    finally:
        world.resume("shop-daprd")

    world.ledger.settled(timeout=60)


def test_an_event_without_a_cloud_event_around_it_has_a_path(world: World) -> None:
    """Binary and long ones, of a client that knows nothing of Dapr."""
    from confluent_kafka import Producer

    long = json.dumps({"world": world.id, "text": "x" * 900_000}).encode()
    producer = Producer({"bootstrap.servers": world.brokers})
    for value in (b"\x00\xff" + world.id.encode(), long):
        producer.produce("raw", value)
    assert 0 == producer.flush(10)

    ledger = world.ledger.settled(timeout=60)

    assert [("", 1, "success"), ("", 1, "success")] == [
        (each.id, len(each.records), each.outcome_of("shop")) for each in ledger.events
    ]


def test_an_event_that_has_expired_is_not_delivered(world: World) -> None:
    """daprd drops it without a word to the app."""
    from confluent_kafka import Producer

    event = {
        "specversion": "1.0", "id": world.id, "source": "test", "type": "late", "data": 1,
        "expiration": "2020-01-01T00:00:00Z",
    }  # fmt: skip
    producer = Producer({"bootstrap.servers": world.brokers})
    producer.produce("orders", json.dumps(event).encode())
    assert 0 == producer.flush(10)

    world.ledger.settled(timeout=60)

    world.ledger.event(world.id).expired()


def test_an_event_of_the_outbox_is_published_once(world: World) -> None:
    """Its row is on the broker, too."""
    key = world.name("order")
    world.sidecar("shop").transact_state("store", [StateOperation("upsert", key, {"order": key})])

    event = world.ledger.event(topic="orders", where=lambda each: key in str(each.data))
    path = event.delivered_to("shop", timeout=60)
    event.published_once(timeout=60)

    assert [True, False] == [each.outbox for each in path.records]


def test_a_question_that_is_answered_no_tells_what_happened_without_secrets(world: World) -> None:
    """The app's answer contains its token; the message has the rest of the answer."""
    token = world.token("dapr-api")
    publish(world, "judged", world.id, {"status": 400, "answer": f"wrong token {token}"})

    with pytest.raises(ProbeTimeout) as missed:
        world.ledger.event(world.id).delivered_to("shop", timeout=3)

    assert "not accepted by shop in 1 attempts (the last: status 400 wrong token ***" in str(
        missed.value
    )
    assert token not in str(missed.value)


def test_what_one_reading_has_not_handed_out_is_read_by_the_next(world: World) -> None:
    """Its client has taken all of it when the first one ends early."""
    for number in range(5):
        publish(world, "orders", f"{world.id}-{number}")
    reader = BrokerReader(world.brokers, world.beginning.offsets)

    first = reader.read()
    found = [next(first)]
    first.close()
    found += reader.read()
    reader.close()

    assert {f"{world.id}-{number}": 1 for number in range(5)} == Counter(each.id for each in found)


def test_a_ledger_of_too_much_is_an_error(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what the limit is, and does not tell a part of it as the whole."""
    monkeypatch.setattr("harness.stack.account.MOST", 4)
    for number in range(5):
        publish(world, "orders", f"{world.id}-{number}")

    for _ in range(2):
        with pytest.raises(HarnessError, match="up to 4 events, deliveries and calls"):
            world.ledger.now()
