"""A stack in a namespace of a cluster: its topology, its addresses, and what is applied there."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.core.endpoint import EVERYWHERE, LOOPBACK, Endpoint
from harness.core.errors import ConfigError
from harness.core.launch import InPod, Launch
from harness.core.names import inbox_name
from harness.core.node import Node
from harness.core.topology import Topology
from harness.dapr.resources import DaprResource
from harness.kubernetes.api import Access
from harness.kubernetes.dapr_roles import SIDECAR
from harness.kubernetes.pod_runtime import Place
from harness.manifests.annotations import METRICS_PORT
from harness.manifests.in_stack import Facts, StackObjects
from harness.manifests.network import PORT
from harness.nodes.app import App
from harness.nodes.cluster import ClusterNode, access_in, group_of
from harness.nodes.dapr_cluster import DaprClusterNode
from harness.nodes.sidecar import LOCAL_STORES, Sidecar
from harness.stack.book import AddressBook
from harness.stack.planning.addresses import HOST
from harness.stack.planning.scope import NodeScope
from harness.stack.pod_tools import PodTools

SIDECAR_PORTS = {"http": 3500, "grpc": 50001, "internal": 50002, "metrics": METRICS_PORT}
"""The ports of a sidecar in its pod, which the injector sets."""

CLUSTER = ClusterNode().name


def with_cluster(topology: Topology, tools: PodTools) -> Topology:
    """The same topology with the cluster that everything runs in.

    Raises:
        ConfigError: the topology has something that no cluster can have.
    """
    require_real_time(topology)
    cluster = DaprClusterNode(images=tools.archives)  # type: ignore[arg-type]  # filled by `provide`
    return topology.with_nodes([cluster, *topology.nodes])


def require_real_time(topology: Topology) -> None:
    """Check that a topology has the time that every cluster has.

    Raises:
        ConfigError: it has virtual time.
    """
    if topology.time == "virtual":
        raise ConfigError(
            "virtual time needs the harness's own scheduler, and a cluster has Dapr's",
            expected="time='real'",
            hint="use the processes or the containers runtime",
        )


def system_name(root: Path) -> str:
    """The name of the namespace: that of the project's folder, as Kubernetes spells names."""
    return re.sub(r"[^a-z0-9-]+", "-", root.name.lower()).strip("-")[:50] or "system"


def place_of(root: Path) -> Place:
    """Where the pods of a project's stack are."""

    def access(launch: Launch, home: Path) -> Access:
        return access_in(home, launch.ports["main"])

    return Place(CLUSTER, system_name(root), access, group_of)


class NamespaceBook(AddressBook):
    """Addresses of nodes in pods, and their launches.

    A port has one number on this machine and may have another one in its pod: the injector and the
    manifests choose those of sidecars and apps.

    Attributes:
        renders: whether objects are rendered, which are there already in a run that is up.
        pods_in: the namespace of its pods; "" for the one named after the project's folder.
        images: returns the image of an app that its user has named; "" if it is packed.
    """

    renders = True
    pods_in = ""
    images: Callable[[str], str] = staticmethod(lambda _app: "")

    def __init__(self, topology: Topology, *given: Any, **named: Any) -> None:
        super().__init__(topology, *given, **named)
        self._rendered: StackObjects | None = None

    def endpoint(self, node: str, port: str = "main", *, viewer: str = HOST) -> Endpoint:
        """The address of a port, with its number in the pod for viewers in the cluster."""
        found = super().endpoint(node, port, viewer=viewer)
        if not self.in_container(viewer):
            return found
        return Endpoint(found.host, self._inside(node, port, found.port))

    def listen(self, node: str, port: str = "main") -> Endpoint:
        """The address that a node binds."""
        found = super().listen(node, port)
        if not self.in_container(node):
            return found
        return Endpoint(EVERYWHERE, self._inside(node, port, found.port))

    def launch(self, node: Node, scope: NodeScope) -> Launch:
        """What is to be launched for a node, with what is particular to its pod.

        Raises:
            ConfigError: a pod cannot have what the node needs.
        """
        planned = super().launch(node, scope)
        if node.on_host:
            return planned
        scope.needs.add(CLUSTER)
        inside = planned.in_pod
        if isinstance(node, App):
            inside = self._app(node, scope)
            if image := node.image or self.images(node.name):
                container = replace(planned.container, image=image)
                planned = replace(planned, container=container)
        elif self._is_injected(node):
            inside = InPod(SIDECAR, planned.container.pod)
        elif planned.container.pod:
            inside = InPod(workload=planned.container.pod)
        ports = {name: self._port(node.name, name) for name in planned.ports}
        numbers = {name: self._inside(node.name, name, each) for name, each in ports.items()}
        return replace(planned, ports=ports, in_pod=replace(inside, ports=numbers))

    def resources(self, sidecar: str, viewer: str = HOST) -> Sequence[DaprResource]:
        """What a sidecar loads; the store of the cluster takes the place of local secrets."""
        found = super().resources(sidecar, viewer)
        return [each for each in found if each.type not in LOCAL_STORES]

    def _app(self, app: App, scope: NodeScope) -> InPod:
        """Its objects; it waits for what its sidecar needs, too, which is in the same pod."""
        sidecar = self.topology[scope.sidecar()]
        beside = self.scope(sidecar.name)
        sidecar.plan(beside)
        pod = {each.name for each in self.topology.nodes if each.pod == app.pod}
        scope.needs |= {*beside.needs, *sidecar.needs} - pod
        recorder = inbox_name(app.name)
        port = self._port(recorder, "main") if recorder in self.topology else None
        if not self.renders:
            return InPod("app")
        return InPod("app", objects=self._objects().of(app.name, port))

    def _objects(self) -> StackObjects:
        if self._rendered is None:
            apps = [each.name for each in self.topology.nodes if isinstance(each, App)]

            def exports(node: str) -> Mapping[str, str]:
                return self.scope(apps[0]).exports(node, waits=False)

            def fill(text: str, app: str) -> str:
                return self.scope(app).fill(text, f"a secret of {app}")

            facts = Facts(exports, fill, self.token)
            name = system_name(self.root)
            namespace = self.pods_in or name
            self._rendered = StackObjects(self.topology, self.root, name, namespace, facts)
        return self._rendered

    def _host(self, node: str, viewer: str) -> str:
        """Pods cannot connect to this machine, which connects to them by its own ports."""
        if not self.in_container(viewer):
            return LOOPBACK
        if not self.in_container(node):
            raise ConfigError(
                f"{viewer} refers to {node}, which runs on this machine, and pods cannot reach it",
                hint="use the processes or the containers runtime",
            )
        return super()._host(node, viewer)

    def _is_injected(self, node: Node) -> bool:
        """Whether it is the sidecar of an app of the cluster."""
        return isinstance(node, Sidecar) and node.injected

    def _inside(self, node: str, port: str, number: int) -> int:
        """The number of a port in its pod."""
        if node not in self.topology:
            return number
        found = self.topology[node]
        if isinstance(found, App):
            return PORT
        if self._is_injected(found):
            return SIDECAR_PORTS[port]
        return number
