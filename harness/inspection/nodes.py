"""The nodes of a stack now, and what may be done to one of them. Everything here blocks."""

from __future__ import annotations

from harness.core.errors import ConfigError, did_you_mean
from harness.core.node import Node
from harness.core.roles import (
    CallRecorder,
    ControlService,
    HasSidecar,
    HasTopics,
    Recorder,
    SidecarRole,
)
from harness.inspection.model import Action, Kind, NodeRow
from harness.nodes.postgres import Postgres
from harness.nodes.redis import Redis
from harness.runtime.base import Instance, Killable, Pausable, State
from harness.stack.failures import external
from harness.stack.stack import Stack
from harness.stack.vital import state_of, used_by


def node_rows(stack: Stack) -> list[NodeRow]:
    """Every node of a stack."""
    addresses = stack.addresses()
    return [
        _row(node, stack.instances.get(node.name), addresses.get(node.name, {}))
        for node in stack.topology.nodes
    ]


def _row(node: Node, instance: Instance | None, addresses: dict[str, str]) -> NodeRow:
    state = _state_of(instance)
    alive = instance is not None and state in ("running", "paused")
    memory, cpu = used_by(instance.pid) if instance is not None and alive else (0, 0.0)
    return NodeRow(
        node.name,
        kind_of(node),
        node.app_id if isinstance(node, SidecarRole | HasSidecar) else None,
        state,
        instance.exit_code if instance else None,
        memory,
        cpu,
        addresses,
    )


def _state_of(instance: Instance | None) -> str:
    if instance is not None and not isinstance(instance, Killable):
        return "external"
    # Nobody waits for the readiness of a node whose stack is only looked at.
    return {"starting": "running"}.get(found := state_of(instance), found)


def kind_of(node: Node) -> Kind:
    """What a node is for the others."""
    kinds: list[tuple[Kind, bool]] = [
        ("sidecar", isinstance(node, SidecarRole)),
        ("app", isinstance(node, HasSidecar)),
        ("broker", isinstance(node, HasTopics)),
        ("database", isinstance(node, Postgres | Redis)),
        ("control", isinstance(node, ControlService)),
        ("recorder", isinstance(node, Recorder | CallRecorder)),
    ]
    return next((kind for kind, fits in kinds if fits), "other")


def act(stack: Stack, action: Action, node: str) -> None:
    """Restart a node and wait until it is ready, kill it, freeze it, or let it continue.

    Raises:
        ConfigError: there is no such node, it is not running, or somebody else has started it.
        NotReady: after the restart, a readiness check did not pass in time.
    """
    stack.catch_up()
    instance = require_instance(stack, node)
    if action == "restart":
        stack.restart(node)
        return
    require_running(instance)
    if isinstance(instance, Killable) and action == "kill":
        instance.kill()
    elif isinstance(instance, Pausable) and action != "kill":
        instance.pause() if action == "pause" else instance.resume()
    else:
        raise external(node)


def require_instance(stack: Stack, node: str) -> Instance:
    """What runs a node.

    Raises:
        ConfigError: there is no such node.
    """
    if node not in stack.instances:
        raise ConfigError(
            f"the stack has no node {node!r}", hint=did_you_mean(node, list(stack.instances))
        )
    return stack.instances[node]


def require_running(instance: Instance) -> None:
    """Check that a node has not exited.

    Raises:
        ConfigError: it has.
    """
    if instance.state is State.EXITED:
        raise ConfigError(
            f"{instance.name} is not running",
            last=", ".join(filter(None, [f"exit code {instance.exit_code}", instance.exit_reason])),
            hint=f"`dapr-harness restart {instance.name}`",
        )
