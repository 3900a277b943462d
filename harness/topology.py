"""The description of a system: nodes, dependencies and shared resources. No I/O happens here."""

from __future__ import annotations

import copy
import graphlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Protocol

from harness.deadline import Check
from harness.endpoint import Endpoint
from harness.errors import ConfigError, did_you_mean
from harness.launch import Launch
from harness.names import require_hosts, require_name

HOST = ""
"""The viewer of an address that is not a node: the machine itself."""

NETWORK = "*"
"""The viewer of an address that is any other node of the stack."""


class Tools(Protocol):
    """The programs or images that nodes run, on one runtime."""

    def provide(self, nodes: Sequence[Node], root: Path) -> None:
        """Provision everything that these nodes need, before anything starts.

        Raises:
            Unavailable: something cannot be provisioned.
        """
        ...

    def path(self, tool: str) -> Path:
        """The path of a program such as ``daprd``, ``kafka`` or ``postgres``.

        In a container, this is the path inside the image.
        """
        ...

    def version(self, tool: str) -> str:
        """The version that a running tool must report; "" if any version is accepted."""
        ...


class Authority(Protocol):
    """The certificates of a stack with mTLS, as PEM."""

    @property
    def anchors(self) -> str:
        """The root certificate, which everyone trusts."""
        ...

    @property
    def certificate(self) -> str:
        """The issuer's certificate, with which sentry signs."""
        ...

    @property
    def key(self) -> str:
        """The issuer's private key."""
        ...


class Book(Protocol):
    """What is known about a stack while it is planned: addresses, folders, tools and tokens."""

    topology: Topology
    tools: Tools
    root: Path

    def inside(self, node: str) -> bool:
        """Whether the node runs in a container, and therefore has its own loopback."""
        ...

    def endpoint(
        self, node: str, port: str = "main", *, viewer: str = HOST, wanted: int | None = None
    ) -> Endpoint:
        """The address of one of a node's ports, reserved on first use.

        The number is the same for every viewer; the host is not.

        Args:
            node: the node that will listen.
            port: which of its ports.
            viewer: the node that will connect; the machine itself by default.
            wanted: a port number set by the user; reserved exactly, or `PortTaken`.
        """
        ...

    def listen(self, node: str, port: str = "main", *, wanted: int | None = None) -> Endpoint:
        """The same port with the address that the node must bind."""
        ...

    def home(self, node: str) -> PurePath:
        """The node's own folder, as the node sees it; removed with the stack."""
        ...

    def shared(self, name: str, node: str) -> PurePath:
        """A folder that several nodes share, as one of them sees it."""
        ...

    def token(self, purpose: str) -> str:
        """A random secret of this stack, always the same for one purpose."""
        ...

    def authority(self) -> Authority:
        """The stack's own certificate authority, created on first use."""
        ...

    def fill(self, text: str, where: str, viewer: str = HOST) -> str:
        """Replace ``${node.key}`` with the value that the node exports to a viewer.

        Raises:
            ConfigError: the placeholder does not refer to anything; the message contains ``where``.
        """
        ...

    def resources(self, app_id: str, viewer: str) -> Sequence[Resource]:
        """The resources whose scopes allow this app, with placeholders filled for a viewer."""
        ...

    def components(self, kind: str) -> Sequence[Resource]:
        """Every component of a type, regardless of scopes, as written in its file."""
        ...

    def variables(self) -> Mapping[str, str]:
        """The variables that the topology sets for its sidecars, with placeholders."""
        ...


class Resource(Protocol):
    """One Dapr resource (Component, Subscription, ...) as a sidecar will read it."""

    @property
    def kind(self) -> str:
        """``Component``, ``Subscription``, ``Configuration``, ``Resiliency`` ..."""
        ...

    @property
    def name(self) -> str:
        """``metadata.name``."""
        ...

    @property
    def type(self) -> str:
        """A component's ``spec.type``; "" for other kinds."""
        ...

    @property
    def text(self) -> str:
        """The YAML to write."""
        ...

    @property
    def companions(self) -> Mapping[str, str]:
        """Files in the node's own folder that the YAML refers to, by relative name."""
        ...

    def fields(self) -> Mapping[str, Mapping[str, object]]:
        """A component's ``spec.metadata`` items by name."""
        ...


@dataclass(frozen=True)
class Choice:
    """What is known when a topology is about to be started.

    Attributes:
        runtime: ``processes`` or ``containers``.
        broker: the user's setting; ``auto`` if there is none.
        alone: whether the system runs without the harness, which otherwise creates topics.
    """

    runtime: str
    broker: str = "auto"
    alone: bool = False


