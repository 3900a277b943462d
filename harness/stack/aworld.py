"""A test's own view of a running stack.

Each test has unique ids, and probes that start when it does. docs/isolation.md has other levels.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Self, TypeVar, overload

import httpx

from harness.core.blocking import ablocking
from harness.core.closing import AsyncClosing, ado_all
from harness.core.endpoint import Endpoint
from harness.core.names import replica_name
from harness.core.tracing import traced
from harness.dapr.aclient import AsyncDaprClient
from harness.probe.acalls import AsyncCalls
from harness.probe.aeventually import aeventually
from harness.probe.ainbox import AsyncInbox
from harness.probe.atable import AsyncTable
from harness.probe.atap import AsyncEventTap, AsyncSubscriptionTap, AsyncTap
from harness.probe.metrics import total
from harness.probe.spans import Span, spans_of
from harness.ready import loopback
from harness.runtime.base import Instance
from harness.stack.aobserving import AsyncObserving
from harness.stack.aresources import AsyncResources
from harness.stack.beginning import begin, exported
from harness.stack.operations import Nodes
from harness.stack.stack import Stack
from harness.stack.taps import aopened, component_of, ends_of, kafka_of, subscription_of
from harness.virtual_time.aclock import AsyncClock

T = TypeVar("T")


class AsyncWorld(AsyncObserving, AsyncResources, AsyncClosing):
    """The stack as asynchronous tests use it; enter it by ``async with``.

    Entering remembers where topics, inboxes and logs end, and leaving closes what was opened.

    Args:
        stack: a started stack.
        test: the test that uses this world, for messages in later tests.

    Attributes:
        id: eight characters that are unique to this world.
    """

    def __init__(self, stack: Stack, test: str = "a test without a name") -> None:
        super().__init__(stack)
        self.test = test
        self._nodes = Nodes(stack, self.inputs)
        self._inboxes: dict[str, AsyncInbox] = {}
        self._calls: dict[str, AsyncCalls] = {}
        self._connections: dict[str, loopback.AsyncConnections] = {}
        self._sidecars: dict[str, AsyncDaprClient] = {}

    async def __aenter__(self) -> Self:
        if self._begun is None:
            self._begun = await ablocking(begin, self.stack, self.test)
            self.inputs.moment = self._nodes.moment()
        return self

    async def aclose(self) -> None:
        """Close clients and taps. Closing twice is allowed.

        Raises:
            ProbeError: the faults of an inbox could not be cleared; everything is closed
                nevertheless.
        """
        inboxes, self._inboxes = self._inboxes, {}
        steps = [each.clear_faults for each in inboxes.values() if each.has_faults]
        steps += [partial(ablocking, each.take_back) for each in self._changes]
        steps += [each.end for each in self._connections.values()]
        steps += [each.aclose for each in self._sidecars.values()]
        steps += [each.aclose for each in self._taps.values()]
        steps += [partial(ablocking, each.close) for each in self._accounts]
        await ado_all(steps)

    def name(self, prefix: str) -> str:
        """A name that is unique to this world: ``<prefix>-<id of the world>``."""
        return f"{prefix}-{self.id}"

    def app(self, name: str, *, replica: int = 1) -> httpx.AsyncClient:
        """An HTTP client that calls the app directly, without its sidecar.

        Each has headers and cookies of its own; those of one app share connections. Their requests
        are signed if the topology says how, see `Topology`.
        """
        node = replica_name(name, replica)
        url, sign = self.url(node), traced(self._nodes.signer(node))
        if node not in self._connections:
            tell = partial(self.inputs.requested, node)
            self._connections[node] = loopback.AsyncConnections(tell)
        return loopback.aclient(url, sign=sign, connections=self._connections[node])

    def sidecar(self, app: str, *, replica: int = 1) -> AsyncDaprClient:
        """A client of the app's sidecar, like the one the app would use."""
        app = replica_name(app, replica)
        if app not in self._sidecars:
            notes = (partial(self._noted.note, app), partial(self.inputs.called, app))
            self._sidecars[app] = AsyncDaprClient(*self.sidecar_address(app), notes=notes)
        return self._sidecars[app]

    def topic(self, name: str, pubsub: str = "") -> AsyncTap:
        """A tap that starts where the topic ended when this world began, even if it is undeclared.

        On the topology's own Kafka, it reads the topic itself. On any other pub/sub, it shows the
        events published from the moment at which it is opened, see `AsyncTap` and docs/taps.md.

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
            self._taps[name, pubsub] = aopened(self._tap(name, pubsub))
        return self._taps[name, pubsub]

    def _tap(self, topic: str, pubsub: str) -> AsyncTap:
        name = self.stack.book.namespace + topic
        if not pubsub and (brokers := self.beginning.brokers):
            return AsyncEventTap(brokers, name, self.beginning.offsets.get(name), self._guard)
        component = component_of(self.stack, pubsub, topic)
        if brokers := kafka_of(self.stack, component):
            return AsyncEventTap(brokers, name, partial(ends_of, brokers, name), self._guard)
        subscribe = partial(subscription_of, self.stack, pubsub, topic, self._guard)
        return AsyncSubscriptionTap(f"topic {topic} of {pubsub}", subscribe, self._guard)

    @property
    def brokers(self) -> str:
        """The bootstrap address of the topology's own broker; "" if it has none."""
        return str(self.beginning.brokers)

    def inbox(self, app: str, *, replica: int = 1, from_beginning: bool = False) -> AsyncInbox:
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
            record = self.beginning.record(app, from_beginning=from_beginning)
            doing = partial(self.inputs.doing, "fault", app)
            self._inboxes[app] = AsyncInbox(app, *record, self._guard, doing)
        return self._inboxes[app]

    def calls(self, app: str, *, replica: int = 1, from_beginning: bool = False) -> AsyncCalls:
        """What the app asked of its own sidecar by HTTP since this world began.

        Args:
            app: its name.
            replica: which of its replicas, from 1 on.
            from_beginning: since the stack began.

        Raises:
            ConfigError: the calls of the app are not recorded in the topology.
        """
        app = replica_name(app, replica)
        if app not in self._calls:
            record = self.beginning.calls(app, from_beginning=from_beginning)
            self._calls[app] = AsyncCalls(app, *record, self._guard)
        return self._calls[app]

    @property
    def clock(self) -> AsyncClock:
        """The time of jobs, reminders and workflow timers; if it is real, `tick` alone works."""
        doing = partial(self.inputs.doing, "clock", "")
        return AsyncClock(self._nodes.clock(), self._guard, self._nodes.tick_targets, doing)

    async def trace(self, trace_id: str) -> list[Span]:
        """The spans of a trace that a receiver has received so far, the earliest first.

        Args:
            trace_id: 32 hexadecimal digits, the second part of a ``traceparent``.
        """
        self._guard()
        found = [await self.inbox(name).seen for name in self.beginning.receivers()]
        return await ablocking(spans_of, (each for seen in found for each in seen), trace_id)

    def table(self, name: str) -> AsyncTable:
        """A table of the topology's database."""
        return AsyncTable(exported(self.stack, "dsn"), name, self._guard)

    async def metric(self, app: str, name: str, **labels: str) -> float:
        """What the app's sidecar has counted since it started: a sum over matching samples.

        Args:
            name: such as ``dapr_http_server_request_count``.
            labels: the labels that a sample must have; the sum is 0 if none has them.
        """
        self._guard()
        return await ablocking(total, self.address(self._sidecar_of(app), "metrics"), name, labels)

    # <async only>
    @overload
    async def eventually(self, ask: Callable[[], Awaitable[T]], *, timeout: float = ...) -> T: ...
    @overload
    async def eventually(self, ask: Callable[[], T], *, timeout: float = ...) -> T: ...
    # </async only>
    async def eventually(self, ask: Callable[[], Any], *, timeout: float = 10.0) -> Any:
        """Retry until the call raises no AssertionError and does not return False.

        Raises:
            InstanceDied, AppFailed: a node has exited in the meantime.
        """
        return await aeventually(ask, timeout=timeout, guard=self._guard)

    async def logs(self) -> dict[str, str]:
        """What every node has logged since this world began, secrets masked."""
        return await ablocking(self.beginning.logs)

    async def backlog(self) -> str:
        """The events of other tests that hold up a consumer group, in words; "" if none do."""
        return await ablocking(self.beginning.backlog)

    async def restart(self, node: str, grace: float | None = None, *, ready: bool = True) -> None:
        """Stop a node and start it again, with the same ports and data.

        Args:
            node: its name; the sidecar of the app ``shop`` is ``shop-daprd``.
            grace: seconds between the stop signal and SIGKILL; the node's own if None.
            ready: whether to wait until it is ready.

        Raises:
            NotReady: a readiness check did not pass in time.
            ConfigError: there is no such node, or somebody else has started it.
        """
        await ablocking(self._nodes.restart, node, grace, ready=ready)

    async def await_ready(self, node: str) -> None:
        """Wait until a node is ready again.

        Raises:
            NotReady: a readiness check did not pass in time.
        """
        await ablocking(self._nodes.await_ready, node)

    async def stop(self, node: str, grace: float | None = None) -> None:
        """Ask a node to exit, then kill it; `restart` starts it again. No wait ends because of it.

        Raises:
            ConfigError: there is no such node, or somebody else has started it.
        """
        await ablocking(self._nodes.stop, node, grace)

    async def kill(self, node: str) -> None:
        """Send SIGKILL to a node; `restart` starts it again. No wait ends because of it.

        Raises:
            ConfigError: there is no such node, or somebody else has started it.
        """
        await ablocking(self._nodes.kill, node)

    async def pause(self, node: str) -> None:
        """Freeze a node: it keeps its connections and answers nothing.

        Raises:
            ConfigError: there is no such node, or somebody else has started it.
        """
        await ablocking(self._nodes.pause, node)

    async def resume(self, node: str) -> None:
        """Let a node continue after `pause`.

        Raises:
            ConfigError: there is no such node, or somebody else has started it.
        """
        await ablocking(self._nodes.resume, node)

    def expect_exit(self, node: str) -> None:
        """Announce that a node is about to exit, so that its exit ends no wait."""
        self.instance(node).expect_exit()

    def instance(self, node: str) -> Instance:
        """The process or container that runs a node: its ``pid``, ``exit_code`` and ``log``."""
        return self._nodes.instance(node)

    def address(self, node: str, port: str = "main") -> Endpoint:
        """The address of one of a node's ports, as ``dapr-harness status`` names it."""
        return self._nodes.address(node, port)

    def url(self, node: str, port: str = "main") -> str:
        """The base URL of one of a node's ports."""
        return self.address(node, port).http

    def sidecar_address(self, app: str) -> tuple[Endpoint, str]:
        """The address on which an app's sidecar listens, and the token it requires."""
        sidecar = self._sidecar_of(app)
        return self.address(sidecar, "http"), self.exports(sidecar)["token"]

    def exports(self, node: str) -> Mapping[str, str]:
        """The values that a node offers to others: what ``${node.key}`` stands for in files."""
        return self._nodes.exports(node)

    def token(self, purpose: str) -> str:
        """A token of the stack: ``dapr-api``, which sidecars require, or ``app-api``, of apps.

        Raises:
            ConfigError: the stack has no such token.
        """
        return self._nodes.token(purpose)

    def secrets(self) -> list[str]:
        """Every token and password of this stack, for tests that search for leaks."""
        return self.stack.book.secrets()

    def _sidecar_of(self, app: str) -> str:
        return self.stack.topology.sidecar_of(app).name
