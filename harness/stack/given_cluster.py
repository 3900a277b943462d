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
from harness.core.launch import Launch
from harness.core.node import Node, Target
from harness.core.settings import Settings
from harness.core.topology import Topology
from harness.kubernetes.api import Access, ApiServer
from harness.kubernetes.existing import ExistingCluster
from harness.kubernetes.kubeconfig import Reached, reached_by
from harness.kubernetes.own_node import load_images
from harness.kubernetes.placing import require_unclaimed
from harness.kubernetes.pod_runtime import KubernetesRuntime, Place
from harness.nodes.cluster import KUBECONFIG
from harness.nodes.given_cluster import OWN_NAMESPACE, GivenCluster, access_to
from harness.nodes.provided import ProvidedService
from harness.provision.progress import Progress
from harness.runtime.base import Runtime
from harness.stack.given_tools import GivenTools
from harness.stack.namespace import CLUSTER, NamespaceBook, require_real_time, system_name
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
    """A stack in a cluster that is somebody's.

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
    tools = GivenTools(settings, reached.context, packed=node is not None, progress=progress)
    own = f"{system_name(settings.root)}-{secrets.token_hex(4)}"
    namespace, session = where.namespace or own, secrets.token_hex(8)

    def load() -> None:
        if node is not None:
            load_images(node, tools.path("container-runtime"), tools.archives)

    cluster = GivenCluster(
        reached, namespace, not where.namespace, session, tools.version("daprd"), tools.found, load
    )
    resolved = topology.with_nodes([cluster, *topology.nodes])
    resolved = resolved.resolved(Target("kubernetes", settings.broker))
    resolved = resolved.with_nodes(list(map(_as_given, resolved.nodes)))
    place = replace(
        _place(reached, namespace), session=session, shared=bool(where.namespace), shell=tools.shell
    )

    class Book(NamespaceBook):
        """Addresses in that namespace."""

        pods_in = namespace
        images = staticmethod(tools.app)

    def pods() -> Runtime:
        whole = settings.environment
        return KubernetesRuntime(settings.inherited, place, tools.reference, whole=whole)

    settings = replace(settings, ready_timeout=max(READY, settings.ready_timeout))
    made = ClusterStack(resolved, settings, tools, pods, watch=watch, book=Book.of_runtime)
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


def _place(reached: Reached, namespace: str) -> Place:
    def access(_: Launch, home: Path) -> Access:
        return replace(access_to(reached, home), tls=reached.access.tls)

    return Place(CLUSTER, namespace, access, lambda _: "")


def _as_given(node: Node) -> Node:
    """The control plane of a cluster that is somebody's may not be looked at."""
    return replace(node, followed=False) if isinstance(node, ProvidedService) else node


def _own_node(reached: Reached, settings: Settings) -> int | None:
    """The process of the node, if `cluster up` has started the cluster on this machine."""
    for up in Registry(settings.state_dir):
        for node in up.nodes if up.alive else ():
            file = Path(up.folder) / "nodes" / node.name / KUBECONFIG
            if file.is_file() and f"https://{node.endpoints.get('main')}" == reached.access.url:
                return node.pid
    return None
