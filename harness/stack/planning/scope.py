"""What one node sees of its stack."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TypeVar

from harness.core.authority import Authority
from harness.core.blame import blamed
from harness.core.endpoint import Endpoint
from harness.core.errors import ConfigError, did_you_mean
from harness.core.node import Resource, Tools
from harness.core.placeholders import RESERVED, fill, nodes_in, placeholders, purpose_of
from harness.core.reading import read_text
from harness.core.roles import EVERYTHING, SidecarRole
from harness.dapr.namespaces import in_namespace
from harness.dapr.resources import DaprResource, secrets_file
from harness.stack.planning.addresses import HOST, NETWORK, Addresses
from harness.stack.planning.declared import Declared, variables_of

T = TypeVar("T")


@dataclass(frozen=True)
class Known:
    """What the scopes of a stack share.

    Attributes:
        addresses: ports, folders, secrets, and the topology.
        declared: the resources of the sidecars.
        tools: locates the programs.
        root: the project's folder.
    """

    addresses: Addresses
    declared: Declared
    tools: Tools
    root: Path


class NodeScope:
    """The scope of one node, see `harness.core.node.Scope`.

    Args:
        node: the node.
        viewer: from where addresses are seen: a node, or `HOST`.
        known: what all scopes of the stack share.
        needs: receives the names of the nodes that this one has asked for.
    """

    def __init__(self, node: str, viewer: str, known: Known, needs: set[str] | None = None) -> None:
        self.node = node
        self.viewer = viewer
        self.root = known.root
        self.needs = set() if needs is None else needs
        self._shared = known
        self._known = known.addresses
        self._declared = known.declared
        self._tools = known.tools

    @property
    def mtls(self) -> bool:
        """Whether sidecars and control plane use certificates."""
        return self._known.topology.mtls

    @property
    def durable(self) -> bool:
        """Whether what is acknowledged must survive a crash of the machine."""
        return self._known.topology.durable

    @property
    def namespace(self) -> str:
        """The Dapr namespace of the sidecars; "" for the one that daprd uses by default."""
        return self._known.namespace

    @property
    def home(self) -> PurePath:
        """The node's own folder, as the node sees it."""
        return self._known.home(self.node)

    @property
    def in_container(self) -> bool:
        """Whether the node runs in a container."""
        return self._known.in_container(self.node)

    @property
    def viewer_in_container(self) -> bool:
        """Whether the viewer runs in a container."""
        return self._known.in_container(self.viewer)

    def pick(self, process: T, container: T) -> T:
        """What belongs to the place where the node runs."""
        return container if self.in_container else process

    def listen(self, port: str = "main") -> Endpoint:
        """The address that the node must bind."""
        return self._known.listen(self.node, port)

    def endpoint(self, port: str = "main") -> Endpoint:
        """One of the node's own ports, as the viewer sees it."""
        return self._known.endpoint(self.node, port, viewer=self.viewer)

    def published(self, port: str = "main") -> Endpoint:
        """One of the node's own ports, as this machine sees it."""
        return self._known.endpoint(self.node, port)

    def network(self, port: str = "main") -> Endpoint:
        """One of the node's own ports, as any other node sees it."""
        return self._known.endpoint(self.node, port, viewer=NETWORK)

    def address(self, node: str, port: str = "main", *, waits: bool = True) -> Endpoint:
        """A port of another node, as the viewer sees it."""
        self._use(node, EVERYTHING, waits=waits)
        return self._known.endpoint(node, port, viewer=self.viewer)

    def exports(self, node: str, *, waits: bool = True) -> Mapping[str, str]:
        """The values that another node exports to the viewer."""
        return self._exports(node, EVERYTHING, waits=waits)

    def _exports(self, node: str, *keys: str, waits: bool = True) -> Mapping[str, str]:
        found = self._known.topology[node]
        self._use(node, *keys, waits=waits)
        needs = self.needs if waits else set()
        with blamed(found, "exports"):
            return found.exports(self._of(node, needs))

    def has(self, node: str) -> bool:
        """Whether the topology has a node of this name."""
        return node in self._known.topology

    def clock(self) -> Path | None:
        """The file in which programs see the time that tests move; None if time is real."""
        clock = self._known.topology.clock()
        return Path(self.exports(clock.name)["now"]) if clock else None

    def sidecar(self) -> str:
        """The name of the node's sidecar."""
        return self._known.topology.sidecar_of(self.node).name

    def shared(self, name: str) -> PurePath:
        """A folder that several nodes share, as the node sees it."""
        return self._known.shared(name, self.node)

    def tool(self, name: str) -> Path:
        """The path of a program."""
        return self._tools.path(name)

    def daprd(self, types: Collection[str]) -> Path:
        """The path of a daprd that has these types of components, and perhaps no others."""
        return self._tools.daprd(types)

    def version(self, tool: str) -> str:
        """The version that a running tool must report."""
        return self._tools.version(tool)

    def token(self, purpose: str) -> str:
        """A random secret of this stack."""
        return self._known.token(purpose)

    def secrets(self) -> Sequence[str]:
        """Every token given out so far, for masking."""
        return self._known.secrets()

    def authority(self) -> Authority:
        """The stack's own certificate authority."""
        return self._known.authority()

    def fill(self, text: str, where: str) -> str:
        """Replace ``${node.key}`` with the value that the node exports to the viewer.

        ``${secret.key}`` is a random secret of the stack.
        """
        used = list(placeholders(text))
        keys = [key for name, key in used if name == RESERVED]
        exports: dict[str, Mapping[str, str]] = {
            RESERVED: {key: self.token(purpose_of(key)) for key in keys if key}
        }
        for name in nodes_in(text):
            if not self.has(name):
                names = [node.name for node in self._known.topology.nodes]
                raise ConfigError(
                    f"{where}: {text!r} refers to {name!r}, which is not a node of the topology",
                    hint=did_you_mean(name, names),
                )
            exports[name] = self._exports(name, *(key for owner, key in used if owner == name))
        return fill(text, exports, where)

    def resources(self) -> Sequence[DaprResource]:
        """The resources of a sidecar, placeholders filled."""
        topology = self._known.topology
        node = topology[self.node]
        if not isinstance(node, SidecarRole):
            raise ConfigError(f"node {self.node!r} is not a sidecar, and reads no resources")
        return self.filled(*self._declared.of(node, topology))

    def components(self, kind: str) -> Sequence[Resource]:
        """Every component of a type, regardless of scopes, as written in its file."""
        found = self._declared.everything(self._known.topology)
        # Several sidecars may read one folder.
        return list({each.at(): each for each in found if each.type == kind}.values())

    def variables(self) -> Mapping[str, str]:
        """The variables that the topology sets for its sidecars, with placeholders."""
        return variables_of(self._known.topology)

    def filled(self, resources: Iterable[DaprResource], start: Path) -> list[DaprResource]:
        """Resources with their placeholders filled; relative paths in them begin at ``start``."""
        made = [self._rooted(each.filled(self.fill), start) for each in resources]
        return [in_namespace(each, self.namespace) for each in made] if self.namespace else made

    def _rooted(self, resource: DaprResource, start: Path) -> DaprResource:
        """A copy whose secrets file, with placeholders filled, is in its sidecar's folder."""
        if resource.type != "secretstores.local.file" or self.viewer == HOST:
            return resource
        for item in resource.body["spec"]["metadata"]:
            if str(item.get("name")).lower() == "secretsfile":
                file = secrets_file(resource, start)
                name = f"secrets/{file.name}"
                resource.companions[name] = self.fill(read_text(file), str(file))
                item["value"] = str(self._known.home(self.viewer) / name)
        return resource

    def _use(self, node: str, *keys: str, waits: bool) -> None:
        self._known.uses.setdefault((self.node, node), set()).update(keys)
        if waits and node != self.node:
            self.needs.add(node)

    def _of(self, node: str, needs: set[str]) -> NodeScope:
        """Another node's scope, for the same viewer."""
        return NodeScope(node, self.viewer, self._shared, needs)
