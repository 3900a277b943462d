"""``cluster`` and ``kubectl``: a node of Kubernetes on this machine."""

from __future__ import annotations

import json
import os
import secrets
import tarfile
import time
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from harness.cli import interrupts
from harness.cli.console import StartProgress, Steps, add_row, out, print_json, table
from harness.cli.state import opened
from harness.core.deadline import Deadline, poll
from harness.core.errors import ConfigError, InstanceDied, NotReady, did_you_mean
from harness.core.settings import Settings
from harness.core.topology import Topology
from harness.kubernetes.api import Access, ApiServer
from harness.kubernetes.obstacles import require_node, this_machine, try_node
from harness.kubernetes.rollout import PodsCheck
from harness.nodes.cluster import AUTHORITY, KUBECONFIG, ClusterNode
from harness.nodes.dapr_cluster import DaprClusterNode
from harness.provision.cluster_node import PROGRAM
from harness.provision.dapr_images import IMAGES, version_in
from harness.provision.toolbox import Provisioner
from harness.provision.versions import KUBERNETES
from harness.stack.failures import tail_of
from harness.stack.registry import Registry, UpNode, UpStack, alive
from harness.stack.run import running

NODE = ClusterNode()
DEFAULT = "cluster"
READY = 180.0
"""Seconds within which a node must become ready: all of Kubernetes starts meanwhile."""

LAST = 15
"""Lines of the log of a node that has ended."""

