"""The tools of the server. Each asks an inspection in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations

from harness.core.blocking import ablocking
from harness.inspection.inspection import Inspection
from harness.inspection.model import Action
from harness.mcp_server.attached import Attached, Failed
from harness.mcp_server.browsing import BrowsingTools
from harness.mcp_server.measuring import MeasuringTools

T = TypeVar("T")
Row = dict[str, Any]

INSTRUCTIONS = """\
A Dapr system that runs on this machine, started by `dapr-harness up`: apps, their sidecars, a \
broker, databases. Begin with `overview`. `list_events` has every event since the start, whoever \
published it, and its outcome; `explain_event` tells where one went and shows the log lines that \
mention it. `list_traces` and `explain_trace` have the spans that sidecars have sent. Times are \
seconds since the epoch. Secrets are replaced by ***."""

LOOKS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
ACTS = ToolAnnotations(read_only_hint=False, destructive_hint=False, open_world_hint=False)
BREAKS = ToolAnnotations(read_only_hint=False, destructive_hint=True, open_world_hint=False)


def server_of(attached: Attached, version: str) -> MCPServer:
    """A server whose tools look at a stack.

    Args:
        attached: the stack.
        version: of the harness.
    """
    server = MCPServer(
        "dapr-harness", instructions=INSTRUCTIONS, version=version, log_level="WARNING"
    )
    tools = Tools(attached)
    looks: Sequence[Callable[..., Any]] = (
        tools.overview,
        tools.list_events,
        tools.explain_event,
        tools.list_traces,
        tools.explain_trace,
        tools.deliveries,
        tools.logs,
        tools.state,
        tools.jobs,
        *BrowsingTools(tools.ask).offered(),
        *MeasuringTools(tools.ask).offered(),
    )
    acts = (tools.publish, tools.invoke, tools.redeliver, tools.resume_node)
    breaks = (tools.restart_node, tools.kill_node, tools.pause_node)
    offered: list[tuple[ToolAnnotations, Sequence[Callable[..., Any]]]] = [
        (LOOKS, looks), (ACTS, acts), (BREAKS, breaks),
    ]  # fmt: skip
    for kind, functions in offered:
        for function in functions:
            server.tool(annotations=kind)(function)
    return server


class Tools:
    """The tools, by their names; the docstrings are what agents read.

    Args:
        attached: the stack.
    """

    def __init__(self, attached: Attached) -> None:
        self._attached = attached

    async def overview(self) -> Row:
        """The nodes with their states, topics with subscribers and partitions, components, jobs."""
        return await self.ask(lambda seen: seen.overview().as_json())

    async def list_events(
        self,
        topic: str | None = None,
        text: str | None = None,
        since: datetime | None = None,
        after: int = 0,
        limit: int = 50,
    ) -> Row:
        """The newest events, the newest last, each with its outcome.

        With `after` (the field `next` of the page before): what was added or has changed since.
        `text` is looked for in id, type, topic and data.
        """
        at = _seconds(since)
        wanted: dict[str, Any] = {"topic": topic, "text": text, "after": after, "limit": limit}
        return await self.ask(lambda seen: seen.events(**wanted, since=at).as_json())

    async def explain_event(self, event: str) -> Row:
        """Where an event went: publications, records, every delivery with its answer, log lines.

        `event` is its id, or its key in the list.
        """
        return await self.ask(lambda seen: seen.event(event).as_json())

    async def list_traces(
        self, text: str | None = None, *, errors: bool = False, after: int = 0, limit: int = 50
    ) -> Row:
        """The newest traces, the newest last: first span, services, spans, failed spans.

        With `after` (the field `next` of the page before): what was added or has changed since.
        `text` is looked for in ids, and in names and services of spans; with `errors`, only traces
        with a span that failed. If the stack records no spans, `missing` says why.
        """
        wanted: dict[str, Any] = {"text": text, "errors": errors, "after": after, "limit": limit}
        return await self.ask(lambda seen: seen.traces(**wanted).as_json())

    async def explain_trace(self, trace: str) -> Row:
        """The spans of a trace as a tree, its events, and the log lines that mention them.

        `trace` is its id: the second part of a traceparent, or `path.trace` of an event.
        """
        return await self.ask(lambda seen: seen.trace(trace).as_json())

    async def deliveries(self, app: str, limit: int = 50) -> list[Row]:
        """The last requests that the sidecar of an app has made to it, with the answers."""
        return await self.ask(lambda seen: seen.deliveries(app, limit=limit))

    async def logs(
        self,
        nodes: list[str] | None = None,
        text: str | None = None,
        after: int = 0,
        limit: int = 100,
    ) -> Row:
        """The last lines of the logs of these nodes, or of all, in the order of time.

        With `after` (the field `next` of the page before): what was written since.
        """
        wanted: dict[str, Any] = {"text": text, "after": after, "limit": limit}
        return await self.ask(lambda seen: seen.logs(nodes=nodes or [], **wanted).as_json())

    async def state(self, key: str, app: str | None = None, store: str | None = None) -> Row:
        """The value of a key of a state store, as an app sees it; see `list_keys`."""
        return await self.ask(lambda seen: seen.state(key, app=app, store=store).as_json())

    async def jobs(self) -> list[Row]:
        """The jobs of all apps: schedule, due time, deliveries."""
        return await self.ask(lambda seen: [each.as_json() for each in seen.jobs()])

    async def publish(
        self,
        topic: str,
        data: Any,
        *,
        pubsub: str | None = None,
        app: str | None = None,
        event_type: str | None = None,
        key: str | None = None,
    ) -> Row:
        """Publish an event. `app` is the one whose sidecar publishes; `key` partitions on Kafka."""
        wanted = {"pubsub": pubsub, "app": app, "event_type": event_type, "key": key}
        return await self.ask(lambda seen: seen.publish(topic, data, **wanted).as_json())

    async def invoke(self, app: str, path: str, method: str | None = None, data: Any = None) -> Row:
        """Call a method of an app through its sidecar: status and body of the response."""
        return await self.ask(lambda seen: seen.invoke(app, path, verb=method, data=data).as_json())

    async def redeliver(self, event: str, app: str | None = None) -> Row:
        """Publish the data of an event again: a new event for every subscriber of its topic."""
        return await self.ask(lambda seen: seen.redeliver(event, app=app).as_json())

    async def restart_node(self, node: str) -> Row:
        """Restart a node with the same ports and data, and wait until it is ready."""
        return await self._act("restart", node)

    async def kill_node(self, node: str) -> Row:
        """Kill a node with SIGKILL; restart_node starts it again."""
        return await self._act("kill", node)

    async def pause_node(self, node: str) -> Row:
        """Freeze a node: it keeps its connections and answers nothing, until resume_node."""
        return await self._act("pause", node)

    async def resume_node(self, node: str) -> Row:
        """Let a node continue after pause_node."""
        return await self._act("resume", node)

    async def _act(self, action: Action, node: str) -> Row:
        def act(seen: Inspection) -> Row:
            seen.act(action, node)
            return next(each.as_json() for each in seen.nodes() if each.name == node)

        return await self.ask(act)

    async def ask(self, ask: Callable[[Inspection], T]) -> T:
        """What a function returns for the stack; each tool consists of this.

        Raises:
            ToolError: no stack is up, or the function has failed.
        """
        try:
            return await ablocking(self._attached.run, ask)
        except Failed as failed:
            raise ToolError(str(failed)) from None


def _seconds(moment: datetime | None) -> float:
    """Seconds since the epoch; a time without a zone is UTC's."""
    if moment is None:
        return 0.0
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
