"""Addresses, folders and secrets of one stack."""

from __future__ import annotations

import ipaddress
import secrets
import threading
from collections.abc import Callable
from pathlib import Path, PurePath, PurePosixPath

from harness.core.endpoint import EVERYWHERE, LOOPBACK, Endpoint
from harness.core.topology import Topology
from harness.provision.authority import Authority, make_authority

HOST = ""
"""The viewer of an address that is not a node: the machine itself."""

NETWORK = "*"
"""The viewer of an address that is any other node of the stack."""

HOME = PurePosixPath("/harness")
"""The folder inside a container that receives the launch's files and folders."""

SHARED = PurePosixPath("/harness-shared")


class Addresses:
    """Addresses, folders and secrets of one stack, given out on first use.

    Args:
        topology: the nodes of the stack.
        folder: the run's folder.
        reserve: reserves a port; accepts a specific number or None.
        gateway: the machine's address as seen from containers; None if nodes run as processes.

    Attributes:
        namespace: the Dapr namespace of the sidecars; "" for the one that daprd uses by default.
        uses: the keys of each node's exports that another one uses, by both names.
    """

    namespace = ""

    def __init__(
        self,
        topology: Topology,
        folder: Path,
        reserve: Callable[[int | None], Endpoint],
        gateway: str | None = None,
    ) -> None:
        self.topology = topology
        self.uses: dict[tuple[str, str], set[str]] = {}
        self._folder = folder
        self._reserve = reserve
        self._gateway = gateway
        self._ports: dict[tuple[str, str], int] = {}
        self._tokens: dict[str, str] = {}
        self._authority: Authority | None = None
        self._lock = threading.RLock()

    def in_container(self, node: str) -> bool:
        """Whether the node runs in a container, and therefore has its own loopback."""
        if self._gateway is None or node == HOST:
            return False
        return node == NETWORK or not self.topology[node].on_host

    def endpoint(self, node: str, port: str = "main", *, viewer: str = HOST) -> Endpoint:
        """The address of one of a node's ports, reserved on first use.

        The number is the same for every viewer; the host is not.

        Args:
            node: the node that will listen.
            port: which of its ports; if the node has a fixed one, it is reserved, or `PortTaken`.
            viewer: the node that will connect; the machine itself by default.
        """
        return Endpoint(self._host(node, viewer), self._port(node, port))

    def listen(self, node: str, port: str = "main") -> Endpoint:
        """The same port with the address that the node must bind.

        In a container, this is all interfaces of the container. A node on the machine itself binds
        only one address: loopback, or the gateway if containers must reach it.
        """
        host = EVERYWHERE if self.in_container(node) else self._host(node, HOST)
        return Endpoint(host, self._port(node, port))

    def endpoints(self) -> dict[tuple[str, str], Endpoint]:
        """Every address given out so far, by node and port, as the machine sees it."""
        with self._lock:
            return {key: Endpoint(self._host(key[0], HOST), n) for key, n in self._ports.items()}

    def folder(self, node: str) -> Path:
        """The node's own folder on the machine; removed with the stack."""
        folder = self._folder / "nodes" / node
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    def home(self, node: str) -> PurePath:
        """The node's own folder as the node itself sees it."""
        return HOME if self.in_container(node) else self.folder(node)

    def shared(self, name: str, node: str) -> PurePath:
        """A folder that several nodes share, as one of them sees it."""
        return SHARED / name if self.in_container(node) else self.folder(name)

    def chosen_ports(self) -> set[int]:
        """The ports that the topology specifies: no other ones can take their place."""
        return {number for node in self.topology.nodes for number in node.fixed_ports.values()}

    def token(self, purpose: str) -> str:
        """A random secret of this stack, always the same for one purpose."""
        with self._lock:
            return self._tokens.setdefault(purpose, secrets.token_urlsafe(24))

    def authority(self) -> Authority:
        """The stack's own certificate authority, created on first use.

        Raises:
            Unavailable: trustme is not installed.
        """
        with self._lock:
            self._authority = self._authority or make_authority()
            return self._authority

    def known(self) -> tuple[dict[tuple[str, str], int], dict[str, str], Authority | None]:
        """Every port, by node and name, every token, by purpose, and the authority, so far."""
        with self._lock:
            return dict(self._ports), dict(self._tokens), self._authority

    def secrets(self) -> list[str]:
        """Every token given out so far, for masking."""
        with self._lock:
            return list(self._tokens.values())

    def _port(self, node: str, port: str) -> int:
        with self._lock:
            if (node, port) not in self._ports:
                self._ports[node, port] = self._reserve(self._fixed(node, port)).port
            return self._ports[node, port]

    def _fixed(self, node: str, port: str) -> int | None:
        """The port that the topology specifies, whoever asks first."""
        return self.topology[node].fixed_ports.get(port) if node in self.topology else None

    def _host(self, node: str, viewer: str) -> str:
        if self._gateway is None:
            return LOOPBACK
        if not self.in_container(node):
            # If the engine runs in a virtual machine, containers can refer to this machine only by
            # a name, which leads to its loopback.
            named = not _is_address(self._gateway)
            return LOOPBACK if named and not self.in_container(viewer) else self._gateway
        pod = self._pod(node)
        # Published ports are bound to the machine's loopback; a pod has a loopback of its own.
        return LOOPBACK if not self.in_container(viewer) or self._pod(viewer) == pod else pod

    def _pod(self, node: str) -> str:
        return node if node == NETWORK else self.topology[node].pod or node


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
