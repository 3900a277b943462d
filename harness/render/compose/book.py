"""Addresses and secrets of a stack that a compose file has started."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from harness.core.endpoint import Endpoint
from harness.core.node import Node, Tools
from harness.core.placeholders import RESERVED
from harness.core.topology import Topology
from harness.stack.book import AddressBook

GATEWAY = "host-gateway"
"""The machine's name inside containers; no part of a compose project runs on it."""

# Below 32768, where Linux takes ports for outgoing connections from: an app had its sidecar's.
PORTS: Mapping[tuple[str, str], int] = {
    ("kafka", "main"): 19092,
    ("kafka", "network"): 9092,
    ("kafka", "controller"): 9093,
    ("kafka", "admin"): 9094,
    ("redpanda", "main"): 19092,
    ("redpanda", "network"): 9092,
    ("redpanda", "rpc"): 23145,
    ("redpanda", "admin"): 19644,
    ("redpanda", "schemas"): 18081,
    ("redpanda", "proxy"): 18082,
    ("postgres", "main"): 15432,
    ("redis", "main"): 16379,
    ("placement", "main"): 15005,
    ("placement", "health"): 18080,
    ("placement", "metrics"): 19090,
    ("placement", "raft"): 8201,
    ("scheduler", "main"): 15006,
    ("scheduler", "health"): 18090,
    ("scheduler", "metrics"): 19091,
    ("scheduler", "client"): 2379,
    ("scheduler", "peer"): 2380,
    ("daprd", "http"): 3500,
    ("daprd", "grpc"): 15101,
    ("daprd", "internal"): 15201,
    ("daprd", "metrics"): 9190,
    ("app", "main"): 8001,
    ("app", "smtp"): 1025,
}
"""By tool and port; the next free number if several nodes have the same tool."""


def secret_name(purpose: str) -> str:
    """The variable for a stack's token: ``dapr-api`` is ``DAPR_API_TOKEN``.

    That of ``${secret.better-auth}`` is ``BETTER_AUTH_SECRET``.
    """
    name = purpose.upper().replace("-", "_")
    if purpose.endswith(f"-{RESERVED}"):
        return name
    kind = "TOKEN" if purpose.endswith("-api") else "PASSWORD"
    return f"{name}_{kind}"


class ComposeBook(AddressBook):
    """Addresses that are the same in every rendering of a topology.

    Args:
        topology: the topology that the file describes.
        tools: locates programs in their images.
        root: the project's folder.
        folder: a folder of the run.
        token: returns the secret for a variable; a placeholder if there is none.
    """

    def __init__(
        self,
        topology: Topology,
        tools: Tools,
        root: Path,
        folder: Path,
        token: Callable[[str], str] = lambda name: f"@@{name}@@",
    ) -> None:
        super().__init__(topology, tools, root, folder, _no_reserve, gateway=GATEWAY)
        self._secret = token

    def token(self, purpose: str) -> str:
        """The variable's value, or its placeholder."""
        # Remembered, so that it is masked where logs are shown.
        with self._lock:
            return self._tokens.setdefault(purpose, self._secret(secret_name(purpose)))

    def _port(self, node: str, port: str) -> int:
        key = (node, port)
        if key not in self._ports:
            known = PORTS.get((_tool(self.topology[node]), port))
            self._ports[key] = self._fixed(node, port) or self._next(known)
        return self._ports[key]

    def _next(self, number: int | None) -> int:
        number = number or 20000
        while number in self._ports.values():
            number += 1
        return number


def _no_reserve(_wanted: int | None) -> Endpoint:
    raise AssertionError("ports of a compose file are known")


def _tool(node: Node) -> str:
    return node.tools[0] if node.tools else ""
