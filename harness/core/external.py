"""Apps that somebody starts by hand, in a debugger, while the rest of the stack is up."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Protocol, runtime_checkable

from harness.core.errors import ConfigError, did_you_mean
from harness.core.node import Node
from harness.core.topology import Topology


@runtime_checkable
class CanBeExternal(Protocol):
    """A node that somebody else can start and stop."""

    def as_external(self) -> Node:
        """The same node, for which the stack only waits."""
        ...

    def implies(self, mtls: bool) -> tuple[Node, ...]:
        """The nodes that exist for this one alone, and those that it shares with others."""
        ...


def with_external(topology: Topology, names: Collection[str]) -> Topology:
    """The same topology with these apps external, and with sidecars that can reach them.

    Raises:
        ConfigError: one of them is not an app of the topology.
    """
    apps = [node.name for node in topology.nodes if isinstance(node, CanBeExternal)]
    for name in names:
        if name not in apps:
            raise ConfigError(
                f"{name!r} is not an app of the topology", hint=did_you_mean(name, apps)
            )
    if not names:
        return topology
    # The external ones first: a replica of an app that stays would bring the same sidecar, where it
    # cannot reach an app on this machine.
    nodes = sorted(_replaced(topology, names), key=lambda node: node.name not in names)
    return topology.with_nodes(nodes)


def _replaced(topology: Topology, names: Collection[str]) -> Iterator[Node]:
    """The nodes without what the apps bring along, which they bring again as external ones."""
    dropped: list[Node] = []
    for node in topology.nodes:
        if node.name in names and isinstance(node, CanBeExternal):
            dropped += [each for each in node.implies(topology.mtls) if each.pod == node.pod]
            dropped += [each for each in node.implies(topology.mtls) if node.name in each.needs]
    for node in topology.nodes:
        if node.name in names and isinstance(node, CanBeExternal):
            yield node.as_external()
        elif node not in dropped:
            yield node
