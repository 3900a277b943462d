"""The asynchronous world: whatever blocks runs in another thread, so the event loop stays free."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from harness import AsyncTable, AsyncWorld, ConfigError, ProbeError, Receiver, Stack, World
from harness.core.deadline import Check, Deadline
from harness.probe import metrics, records
from harness.probe.atap import AsyncEventTap, AsyncSubscriptionTap
from harness.probe.events import Event
from harness.probe.topic_reader import TopicReader
from harness.ready.local_http import Got
from harness.runtime.fake import FakeInstance
from harness.stack import beginning as beginnings
from harness.stack.beginning import Beginning
from tests.support import Fake
from tests.unit.test_stack import stack_of

LONG = 30.0
"""Seconds that a blocking call waits for the event loop before it reports that it is blocked."""


class Loop:
    """Blocking calls that return only if the event loop runs in the meantime.

    Attributes:
        met: the calls that have returned.
    """

    def __init__(self) -> None:
        self.met: list[str] = []
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()

    def meet(self, name: str) -> None:
        assert threading.get_ident() != self._thread, f"{name} blocks the event loop"
        ran = threading.Event()
        self._loop.call_soon_threadsafe(ran.set)
        assert ran.wait(LONG), f"the event loop is blocked while {name} runs"
        self.met.append(name)

    def blocking(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def met(*args: Any, **kwargs: Any) -> Any:
            self.meet(name)
            return call(*args, **kwargs)

        return met


def answer(method: str, url: str, **_: object) -> httpx.Response:
    """A recording proxy that has recorded nothing, and a sidecar's metrics."""
    headers = {"inbox-size": "0", "inbox-open": "inf"}
    text = "dapr_x 3\n" if "__inbox__" not in url else ""
    return httpx.Response(200, headers=headers, text=text, request=httpx.Request(method, url))


def got(_: str) -> Got:
    return Got(200, b"", {"inbox-size": "0", "inbox-open": "inf"})


class FakeSidecar(Fake):
    """The sidecar of the app."""

    app = app_id = "app"
    resources = None
    configurations = ()
    cwd = Path()
    env: Mapping[str, str] = {}
    hermetic = False


@pytest_asyncio.fixture
async def loop(monkeypatch: pytest.MonkeyPatch) -> Loop:
    """The running loop; everything that blocks meets it."""
    made = Loop()
    blocking: list[tuple[Any, str, Any]] = [
        (records, "ask", answer),
        (records, "get", got),
        (metrics, "ask", answer),
        (beginnings, "end_offsets", lambda *_, **__: {"t": {0: 0}}),
        (beginnings, "backlog", lambda *_: "a backlog"),
        (Beginning, "logs", lambda _: {"app": "a line"}),
        (TopicReader, "read", lambda _: iter([])),
        (TopicReader, "ends", lambda _: {}),
        (TopicReader, "close", lambda _: None),
        (Stack, "await_ready", Stack.await_ready),
        *((FakeInstance, each, getattr(FakeInstance, each)) for each in (
            "restart", "stop", "kill", "pause", "resume"
        )),
    ]  # fmt: skip
    for owner, name, call in blocking:
        monkeypatch.setattr(owner, name, made.blocking(name, call))
    return made


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """An app with an inbox, a sidecar and a broker, none of which exists."""
    opened, _ = stack_of(
        tmp_path,
        Fake("app"),
        FakeSidecar("app-daprd", values={"token": "x"}, fixed_ports={"metrics": 1, "http": 2}),
        Fake("kafka", values={"brokers": "127.0.0.1:1", "dsn": "host=127.0.0.1"}),
        Recorder("app-inbox", fixed_ports={"main": 3}),
        CallRecorder("app-calls", fixed_ports={"main": 4, "record": 5}),
    )
    with opened:
        yield opened


class Recorder(Fake):
    """An inbox."""

    records = "app"


class CallRecorder(Fake):
    """What records the calls of the app."""

    calls_of = "app"


@pytest_asyncio.fixture
async def world(stack: Stack, loop: Loop) -> AsyncIterator[AsyncWorld]:
    async with AsyncWorld(stack) as opened:
        assert {"get", "end_offsets"} == {*loop.met}
        loop.met.clear()
        yield opened


Use = Callable[[AsyncWorld], Awaitable[object]]

USES: dict[str, tuple[str, Use]] = {
    "restart": ("restart", lambda world: world.restart("app")),
    "restart without waiting": ("restart", lambda world: world.restart("app", ready=False)),
    "await_ready": ("await_ready", lambda world: world.await_ready("app")),
    "stop": ("stop", lambda world: world.stop("app")),
    "kill": ("kill", lambda world: world.kill("app")),
    "pause": ("pause", lambda world: world.pause("app")),
    "resume": ("resume", lambda world: world.resume("app")),
    "metric": ("ask", lambda world: world.metric("app", "dapr_x")),
    "logs": ("logs", lambda world: world.logs()),
    "backlog": ("backlog", lambda world: world.backlog()),
    "inbox": ("get", lambda world: world.inbox("app").all()),
    "fail_next": ("ask", lambda world: world.inbox("app").fail_next("/x")),
    "clear_faults": ("ask", lambda world: world.inbox("app").clear_faults()),
    "calls": ("get", lambda world: world.calls("app").all()),
    "timeline": ("get", lambda world: world.timeline()),
    "topic": ("read", lambda world: world.topic("t").all()),
}