Name = Annotated[str, typer.Argument(help="The cluster; several can be up at once.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

app = typer.Typer(
    name="cluster",
    help="Run a Kubernetes cluster of one node on this machine; needs Linux and root.",
    no_args_is_help=True,
)


class PassingOn(TyperCommand):
    """A command whose own option comes first; everything after it is another program's."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Keep the rest as it is: the usual parser takes ``--`` out of it."""
        own = 0
        if args:
            alone = args[0] == "--help" or args[0].startswith("--cluster=")
            own = 2 if args[0] == "--cluster" else int(alone)
        left = super().parse_args(ctx, args[:own])
        ctx.args = args[own:]
        return left


@app.command()
def up(
    name: Name = DEFAULT,
    image: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="An archive of images for pods, as `docker save` writes it; can be repeated.",
        ),
    ] = None,
    dapr: Annotated[
        bool, typer.Option("--dapr", help="Install Dapr in it, and wait until it is ready.")
    ] = False,
    offline: Annotated[
        bool | None, typer.Option("--offline", help="Never use the network.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Start a cluster of one node and leave it running.

    It has namespaces, cgroups and a network of its own; its API server listens on 127.0.0.1. Use it
    with `dapr-harness kubectl`, or with the kubeconfig that is printed; stop it with
    `dapr-harness cluster down`.
    """
    settings = Settings.load(offline=offline, runtime="processes")
    registry, shown = opened(settings), StartProgress()
    registry.require_free(name)
    archives = tuple(_archive(each) for each in image or ())
    steps = Steps()
    toolbox = Provisioner(settings, steps)
    require_node(this_machine(settings.environment, toolbox.store.root))
    group = f"dapr-harness-{secrets.token_hex(6)}"
    try_node(toolbox.path(PROGRAM), settings.environment, group)
    wanted = Topology((DaprClusterNode if dapr else ClusterNode)(images=archives))
    settings = replace(settings, topology="", ready_timeout=max(READY, settings.ready_timeout))
    stack = running(wanted, settings, progress=steps, watch=shown, name=name)
    with registry.starting(name), ExitStack() as cleanup:
        cleanup.callback(stack.close)
        stack.provision()
        with shown.shown():
            stack.start()
        interrupts.settle()
        found = registry.adopt(stack, name)
    if as_json:
        print_json({**_row(found), "ready_after": stack.took})
        return
    which = "" if name == DEFAULT else f" --cluster {name}"
    parts = [f"Kubernetes {KUBERNETES}"]
    if dapr:
        parts.append(f"Dapr {version_in(toolbox.path(IMAGES))}")
    out.print(f"cluster {name!r} is up after {stack.took:.2f} s: {', '.join(parts)}")
    out.print(f"use it: dapr-harness kubectl{which} get pods -A", soft_wrap=True)
    out.print(f"        export KUBECONFIG={kubeconfig_of(found)}", soft_wrap=True)
    out.print(f"stop it: dapr-harness cluster down{'' if name == DEFAULT else f' {name}'}")


@app.command()
def wait(
    namespace: Annotated[str, typer.Argument(help="Where the pods are.")],
    cluster: Annotated[
        str | None, typer.Option("--cluster", help="The cluster; not needed if only one is up.")
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds.")] = 120.0,
) -> None:
    """Wait until all pods of a namespace are ready.

    It ends at once, with the cause, if a pod cannot be scheduled, has no image, crashes again and
    again, or needs more memory than its limit.
    """
    found = require_node_of(_chosen(opened(Settings.load()), cluster))
    with ApiServer(_access_to(found)) as server:
        if not (known := server.get(f"/api/v1/namespaces/{namespace}")).accepted:
            raise ConfigError(
                f"cluster {found.name!r} has no namespace {namespace!r}", last=known.message
            )
        which = f" --cluster {found.name}" if cluster else ""
        describe = f"dapr-harness kubectl{which} -n {namespace} describe pods"
        check, deadline = PodsCheck(server, namespace, f"{describe} {{pod}}"), Deadline(timeout)
        seen = poll(check.observe, deadline, guard=partial(_require_alive, found))
    if not seen.ok:
        raise NotReady(
            f"not every pod of namespace {namespace!r} became ready",
            last=seen.fact,
            budget=timeout,
            hint=describe,
        )
    out.print(f"{seen.fact} in namespace {namespace!r}")


@app.command()
def down(name: Name = DEFAULT, as_json: Json = False) -> None:
    """Stop a cluster and all its pods; nothing of it is left."""
    began = time.monotonic()
    registry = opened(Settings.load())
    require_cluster(registry, name)
    registry.take_down(name)
    took = time.monotonic() - began
    if as_json:
        print_json({"name": name, "seconds": took})
    else:
        out.print(f"cluster {name!r} is down after {took:.2f} s")


@app.command()
def status(as_json: Json = False) -> None:
    """Show the clusters that are up."""
    rows = [_row(each) for each in _clusters(opened(Settings.load()))]
    if as_json:
        print_json(rows)
        return
    if not rows:
        out.print("no cluster is up; start one with `dapr-harness cluster up`")
        return
    shown = table("clusters", "name", "state", "up for", "API server", "kubeconfig")
    for row in rows:
        up_for = f"{row['up_for']:.0f} s"
        add_row(shown, row["name"], row["state"], up_for, row["server"], row["kubeconfig"])
    out.print(shown)


def kubectl(
    context: typer.Context,
    cluster: Annotated[
        str | None,
        typer.Option("--cluster", help="The cluster; not needed if only one is up."),
    ] = None,
) -> None:
    """Run kubectl on a cluster of `dapr-harness cluster up`; what follows --cluster is kubectl's.

    The exit code is kubectl's. `dapr-harness kubectl help` shows the help of kubectl itself.
    """
    settings = Settings.load(offline=True)
    registry = opened(settings)
    found = _chosen(registry, cluster)
    program = Provisioner(settings).path("kubectl")
    environment = {**settings.environment, "KUBECONFIG": str(kubeconfig_of(require_node_of(found)))}
    os.execve(program, ["kubectl", *context.args], environment)  # noqa: S606 - no shell is needed


def kubeconfig_of(up: UpStack) -> Path:
    """The file with which clients reach the API server of a cluster."""
    return Path(up.folder) / "nodes" / NODE.name / KUBECONFIG


def require_cluster(registry: Registry, name: str) -> UpStack:
    """The cluster with this name.

    Raises:
        ConfigError: none is up.
    """
    found = {each.name: each for each in _clusters(registry)}
    if name not in found:
        hint = did_you_mean(name, [*found]) if found else "start one with `dapr-harness cluster up`"
        raise ConfigError(f"no cluster named {name!r} is up", hint=hint)
    return found[name]


def require_node_of(up: UpStack) -> UpStack:
    """The cluster, whose node runs.

    Raises:
        InstanceDied: its node has ended; the message has the last lines of its log.
    """
    node = _node(up)
    if not alive(node.pid):
        last = tail_of(Path(node.log), LAST)
        raise InstanceDied(
            f"the node of cluster {up.name!r} has ended",
            last=last,
            hint=f"`dapr-harness cluster down {up.name}` removes the rest",
        )
    return up


def _archive(file: Path) -> Path:
    if not (file.is_file() and tarfile.is_tarfile(file)):
        raise ConfigError(
            f"{file} is not an archive of images",
            expected="a file that `docker save` has written",
            last="a file of another kind" if file.exists() else "there is no such file",
        )
    return file.absolute()


def _require_alive(up: UpStack) -> None:
    require_node_of(up)


def _access_to(up: UpStack) -> Access:
    """As the kubeconfig has it."""
    file = kubeconfig_of(up)
    (user,) = json.loads(file.read_text())["users"]
    url = f"https://{_node(up).endpoints['main']}"
    return Access(url, user["user"]["token"], file.with_name(AUTHORITY))


def _chosen(registry: Registry, name: str | None) -> UpStack:
    return require_cluster(registry, name) if name else _only(registry)


def _only(registry: Registry) -> UpStack:
    found = [each.name for each in _clusters(registry)]
    if len(found) > 1:
        raise ConfigError(
            "several clusters are up", last=", ".join(found), hint="choose one with --cluster"
        )
    return require_cluster(registry, found[0] if found else DEFAULT)


def _clusters(registry: Registry) -> list[UpStack]:
    alive = (each for each in registry if each.alive)
    return [each for each in alive if kubeconfig_of(each).is_file()]


def _node(up: UpStack) -> UpNode:
    return next(each for each in up.now().nodes if each.name == NODE.name)


def _row(up: UpStack) -> dict[str, Any]:
    return {
        "name": up.name,
        "state": "running" if alive(_node(up).pid) else "exited",
        "up_for": up.up_for,
        "server": f"https://{_node(up).endpoints['main']}",
        "kubeconfig": str(kubeconfig_of(up)),
        "folder": up.folder,
    }
