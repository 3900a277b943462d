"""Which nodes of a stack its copies can share, and why a stack can have no copies."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from typing import TypeVar

from harness.core.errors import ConfigError
from harness.core.node import Node
from harness.core.roles import HasSidecar, HasTopics, Shareable, SidecarRole
from harness.dapr.namespaces import names_its_store
from harness.stack.stack import Stack

INSTEAD = 'use @pytest.mark.dapr(isolation="stack"), which starts everything anew'

_NAMESPACE = re.compile(r"w[0-9a-f]{8}")
T = TypeVar("T")


def new_namespace() -> str:
    """The Dapr namespace of a new copy."""
    return f"w{secrets.token_hex(4)}"


def own_topics(topics: Mapping[str, T], namespace: str) -> dict[str, T]:
    """Those of a copy; of the stack itself, if the namespace is "".

    Args:
        topics: what is known of each topic of the broker that a stack and its copies share.
        namespace: the copy's.
    """
    if namespace:
        return {name: each for name, each in topics.items() if name.startswith(namespace)}
    return {name: each for name, each in topics.items() if not _NAMESPACE.match(name)}


def shared_nodes(stack: Stack) -> list[Shareable]:
    """The nodes that copies of a stack share.

    A node that cannot be shared is started anew in each copy. This is always right, but slower.
    """
    nodes = stack.topology.nodes
    return [each for each in nodes if isinstance(each, Shareable) and _is_divided(each, stack)]


def app_ids_of(stack: Stack) -> tuple[str, ...]:
    """The app-ids of its sidecars, each once."""
    return tuple(dict.fromkeys(each.app_id for each in stack.topology.sidecars()))


def require_separable(stack: Stack) -> None:
    """Check that copies of a stack would see nothing of it, nor of each other.

    Raises:
        ConfigError: they would, or they cannot be started.
    """
    problem = next(_problems(stack), "")
    if problem:
        raise ConfigError(f"this stack can have no isolated copies: {problem}", hint=INSTEAD)


def _problems(stack: Stack) -> Iterator[str]:
    if stack.topology.mtls:
        yield "its sidecars use certificates (mtls=True)"
    if stack.runtime == "kubernetes":
        yield "its nodes are pods, which cannot be connected to those of a copy"
    elif stack.runtime not in ("processes", "containers"):
        yield f"its nodes were started by somebody else (the runtime is {stack.runtime})"
    shared = {each.name for each in shared_nodes(stack)}
    for node in stack.topology.nodes:
        yield from _problems_of(node, stack, shared)
    for resource in stack.book.everything():
        if names_its_store(resource):
            yield (
                f"{resource.at()}: {resource.name!r} ({resource.type}) refers to no node of the "
                "topology by a placeholder, so all copies would use the same data"
            )


def _problems_of(node: Node, stack: Stack, shared: set[str]) -> Iterator[str]:
    for number in node.fixed_ports.values():
        yield f"{node.name} has the fixed port {number}, which can exist only once"
    if stack.launch(node.name).external:
        yield f"{node.name} is external, and can exist only once"
    if isinstance(node, HasTopics) and node.name not in shared:
        users = sorted(each.name for each in _strangers(node, stack))
        yield (
            f"{', '.join(users) or 'something'} uses {node.name} directly, and only what goes "
            "through a sidecar is kept apart there"
        )
    variables = (
        node.sidecar_env if isinstance(node, HasSidecar)
        else node.env if isinstance(node, SidecarRole) else {}
    )  # fmt: skip
    if "NAMESPACE" in variables:
        yield f"{node.name} sets NAMESPACE, which copies must set"


def _is_divided(node: Shareable, stack: Stack) -> bool:
    return not list(_strangers(node, stack))


def _strangers(node: Node, stack: Stack) -> Iterator[Node]:
    """The nodes that would see more of a node than the part of their copy."""
    for (name, used), keys in list(stack.book.uses.items()):
        if used == node.name and name in stack.topology and name != used:
            user = stack.topology[name]
            if not (isinstance(node, Shareable) and node.divides(user, keys)):
                yield user
