"""Ready means that an event published now is delivered now."""

from __future__ import annotations

import pytest
from confluent_kafka import ConsumerGroupState
from confluent_kafka.admin import AdminClient

from harness import AsyncWorld
from harness.dapr.model import Metadata

TOPICS = ("task-events", "reminders", "dead-letters")
APP = "notification-service"


def partitions_of(brokers: str, group: str) -> tuple[str, set[tuple[str, int]]]:
    """State and assigned partitions of a group, queried without the harness."""
    admin = AdminClient({"bootstrap.servers": brokers})
    found = admin.describe_consumer_groups([group])[group].result()
    held = {(p.topic, p.partition) for m in found.members for p in m.assignment.topic_partitions}
    return ConsumerGroupState(found.state).name, held


@pytest.mark.dapr(exclusive=True)
async def test_a_restarted_subscriber_holds_its_partitions_when_it_is_called_ready(
    dapr: AsyncWorld,
) -> None:
    """The broker confirms it at once, five times in a row."""
    brokers = dapr.exports("broker")["brokers"]
    wanted = {(topic, n) for topic in TOPICS for n in range(3)}

    for _ in range(5):
        await dapr.restart(f"{APP}-daprd")

        assert ("STABLE", wanted) == partitions_of(brokers, APP)


async def test_a_ready_sidecar_knows_everything_that_was_declared(dapr: AsyncWorld) -> None:
    """Components, subscriptions, placement, scheduler."""
    seen: Metadata = await dapr.sidecar(APP).metadata()

    assert {
        ("daily-cleanup", "bindings.cron"),
        ("mail", "bindings.smtp"),
        ("pubsub", "pubsub.kafka"),
        ("secrets", "secretstores.local.env"),
        ("statestore", "state.postgresql"),
        ("webhook", "bindings.http"),
    } == {(each.name, each.type) for each in seen.components}
    assert {
        ("task-events", "/events/task"),
        ("reminders", "/events/reminder/due"),
        ("reminders", "/events/reminder/scheduled"),
        ("reminders", "/events/reminder"),
        ("dead-letters", "/events/dead-letter"),
        # The last part of a route is random, so that nobody else knows it.
    } == {
        (each.topic, path.rpartition("/")[0]) for each in seen.subscriptions for path in each.routes
    }
    assert "placement: connected" == seen.placement
    assert 1 == len(seen.schedulers)


async def test_the_ladder_of_a_sidecar_was_climbed_in_order(dapr: AsyncWorld) -> None:
    """The journal has every check, each after the previous one."""
    passed = [
        entry.facts["check"]
        for entry in dapr.stack.journal
        if entry.kind == "check.passed" and entry.node == f"{APP}-daprd"
    ]

    assert ["port", "outbound", "identity", "components", "app"] == passed[:5]
    assert ["subscriptions", "placement", "scheduler", "group"] == passed[5:9]
