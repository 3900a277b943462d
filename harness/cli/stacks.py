"""``up``, ``down`` and ``status``."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from harness.cli import console, interrupts
from harness.cli.console import StartProgress, Steps, err, out, print_json
from harness.cli.log_tail import Tail, show
from harness.cli.stale import clear_stale, container_states
from harness.cli.state import InCluster, opened, stack_up, started
from harness.core.deadline import Deadline, ticks
from harness.core.names import EXPORTER, app_of
from harness.core.settings import Settings
from harness.report.waterfall import draw, node_starts
from harness.stack.registry import UpNode, UpStack, alive

if TYPE_CHECKING:
    from harness.cli.watching import Restarting
    from harness.stack.stack import Stack

Name = Annotated[str, typer.Option("--name", "-n", help="The stack; several can be up at once.")]
NameOrFile = Annotated[
    str,
    typer.Option(
        "--name",
        "-n",
        metavar="NAME|FILE",
        help="The stack, or a compose file whose project is up.",
    ),
]
DaprVersion = Annotated[
    str | None, typer.Option(help="The version of Dapr, such as 1.18.2; the pinned one by default.")
]
SIDECAR_COLUMNS = ("sidecar of", "components", "subscriptions", "problems")

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Lines = Annotated[bool, typer.Option("--json", help="Print each as a line of JSON.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Continue until Ctrl-C.")]


def up(
    name: Name = "default",
    topology: Annotated[
        str | None,
        typer.Option(help="module:attribute; [tool.dapr-harness] of pyproject.toml by default."),
    ] = None,
    runtime: Annotated[
        str | None, typer.Option(help="auto, processes, containers or kubernetes; auto by default.")
    ] = None,
    cluster: InCluster = None,
    broker: Annotated[
        str | None, typer.Option(help="kafka or redpanda, where the topology leaves it open.")
    ] = None,
    dapr_version: DaprVersion = None,
    timings: Annotated[
        bool,
        typer.Option(
            "--timings",
            help="Show how long each readiness check took, and the CPU time of each node.",
        ),
    ] = False,
    attach: Annotated[
        bool,
        typer.Option(
            "--attach", help="Stay attached, show the logs, and stop everything on Ctrl-C."
        ),
    ] = False,
    offline: Annotated[
        bool | None, typer.Option("--offline", help="Never use the network.")
    ] = None,
    external: Annotated[
        list[str] | None,
        typer.Option(help="An app that you start yourself, in a debugger; can be repeated."),
    ] = None,
    env_file: Annotated[
        Path | None, typer.Option(help="Where to write the environment of the external app.")
    ] = None,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch", help="As --attach, and restart each app whose source files change."
        ),
    ] = False,
    otlp: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Export traces, metrics and logs to this OTLP/HTTP endpoint, such as "
            "http://127.0.0.1:4318.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Start a topology and leave it running.

    Inspect it with curl, `dapr-harness status` and `dapr-harness logs -f`; stop it with
    `dapr-harness down`.
    """
    # Starting imports much that the other commands do not need.
    from harness.cli.external import PATIENCE, Announcing
    from harness.cli.watching import Restarting, require_watchfiles
    from harness.core.external import with_external
    from harness.stack.given_cluster import started_in
    from harness.stack.loading import load_topology
    from harness.stack.run import running

    settings = Settings.load(
        topology=topology,
        runtime=runtime,
        broker=broker,
        offline=offline,
        dapr_version=dapr_version,
        otlp=otlp,
    )
    if watch:
        require_watchfiles()
    registry = opened(settings)
    registry.require_free(name)
    shown_start = StartProgress()
    wanted = with_external(load_topology(settings), external or [])
    if external:
        settings = replace(settings, ready_timeout=max(PATIENCE, settings.ready_timeout))
    announcing = Announcing(shown_start, env_file)
    restarting = Restarting(announcing)
    if cluster:
        stack = started_in(cluster, wanted, settings, progress=Steps(), watch=restarting)
    else:
        stack = running(wanted, settings, progress=Steps(), watch=restarting, name=name)
    attach = attach or watch
    announcing.launch = stack.launch
    with registry.starting(name), ExitStack() as cleanup:
        cleanup.callback(stack.close)
        stack.provision()  # shows its own progress; only one live display is possible
        with shown_start.shown():
            stack.start()
        if not attach:
            interrupts.settle()
        found = registry.record(stack, name) if attach else registry.adopt(stack, name)
        if attach:
            cleanup.callback(registry.forget, name)
        _announce(found, stack, timings=timings, as_json=as_json)
        if attach:
            _attach(found, cleanup.enter_context(_edits(stack, restarting, watch=watch)))


