"""A shortcut from a topology to a running stack."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.core.errors import Unavailable
from harness.core.journal import Entry
from harness.core.node import Target
from harness.core.settings import Settings
from harness.core.topology import Topology
from harness.provision.machine import require_processes, require_temporary
from harness.provision.progress import Progress
from harness.provision.toolbox import Provisioner
from harness.runtime.base import Runtime
from harness.runtime.processes import ProcessRuntime
from harness.stack.stack import Stack

if TYPE_CHECKING:
    from harness.stack.images import Images

CLUSTER_READY = 180.0
"""Seconds within which each node in a cluster must become ready: all of it starts meanwhile."""


def running(
    topology: Topology,
    settings: Settings | None = None,
    *,
    progress: Progress | None = None,
    watch: Callable[[Entry], None] = lambda _: None,
    name: str = "",
    **given: Any,
) -> Stack:
    """A stack on the runtime that the settings choose; use it in a ``with`` statement.

    Args:
        topology: what to run.
        settings: loaded from the environment and pyproject.toml when None.
        progress: informed about provisioning.
        watch: informed about the start, entry by entry.
        name: the stack's name, for a collector; by default, that of the project's folder.
        given: individual settings that override both.

    Raises:
        ConfigError: the topology does not fit the runtime.
        Unavailable: the containers runtime is requested and no engine responds; or the machine
            has too few resources.
    """
    settings = settings or Settings.load(**given)
    if settings.otlp:
        from harness.nodes.exporter import with_export

        topology = with_export(topology, settings, name)
    runtime = choose_runtime(topology, settings)
    if runtime == "kubernetes":
        return _in_namespace(topology, settings, progress, watch)
    resolved = topology.resolved(Target(runtime, settings.broker))
    require_temporary(settings.environment)
    if runtime == "containers":
        images = _images(settings, progress)
        return Stack(resolved, settings, images, lambda: _containers(settings, images), watch=watch)

    require_processes(len(resolved.nodes))

    def processes() -> Runtime:
        return ProcessRuntime(settings.inherited, whole=settings.environment)

    return Stack(resolved, settings, Provisioner(settings, progress), processes, watch=watch)


def _in_namespace(
    topology: Topology,
    settings: Settings,
    progress: Progress | None,
    watch: Callable[[Entry], None],
) -> Stack:
    """A stack in a namespace of a cluster of its own."""
    from harness.kubernetes.pod_runtime import KubernetesRuntime
    from harness.stack.namespace import NamespaceBook, place_of, with_cluster
    from harness.stack.pod_tools import PodTools

    tools = PodTools(settings, progress)
    tools.require_node()
    resolved = with_cluster(topology, tools).resolved(Target("kubernetes", settings.broker))
    settings = replace(settings, ready_timeout=max(CLUSTER_READY, settings.ready_timeout))

    def pods() -> Runtime:
        place, whole = place_of(settings.root), settings.environment
        return KubernetesRuntime(settings.inherited, place, tools.reference, whole=whole)

    return Stack(resolved, settings, tools, pods, watch=watch, book=NamespaceBook.of_runtime)


def choose_runtime(topology: Topology, settings: Settings) -> str:
    """The user's target; for ``auto``, processes, unless only containers can run it.

    Processes are not possible if the topology contains a node without a process (Redpanda, an app
    given as an image), or if their tools are not available and a container engine responds.
    """
    if settings.runtime != "auto":
        return settings.runtime
    nodes = topology.resolved(Target("processes", settings.broker)).nodes
    if any(node.container_only for node in nodes):
        return "containers"
    try:
        Provisioner(settings).require_obtainable(nodes)
    except Unavailable:
        return "containers" if _engine_answers() else "processes"
    return "processes"


def _engine_answers() -> bool:
    try:
        from harness.runtime.containers.engine import Engine

        Engine().close()
    except (Unavailable, ImportError):
        return False
    return True


def _images(settings: Settings, progress: Progress | None) -> Images:
    try:
        from harness.stack.images import Images
    except ImportError as error:
        raise Unavailable(
            "the containers runtime needs two additional packages",
            last=str(error),
            hint="pip install 'dapr-harness[containers]'",
        ) from None
    images = Images(settings, progress)
    _ = images.engine  # reports a missing engine now, not after minutes of provisioning
    return images


def _containers(settings: Settings, images: Images) -> Runtime:
    from harness.runtime.containers.runtime import ContainerRuntime

    return ContainerRuntime(
        settings.inherited, images.reference, images.user, whole=settings.environment
    )
