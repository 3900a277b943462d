"""What a stack expects of a node: the protocol of all nodes, and the roles that some have."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Protocol, TypeVar

from harness.core.authority import Authority
from harness.core.deadline import Check
from harness.core.endpoint import Endpoint
from harness.core.launch import Launch

T = TypeVar("T")


class Tools(Protocol):
    """The programs or images that nodes run, on one runtime."""

    def provide(self, nodes: Sequence[Node], root: Path) -> None:
        """Provision everything that these nodes need, before anything starts.

        Raises:
            Unavailable: something cannot be provisioned.
        """
        ...

    def path(self, tool: str) -> Path:
        """The path of a program such as ``daprd``; for a container, the path inside the image."""
        ...

    def daprd(self, types: Collection[str]) -> Path:
        """The path of a daprd that has these types of components, and perhaps no others."""
        ...

    def version(self, tool: str) -> str:
        """The version that a running tool must report; "" if any version is accepted."""
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
    def secret_store(self) -> str:
        """The store that a component's secrets are in, ``auth.secretStore``; "" without one."""
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


class Scope(Protocol):
    """All that one node sees of its stack.

    A scope has a viewer, from which addresses are seen: the node itself in `Node.plan`, this
    machine in the checks, and whoever fills a placeholder in `Node.exports`. Another node whose
    address or exports are asked for while a node is planned is ready before that node starts,
    unless ``waits`` is False.
    """

    @property
    def node(self) -> str:
        """The node's name."""
        ...

    @property
    def root(self) -> Path:
        """The project's folder."""
        ...

    @property
    def mtls(self) -> bool:
        """Whether sidecars and control plane use certificates."""
        ...

    @property
    def durable(self) -> bool:
        """Whether what is acknowledged must survive a crash of the machine."""
        ...

    @property
    def namespace(self) -> str:
        """The Dapr namespace of the stack's sidecars; "" for the one that daprd uses by default."""
        ...

    @property
    def home(self) -> PurePath:
        """The node's own folder, as the node sees it; removed with the stack."""
        ...

    @property
    def viewer(self) -> str:
        """The node from which addresses are seen; "" for this machine."""
        ...

    @property
    def in_container(self) -> bool:
        """Whether the node runs in a container."""
        ...

    @property
    def viewer_in_container(self) -> bool:
        """Whether the viewer runs in a container."""
        ...

    def pick(self, process: T, container: T) -> T:
        """What belongs to the place where the node runs."""
        ...

    def listen(self, port: str = "main") -> Endpoint:
        """The address that the node must bind; the port is reserved on first use.

        The number is the same for every viewer, the host is not. If the node has a fixed port of
        this name, it is this one.
        """
        ...

    def endpoint(self, port: str = "main") -> Endpoint:
        """One of the node's own ports, as the viewer sees it."""
        ...

    def published(self, port: str = "main") -> Endpoint:
        """One of the node's own ports, as this machine sees it."""
        ...

    def network(self, port: str = "main") -> Endpoint:
        """One of the node's own ports, as any other node sees it."""
        ...

    def address(self, node: str, port: str = "main", *, waits: bool = True) -> Endpoint:
        """A port of another node, as the viewer sees it."""
        ...

    def exports(self, node: str, *, waits: bool = True) -> Mapping[str, str]:
        """The values that another node exports to the viewer.

        Raises:
            ConfigError: the topology has no such node.
        """
        ...

    def has(self, node: str) -> bool:
        """Whether the topology has a node of this name."""
        ...

    def clock(self) -> Path | None:
        """The file in which programs see the time that tests move; None if time is real."""
        ...

    def sidecar(self) -> str:
        """The name of the node's sidecar.

        Raises:
            ConfigError: it has none.
        """
        ...

    def shared(self, name: str) -> PurePath:
        """A folder that several nodes share, as the node sees it."""
        ...

    def tool(self, name: str) -> Path:
        """The path of a program such as ``daprd``; in a container, the path inside the image."""
        ...

    def daprd(self, types: Collection[str]) -> Path:
        """The path of a daprd that has these types of components, and perhaps no others.

        Args:
            types: such as ``state.redis``, and ``nameresolution.sqlite``.
        """
        ...

    def version(self, tool: str) -> str:
        """The version that a running tool must report; "" if any version is accepted."""
        ...

    def token(self, purpose: str) -> str:
        """A random secret of this stack, always the same for one purpose."""
        ...

    def secrets(self) -> Sequence[str]:
        """Every token given out so far, for masking."""
        ...

    def authority(self) -> Authority:
        """The stack's own certificate authority, created on first use."""
        ...

    def fill(self, text: str, where: str) -> str:
        """Replace ``${node.key}`` with the value that the node exports to the viewer.

        Raises:
            ConfigError: the placeholder does not refer to anything; the message contains ``where``.
        """
        ...

    def resources(self) -> Sequence[Resource]:
        """The resources of a sidecar: those whose scopes allow its app, placeholders filled.

        Raises:
            ConfigError: the node is not a sidecar, or a resource is invalid; with file and line.
        """
        ...

    def components(self, kind: str) -> Sequence[Resource]:
        """Every component of a type, regardless of scopes, as written in its file."""
        ...

    def variables(self) -> Mapping[str, str]:
        """The variables that the topology sets for its sidecars, with placeholders."""
        ...


@dataclass(frozen=True)
class Target:
    """What is known when a topology is about to be started.

    Attributes:
        runtime: ``processes``, ``containers`` or ``kubernetes``.
        broker: the user's setting; ``auto`` if there is none.
        alone: whether the system runs without the harness, which otherwise creates topics.
        time: the topology's: ``real``, or ``virtual`` if tests move the scheduler's.
    """

    runtime: str
    broker: str = "auto"
    alone: bool = False
    time: str = "real"


class Node(Protocol):
    """Something that can run. A node describes; a runtime executes.

    `harness.nodes.base.BaseNode` has a default for everything except the name and the plan.
    """

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
    def image(self) -> str:
        """The user's image that it runs in; "" for one of the harness's own."""
        ...

    @property
    def packages(self) -> tuple[str, ...]:
        """What pip installs into the image of its project's apps, because it runs there too."""
        ...

    @property
    def health(self) -> str | None:
        """The path that returns 2xx when it is ready; None if there is none."""
        ...

    @property
    def fixed_ports(self) -> Mapping[str, int]:
        """The port numbers that the user has set, by the names of the ports."""
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
    def container_only(self) -> bool:
        """Whether it can run only in containers."""
        ...

    def resolve(self, target: Target) -> Node:
        """The node for this runtime and these settings; itself if there is nothing to choose."""
        ...

    def implies(self, mtls: bool) -> tuple[Node, ...]:
        """Nodes that are added unless the topology has one with the same name."""
        ...

    def plan(self, scope: Scope) -> Launch:
        """What to launch."""
        ...

    def start_after(self, scope: Scope) -> Iterable[Check]:
        """Checks of other nodes that must pass before it starts, even if they are not ready."""
        ...

    def checks(self, scope: Scope) -> Iterable[Check]:
        """The readiness checks, in order; a generator may hold shared clients and close them."""
        ...

    def initialize(self, scope: Scope) -> None:
        """Create what other nodes expect of it (topics, databases) once its checks have passed."""
        ...

    def post_checks(self, scope: Scope) -> Iterable[Check]:
        """Checks which show that what was provided can be used."""
        ...

    def exports(self, scope: Scope) -> Mapping[str, str]:
        """Values for placeholders, by key, as the scope's viewer needs them."""
        ...