def down(
    name: Name = "default",
    stale: Annotated[
        bool, typer.Option("--stale", help="Remove what dead runs have left behind.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Stop a stack and everything it started."""
    if stale:
        clear_stale(Settings.load(), as_json=as_json)
        return
    began = time.monotonic()
    registry = opened(Settings.load())
    stop = f"docker compose -f {name} down"
    lost = _concluded(started(registry, name, "down", stop))
    found = registry.take_down(name)
    took = time.monotonic() - began
    if as_json:
        print_json({"name": name, "nodes": len(found.nodes), "seconds": took})
    else:
        if lost:
            err.print(f"warning: {lost}", markup=False)
        out.print(f"stack {name!r} is down: {len(found.nodes)} nodes in {took:.2f} s")


def _concluded(up: UpStack) -> str:
    """Have a stack send what it exports; what it could not send, "" if it does not export."""
    found = [each.endpoints["main"] for each in up.nodes if each.name == EXPORTER]
    if not found:
        return ""
    from harness.nodes.exporter import concluded

    return concluded(Path(up.folder), found[0])


def status(
    name: Annotated[
        str | None, typer.Option("--name", "-n", help="The stack; by default, all.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show the running stacks: nodes, states, addresses, and what the sidecars have loaded."""
    registry = opened(Settings.load())
    if name:
        listed = f"docker compose -f {name} ps, or `dapr-harness ui {name}`"
        found = [started(registry, name, "status", listed)]
    else:
        found = [each for each in registry if each.alive]
    rows = [_status_of(each.now()) for each in found]
    if as_json:
        print_json(rows)
        return
    if not rows:
        out.print("nothing is up; start something with `dapr-harness up`")
    for row in rows:
        table = Table(
            title=f"stack {row['name']!r} on {row['runtime']}, up for {row['up_for']:.0f} s",
            title_justify="left",
        )
        for column in ("node", "state", "pid", "addresses"):
            table.add_column(column, overflow="fold")  # a truncated address would be useless
        for node in row["nodes"]:
            colour = "green" if node["state"] in ("running", "healthy", "external") else "red"
            ports = "  ".join(f"{port} {address}" for port, address in node["endpoints"].items())
            state = f"[{colour}]{node['state']}[/]"
            table.add_row(node["name"], state, str(node["pid"]), ports)
        out.print(table)
        if row["sidecars"]:
            out.print(_sidecars(row["sidecars"]))
        out.print(
            f"logs: {row['folder']}/logs    API token: dapr-harness token --name {row['name']}"
        )


def _sidecars(rows: list[dict[str, Any]]) -> Table:
    made = console.table("what the sidecars have loaded", *SIDECAR_COLUMNS)
    for row in rows:
        components = [each["name"] for each in row["components"] if each["up"]]
        topics = [
            f"{each['pubsub']}/{each['topic']}" for each in row["subscriptions"] if each["up"]
        ]
        console.add_row(made, row["app"], ", ".join(components), ", ".join(topics), _problems(row))
    return made


def _problems(row: dict[str, Any]) -> Text:
    found = [row["error"]] if row["error"] else []
    for each in (*row["components"], *row["subscriptions"]):
        if not each["up"]:
            name = each.get("name") or f"{each['pubsub']}/{each['topic']}"
            found.append(f"{name}: {each['error']}")
    return Text("\n".join(found), style="red") if found else Text("none", style="green")


def token(name: NameOrFile = "default") -> None:
    """Print the token that the sidecars of a stack require (header `dapr-api-token`)."""
    with stack_up(name) as found:
        out.print(found.token)


def _announce(found: UpStack, stack: Stack, *, timings: bool, as_json: bool) -> None:
    rows = node_starts(stack.journal)
    took = stack.took
    if as_json:
        print_json({**_status_of(found), "ready_after": took, "timings": [asdict(r) for r in rows]})
        return
    if timings:
        for line in draw(rows):
            out.print(line, soft_wrap=True, markup=False)
    out.print(f"stack {found.name!r} is up after {took:.2f} s: {len(found.nodes)} nodes")
    for node in found.nodes:
        port = "http" if app_of(node.name) else "main"
        if port in node.endpoints:
            out.print(f"  {node.name:<28} {node.endpoints[port]}")
    which = "" if found.name == "default" else f" --name {found.name}"
    out.print(f"inspect it: dapr-harness status, dapr-harness logs -f{which}")
    out.print(f"stop it: dapr-harness down{which}")


@contextmanager
def _edits(stack: Stack, restarting: Restarting, *, watch: bool) -> Iterator[Callable[[], None]]:
    """What deals with changed source files whenever it is called."""
    if not watch:
        yield lambda: None
        return
    from harness.cli.watching import Changes, watched_programs

    programs = watched_programs(stack)
    changes = Changes({each.cwd for each in programs.values()})
    with changes.watched():
        err.print(f"watching the source files of {', '.join(programs)}")
        yield lambda: restarting.restart(stack, changes.take(), programs)


def _attach(found: UpStack, between: Callable[[], None]) -> None:
    err.print("attached; Ctrl-C stops everything")
    tails = [Tail(node.name, Path(node.log), 0) for node in found.nodes]
    for _ in ticks(Deadline(math.inf), 0.1):
        show(tails)
        between()
        if not found.alive:
            err.print(f"stack {found.name!r} was stopped by someone else")
            return


def _status_of(found: UpStack) -> dict[str, Any]:
    from harness.inspection.parts import as_row, inspect
    from harness.inspection.sidecars import at_once, sidecars_of

    known = container_states(found)
    states = at_once(lambda node: state_of(node, known), found.nodes)
    nodes = [
        {**asdict(node), "state": state} for node, state in zip(found.nodes, states, strict=True)
    ]
    return {
        "name": found.name,
        "runtime": found.runtime,
        "folder": found.folder,
        "supervisor": found.supervisor,
        "up_for": found.up_for,
        "nodes": nodes,
        "sidecars": [as_row(each) for each in at_once(inspect, [*sidecars_of(found).values()])],
    }


def state_of(node: UpNode, known: dict[str, str]) -> str:
    """The state of a node: running, exited, external; for sidecars, healthy or unhealthy.

    Args:
        node: the node.
        known: the engine's states, if it runs in a container.
    """
    if node.pid == 0 and node.name not in known:
        return "external"
    state = known.get(node.name) or ("running" if alive(node.pid) else "exited")
    if state != "running":
        return state
    if app_of(node.name):
        import httpx

        from harness.inspection.parts import SOON
        from harness.ready.loopback import ask

        try:
            address = f"http://{node.endpoints['http']}/v1.0/healthz"
            healthy = ask("GET", address, timeout=SOON).is_success
        except httpx.HTTPError:
            healthy = False
        return "healthy" if healthy else "unhealthy"
    return "running"
