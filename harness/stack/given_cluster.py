"""A stack in a cluster that is up and has Dapr: in a namespace of its own, or in a named one."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from harness.core.errors import ConfigError, Unavailable
from harness.core.journal import Entry
from harness.core.node import Target
from harness.core.settings import Settings
from harness.core.topology import Topology
from harness.kubernetes.api import ApiServer
from harness.kubernetes.existing import ExistingCluster
from harness.kubernetes.kubeconfig import Reached, reached_by
from harness.kubernetes.own_node import load_images
from harness.kubernetes.placing import require_unclaimed
from harness.kubernetes.pod_runtime import KubernetesRuntime
from harness.nodes.cluster import KUBECONFIG
from harness.nodes.given_cluster import OWN_NAMESPACE
from harness.provision.progress import Progress
from harness.runtime.base import Runtime
from harness.stack.given_place import GivenPlace
from harness.stack.namespace import NamespaceBook, require_real_time, system_name
from harness.stack.registry import Registry
from harness.stack.stack import Stack

PREFIX = "kube:"
READY = 180.0
"""Seconds within which each node must become ready: images may have to be pulled."""

_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True)
class Named:
    """What ``kube:CONTEXT/NAMESPACE`` names.

    Attributes:
        context: of the kubeconfig; "" for the current one.
        namespace: in which the stack is; "" for one of its own.
    """

    context: str = ""
    namespace: str = ""


class ClusterStack(Stack):
    """A stack in an existing cluster.

    Attributes:
        where: the cluster and the namespace, as they were named.
    """

    where = Named()


def named(text: str) -> Named | None:
    """The cluster that a word names; None if it names something else.

    Raises:
        ConfigError: its namespace cannot be one.
    """
    if not text.startswith(PREFIX):
        return None
    # Names of contexts may have slashes, those of namespaces have none.
    context, slash, namespace = text.removeprefix(PREFIX).rpartition("/")
    if not slash:
        return Named(context=namespace)
    if not _NAMESPACE.fullmatch(namespace):
        raise ConfigError(
            f"{text!r} names no namespace",
            expected=f"{PREFIX}, {PREFIX}CONTEXT or {PREFIX}CONTEXT/NAMESPACE",
            last=f"{namespace!r} is not a name that Kubernetes accepts",
        )
    return Named(context, namespace)


def started_in(
    text: str,
    topology: Topology,
    settings: Settings,
    *,
    progress: Progress | None = None,
    watch: Callable[[Entry], None] = lambda _: None,
) -> Stack:
    """A stack in the cluster that a word names; see `in_cluster`.

    Raises:
        ConfigError: the word names none.
    """
    where = named(text)
    if where is None:
        raise ConfigError(
            f"{text!r} names no cluster",
            expected=f"{PREFIX}, {PREFIX}CONTEXT or {PREFIX}CONTEXT/NAMESPACE",
        )
    return in_cluster(where, topology, settings, progress=progress, watch=watch)


def in_cluster(
    where: Named,
    topology: Topology,
    settings: Settings,
    *,
    progress: Progress | None = None,
    watch: Callable[[Entry], None] = lambda _: None,
) -> ClusterStack:
    """A stack in a namespace of a cluster, which is started in it and removed from it.

    Args:
        where: the cluster and the namespace.
        topology: what to run.
        settings: the project's.
        progress: informed about everything slow.
        watch: informed about the start, entry by entry.

    Raises:
        ConfigError: there is no such context, its credentials are not accepted, or the topology
            has something that no cluster can have.
        Unavailable: Dapr, the namespace or a permission is missing there.
        ProbeError: its API server does not answer.
    """
    require_real_time(topology)
    _require_packages()
    reached = reached_by(where.context, settings.environment)
    _require_usable(reached, where.namespace)
    node = _own_node(reached, settings)
    given = GivenPlace(
        reached,
        where.namespace or f"{system_name(settings.root)}-{secrets.token_hex(4)}",
        own=not where.namespace,
        session=secrets.token_hex(8),
        packed=node is not None,
    )
    tools = given.tools(settings, progress)
    place = given.place(tools)

    def load() -> None:
        if node is not None:
            load_images(node, tools.path("container-runtime"), tools.archives)

    def pods() -> Runtime:
        whole = settings.environment
        return KubernetesRuntime(settings.inherited, place, tools.reference, whole=whole)

    target = Target("kubernetes", settings.broker)
    resolved = given.topology(topology, target, tools, load)
    settings = replace(settings, ready_timeout=max(READY, settings.ready_timeout))
    book = given.book(NamespaceBook, tools).of_runtime
    made = ClusterStack(resolved, settings, tools, pods, watch=watch, book=book)
    made.where = where
    return made


def _require_packages() -> None:
    if find_spec("websockets") is None:
        raise Unavailable(
            f"a stack in a cluster needs an additional package for {PREFIX}",
            last="websockets, for connections to pods, is not installed",
            hint="pip install 'dapr-harness[kubernetes]'",
        )


def _require_usable(reached: Reached, namespace: str) -> None:
    """Check everything that can be known before anything is created."""
    with ApiServer(reached.access) as server:
        cluster = ExistingCluster(server, reached.context)
        cluster.version()
        cluster.require_dapr()
        if namespace:
            wanted = "one that exists; without a name, the stack has one of its own"
            cluster.require_namespaces([namespace], wanted)
            require_unclaimed(server, namespace)
        else:
            cluster.require_rights(OWN_NAMESPACE)


def _own_node(reached: Reached, settings: Settings) -> int | None:
    """The process of the node, if `cluster up` has started the cluster on this machine."""
    for up in Registry(settings.state_dir):
        for node in up.nodes if up.alive else ():
            file = Path(up.folder) / "nodes" / node.name / KUBECONFIG
            if file.is_file() and f"https://{node.endpoints.get('main')}" == reached.access.url:
                return node.pid
    return None
