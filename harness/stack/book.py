"""What one stack knows while it is planned, and afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Self

from harness.core.endpoint import Endpoint
from harness.core.launch import Launch
from harness.core.node import Node, Tools
from harness.core.roles import SidecarRole
from harness.core.topology import Topology
from harness.dapr.resources import DaprResource
from harness.runtime.base import Runtime
from harness.stack.planning.addresses import HOST, Addresses
from harness.stack.planning.declared import Change, Declared, pubsubs_in
from harness.stack.planning.scope import Known, NodeScope


class AddressBook(Addresses):
    """Addresses, folders, tokens and resources of one stack, and the scope of each of its nodes.

    Args:
        topology: the nodes of the stack.
        tools: locates the programs.
        root: the project's folder, the base of relative paths.
        folder: the run's folder.
        reserve: reserves a port; accepts a specific number or None.
        gateway: the machine's address as seen from containers; None if nodes run as processes.
        inherited: what sidecars inherit from this machine's environment.
    """

    def __init__(
        self,
        topology: Topology,
        tools: Tools,
        root: Path,
        folder: Path,
        reserve: Callable[[int | None], Endpoint],
        *,
        gateway: str | None = None,
        inherited: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(topology, folder, reserve, gateway)
        self.tools = tools
        self.root = root
        self._declared = Declared(root, inherited or {})

    @property
    def strict(self) -> bool:
        """Whether warnings about resources are errors."""
        return self._declared.strict

    @strict.setter
    def strict(self, value: bool) -> None:
        self._declared.strict = value

    @property
    def changes(self) -> list[Change]:
        """How the resources of sidecars differ from those that the stack was started with."""
        return self._declared.changes

    def require_sound(self, change: Change, sidecar: SidecarRole) -> None:
        """Check what a change would have a sidecar load.

        Raises:
            ConfigError: a resource of the change is invalid.
        """
        self._declared.require_sound(change, sidecar, self.topology)

    def scope(self, node: str, viewer: str | None = None) -> NodeScope:
        """What a node sees.

        Args:
            node: its name.
            viewer: from where addresses are seen; the node itself if None. `HOST` in checks.
        """
        known = Known(self, self._declared, self.tools, self.root)
        return NodeScope(node, node if viewer is None else viewer, known)

    def launch(self, node: Node, scope: NodeScope) -> Launch:
        """What is to be launched for a node."""
        return node.plan(scope)

    def exports(self, node: str, viewer: str = HOST) -> Mapping[str, str]:
        """The values that a node exports to a viewer: this machine by default.

        Raises:
            ConfigError: the topology has no such node.
        """
        return self.scope(node, viewer).exports(node)

    def resources(self, sidecar: str, viewer: str = HOST) -> Sequence[DaprResource]:
        """The resources that a sidecar loads, with placeholders filled for a viewer.

        Raises:
            ConfigError: the node is not a sidecar, or a resource is invalid.
        """
        return self.scope(sidecar, viewer).resources()

    def pubsub(self, name: str, viewer: str = HOST) -> Sequence[DaprResource]:
        """A pub/sub component and the secret stores next to it, regardless of their scopes.

        Raises:
            ConfigError: there is no such component.
        """
        found, start = self._declared.pubsub(name, self.topology)
        return self.scope(viewer, viewer).filled(found, start)

    def variables(self, viewer: str = HOST) -> Mapping[str, str]:
        """The variables that the topology sets for its sidecars, filled for a viewer."""
        scope = self.scope(viewer, viewer)
        return {key: scope.fill(value, key) for key, value in scope.variables().items()}

    def everything(self) -> Sequence[DaprResource]:
        """Every resource, regardless of scopes, as written in its file."""
        return list(self._declared.everything(self.topology))

    def pubsubs(self) -> Sequence[DaprResource]:
        """Every pub/sub component, regardless of scopes, as written in its file."""
        return pubsubs_in(self.everything())

    def unpublished(self, launches: Iterable[Launch]) -> dict[str, tuple[int, ...]]:
        """The ports that are not published outside their container, by node."""
        return {
            each.name: tuple(each.ports[port] for port in each.container.internal)
            for each in launches
            if self.in_container(each.name)
        }

    @classmethod
    def of_runtime(cls, topology: Topology, tools: Tools, root: Path, runtime: Runtime) -> Self:
        """A book whose ports are reserved by the runtime."""
        return cls(
            topology,
            tools,
            root,
            runtime.folder,
            runtime.reserve,
            gateway=runtime.gateway,
            inherited=runtime.inherited,
        )
