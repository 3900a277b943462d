"""A system described: nodes, what they need, and the resources they share. No I/O happens here."""

from __future__ import annotations

import copy
import graphlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Protocol

from harness.deadline import Check
from harness.endpoint import Endpoint
from harness.errors import ConfigError, did_you_mean
from harness.launch import Launch

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")

HOST = ""
"""The viewer of an address that is no node: the machine itself."""

NETWORK = "*"
"""The viewer of an address that is any other node of the stack."""


class Tools(Protocol):
    """What nodes are made of, on one runtime: programs, or images."""

    def provide(self, nodes: Sequence[Node], root: Path) -> None:
        """Have everything that these nodes are made of, before anything starts.

        Raises:
            Unavailable: something cannot be had.
        """
        ...

    def path(self, tool: str) -> Path:
        """The path of a program such as ``daprd``, ``kafka`` or ``postgres``.

        In a container it is the path inside the image.
        """
        ...

    def version(self, tool: str) -> str:
        """The version that a running tool must report, "" when nobody has promised one."""
        ...


class Authority(Protocol):
    """The certificates of a stack with mTLS, as PEM."""

    @property
    def anchors(self) -> str:
        """The root, which everybody trusts."""
        ...

    @property
    def certificate(self) -> str:
        """The issuer's, which sentry signs with."""
        ...

    @property
    def key(self) -> str:
        """The issuer's private key."""
        ...


class Book(Protocol):
    """What one stack knows while it is planned: addresses, folders, tools and tokens."""

    topology: Topology
    tools: Tools
    root: Path

    def inside(self, node: str) -> bool:
        """Whether the node runs in a container, and so has a loopback of its own."""
        ...

    def endpoint(
        self, node: str, port: str = "main", *, viewer: str = HOST, wanted: int | None = None
    ) -> Endpoint:
        """The address of one of a node's ports, reserved when first asked for.

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
        """The node's own folder, which dies with the stack, as the node itself sees it."""
        ...

    def shared(self, name: str, node: str) -> PurePath:
        """A folder that several nodes share, as one of them sees it."""
        ...

    def token(self, purpose: str) -> str:
        """A random secret of this stack, always the same for one purpose."""
        ...

    def authority(self) -> Authority:
        """The stack's own certificate authority, made when first asked for."""
        ...

    def fill(self, text: str, where: str, viewer: str = HOST) -> str:
        """Replace ``${node.key}`` by what that node exports to a viewer.

        Raises:
            ConfigError: the placeholder names nothing; the message names ``where``.
        """
        ...

    def resources(self, app_id: str, viewer: str) -> Sequence[Resource]:
        """The resources whose scopes allow this app, with placeholders filled for a viewer."""
        ...

    def components(self, kind: str) -> Sequence[Resource]:
        """Every component of a type, whoever may use it, as its file says it."""
        ...

    def variables(self) -> Mapping[str, str]:
        """What the topology sets for its sidecars, with placeholders; nothing that is inherited."""
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
        """A component's ``spec.type``, "" for other kinds."""
        ...

    @property
    def text(self) -> str:
        """The YAML to write."""
        ...

    @property
    def companions(self) -> Mapping[str, str]:
        """Files of the node's own folder that the YAML refers to, by relative name."""
        ...

    def fields(self) -> Mapping[str, Mapping[str, object]]:
        """A component's ``spec.metadata`` items by name."""
        ...


@dataclass(frozen=True)
class Choice:
    """What is known when a topology is about to be made real.

    Attributes:
        runtime: ``processes`` or ``containers``.
        broker: the user's word for it, ``auto`` when there is none.
        alone: whether it must do without the harness, which creates topics otherwise.
    """

    runtime: str
    broker: str = "auto"
    alone: bool = False


class Node(Protocol):
    """Something that can run. A node describes; a runtime executes."""

    @property
    def name(self) -> str:
        """Unique in the topology; lower case letters, digits and dashes."""
        ...

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of nodes that must be ready before this one is started."""
        ...

    @property
    def tools(self) -> tuple[str, ...]:
        """The tools it is made of, provisioned before anything starts."""
        ...

    @property
    def pod(self) -> str:
        """Nodes of one pod share a loopback, as in Kubernetes; its own name by default."""
        ...

    @property
    def on_host(self) -> bool:
        """Whether it runs on the machine itself when others run in containers."""
        ...

    @property
    def only_inside(self) -> bool:
        """Whether it runs in containers only."""
        ...

    def settle(self, choice: Choice) -> Node:
        """The node for this runtime and these settings; itself if there is nothing to choose."""
        ...

    def implies(self, mtls: bool) -> tuple[Node, ...]:
        """Nodes that come along unless the topology has one of the same name."""
        ...

    def plan(self, book: Book) -> Launch:
        """What to start."""
        ...

    def awaits(self, book: Book) -> Iterable[Check]:
        """Rungs of others that must be reached before it is started, though they are not ready."""
        ...

    def checks(self, book: Book) -> Iterable[Check]:
        """The rungs, lowest first; a generator may hold what they share and close it."""
        ...

    def provide(self, book: Book) -> None:
        """Make what others expect of this node (topics, databases) once its checks passed."""
        ...

    def confirms(self, book: Book) -> Iterable[Check]:
        """Rungs that show that what was provided can be used."""
        ...

    def exports(self, book: Book, viewer: str = HOST) -> Mapping[str, str]:
        """Values for placeholders, by key, as a viewer needs them."""
        ...


@dataclass(frozen=True, init=False)
class Topology:
    """A validated description of one system.

    Args:
        nodes: what runs; nodes that they imply (sidecars, control plane) are added.
        resources: folders of Dapr YAML, relative to the project's root; a resource takes the
            place of one of the same kind and name in an earlier folder.
        mtls: whether sidecars and control plane prove who they are, by certificates of a sentry.

    Raises:
        ConfigError: a name is used twice or malformed, a need is unknown, or needs form a cycle.
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
        """The same topology with every open choice made."""
        made = copy.copy(self)
        object.__setattr__(made, "nodes", tuple(node.settle(choice) for node in self.nodes))
        _validate(made.nodes)
        return made


def _validate(nodes: Sequence[Node]) -> None:
    names = [node.name for node in nodes]
    for name in names:
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"{name!r} cannot be the name of a node",
                expected="lower case letters, digits and dashes (Dapr app-ids allow no dots)",
            )
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
    """The nodes and, once each, those they imply; an explicit node wins over an implied one."""
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
            f"{owner.name!r} brings a node named {implied.name!r}, which the topology has already",
            hint="rename the other node",
        )
