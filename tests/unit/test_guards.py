"""Every wait of a probe ends when a node dies, with the death as its error."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from harness import AsyncWorld, ConfigError, InstanceDied, Stack, World
from harness.core.deadline import Deadline
from harness.core.endpoint import Endpoint
from harness.core.errors import HarnessError
from harness.probe import records, subscription, topic_reader
from harness.probe.acalls import AsyncCalls
from harness.probe.ainbox import AsyncInbox
from harness.probe.astream import AsyncStream
from harness.probe.atable import AsyncTable
from harness.probe.atap import AsyncEventTap, AsyncSubscriptionTap
from harness.probe.calls import Calls
from harness.probe.deliveries import Delivery
from harness.probe.events import Event
from harness.probe.inbox import Inbox
from harness.probe.stream import Stream
from harness.probe.subscription import Subscription
from harness.probe.table import Table
from harness.probe.tap import EventTap, SubscriptionTap
from harness.probe.topic_reader import TopicReader
from harness.ready.local_http import Got
from harness.stack import beginning as beginnings
from tests.support import Fake, ScriptedCheck
from tests.unit.test_stack import exits, stack_of
from tests.unit.test_subscription import Looped

LONG = 60.0
"""Seconds of a wait that something else must end."""

EVENT = Event("t", 0, 0, None, "1", "", "", "", None)  # type: ignore[arg-type]  # no time
DELIVERY = Delivery(2.0, 0.1, "", "/x", "1", "", "", None, 200, 200, "", {}, {}, "")


class Dying:
    """A stack whose app exits at the n-th look of a probe.

    Attributes:
        guard: the stack's.
    """

    def __init__(self, stack: Stack, looks: int = 3) -> None:
        self.guard = stack.check_alive
        self._stack = stack
        self._left = looks

    def look(self) -> None:
        self._left -= 1
        if not self._left:
            exits(self._stack, "app", 3)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    opened, _ = stack_of(tmp_path, Fake("app"), Fake("other"))
    with opened:
        yield opened


@pytest.fixture
def dying(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Dying:
    """Sources that have one item each, and the app's death."""
    made = Dying(stack)

    def read(items: list[Any], *_: object, **__: object) -> list[Any]:
        made.look()
        found, items[:] = items[:], []
        return found

    def get(_: str) -> Got:
        made.look()
        # An older delivery has no response yet.
        headers = {"inbox-size": "0", "inbox-open": "1.0"}
        return Got(200, b"", headers)

    async def arows(*_: object, **__: object) -> list[Any]:
        return read([])

    monkeypatch.setattr(TopicReader, "read", partial(read, [EVENT]))
    monkeypatch.setattr(TopicReader, "ends", lambda _: {0: 5})
    monkeypatch.setattr(records, "get", get)
    monkeypatch.setattr(Table, "rows", partial(read, []))
    monkeypatch.setattr(AsyncTable, "rows", arows)
    # Markers never come back, and the next one is sent at the next look.
    monkeypatch.setattr(subscription, "AGAIN", 0.0)
    monkeypatch.setattr(subscription, "MARKED", LONG)
    monkeypatch.setattr(subscription, "SUBSCRIBING", LONG)
    return made


def lost(dying: Dying) -> Looped:
    """A subscription to a broker that delivers nothing."""

    def deliver(_: bytes) -> list[bytes]:
        dying.look()
        return []

    return Looped(deliver=deliver)


class Unanswered(Looped):
    """A subscription that the sidecar neither accepts nor rejects."""

    def send(self, answer: Any) -> None:
        """Say nothing."""


def silent(dying: Dying) -> Subscription:
    def guard() -> None:
        dying.look()
        dying.guard()

    return Unanswered(guard=guard)


def false(dying: Dying) -> bool:
    dying.look()
    return False


def fails(dying: Dying) -> None:
    dying.look()
    raise AssertionError("not yet")


def inbox_before(dying: Dying) -> Inbox:
    """An inbox whose barrier has come, while an earlier delivery has no response yet."""
    made = Inbox("app", Endpoint("127.0.0.1", 1), 0, dying.guard)
    made._seen.append(DELIVERY)
    return made


def ainbox_before(dying: Dying) -> AsyncInbox:
    made = AsyncInbox("app", Endpoint("127.0.0.1", 1), 0, dying.guard)
    made._seen.append(DELIVERY)
    return made


