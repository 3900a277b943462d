"""`Topology(durable=True)`: what is acknowledged is on the disk."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import ConfigResource, ResourceType

from harness import Endpoint, Kafka, Postgres, Redis, Settings, Stack, Topology, running
from harness.core.deadline import Deadline, Observation, poll
from harness.ready.kafka import admin_of
from harness.ready.resp import RedisAccess
from tests.support import project

pytestmark = pytest.mark.real

COUNT = 100


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = project(tmp_path_factory.mktemp("durable"), pyproject_toml="")
    nodes = (Postgres(name="pg"), Kafka(["events"]), Redis())
    with running(Topology(*nodes, durable=True), Settings.load(folder)) as found:
        yield found


def connected(stack: Stack) -> psycopg.Connection:
    return psycopg.connect(stack.book.exports("pg")["dsn"], autocommit=True)


def redis_of(stack: Stack) -> RedisAccess:
    exports = stack.book.exports("redis")
    host, _, port = exports["address"].partition(":")
    return RedisAccess(Endpoint(host, int(port)), exports["password"])


def brokers(stack: Stack) -> str:
    return stack.book.exports("kafka")["brokers"]


def test_every_server_writes_to_the_disk_first(stack: Stack) -> None:
    """As the servers themselves say."""
    with connected(stack) as connection:
        synced = connection.execute("SHOW fsync").fetchone()
    admin = admin_of(brokers(stack))
    (asked,) = admin.describe_configs([ConfigResource(ResourceType.BROKER, "1")]).values()
    kept = redis_of(stack).ask(("CONFIG", "GET", "appendfsync"))

    assert ("on",) == synced
    assert "1" == asked.result(10)["log.flush.interval.messages"].value
    assert "always" in str(kept)


def test_a_killed_server_loses_nothing_that_was_acknowledged(stack: Stack) -> None:
    """PostgreSQL's rows, Kafka's events and Redis's keys; killed while others are on their way."""
    rows, events, keys = set(), set[str](), set()
    redis = redis_of(stack)
    with connected(stack) as connection:
        connection.execute("CREATE TABLE acknowledged (id int)")
        for number in range(COUNT):
            connection.execute("INSERT INTO acknowledged VALUES (%s)", [number])
            rows.add(number)
    for number in range(COUNT):
        redis.ask(("SET", f"key-{number}", "x"))
        keys.add(f"key-{number}")

    def told(error: object, message: Message) -> None:
        if error is None and (value := message.value()):
            events.add(value.decode())

    producer = Producer({"bootstrap.servers": brokers(stack), "linger.ms": 0, "log_level": 0})
    for number in range(10 * COUNT):
        producer.produce("events", str(number).encode(), on_delivery=told)
    poll(lambda: Observation(bool(producer.poll(0) and len(events) >= COUNT)), Deadline(30))
    for name in ("kafka", "pg", "redis"):
        stack.instances[name].kill()  # type: ignore[attr-defined]  # every runtime's can
    producer.purge()
    before = len(events)
    for name in ("kafka", "pg", "redis"):
        stack.restart(name)

    with connected(stack) as connection:
        assert rows == {row for (row,) in connection.execute("SELECT id FROM acknowledged")}
    assert keys <= {f"key-{n}" for n in range(COUNT) if redis_of(stack).ask(("GET", f"key-{n}"))}
    assert before >= COUNT
    assert set() == events - read(stack)


def read(stack: Stack) -> set[str]:
    """Every event of the topic."""
    consumer = Consumer({"bootstrap.servers": brokers(stack), "group.id": "reader"})
    part = TopicPartition("events", 0, 0)
    consumer.assign([part])
    _, end = consumer.get_watermark_offsets(part, timeout=30)
    found: dict[int, str] = {}

    def look() -> Observation:
        message = consumer.poll(0.1)
        if message is not None and (value := message.value()):
            found[message.offset() or 0] = value.decode()
        return Observation(max(found, default=-1) == end - 1, f"{len(found)} of {end}")

    assert (seen := poll(look, Deadline(30))).ok, seen.fact
    consumer.close()
    return {*found.values()}
