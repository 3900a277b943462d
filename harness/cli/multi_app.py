"""``run``: a multi-app run file in the foreground."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.bundle import leave
from harness.cli.console import StartProgress, Steps, err, out
from harness.cli.following import Follower
from harness.cli.stacks import DaprVersion
from harness.cli.state import opened
from harness.core.journal import Entry
from harness.core.names import sidecar_name
from harness.core.node import Node
from harness.core.settings import Settings
from harness.nodes.app import App
from harness.nodes.calls import CallsProxy
from harness.nodes.inbox import InboxProxy
from harness.nodes.sidecar import Sidecar
from harness.runfile.read import RunApp, RunFile, read_runfile
from harness.runfile.services import brought_along, chosen, completed
from harness.runfile.topology import topology_of, unread
from harness.runtime.base import State
from harness.stack.loading import load_topology
from harness.stack.run import running
from harness.stack.stack import Stack


def run(
    file: Annotated[
        Path, typer.Option("--run-file", "-f", help="The run file, or its folder.")
    ] = Path("dapr.yaml"),
    name: Annotated[str, typer.Option("--name", "-n", help="Which stack.")] = "default",
    order: Annotated[
        str,
        typer.Option(
            help="App-ids, separated by commas: each starts when the one before it is ready."
        ),
    ] = "",
    topology: Annotated[
        str | None,
        typer.Option(help="module:attribute of the topology that provides brokers and databases."),
    ] = None,
    beside: Annotated[
        str,
        typer.Option(
            "--with",
            metavar="NAME[,NAME]",
            help="Services that the apps expect at their usual ports of localhost: redis, kafka, "
            "postgres, zipkin. One that already runs there is used.",
        ),
    ] = "",
    dapr_version: DaprVersion = None,
    offline: Annotated[
        bool | None, typer.Option("--offline", help="Never use the network.")
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Where a page and an archive about the run are left at its end."
        ),
    ] = None,
) -> None:
    """Start the apps of a multi-app run file, each with its sidecar, and run until Ctrl-C.

    Apps without an appPort start when all those with one are ready, unless --order says otherwise.
    An app that exits or never listens stops nothing else. Nodes to which the file or its resources
    refer with ${node.key} are added from the topology.
    """
    settings = Settings.load(
        topology=topology, runtime="processes", offline=offline, dapr_version=dapr_version
    )
    services = chosen(beside)
    described = completed(read_runfile(file), services, _say)
    for line in (*described.ignored, *unread(described)):
        _say(line)
    along = list(brought_along(services, _say))
    registry = opened(settings)
    registry.require_free(name)
    made = topology_of(
        described,
        *_infrastructure(settings),
        order=[word.strip() for word in order.split(",") if word.strip()],
        needed_only=True,
        required=False,
        beside=along,
    )
    shown_start, recording = StartProgress(), threading.Lock()

    def watch(entry: Entry) -> None:
        shown_start(entry)
        follower.hear(entry)
        if entry.kind == "node.started":
            # So that `status` and `logs` know it from its first process on.
            with recording:
                registry.record(stack, name)

    stack = running(made, settings, progress=Steps(), watch=watch)
    follower = Follower(stack, described)
    with registry.starting(name), ExitStack() as cleanup:
        cleanup.callback(stack.close)
        stack.provision()
        cleanup.callback(registry.forget, name)
        cleanup.enter_context(follower.following())
        stack.start()
        cleanup.callback(_keep_logs, stack, described, time.strftime("%Y%m%d%H%M%S"))
        if bundle is not None:
            cleanup.callback(_leave_bundle, stack, name, bundle, follower)
        _announce(stack, described)
        follower.wait()
    if follower.failed:
        raise typer.Exit(1)


def _leave_bundle(stack: Stack, name: str, folder: Path, follower: Follower) -> None:
    failed = ", ".join(sorted(follower.failed))
    error = f"exited with another code than 0, or could not be started: {failed}"
    leave(stack, f"run {name}", folder, error=error if failed else "", option="--bundle")


def _say(line: str) -> None:
    err.print(line, soft_wrap=True, markup=False)


def _announce(stack: Stack, file: RunFile) -> None:
    up = [app for app in file.apps if _is_up(stack, app)]
    many = f"{len(up)}" if len(up) == len(file.apps) else f"{len(up)} of {len(file.apps)}"
    verb = "app is" if many == "1" else "apps are"
    out.print(f"{many} {verb} up after {stack.took:.2f} s; Ctrl-C stops all")
    for app in file.apps:
        addresses = " ".join(_addresses(stack, app.app_id))
        note = "" if app in up else " (not ready)"
        out.print(f"  {app.app_id:<28} {addresses}{note}", soft_wrap=True)


def _is_up(stack: Stack, app: RunApp) -> bool:
    """Whether it is ready, or has exited successfully; a sidecar alone is up when the stack is."""
    instance = stack.instances.get(app.app_id)
    if not app.command:
        return True
    done = instance is not None and instance.state is State.EXITED and instance.exit_code == 0
    return done or (instance is not None and instance.state is State.RUNNING)


def _infrastructure(settings: Settings) -> Iterator[Node]:
    """The nodes of the project's topology that are not apps."""
    if settings.topology:
        for node in load_topology(settings).nodes:
            if not isinstance(node, App | Sidecar | InboxProxy | CallsProxy):
                yield node


def _addresses(stack: Stack, app_id: str) -> Iterator[str]:
    for node, port in ((app_id, "main"), (sidecar_name(app_id), "http")):
        address = stack.addresses().get(node, {}).get(port)
        if address:
            yield f"{'app' if node == app_id else 'sidecar'} {address}"


def _keep_logs(stack: Stack, file: RunFile, when: str) -> None:
    """Copy the log files to where the Dapr CLI writes them: ``.dapr/logs`` of each app."""
    for app in file.apps:
        pairs = [("daprd", sidecar_name(app.app_id), app.daprd_log)]
        pairs += [("app", app.app_id, app.app_log)] if app.command else []
        for kind, node, destination in pairs:
            if node not in stack.instances:
                continue
            log = stack.instances[node].log
            if destination != "console" and log.is_file():
                folder = app.folder / ".dapr" / "logs"
                folder.mkdir(parents=True, exist_ok=True)
                shutil.copy(log, folder / f"{app.app_id}_{kind}_{when}.log")
