"""Consumer groups: which one a component uses, and when it can deliver."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import ConsumerGroupState as State
from confluent_kafka import KafkaException

from harness.core.errors import AppFailed
from harness.dapr.resources import DaprResource
from harness.nodes.consumer_groups import ConsumerGroup, DeliveryCheck, consumer_groups
from harness.ready import kafka
from harness.ready.kafka import GroupCheck, group_names


def check(
    state: State,
    held: set[tuple[str, int]],
    *,
    group: str = "g",
    creates: str = "false",
    **partitions: int,
) -> GroupCheck:
    """A check whose broker answers from a script."""
    config: Future[Any] = Future()
    config.set_result({"auto.create.topics.enable": SimpleNamespace(value=creates)})
    parts = [SimpleNamespace(topic=topic, partition=number) for topic, number in held]
    member = SimpleNamespace(assignment=SimpleNamespace(topic_partitions=parts))
    listed: Future[Any] = Future()
    listed.set_result(SimpleNamespace(valid=[SimpleNamespace(group_id="g-1")], errors=[]))
    described: Future[Any] = Future()
    described.set_result(SimpleNamespace(state=state, members=[member]))
    topics = {
        name: SimpleNamespace(partitions=dict.fromkeys(range(count)))
        for name, count in partitions.items()
    }
    made = GroupCheck("broker", group, ["a", "b"])
    made.__dict__["_admin"] = SimpleNamespace(
        list_topics=lambda timeout: SimpleNamespace(topics=topics, brokers={1: None}),
        describe_configs=lambda asked, request_timeout: dict.fromkeys(asked, config),
        list_consumer_groups=lambda request_timeout: listed,
        describe_consumer_groups=lambda names, request_timeout: dict.fromkeys(names, described),
    )
    return made


ALL = {("a", 0), ("a", 1), ("b", 0)}


@pytest.mark.parametrize(
    ("state", "held", "ok"),
    [
        (State.STABLE, ALL, True),
        (State.STABLE, ALL | {("other", 0)}, True),
        (State.STABLE, ALL - {("a", 1)}, False),
        (State.STABLE, set(), False),
        (State.PREPARING_REBALANCING, ALL, False),
        (State.COMPLETING_REBALANCING, ALL, False),
        (State.EMPTY, set(), False),
    ],
)
def test_only_a_stable_group_with_every_partition_delivers(
    state: State, held: set[tuple[str, int]], ok: bool
) -> None:
    """Metadata show a subscription long before."""
    seen = check(state, held, a=2, b=1).observe()

    assert seen.ok is ok
    assert state.name in seen.fact


def test_a_topic_that_does_not_exist_yet_is_missing() -> None:
    """It must be there and assigned; daprd would have it created by its subscription."""
    seen = check(State.STABLE, {("a", 0)}, a=1).observe()

    assert (seen.ok, "missing [('b', 0)]" in seen.fact) == (False, True)


def test_a_topic_that_stays_missing_fails_the_app_with_the_closest_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its group would never get the partition, so there is nothing to wait for."""
    made = check(State.STABLE, {("a", 0)}, a=1, bb=1, __consumer_offsets=1)
    monkeypatch.setattr(kafka, "MISSING", 0.0)

    with pytest.raises(AppFailed, match=r"topic 'b', which does not exist") as raised:
        made.observe()

    assert "did you mean 'bb'? known: a, bb" in raised.value.hint


def test_a_topic_that_the_broker_creates_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a busy machine takes until the subscriber has named it."""
    made = check(State.STABLE, {("a", 0)}, creates="true", a=1)
    monkeypatch.setattr(kafka, "MISSING", 0.0)

    assert not made.observe().ok


def test_a_topic_that_appears_in_time_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another app may create it; the time begins anew when it vanishes again."""
    made = check(State.STABLE, {("a", 0), ("b", 0)}, a=1)
    made.observe()
    assert made._missing is not None
    monkeypatch.setattr(kafka, "MISSING", 0.0)

    made.__dict__["_admin"].list_topics(timeout=1).topics["b"] = SimpleNamespace(partitions={0: 0})

    assert made.observe().ok
    assert made._missing is None


def test_a_group_whose_name_has_a_uuid_is_found_by_its_pattern() -> None:
    assert check(State.STABLE, ALL, group="g-*", a=2, b=1).observe().ok

    seen = check(State.STABLE, ALL, group="other-*", a=2, b=1).observe()
    assert (False, True) == (seen.ok, "group other-* is not there" in seen.fact)


