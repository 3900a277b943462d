"""The rung of the consumer group: Stable, and every partition held."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import ConsumerGroupState as State

from harness.errors import AppFailed
from harness.ready import kafka
from harness.ready.kafka import GroupCheck


def check(
    state: State, held: set[tuple[str, int]], *, creates: str = "false", **partitions: int
) -> GroupCheck:
    """A check whose broker answers from a script."""
    config: Future[Any] = Future()
    config.set_result({"auto.create.topics.enable": SimpleNamespace(value=creates)})
    parts = [SimpleNamespace(topic=topic, partition=number) for topic, number in held]
    member = SimpleNamespace(assignment=SimpleNamespace(topic_partitions=parts))
    described: Future[Any] = Future()
    described.set_result(SimpleNamespace(state=state, members=[member]))
    topics = {
        name: SimpleNamespace(partitions=dict.fromkeys(range(count)))
        for name, count in partitions.items()
    }
    made = GroupCheck("broker", "g", ["a", "b"])
    made.__dict__["_admin"] = SimpleNamespace(
        list_topics=lambda timeout: SimpleNamespace(topics=topics, brokers={1: None}),
        describe_configs=lambda asked, request_timeout: dict.fromkeys(asked, config),
        describe_consumer_groups=lambda names, request_timeout: {"g": described},
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