@pytest.mark.parametrize("name", USES)
async def test_the_event_loop_runs_while_a_world_is_used(
    world: AsyncWorld, loop: Loop, name: str
) -> None:
    """Each call that blocks returns only after the loop has run something else."""
    blocking, use = USES[name]

    await use(world)

    assert blocking in loop.met


async def test_the_event_loop_runs_while_traces_are_read(tmp_path: Path, loop: Loop) -> None:
    """A receiver may have received thousands of spans."""
    stack, _ = stack_of(tmp_path, Received(mail=False))
    await asyncio.to_thread(stack.start)
    async with AsyncWorld(stack) as world:
        loop.met.clear()
        assert [] == await world.trace("0" * 32)
    await asyncio.to_thread(stack.close)

    assert "get" in loop.met


class Received(Receiver):
    """A receiver that is not started."""

    def checks(self, *_: Any, **__: Any) -> Sequence[Check]:
        return ()


async def test_the_event_loop_runs_while_a_tap_is_opened_and_closed(loop: Loop) -> None:
    """Both kinds: one asks the broker for the ends of the topic, the other subscribes."""
    kafka = AsyncEventTap("", "t", loop.blocking("ends of", lambda: {0: 1}))
    other = AsyncSubscriptionTap("t", loop.blocking("subscribe", Subscribed))

    assert kafka is await kafka
    assert other is await other
    await kafka.up_to_now(Deadline(LONG))
    await kafka.aclose()

    assert ["ends of", "subscribe", "ends", "read", "close"] == loop.met


class Subscribed:
    """A subscription that has received one event before its tap was opened."""

    events = (1, 2)

    def here(self, _guard: object) -> int:
        return 1

    def require(self) -> None:
        """It has not ended."""


async def test_a_tap_that_must_be_awaited_says_so() -> None:
    """Otherwise what was published before the first read would be missing without a word."""
    for tap in (
        AsyncEventTap("", "t", dict),
        AsyncSubscriptionTap("topic t", Subscribed),  # type: ignore[arg-type]  # a fake
    ):
        with pytest.raises(ConfigError, match=r"await it: tap = await dapr\.topic"):
            await tap.all()


async def test_the_event_loop_runs_while_a_table_is_read() -> None:
    """The database is a server of this very loop, which hangs up."""
    asked = []

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(1)
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        table = AsyncTable(f"host=127.0.0.1 port={port} user=x dbname=x", "tasks")
        for read in (table.rows, table.count, table.row):
            with pytest.raises(ProbeError, match="closed the connection"):
                await read()

    assert len(asked) >= 3


async def test_a_cancelled_wait_loses_no_event(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """What its thread has read is there for the next wait."""
    reading, go_on = threading.Event(), threading.Event()

    def read(_: TopicReader) -> Iterator[Event]:
        if not reading.is_set():
            reading.set()
            assert go_on.wait(LONG)
            yield EVENT

    monkeypatch.setattr(TopicReader, "read", read)
    tap = AsyncEventTap("", "t")
    waiting = asyncio.create_task(tap.next(timeout=LONG))
    assert await asyncio.to_thread(reading.wait, LONG)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    go_on.set()

    assert EVENT == await tap.next(timeout=LONG)


EVENT = Event("t", 0, 0, None, "1", "", "", "", None)  # type: ignore[arg-type]  # no time


async def test_a_world_is_used_inside_with(stack: Stack, loop: Loop) -> None:
    """Before, it does not know where anything begins."""
    with pytest.raises(ConfigError, match="use it inside `async with`"):
        AsyncWorld(stack).topic("t")
    with pytest.raises(ConfigError, match="use it inside `with`"):
        World(stack).topic("t")


async def test_what_does_not_exist_is_named(world: AsyncWorld, stack: Stack) -> None:
    """A node, a port, a token: with what there is instead."""
    with pytest.raises(ConfigError, match=r"no 'apq'(.|\n)*did you mean 'app'"):
        await world.kill("apq")
    with pytest.raises(ConfigError, match=r"app-daprd has no port 'htp'(.|\n)*'http'"):
        world.url("app-daprd", "htp")
    with pytest.raises(ConfigError, match="no token for 'app-ap'"):
        world.token("app-ap")
    assert stack.book.token("app-api") == world.token("app-api")
    assert {*world.secrets()} >= {world.token("app-api")}
