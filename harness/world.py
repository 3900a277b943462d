"""A test's own view of a running stack.

This module isolates tests by *name*: each test has unique ids, and probes that start when the test
starts, so that tests on one stack do not see each other. Stronger levels (clean, world, stack)
create a world in other ways and return the same object.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar, overload

import httpx

from harness import loopback
from harness.closing import AsyncClosing, Closing, do_all, raise_first
from harness.dapr.aclient import AsyncDaprClient
from harness.dapr.client import DaprClient
from harness.endpoint import Endpoint
from harness.errors import ConfigError, ProbeError, did_you_mean
from harness.failures import mask
from harness.names import inbox_name, replica_name
from harness.nodes.receiver import Receiver
from harness.probe.asynchronous import AsyncInbox, AsyncStream
from harness.probe.backlog import Began, backlog
from harness.probe.eventually import aeventually, eventually
from harness.probe.inbox import Inbox, size_of_record
from harness.probe.metrics import total
from harness.probe.spans import Span, spans_of
from harness.probe.table import Table
from harness.probe.tap import Event, EventTap
from harness.ready.kafka import admin_of, end_offsets
from harness.roles import HasTopics, Recorder
from harness.stack import Stack
from harness.taps import Tap, open_tap

T = TypeVar("T")
WORLDS = "worlds"
"""The key under which the worlds of a stack share who began when."""


class World(Closing):
    """The object that a synchronous test uses; fixture ``dapr_sync``.

    Args:
        stack: a started stack.
        test: the test that uses this world, for messages in later tests.

    Attributes:
        id: eight characters that are unique to this world.
    """

    def __init__(self, stack: Stack, test: str = "a test without a name") -> None:
        self.stack = stack
        self.id = secrets.token_hex(4)
        self.began = time.monotonic()
        self._taps: dict[tuple[str, str], Tap] = {}
        self._inboxes: dict[str, Inbox] = {}
        self._clients: list[httpx.Client] = []
        self._sidecars: dict[str, DaprClient] = {}
        self._guard = stack.check_alive
        self._logs = {path: path.stat().st_size for path in self._log_files()}
        self._offsets = self._offsets_now()
        self._worlds: list[Began] = stack.shared.setdefault(WORLDS, [])
        self._worlds.append((test, self._offsets))
        self._records = self._sizes()

    def close(self) -> None:
        """Close clients and taps. Closing twice is fine.

        Raises:
            ProbeError: the faults of an inbox could not be cleared; everything is closed
                nevertheless.
        """
        inboxes, self._inboxes = self._inboxes, {}
        heal = [each.heal for each in inboxes.values() if each.spoilt]
        opened: list[httpx.Client | DaprClient | Tap] = [*self._clients]
        opened += [*self._sidecars.values(), *self._taps.values()]
        do_all([*heal, *(each.close for each in opened)])

    def name(self, prefix: str) -> str:
        """A name that is unique to this world: ``<prefix>-<id of the world>``."""
        return f"{prefix}-{self.id}"

    def app(self, name: str, *, replica: int = 1) -> httpx.Client:
        """An HTTP client that calls the app directly, without its sidecar."""
        client = loopback.client(self.app_url(replica_name(name, replica)))
        self._clients.append(client)
        return client

    def sidecar(self, app: str, *, replica: int = 1) -> DaprClient:
        """A client of the app's sidecar, like the one the app would use."""
        app = replica_name(app, replica)
        if app not in self._sidecars:
            self._sidecars[app] = DaprClient(*self.sidecar_address(app))
        return self._sidecars[app]

    def topic(self, name: str, pubsub: str = "") -> Tap:
        """A tap that starts where the topic ended when this world began, even if it is undeclared.

        On Kafka, it reads the topic itself. On any other pub/sub, it uses a subscription of the
        harness, which shows the events published after this call; see docs/taps.md.

        Args:
            name: the topic.
            pubsub: the pub/sub component; if "", the topology's own broker, which speaks Kafka's
                protocol.

        Raises:
            ConfigError: the component does not exist, or nobody else can subscribe to it. On Kafka,
                the first read raises it if the broker has no such topic.
            ProbeError: the subscription was rejected.
        """
        if (name, pubsub) not in self._taps:
            if not pubsub and (brokers := self.brokers):
                made: Tap = EventTap(brokers, name, self._offsets.get(name), self._guard)
            else:
                made = open_tap(self.stack, pubsub, name, self._guard)
            self._taps[name, pubsub] = made
        return self._taps[name, pubsub]

    @property
    def brokers(self) -> str:
        """The bootstrap address of the topology's own broker; "" if it has none."""
        return self._export("brokers", "")

    def inbox(self, app: str, *, replica: int = 1, from_beginning: bool = False) -> Inbox:
        """What daprd delivered to the app, or a receiver received, since this world began.

        Args:
            app: its name.
            replica: which of its replicas, from 1 on.
            from_beginning: since the stack began.

        Raises:
            ConfigError: the app has no inbox in the topology.
        """
        app = replica_name(app, replica)
        if app not in self._inboxes:
            recorder = next((n for n in (inbox_name(app), app) if n in self._records), None)
            if recorder is None:
                raise ConfigError(
                    f"app {app!r} has no inbox", hint=f'use App("{app}", ..., inbox=True)'
                )
            start = 0 if from_beginning else self._records[recorder]
            self._inboxes[app] = Inbox(app, self._record_of(recorder), start, self._guard)
        return self._inboxes[app]

    def trace(self, trace_id: str) -> list[Span]:
        """The spans of a trace that a receiver has received so far, the earliest first.

        Args:
            trace_id: 32 hexadecimal digits, the second part of a ``traceparent``.
        """
        self._guard()
        nodes = self.stack.topology.nodes
        receivers = [node.name for node in nodes if isinstance(node, Receiver)]
        return spans_of((each for name in receivers for each in self.inbox(name).seen), trace_id)

    def table(self, name: str) -> Table:
        """A table of the topology's database."""
        return Table(self._export("dsn"), name, self._guard)

    def metric(self, app: str, name: str, **labels: str) -> float:
        """What the app's sidecar has counted since it started: a sum over matching samples.

        Args:
            name: such as ``dapr_http_server_request_count``.
            labels: the labels that a sample must have; the sum is 0 if none has them.
        """
        sidecar = self.stack.topology.sidecar_of(app)
        self._guard()
        return total(self.stack.book.endpoint(sidecar.name, "metrics"), name, labels)

    def eventually(self, ask: Callable[[], T], *, timeout: float = 10.0) -> T:
        """Retry until the call raises no AssertionError and does not return False.

        Raises:
            InstanceDied, AppFailed: a node has exited in the meantime.
        """
        return eventually(ask, timeout=timeout, guard=self._guard)

    def logs(self) -> dict[str, str]:
        """What every node has logged since this world began, secrets masked."""
        found = {}
        for path in self._log_files():
            with path.open("rb") as file:
                file.seek(self._logs.get(path, 0))
                text = file.read().decode("utf-8", "replace")
            if text.strip():
                found[path.stem] = mask(text, self.stack.book.secrets())
        return found

    def backlog(self) -> str:
        """The events of other tests that hold up a consumer group, in words; "" if none do."""
        brokers = self.brokers
        return backlog(brokers, self._worlds) if brokers else ""

    def app_url(self, name: str) -> str:
        """The base URL of an app."""
        self._require(name)
        return self.stack.book.endpoint(name).http

    def sidecar_address(self, app: str) -> tuple[Endpoint, str]:
        """The address on which an app's sidecar listens, and the token it requires."""
        sidecar, book = self.stack.topology.sidecar_of(app).name, self.stack.book
        return book.endpoint(sidecar, "http"), book.exports(sidecar)["token"]

    def _require(self, node: str) -> None:
        names = [each.name for each in self.stack.topology.nodes]
        if node not in names:
            raise ConfigError(f"the stack has no {node!r}", hint=did_you_mean(node, names))

    def _export(self, key: str, default: str | None = None) -> str:
        for node in self.stack.topology.nodes:
            values = self.stack.book.exports(node.name)
            if key in values:
                return values[key]
        if default is not None:
            return default
        raise ConfigError(
            f"no node of the topology exports {key!r}", hint="add a broker or database"
        )

    def _log_files(self) -> list[Path]:
        return sorted((self.stack.folder / "logs").glob("*.log"))

    def _sizes(self) -> dict[str, int]:
        nodes = self.stack.topology.nodes
        recorders = [node.name for node in nodes if isinstance(node, Recorder)]
        return {name: size_of_record(self._record_of(name)) for name in recorders}

    def _record_of(self, recorder: str) -> Endpoint:
        return self.stack.book.endpoint(recorder)

    def _offsets_now(self) -> dict[str, dict[int, int]]:
        nodes = self.stack.topology.nodes
        topics = [name for node in nodes if isinstance(node, HasTopics) for name, _ in node.topics]
        brokers = self.brokers
        if not brokers:
            return {}
        # Connecting takes longer than a query, so all worlds of a stack share one client.
        if brokers not in self.stack.shared:
            self.stack.shared[brokers] = admin_of(brokers)
        try:
            return end_offsets(self.stack.shared[brokers], topics, others=True)
        except _kafka_error() as error:
            raise ProbeError(
                "the topics of this stack cannot be read",
                last=str(error),
                hint=f"look at the log of the broker at {brokers}",
            ) from error


