"""Empties a running stack, so that a test begins as if it had just been started."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from harness.core.closing import do_at_once
from harness.core.deadline import Deadline, Observation, poll
from harness.core.errors import ConfigError, ProbeTimeout
from harness.core.placeholders import placeholders
from harness.core.roles import Cleanable, Part, TellsBacklog
from harness.dapr.namespaces import names_its_store
from harness.dapr.resources import DaprResource
from harness.probe.backlog import Began, Held, held_up
from harness.ready.kafka import assigned_partitions, committed_offsets, end_offsets
from harness.stack.beginning import WORLDS, own_brokers, shared_admin
from harness.stack.planning.addresses import HOST
from harness.stack.sharing import app_ids_of, own_topics
from harness.stack.stack import Stack

Look = Callable[[], Sequence[str]]
"""What is still to be handled, in words."""

SETTLING = 30.0
"""Seconds within which every event that was published must have been handled."""

INSTEAD = 'use @pytest.mark.dapr(isolation="world"), or "stack"'


def clean(stack: Stack) -> None:
    """Wait until no event is under way, then remove rows, state and jobs.

    Raises:
        ConfigError: something of this stack cannot be emptied.
        ProbeTimeout: an event was not handled in time.
        InstanceDied, AppFailed: a node has exited.
    """
    problem = next(_problems(stack), "")
    if problem:
        raise ConfigError(f"this stack cannot be emptied: {problem}", hint=INSTEAD)
    stack.check_alive()
    settle(stack)
    part = part_of(stack)
    do_at_once(
        partial(node.clean, stack.book.scope(node.name, HOST), part)
        for node in stack.topology.nodes
        if isinstance(node, Cleanable)
    )


def settle(stack: Stack) -> None:
    """Wait until each consumer group has handled every event on the topology's brokers.

    Raises:
        ProbeError: a broker does not respond.
        ProbeTimeout: they did not, in time.
    """
    looks = [*_looks_at_kafka(stack), *_looks_at_others(stack)]
    if not looks:
        return

    def look() -> Observation:
        left = [each for look in looks for each in look()]
        return Observation(not left, "; ".join(left))

    deadline = Deadline(SETTLING)
    seen = poll(look, deadline, guard=stack.check_alive)
    if not seen.ok:
        raise ProbeTimeout(
            "events of earlier tests are still not handled",
            last=seen.fact,
            budget=deadline.budget,
            hint="see the logs of the apps; an event that always fails needs a dead-letter topic",
        )


def _looks_at_kafka(stack: Stack) -> Iterator[Look]:
    if not own_brokers(stack):
        return
    admin = shared_admin(stack)
    # Copies of the stack, which may be starting or stopping, handle their events themselves.
    ends = own_topics(end_offsets(admin, [], others=True), stack.book.namespace)
    now: Began = ("now", ends)
    worlds = [*stack.shared.get(WORLDS, []), now]

    def look() -> list[str]:
        committed = committed_offsets(admin)
        held = held_up(committed, assigned_partitions(admin, list(committed)), worlds)
        return [_told(each) for each in held]

    yield look


def _looks_at_others(stack: Stack) -> Iterator[Look]:
    for node in stack.topology.nodes:
        if isinstance(node, TellsBacklog):
            yield partial(node.backlog, stack.book.scope(node.name, HOST))


def part_of(stack: Stack) -> Part:
    """By what the data of a stack is known to its nodes.

    Raises:
        ConfigError: they have several.
    """
    found = {each.env.get("NAMESPACE", "default") for each in stack.topology.sidecars()}
    if len(found) > 1:
        raise ConfigError(
            f"the sidecars of this stack have several namespaces: {', '.join(sorted(found))}",
            expected="one, whose jobs can be deleted",
            hint=INSTEAD,
        )
    return Part(next(iter(found), "default"), app_ids_of(stack))


def _problems(stack: Stack) -> Iterator[str]:
    if stack.runtime == "attached":
        yield "it is a compose project, which does not publish the port of its scheduler"
    for each in stack.book.everything():
        if each.type.startswith("pubsub.") and not _tells(each, stack):
            yield f"{each.at()}: whether events of {each.type} are under way cannot be determined"
        if each.type == "state.in-memory":
            yield f"{each.at()}: {each.type} keeps its data within a sidecar"
        if names_its_store(each):
            yield f"{each.at()}: {each.name!r} ({each.type}) refers to no node of the topology"


def _tells(component: DaprResource, stack: Stack) -> bool:
    """Whether it is known which events of a component are still to be handled."""
    if component.type in ("pubsub.kafka", "pubsub.in-memory"):
        return True
    used = {node for node, _ in placeholders(component.text) if node in stack.topology}
    return any(isinstance(stack.topology[each], TellsBacklog) for each in used)


def _told(held: Held) -> str:
    return f"group {held.group} is at offset {held.offset} of {held.topic}[{held.partition}]"
