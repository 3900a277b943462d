"""Probes against real nodes: where a tap begins, what absence proves, and what ends a wait."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import NewTopic

from harness import (
    App,
    AppFailed,
    AsyncWorld,
    ConfigError,
    HarnessError,
    Kafka,
    Postgres,
    ProbeError,
    ProbeTimeout,
    Process,
    Receiver,
    Settings,
    Stack,
    Topology,
    World,
    running,
)
from harness.core.deadline import Deadline
from harness.probe.atap import AsyncEventTap
from harness.probe.tap import EventTap
from harness.ready.kafka import admin_of
from tests.support import project

pytestmark = pytest.mark.real

LONG = 60.0
"""Seconds of a wait that something else must end."""

APP = """
import asyncio

from fastapi import FastAPI

app = FastAPI()
gate = asyncio.Event()
waiting = []


@app.post("/barrier")
async def barrier() -> dict:
    return {}


@app.post("/slow")
async def slow() -> dict:
    waiting.append(1)
    await gate.wait()
    return {}


@app.get("/waiting")
async def count() -> int:
    return len(waiting)


@app.post("/open")
async def unlock() -> dict:
    gate.set()
    return {}
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything that a probe can look at, in small."""
    folder = project(tmp_path_factory.mktemp("probes"), app_py=APP)
    topology = Topology(
        Kafka(topics=["t:2"]),
        Postgres(),
        Receiver(mail=False),
        App("echo", asgi="app:app", inbox=True),
    )
    with running(topology, Settings.load(folder)) as opened:
        yield opened


@pytest.fixture
def world(stack: Stack) -> Iterator[World]:
    with World(stack) as opened:
        yield opened


def brokers(stack: Stack) -> str:
    return str(stack.book.exports("kafka")["brokers"])


def write(stack: Stack, topic: str, *items: tuple[int, str]) -> None:
    """Write records, each to a partition, one after the other."""
    producer = Producer({"bootstrap.servers": brokers(stack), "log_level": 0})
    for partition, value in items:
        producer.produce(topic, value, partition=partition)
        assert 0 == producer.flush(20)


def make_topic(stack: Stack, name: str) -> None:
    admin = admin_of(brokers(stack))
    admin.create_topics([NewTopic(name, 1, 1)])[name].result(20)


@pytest.mark.parametrize("name", ["t", "made-by-somebody-else"])
def test_a_tap_begins_where_the_topic_ended_when_its_world_began(stack: Stack, name: str) -> None:
    """Declared or not: the events of other tests are not seen."""
    if name != "t":
        make_topic(stack, name)
    write(stack, name, (0, "before"))

    with World(stack) as world:
        write(stack, name, (0, "after"))
        topic = world.topic(name)

        assert "after" == topic.next(timeout=30).data
        assert ["after"] == [each.data for each in topic.seen]


def test_a_topic_that_was_made_since_is_read_from_its_beginning(stack: Stack, world: World) -> None:
    """All of it is of this world's time."""
    make_topic(stack, "made-since")
    write(stack, "made-since", (0, "first"))

    assert "first" == world.topic("made-since").next(timeout=30).data


def test_a_topic_that_does_not_exist_is_told_at_once(world: World) -> None:
    """With the names of those that do, and the closest of them."""
    with pytest.raises(ConfigError, match=r"no topic 'tt'(.|\n)*did you mean 't'\? known: .*t"):
        world.topic("tt").next(timeout=LONG)


@pytest.fixture
def creating(tmp_path: Path) -> Iterator[Stack]:
    """A broker that creates a topic when it is first used."""
    with running(Topology(Kafka(auto_create=True)), Settings.load(project(tmp_path))) as opened:
        yield opened


def test_a_topic_that_the_broker_creates_later_is_waited_for(creating: Stack) -> None:
    """A dead letter topic, for example, is made with its first event."""
    with World(creating) as world:
        topic = world.topic("buried")
        assert isinstance(topic, EventTap)
        assert [] == topic.seen == topic.up_to_now(Deadline(LONG))
        write(creating, "buried", (0, "first"))

        assert "first" == topic.next(timeout=LONG).data


def test_a_topic_that_is_never_created_is_named_after_the_wait(creating: Stack) -> None:
    """Nothing else tells a misspelled name from an event that did not come."""
    write(creating, "buried", (0, "first"))
    with World(creating) as world:
        missing = r"nothing matched(.|\n)*no topic 'burried'; did you mean 'buried'"
        with pytest.raises(ProbeTimeout, match=missing):
            world.topic("burried").next(timeout=0.5)