def _kafka_error() -> type[Exception]:
    from confluent_kafka import KafkaException

    return KafkaException


class AsyncWorld(AsyncClosing):
    """The object that an asynchronous test uses; fixture ``dapr``.

    Args:
        world: the same world for synchronous use, available as ``.sync``.
    """

    def __init__(self, world: World) -> None:
        self.sync = world
        self.stack = world.stack
        self.id = world.id
        self._clients: list[httpx.AsyncClient] = []
        self._sidecars: dict[str, AsyncDaprClient] = {}

    async def aclose(self) -> None:
        """Close clients and taps. Closing twice is fine."""
        opened: list[httpx.AsyncClient | AsyncDaprClient] = [*self._clients]
        closing = (each.aclose() for each in [*opened, *self._sidecars.values()])
        ended = await asyncio.gather(*closing, return_exceptions=True)
        failed = [each for each in ended if isinstance(each, Exception)]
        do_all([self.sync.close, lambda: raise_first(failed)])

    def name(self, prefix: str) -> str:
        """A name that is unique to this world."""
        return self.sync.name(prefix)

    def app(self, name: str, *, replica: int = 1) -> httpx.AsyncClient:
        """An HTTP client that calls the app directly, without its sidecar."""
        client = loopback.aclient(self.sync.app_url(replica_name(name, replica)))
        self._clients.append(client)
        return client

    def sidecar(self, app: str, *, replica: int = 1) -> AsyncDaprClient:
        """A client of the app's sidecar, like the one the app would use."""
        app = replica_name(app, replica)
        if app not in self._sidecars:
            self._sidecars[app] = AsyncDaprClient(*self.sync.sidecar_address(app))
        return self._sidecars[app]

    def topic(self, name: str, pubsub: str = "") -> AsyncStream[Event]:
        """A tap that starts where the topic ended when this world began, see `World.topic`."""
        return AsyncStream(self.sync.topic(name, pubsub))

    def inbox(self, app: str, *, replica: int = 1) -> AsyncInbox:
        """What daprd delivered to the app since this world began."""
        return AsyncInbox(self.sync.inbox(app, replica=replica))

    def table(self, name: str) -> Table:
        """A table of the topology's database."""
        return self.sync.table(name)

    def trace(self, trace_id: str) -> list[Span]:
        """The spans of a trace that a receiver has received so far, see `World.trace`."""
        return self.sync.trace(trace_id)

    def metric(self, app: str, name: str, **labels: str) -> float:
        """The value that the app's sidecar has counted since it started, see `World.metric`."""
        return self.sync.metric(app, name, **labels)

    @overload
    async def eventually(self, ask: Callable[[], Awaitable[T]], *, timeout: float = ...) -> T: ...
    @overload
    async def eventually(self, ask: Callable[[], T], *, timeout: float = ...) -> T: ...
    async def eventually(self, ask: Callable[[], Any], *, timeout: float = 10.0) -> Any:
        """Retry until the call raises no AssertionError and does not return False."""
        return await aeventually(ask, timeout=timeout, guard=self.stack.check_alive)

    def logs(self) -> dict[str, str]:
        """What every node has logged since this world began, secrets masked."""
        return self.sync.logs()