class Node(Protocol):
    """Something that can run. A node describes; a runtime executes."""

    @property
    def name(self) -> str:
        """Unique in the topology; letters, digits, dashes and underscores."""
        ...

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of nodes that must be ready before this one starts."""
        ...

    @property
    def tools(self) -> tuple[str, ...]:
        """The tools it needs, provisioned before anything starts."""
        ...

    @property
    def pod(self) -> str:
        """Nodes of one pod share a loopback, as in Kubernetes; its own name by default."""
        ...

    @property
    def on_host(self) -> bool:
        """Whether it runs on the machine itself when other nodes run in containers."""
        ...

    @property
    def only_inside(self) -> bool:
        """Whether it can run only in containers."""
        ...

    def settle(self, choice: Choice) -> Node:
        """The node for this runtime and these settings; itself if there is nothing to choose."""
        ...

    def implies(self, mtls: bool) -> tuple[Node, ...]:
        """Nodes that are added unless the topology has one with the same name."""
        ...

    def plan(self, book: Book) -> Launch:
        """What to launch."""
        ...

    def awaits(self, book: Book) -> Iterable[Check]:
        """Checks of other nodes that must pass before it starts, even if they are not ready."""
        ...

    def checks(self, book: Book) -> Iterable[Check]:
        """The readiness checks, in order; a generator may hold shared clients and close them."""
        ...

    def provide(self, book: Book) -> None:
        """Create what other nodes expect of it (topics, databases) once its checks have passed."""
        ...

    def confirms(self, book: Book) -> Iterable[Check]:
        """Checks which show that what was provided can be used."""
        ...

    def exports(self, book: Book, viewer: str = HOST) -> Mapping[str, str]:
        """Values for placeholders, by key, as a viewer needs them."""
        ...


@dataclass(frozen=True, init=False)
class Topology:
    """A validated description of one system.

    Args:
        nodes: the nodes to run; implied nodes (sidecars, control plane) are added.
        resources: folders of Dapr YAML, relative to the project's root; a resource replaces one
            of the same kind and name from an earlier folder.
        mtls: whether sidecars and control plane use certificates from a sentry to authenticate.

    Raises:
        ConfigError: a name is duplicate or malformed, a dependency is unknown or circular.
    """

    nodes: tuple[Node, ...]
    resources: tuple[Path, ...]
    mtls: bool

    def __init__(
        self,
        *nodes: Node,
        resources: str | Path | Sequence[str | Path] = (),
        mtls: bool = False,
    ) -> None:
        folders = [resources] if isinstance(resources, str | Path) else list(resources)
        object.__setattr__(self, "nodes", tuple(_with_implied(nodes, mtls)))
        object.__setattr__(self, "resources", tuple(Path(folder) for folder in folders))
        object.__setattr__(self, "mtls", mtls)
        _validate(self.nodes)

    def __getitem__(self, name: str) -> Node:
        for node in self.nodes:
            if node.name == name:
                return node
        raise ConfigError(
            f"the topology has no node named {name!r}",
            hint=did_you_mean(name, [node.name for node in self.nodes]),
        )

    def __contains__(self, name: object) -> bool:
        return any(node.name == name for node in self.nodes)

    def settled(self, choice: Choice) -> Topology:
        """The same topology with every choice resolved.

        Raises:
            ConfigError: it is for containers, and a node's name is no host name.
        """
        if choice.runtime == "containers":
            require_hosts(node.name for node in self.nodes)
        made = copy.copy(self)
        object.__setattr__(made, "nodes", tuple(node.settle(choice) for node in self.nodes))
        _validate(made.nodes)
        return made


def _validate(nodes: Sequence[Node]) -> None:
    names = [node.name for node in nodes]
    for name in names:
        require_name(name)
        if names.count(name) > 1:
            raise ConfigError(
                f"two nodes of the topology are named {name!r}",
                expected="one node per name",
                hint="rename one, or remove the duplicate",
            )
    for node in nodes:
        for need in node.needs:
            if need not in names:
                raise ConfigError(
                    f"node {node.name!r} needs {need!r}, which the topology does not have",
                    hint=did_you_mean(need, names),
                )
    try:
        graphlib.TopologicalSorter({n.name: n.needs for n in nodes}).prepare()
    except graphlib.CycleError as error:
        raise ConfigError(
            "the needs of the topology form a cycle: " + " -> ".join(error.args[1]),
            expected="an order in which each node can start after what it needs",
            hint="remove one of these needs",
        ) from None


def _with_implied(nodes: Sequence[Node], mtls: bool) -> Iterator[Node]:
    """The nodes and, once each, the nodes they imply; explicit nodes replace implied ones."""
    explicit = {node.name: node for node in nodes}
    added: set[str] = set()
    for node in nodes:
        yield node
        for implied in node.implies(mtls):
            if implied.name in explicit:
                _require_same_kind(explicit[implied.name], implied, node)
            elif implied.name not in added:
                added.add(implied.name)
                yield implied


def _require_same_kind(explicit: Node, implied: Node, owner: Node) -> None:
    if type(explicit) is not type(implied):
        raise ConfigError(
            f"{owner.name!r} brings a node named {implied.name!r}, which the topology already has",
            hint="rename the other node",
        )
