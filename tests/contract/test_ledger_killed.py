"""The ledger is complete, although every part of the system is killed meanwhile."""

from __future__ import annotations

import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import httpx
import pytest

from harness import App, DaprError, Kafka, Settings, Topology, World, running
from harness.core.deadline import Deadline, ticks
from harness.dapr.model import BulkEntry
from tests.projects import BUS
from tests.support import project

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

APP = Path(__file__).parent / "ledger_app.py"

# With daprd's default, `newest`, a group that has committed nothing yet begins at the end when its
# member comes back, and the events that came meanwhile are never delivered.
RESOURCES = f"""\
{BUS}  - {{name: initialOffset, value: oldest}}
  - {{name: backOffDuration, value: 50ms}}
"""

EVENTS, BATCH = 5_000, 100


def publish_until_accepted(world: World) -> set[str]:
    """Publish until so many events were accepted, a batch at a time; the ids of these."""
    numbers, accepted = count(), set[str]()
    for _ in ticks(Deadline(200), 0.1):
        ids = [f"{world.id}-{next(numbers)}" for _ in range(BATCH)]
        entries = [BulkEntry(each, {"id": each}, metadata={"cloudevent.id": each}) for each in ids]
        try:
            world.sidecar("shop").publish_bulk("bus", "bulks", entries)
        except (DaprError, httpx.HTTPError):
            continue
        accepted |= {*ids}
        if len(accepted) >= EVENTS:
            break
    return accepted


def count_records(brokers: str) -> int:
    """What is on all topics of a broker, as a client of Kafka alone counts it."""
    from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

    consumer = Consumer(
        {"bootstrap.servers": brokers, "group.id": "counts", "enable.partition.eof": True}
    )
    parts = [
        TopicPartition(name, number, OFFSET_BEGINNING)
        for name, topic in consumer.list_topics(timeout=10).topics.items()
        if not name.startswith("__")
        for number in topic.partitions
    ]
    consumer.assign(parts)
    records = ends = 0
    for _ in ticks(Deadline(30)):
        found = consumer.consume(1000, timeout=0.1)
        records += sum(each.error() is None for each in found)
        ends += sum(each.error() is not None for each in found)
        if ends == len(parts):
            break
    consumer.close()
    assert ends == len(parts)
    return records


def test_no_record_and_no_delivery_is_missing_although_everything_is_killed(tmp_path: Path) -> None:
    """Of 5,000 events that were accepted while broker, app and sidecar died in turn."""
    folder = project(tmp_path, r__all_yaml=RESOURCES)
    topics = ["orders:2", "raw", "judged", "dead", "graveyard", "bulks"]
    shop = App("shop", command=[sys.executable, str(APP)], inbox=True)
    topology = Topology(Kafka(topics=topics), shop, resources="r")
    settings = Settings.load(folder, runtime="processes")
    with running(topology, settings) as stack, World(stack) as world:
        with ThreadPoolExecutor(1) as pool:
            publishing = pool.submit(publish_until_accepted, world)
            # The broker first: if it restarts while a killed sidecar is still a member of its
            # group, Kafka waits for that member for the rebalance timeout, a minute.
            for node in ("kafka", "shop", "shop-daprd"):
                world.kill(node)
                world.restart(node)
            accepted = publishing.result()

        ledger = world.ledger.settled(timeout=100)

        assert EVENTS <= len(accepted)
        assert count_records(world.brokers) == ledger.records
        found = {each.id: each for each in ledger.events}
        assert set() == accepted - {*found}
        for event_id in accepted:
            assert found[event_id].originals
            assert [True] == [each.accepted for each in found[event_id].publications]
        came = Counter(
            str(entry["event"]["id"])
            for delivery in world.inbox("shop").all(path="/bulks")
            for entry in delivery.data["entries"]
        )
        assert set() == accepted - {*came}
        assert came == {each.id: len(each.attempts) for each in ledger.events if each.attempts}