def test_a_table_that_does_not_exist_is_told_with_the_databases_reason(world: World) -> None:
    """As an error of the probe, not of a database driver."""
    with pytest.raises(ProbeError, match="table nothing cannot be read") as caught:
        world.table("nothing").rows()

    assert 'relation "nothing" does not exist' in caught.value.last


def test_what_follows_the_barrier_in_its_partition_does_not_count(
    stack: Stack, world: World
) -> None:
    """There the order is known."""
    write(stack, "t", (0, "barrier"), (0, "unwanted"))
    topic = world.topic("t")
    topic.next(data="unwanted", timeout=30)

    assert "barrier" == topic.nothing_before({"data": "barrier"}, data="unwanted").data


def test_an_unwanted_event_in_another_partition_counts(stack: Stack, world: World) -> None:
    """Whichever of the two partitions is read first."""
    write(stack, "t", (1, "unwanted"), (0, "barrier"))
    write(stack, "t", (0, "unwanted-2"), (1, "barrier-2"))

    for mark in ("", "-2"):
        with pytest.raises(AssertionError, match="1 unwanted before the barrier"):
            world.topic("t").nothing_before(
                {"data": f"barrier{mark}"}, data=f"unwanted{mark}", timeout=30
            )


def test_a_barrier_proves_nothing_while_another_partition_is_unread(
    stack: Stack, world: World
) -> None:
    """It says so, and what is unread is found once it can be read."""
    topic = world.topic("t")
    assert isinstance(topic, EventTap)
    assert [] == topic.seen
    reader = topic._opened_reader()
    other = [TopicPartition("t", 1)]
    reader.consumer().pause(other)
    write(stack, "t", (1, "unwanted"), (0, "barrier"))

    with pytest.raises(
        ProbeTimeout, match=r"not all that was written before could be read(.|\n)*\{1: "
    ):
        topic.nothing_before({"data": "barrier"}, data="unwanted", timeout=5)

    reader.consumer().resume(other)
    write(stack, "t", (0, "barrier"))
    with pytest.raises(AssertionError, match="1 unwanted before the barrier"):
        topic.nothing_before({"data": "barrier"}, data="unwanted", timeout=30)


def test_records_that_are_gone_end_every_wait_of_a_tap(stack: Stack, world: World) -> None:
    """Retention was faster than the tap; to go on at the end would hide events."""
    write(stack, "t", (0, "1"), (0, "2"))
    admin, end = admin_of(brokers(stack)), world.beginning.offsets["t"][0] + 2
    for future in admin.delete_records([TopicPartition("t", 0, end)]).values():
        future.result(20)
    topic = world.topic("t")

    for _ in range(2):
        with pytest.raises(ProbeError, match=r"topic t cannot be read\n  last seen: .*[Oo]ffset"):
            topic.next(timeout=LONG)


def test_a_delivery_without_an_answer_is_before_the_barrier_too(world: World) -> None:
    """The app has it and hangs: the inbox waits for its answer before it judges."""
    inbox, app, daprd = world.inbox("echo"), world.app("echo"), world.sidecar("echo")
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(daprd.invoke, "echo", "slow")
        try:
            world.eventually(lambda: app.get("/waiting").json() == 1, timeout=30)
            daprd.invoke("echo", "barrier")

            with pytest.raises(ProbeTimeout, match="has not been answered yet"):
                inbox.nothing_before({"path": "/barrier"}, path="/slow", timeout=5)
        finally:
            app.post("/open")
        slow.result()

    daprd.invoke("echo", "barrier")
    with pytest.raises(AssertionError, match="1 unwanted before the barrier"):
        inbox.nothing_before({"path": "/barrier"}, path="/slow", timeout=30)


WAITS: dict[str, Callable[[World], object]] = {
    "topic": lambda world: world.topic("t").next(data="never", timeout=LONG),
    "inbox": lambda world: world.inbox("echo").next(path="/never", timeout=LONG),
    "table": lambda world: world.table("pg_tables").row(tablename="never", timeout=LONG),
    "eventually": lambda world: world.eventually(lambda: False, timeout=LONG),
    "trace": lambda world: world.eventually(lambda: bool(world.trace("0" * 32)), timeout=LONG),
    "metric": lambda world: world.eventually(lambda: world.metric("echo", "n") > 0, timeout=LONG),
    "a trace once": lambda world: world.trace("0" * 32),
    "a metric once": lambda world: world.metric("echo", "n"),
}