def world_of(stack: Stack) -> World:
    return World(stack).__enter__()


WAITS: dict[str, Callable[[Dying, Stack], object]] = {
    "next": lambda d, _: Stream("s", partial(_none, d), guard=d.guard).next(timeout=LONG),
    "collect": lambda d, _: Stream("s", partial(_none, d), guard=d.guard).collect(2, timeout=LONG),
    "nothing before": lambda d, _: Stream("s", partial(_none, d), guard=d.guard).nothing_before(
        {"id": "1"}, timeout=LONG
    ),
    "topic": lambda d, _: EventTap("", "t", None, d.guard).next(id="2", timeout=LONG),
    "topic, to its end": lambda d, _: EventTap("", "t", None, d.guard).up_to_now(Deadline(LONG)),
    "topic, before a barrier": lambda d, _: EventTap("", "t", None, d.guard).nothing_before(
        {"id": "1"}, id="2", timeout=LONG
    ),
    "inbox": lambda d, _: Inbox("app", Endpoint("127.0.0.1", 1), 0, d.guard).next(timeout=LONG),
    "inbox, before a barrier": lambda d, _: inbox_before(d).nothing_before(
        {"id": "1"}, id="2", timeout=LONG
    ),
    "calls": lambda d, _: Calls("app", Endpoint("127.0.0.1", 1), 0, d.guard).next(timeout=LONG),
    "a tap is opened": lambda d, _: SubscriptionTap("t", lambda: lost(d), d.guard).open(),
    "a subscription is made": lambda d, _: silent(d),
    "table": lambda d, _: Table("", "t", d.guard).row(timeout=LONG),
    "eventually": lambda d, s: world_of(s).eventually(lambda: false(d), timeout=LONG),
    "eventually, an assertion": lambda d, s: world_of(s).eventually(lambda: fails(d), timeout=LONG),
}

ASYNC_WAITS: dict[str, Callable[[Dying, Stack], Awaitable[object]]] = {
    "next": lambda d, _: AsyncStream("s", partial(_none, d), guard=d.guard).next(timeout=LONG),
    "topic": lambda d, _: AsyncEventTap("", "t", None, d.guard).next(id="2", timeout=LONG),
    "topic, to its end": lambda d, _: AsyncEventTap("", "t", None, d.guard).up_to_now(
        Deadline(LONG)
    ),
    "topic, before a barrier": lambda d, _: AsyncEventTap("", "t", None, d.guard).nothing_before(
        {"id": "1"}, id="2", timeout=LONG
    ),
    "inbox": lambda d, _: AsyncInbox("app", Endpoint("127.0.0.1", 1), 0, d.guard).next(
        timeout=LONG
    ),
    "inbox, before a barrier": lambda d, _: ainbox_before(d).nothing_before(
        {"id": "1"}, id="2", timeout=LONG
    ),
    "calls": lambda d, _: AsyncCalls("app", Endpoint("127.0.0.1", 1), 0, d.guard).next(
        timeout=LONG
    ),
    "a tap is opened": lambda d, _: AsyncSubscriptionTap("t", lambda: lost(d), d.guard).open(),
    "table": lambda d, _: AsyncTable("", "t", d.guard).row(timeout=LONG),
    "eventually": lambda d, s: AsyncWorld(s).eventually(lambda: false(d), timeout=LONG),
    "eventually, an assertion": lambda d, s: AsyncWorld(s).eventually(
        lambda: fails(d), timeout=LONG
    ),
}


def _none(dying: Dying) -> list[Any]:
    dying.look()
    return []


@pytest.mark.parametrize("name", WAITS)
def test_a_node_that_dies_ends_a_wait(stack: Stack, dying: Dying, name: str) -> None:
    """While it lasts, and with the node and its exit code as the error."""
    with pytest.raises(InstanceDied, match="app exited with code 3 while the stack needed it"):
        WAITS[name](dying, stack)


@pytest.mark.parametrize("name", ASYNC_WAITS)
async def test_a_node_that_dies_ends_an_asynchronous_wait(
    stack: Stack, dying: Dying, name: str
) -> None:
    """As a synchronous one."""
    with pytest.raises(InstanceDied, match="app exited with code 3 while the stack needed it"):
        await ASYNC_WAITS[name](dying, stack)


