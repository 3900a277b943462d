"""What describes a node of a stack to a collector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

SERVICE = "service.name"
NODE = "dapr_harness.node"
STACK = "dapr_harness.stack"
RUN = "dapr_harness.run"
COPY = "dapr_harness.copy"


def described(node: str, service: str, shared: Mapping[str, str]) -> dict[str, str]:
    """The attributes of a node.

    Args:
        node: its name.
        service: the app-id of an app and of its sidecar; otherwise the node's name.
        shared: those of every node of the stack.
    """
    return {SERVICE: service, "service.instance.id": node, NODE: node, **shared}


def as_variable(attributes: Mapping[str, str]) -> str:
    """The same as ``OTEL_RESOURCE_ATTRIBUTES`` has it."""
    return ",".join(f"{key}={quote(value, safe='')}" for key, value in attributes.items())


def fill(repeated: Any, attributes: Mapping[str, str]) -> None:
    """Add attributes to a message."""
    for key, value in attributes.items():
        made = repeated.add()
        made.key, made.value.string_value = key, value
