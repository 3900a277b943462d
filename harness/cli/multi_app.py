"""``run``: a multi-app run file in the foreground."""

from __future__ import annotations

import math
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.console import Climbing, Steps, err, out
from harness.cli.stacks import DaprVersion
from harness.cli.state import opened
from harness.cli.tails import Tail, show
from harness.deadline import Deadline, ticks
from harness.loading import load_topology
from harness.multi_app import topology_of
from harness.nodes.app import App
from harness.nodes.inbox import InboxProxy
from harness.nodes.sidecar import Sidecar
from harness.run import running
from harness.runfile import RunFile, read_runfile
from harness.runtime.base import State
from harness.settings import Settings
from harness.stack import Stack
from harness.topology import Node

EVERYTHING = sys.maxsize
"""How many last lines are all of them."""


def run(
    file: Annotated[Path, typer.Option("--run-file", "-f", help="The run file.")] = Path(
        "dapr.yaml"
    ),
    name: Annotated[str, typer.Option("--name", "-n", help="Which stack.")] = "default",
    topology: Annotated[
        str | None,
        typer.Option(help="module:attribute: where brokers and databases are taken from."),
    ] = None,
    dapr_version: DaprVersion = None,
    offline: Annotated[
        bool | None, typer.Option("--offline", help="Never use the network.")
    ] = None,
) -> None:
    """Start the apps of a multi-app run file, each with its sidecar, and stay until Ctrl-C.

    What the file or its resources refer to by ${node.key} comes along from the topology.
    """
    settings = Settings.load(
        topology=topology, runtime="processes", offline=offline, dapr_version=dapr_version
    )
    described = read_runfile(file)
    for line in described.ignored:
        err.print(line, soft_wrap=True, markup=False)
    registry = opened(settings)
    registry.require_free(name)
    climbing = Climbing()
    made = topology_of(described, *_infrastructure(settings), needed_only=True)
    stack = running(made, settings, progress=Steps(), watch=climbing)
    with registry.starting(name), ExitStack() as cleanup:
        cleanup.callback(stack.close)
        stack.provision()
        with climbing.shown():
            stack.start()
        registry.record(stack, name)
        cleanup.callback(registry.forget, name)
        cleanup.callback(_keep_logs, stack, described, time.strftime("%Y%m%d%H%M%S"))
        out.print(f"{len(described.apps)} apps are up after {stack.took:.2f} s; Ctrl-C stops all")
        for app in described.apps:
            out.print(f"  {app.app_id:<28} {' '.join(_addresses(stack, app.app_id))}")
        failed = _watch(stack, described)
    if failed:
        raise typer.Exit(1)


def _infrastructure(settings: Settings) -> Iterator[Node]:
    """What the project's topology has beside its apps."""
    if settings.topology:
        for node in load_topology(settings).nodes:
            if not isinstance(node, App | Sidecar | InboxProxy):
                yield node


def _addresses(stack: Stack, app_id: str) -> Iterator[str]:
    for node, port in ((app_id, "main"), (f"{app_id}-daprd", "http")):
        address = stack.addresses().get(node, {}).get(port)
        if address:
            yield f"{'app' if node == app_id else 'sidecar'} {address}"


def _watch(stack: Stack, file: RunFile) -> bool:
    """Show what is logged until no app runs any more; whether one of them has failed."""
    # From the first line on: an app may have said all that it has to say by now.
    tails = [Tail(name, stack.instances[name].log, EVERYTHING) for name in _on_console(file)]
    waiting = {app.app_id for app in file.apps if app.command}
    failed = False
    for _ in ticks(Deadline(math.inf), 0.1):
        show(tails)
        for name in sorted(waiting):
            instance = stack.instances[name]
            if instance.state is State.EXITED:
                err.print(f"{name} has exited with code {instance.exit_code}")
                failed = failed or instance.exit_code != 0
                waiting.discard(name)
        if not waiting and any(app.command for app in file.apps):
            break
    return failed


def _on_console(file: RunFile) -> Iterator[str]:
    for app in file.apps:
        if app.command and app.app_log != "file":
            yield app.app_id
        if app.daprd_log != "file":
            yield f"{app.app_id}-daprd"


def _keep_logs(stack: Stack, file: RunFile, when: str) -> None:
    """Copy what goes to files to where the Dapr CLI has it: ``.dapr/logs`` of each app."""
    for app in file.apps:
        pairs = [("daprd", f"{app.app_id}-daprd", app.daprd_log)]
        pairs += [("app", app.app_id, app.app_log)] if app.command else []
        for kind, node, destination in pairs:
            log = stack.instances[node].log
            if destination != "console" and log.is_file():
                folder = app.folder / ".dapr" / "logs"
                folder.mkdir(parents=True, exist_ok=True)
                shutil.copy(log, folder / f"{app.app_id}_{kind}_{when}.log")