KILLS: dict[str, Callable[[World], None]] = {
    "kill": lambda world: world.kill("app"),
    "stop": lambda world: world.stop("app"),
    "pause": lambda world: world.pause("app"),
    "expect_exit": lambda world: world.expect_exit("app"),
}


@pytest.mark.parametrize("kill", KILLS)
def test_a_node_that_the_test_ends_itself_ends_no_wait(stack: Stack, kill: str) -> None:
    """Another node's death does, also while it is away."""
    items: list[Any] = []
    with World(stack) as world:
        KILLS[kill](world)
        if kill == "expect_exit":
            exits(stack, "app", 0)
        looks = iter([False, False, True])
        assert world.eventually(lambda: next(looks))
        assert [] == Stream("s", lambda: items, guard=stack.check_alive).all()

        exits(stack, "other", 4)
        with pytest.raises(InstanceDied, match="other exited with code 4"):
            world.eventually(lambda: False, timeout=LONG)


@pytest.mark.parametrize("kill", ["kill", "stop"])
def test_a_node_that_the_test_has_ended_is_needed_again_after_a_restart(
    stack: Stack, kill: str
) -> None:
    """Its next exit is a death."""
    with World(stack) as world:
        KILLS[kill](world)
        world.restart("app")
        exits(stack, "app", 3)

        with pytest.raises(InstanceDied, match="app exited with code 3"):
            world.eventually(lambda: False, timeout=LONG)


def test_a_restart_waits_until_the_node_is_ready_unless_told_not_to(tmp_path: Path) -> None:
    """Its checks are then another operation's: ``await_ready``."""
    check = ScriptedCheck()
    stack, _ = stack_of(tmp_path, Fake("app", scripted=(check,)))
    with stack, World(stack) as world:
        world.restart("app", ready=False)
        assert 1 == len(check.looks)

        world.await_ready("app")
        world.restart("app")
        assert 3 == len(check.looks)


@pytest.mark.parametrize("operation", ["restart", "stop", "kill", "pause", "resume"])
def test_a_node_that_somebody_else_has_started_is_not_operated_on(
    tmp_path: Path, operation: str
) -> None:
    """An error that says so, and nothing happens."""
    stack, made = stack_of(tmp_path, Fake("app", external=True))
    with stack, World(stack) as world:
        with pytest.raises(ConfigError, match="app is external: the stack has not started it"):
            getattr(world, operation)("app")
        stack.check_alive()

    assert ["left app", "closed"] == made[0].events


def test_every_probe_of_a_world_has_the_guard_of_its_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Topic, inbox, calls, table, trace, metric, timeline: none of them is made without it."""
    monkeypatch.setattr(beginnings, "end_offsets", lambda *_, **__: {})
    monkeypatch.setattr(beginnings, "size_of_record", lambda _: 0)
    # There is no broker whose answer the timeline could wait for.
    monkeypatch.setattr(topic_reader, "ANSWERING", 0.1)
    stack, _ = stack_of(
        tmp_path,
        Fake("app"),
        Recorder("app-inbox", fixed_ports={"main": 1}),
        CallRecorder("app-calls", fixed_ports={"record": 1}),
        Fake("kafka", values={"brokers": "127.0.0.1:1", "dsn": ""}),
    )
    with stack, World(stack) as world:
        own = AsyncWorld(stack)
        own._begun = world.beginning
        probes = [
            *(each.topic("t") for each in (world, own)),
            *(each.inbox("app") for each in (world, own)),
            *(each.calls("app") for each in (world, own)),
        ]
        tables: list[Table | AsyncTable] = [world.table("t"), own.table("t")]

        assert {stack.check_alive} == {each.guard for each in probes}
        assert {stack.check_alive} == {each._guard for each in tables}
        exits(stack, "app", 3)
        asked: list[Callable[[], object]] = [
            lambda: world.trace("0" * 32),
            lambda: world.metric("app", "n"),
            world.timeline,
        ]
        for ask in asked:
            with pytest.raises(HarnessError, match="app exited with code 3"):
                ask()


class Recorder(Fake):
    """An inbox."""

    records = "app"


class CallRecorder(Fake):
    """What records the calls of the app."""

    calls_of = "app"