def test_a_group_that_rebalances_holds_nothing() -> None:
    """Among several that match, only the partitions of stable ones count."""
    made = check(State.STABLE, {("a", 0)}, group="g-*", a=1, b=1)
    busy = check(State.PREPARING_REBALANCING, {("b", 0)}, a=1, b=1)
    groups = made._described() + busy._described()
    made.__dict__["_described"] = lambda: groups

    seen = made.observe()

    assert not seen.ok
    assert "missing [('b', 0)]" in seen.fact


def test_a_broker_that_cannot_list_its_groups_is_an_error_and_not_an_empty_list() -> None:
    listed: Future[Any] = Future()
    listed.set_result(SimpleNamespace(valid=[], errors=[KafkaException("coordinator is loading")]))
    admin: Any = SimpleNamespace(list_consumer_groups=lambda request_timeout: listed)

    with pytest.raises(KafkaException, match="coordinator is loading"):
        group_names(admin, 1)


def component(*items: dict[str, Any]) -> DaprResource:
    """A Kafka pub/sub component with these metadata items besides its brokers."""
    spec = {"type": "pubsub.kafka", "version": "v1", "metadata": list(items)}
    about = {"name": "pubsub"}
    body: dict[str, Any] = {"kind": "Component", "metadata": about, "spec": spec}
    return DaprResource(Path("pubsub.yaml"), 1, body)


@pytest.mark.parametrize(
    ("item", "name"),
    [
        ({"name": "version", "value": "2.0.0"}, "shop"),
        ({"name": "consumerID", "value": "everybody"}, "everybody"),
        ({"name": "consumerGroup", "value": "ours-{appID}"}, "ours-shop"),
        ({"name": "CONSUMERGROUP", "value": "upper"}, "upper"),
        ({"name": "consumerID", "value": "{podName}"}, "*"),
        ({"name": "consumerID", "value": "{appID}-{uuid}"}, "shop-*"),
    ],
)
def test_the_group_of_a_component_is_the_one_that_daprd_uses(
    item: dict[str, Any], name: str
) -> None:
    brokers = {"name": "brokers", "value": "127.0.0.1:9092"}
    found = consumer_groups([component(brokers, item)], "shop", {"NAMESPACE": "prod"})

    assert {"pubsub": ConsumerGroup("127.0.0.1:9092", name)} == found


def test_the_topics_of_a_component_with_the_namespace_begin_with_it() -> None:
    item = {"name": "consumerID", "value": "{namespace}"}

    assert (
        ConsumerGroup("", "prod.shop", "prod")
        == (consumer_groups([component(item)], "shop", {"NAMESPACE": "prod"})["pubsub"])
    )
    assert "NAMESPACE" in consumer_groups([component(item)], "shop")["pubsub"].hidden


def test_the_topics_that_are_waited_for_begin_with_the_namespace() -> None:
    wanted = {("pubsub", "orders"), ("other", "bills"), ("other", "elsewhere")}
    # In a queue with a name of its own, which no other broker has.
    subscriptions: Any = SimpleNamespace(wanted=wanted, own_queues={("other", "elsewhere")})
    groups = {"pubsub": ConsumerGroup("", "prod.shop", "prod"), "other": ConsumerGroup("", "shop")}

    checks: Any = DeliveryCheck(subscriptions, groups)._plan()

    assert [["prodorders"], ["bills"]] == [[*each.topics] for each in checks]


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ({"name": "brokers", "secretKeyRef": {"name": "k"}}, "brokers is a reference"),
        ({"name": "consumerGroup", "envRef": "GROUP"}, "consumerGroup is a reference"),
        ({"name": "authType", "value": "password"}, "only its sidecar knows saslUsername"),
    ],
)
def test_a_group_that_cannot_be_looked_at_is_not_waited_for(
    item: dict[str, Any], reason: str
) -> None:
    """daprd may deliver anyway, so the start must not fail."""
    groups = consumer_groups([component(item)], "shop")
    wanted: Any = SimpleNamespace(wanted={("pubsub", "orders")}, own_queues=set())

    seen = DeliveryCheck(wanted, groups).observe()

    assert seen.ok
    assert reason in seen.fact
