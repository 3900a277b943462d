"""What a stack in an existing cluster is made of, whether it is started or is up."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from harness.core.launch import Launch
from harness.core.node import Node, Target
from harness.core.settings import Settings
from harness.core.topology import Topology
from harness.kubernetes.api import Access
from harness.kubernetes.kubeconfig import Reached, reached_again
from harness.kubernetes.pod_runtime import Place
from harness.nodes.given_cluster import ABOUT, GivenCluster, access_to
from harness.nodes.provided import ProvidedService
from harness.provision.progress import Progress
from harness.stack.given_tools import GivenTools
from harness.stack.namespace import CLUSTER, NamespaceBook

B = TypeVar("B", bound=NamespaceBook)


@dataclass(frozen=True)
class GivenPlace:
    """The place of a stack in an existing cluster.

    Attributes:
        reached: the cluster, and the user who reaches it.
        namespace: of its pods.
        own: whether it is created for the stack.
        session: the label of what the stack applies.
        packed: whether images are packed here, and loaded into the node of the cluster.
    """

    reached: Reached
    namespace: str
    own: bool
    session: str
    packed: bool

    def tools(self, settings: Settings, progress: Progress | None = None) -> GivenTools:
        """The images that the cluster can use."""
        return GivenTools(settings, self.reached.context, packed=self.packed, progress=progress)

    def topology(
        self,
        topology: Topology,
        target: Target,
        tools: GivenTools,
        load: Callable[[], None] = lambda: None,
    ) -> Topology:
        """The nodes with that of the cluster.

        Args:
            topology: what the project says.
            target: where it runs, and with which broker.
            tools: the images.
            load: called before any pod is started.
        """
        cluster = GivenCluster(
            self.reached, self.namespace, self.own, self.session, self.packed,
            tools.version("daprd"), tools.found, load,
        )  # fmt: skip
        resolved = topology.with_nodes([cluster, *topology.nodes]).resolved(target)
        return resolved.with_nodes(list(map(_as_given, resolved.nodes)))

    def place(self, tools: GivenTools) -> Place:
        """Where its pods are."""

        def access(_: Launch, home: Path) -> Access:
            return access_to(self.reached, home)

        return Place(
            CLUSTER,
            self.namespace,
            access,
            lambda _: "",
            session=self.session,
            shared=not self.own,
            shell=tools.shell,
        )

    def book(self, kind: type[B], tools: GivenTools) -> type[B]:
        """A book of this kind, with the addresses of pods in the namespace."""
        facts = {"pods_in": self.namespace, "images": staticmethod(tools.app)}
        return type(kind.__name__, (kind,), facts)


def place_in(folder: Path) -> GivenPlace | None:
    """The place of a run that is up; None if it has a cluster of its own.

    Args:
        folder: the run's.
    """
    file = folder / "nodes" / CLUSTER / ABOUT
    if not file.is_file():
        return None
    about = json.loads(file.read_text())
    reached = reached_again(about["context"], about["server"])
    names = ("namespace", "own", "session", "packed")
    return GivenPlace(reached, **{each: about[each] for each in names})


def _as_given(node: Node) -> Node:
    """The control plane of an existing cluster may not be followed."""
    return replace(node, followed=False) if isinstance(node, ProvidedService) else node