ASYNC_WAITS: dict[str, Callable[[AsyncWorld], Coroutine[Any, Any, Any]]] = {
    "topic": lambda world: world.topic("t").next(data="never", timeout=LONG),
    "collect": lambda world: world.topic("t").collect(2, data="never", timeout=LONG),
    "nothing before": lambda world: world.topic("t").nothing_before(
        {"data": "never"}, timeout=LONG
    ),
    "inbox": lambda world: world.inbox("echo").next(path="/never", timeout=LONG),
    "table": lambda world: world.table("pg_tables").row(tablename="never", timeout=LONG),
    "eventually": lambda world: world.eventually(lambda: False, timeout=LONG),
    "trace": lambda world: world.eventually(lambda: _some(world.trace("0" * 32)), timeout=LONG),
    "metric": lambda world: world.eventually(
        lambda: _some(world.metric("echo", "n")), timeout=LONG
    ),
}


async def _some(found: Awaitable[object]) -> bool:
    return bool(await found)


async def test_an_app_that_dies_ends_every_wait_and_a_killed_one_none(
    stack: Stack, world: World
) -> None:
    """The error names the node and how it ended."""
    try:
        async with AsyncWorld(stack) as own:
            waits = [asyncio.create_task(each(own)) for each in ASYNC_WAITS.values()]
            ended, _ = await asyncio.wait(waits, timeout=1)
            assert not ended, "a wait has ended although everything runs"
            os.kill(own.instance("echo").pid, signal.SIGKILL)
            for each in await asyncio.gather(*waits, return_exceptions=True):
                with pytest.raises(AppFailed, match="echo was killed by signal 9"):
                    raise each
        for wait in WAITS.values():
            with pytest.raises(AppFailed, match="echo was killed by signal 9"):
                wait(world)
    finally:
        stack.restart("echo")

    world.kill("echo")
    try:
        write(stack, "t", (0, "while it is away"))
        assert world.topic("t").next(data="while it is away", timeout=30)
        assert world.eventually(lambda: True)
    finally:
        stack.restart("echo")


async def test_an_inbox_that_cannot_be_healed_is_told_and_every_client_is_closed(
    stack: Stack,
) -> None:
    """Its proxy has gone; the clients of both kinds must not stay open with it."""
    with World(stack) as world:
        world.inbox("echo").fail_next("/events")
        app, client = world.app("echo"), world.sidecar("echo").http
        topic = world.topic("t")
        topic.all()
        own = await AsyncWorld(stack).__aenter__()
        await own.inbox("echo").fail_next("/events")
        own_app, own_client = own.app("echo"), own.sidecar("echo").http
        atopic = own.topic("t")
        await atopic.all()
        world.kill("echo-inbox")
        try:
            with pytest.raises(ProbeError, match="does not answer DELETE"):
                world.close()
            with pytest.raises(ProbeError, match="does not answer DELETE"):
                await own.aclose()

            assert client.is_closed
            assert own_client.is_closed
            with pytest.raises(RuntimeError, match="has been closed"):
                app.get("/")
            with pytest.raises(RuntimeError, match="has been closed"):
                await own_app.get("/")
            assert all(
                each._reader is not None and each._reader.closed
                for each in (topic, atopic)
                if isinstance(each, EventTap | AsyncEventTap)
            )
            assert isinstance(topic, EventTap)
            assert isinstance(atopic, AsyncEventTap)
            await own.aclose()
        finally:
            stack.restart("echo-inbox")


@pytest.mark.parametrize("how", ["kill -9", "end"])
def test_a_supervisor_that_is_gone_ends_a_wait_with_the_cause(tmp_path: Path, how: str) -> None:
    """Everything it had started has ended with it; no node is blamed."""
    number, cause = {
        "kill -9": (signal.SIGKILL, "the supervisor of the stack has ended"),
        "end": (signal.SIGTERM, "the stack was ended by the signal SIGTERM"),
    }[how]
    idle = Topology(Process("idle", command="sleep 1000"))
    settings = Settings.load(tmp_path, runtime="processes")
    with running(idle, settings) as opened, World(opened) as world:
        looked: list[int] = []

        def ask() -> bool:
            if not looked:
                os.kill(opened.owner, number)
            looked.append(1)
            return False

        ended = rf"idle was killed by signal \d+: {cause}"
        with pytest.raises((HarnessError, AppFailed), match=ended):
            world.eventually(ask, timeout=LONG)
