"""The certificates of nodes that use TLS."""

from __future__ import annotations

from collections.abc import Sequence

from harness.core.node import Scope

TLS_FILE = "tls.pem"
"""The file in a node's folder with its key and its certificates."""


def hosts_of(scope: Scope, ports: Sequence[str]) -> list[str]:
    """The names under which clients connect, for a certificate."""
    seen = (place(port).host for port in ports for place in (scope.published, scope.network))
    return sorted({"localhost", *seen})
