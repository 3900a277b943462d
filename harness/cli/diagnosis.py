"""Examines a running stack: what does not work, daprd's own message, and the next step."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.cli.delivery import examine_groups
from harness.cli.stacks import state_of
from harness.cli.stale import container_states
from harness.core.causes import cause_of
from harness.core.names import app_of
from harness.dapr.client import DaprClient
from harness.dapr.health import HealthCheck, placement_check, scheduler_check
from harness.inspection.parts import SOON, Inspection, declared_by, inspect
from harness.inspection.sidecars import at_once, endpoint_of, sidecars_of
from harness.nodes.sidecar import actor_stores
from harness.ready.tcp import TcpCheck
from harness.stack.failures import tail_of
from harness.stack.registry import UpNode, UpStack

_PLACEMENT = re.compile(r"placement", re.IGNORECASE)
_STREAM = re.compile(
    r"(?P<up>Scheduler stream connected)"
    r"|Scheduler stream disconnected|Failed to (?:watch|connect to) scheduler"
)
_DELIVERY = re.compile(
    r"error returned from app while processing (?:bulk )?pub/sub event"
    r"|DROP status returned from app|error sending message to dead letter"
    r"|[Nn]o matching route for event|error finding matching route"
)
_JOB = re.compile(
    r"failed to invoke schedule app job|returned from app while processing triggered job"
)
_SUBSCRIBE = re.compile(
    r"error getting topic list from app|from subscription endpoint|has an empty routes"
    r"|app channel not initialized"
)


@dataclass(frozen=True)
class Diagnosis:
    """A finding about one item.

    Attributes:
        verdict: ``ok``; ``warning`` (works, but needs attention); of a machine, ``missing`` or
            ``damaged`` (a stack cannot start); of a running stack, ``failed``.
        fix: one line.
    """

    subject: str
    verdict: str
    fact: str
    fix: str = ""


def examine(stack: UpStack) -> Iterator[Diagnosis]:
    """Every finding about a running stack; an item that works is one finding as well."""
    known = container_states(stack)
    states = at_once(lambda node: state_of(node, known), stack.nodes)
    by_name = {node.name: state for node, state in zip(stack.nodes, states, strict=True)}
    for node in stack.nodes:
        if by_name[node.name] not in ("running", "healthy", "unhealthy", "external"):
            yield _ended(stack, node, by_name[node.name])
    alive = [
        sidecar
        for sidecar in sidecars_of(stack).values()
        if by_name[sidecar.node.name] in ("healthy", "unhealthy")
    ]
    for seen in at_once(inspect, alive):
        found = list(_examine_sidecar(seen, by_name))
        yield from found or [_sound(seen)]


def _ended(stack: UpStack, node: UpNode, state: str) -> Diagnosis:
    tail = tail_of(Path(node.log))
    what = "the sidecar" if app_of(node.name) else "the node"
    last = tail.splitlines()[-1] if tail else "it wrote nothing"
    fix = f"`dapr-harness logs {node.name} --name {stack.name}`; fix the cause and restart it"
    return Diagnosis(
        node.name, "failed", f"{what} is not running ({state}): {cause_of(tail) or last}", fix
    )


def _sound(seen: Inspection) -> Diagnosis:
    components = sum(each.kind == "component" for each in seen.parts)
    subscriptions = len(seen.parts) - components
    fact = f"healthy; components: {components}, subscriptions: {subscriptions}"
    return Diagnosis(seen.sidecar.node.name, "ok", fact)


def _examine_sidecar(seen: Inspection, states: Mapping[str, str]) -> Iterator[Diagnosis]:
    if seen.metadata is None:
        yield Diagnosis(seen.sidecar.node.name, "failed", seen.error, seen.sidecar.look)
        return
    yield from _health(seen)
    yield from _parts(seen)
    yield from _app(seen, states)
    yield from _control_plane(seen, states)
    yield from _deliveries(seen)
    yield from examine_groups_of(seen)


def _health(seen: Inspection) -> Iterator[Diagnosis]:
    with _client(seen) as client:
        health = HealthCheck(client, outbound=False, name="app").observe()
    if not health.ok:
        yield Diagnosis(seen.sidecar.node.name, "failed", health.fact, seen.sidecar.look)


def _parts(seen: Inspection) -> Iterator[Diagnosis]:
    lint = "correct its file, which `dapr-harness lint` checks; daprd loads it again"
    topics = "load its pub/sub component, or correct pubsubname and topic of the subscription"
    for each in seen.parts:
        if not each.up:
            component = each.kind == "component"
            name = f"component {each.name}" if component else f"subscription to {each.name}"
            subject = f"{seen.sidecar.node.name}: {name}"
            yield Diagnosis(subject, "failed", each.error, lint if component else topics)


def _app(seen: Inspection, states: Mapping[str, str]) -> Iterator[Diagnosis]:
    """Whether the sidecar can reach its app, and can use its subscriptions."""
    app = next((n for n in seen.sidecar.stack.nodes if n.name == seen.sidecar.app_id), None)
    if app is not None and states[app.name] == "running" and "main" in app.endpoints:
        forwarded = seen.sidecar.stack.runtime == "containers"
        look = TcpCheck(endpoint_of(app, "main"), forwarded=forwarded).observe()
        if not look.ok:
            fix = "let the app listen on the port that it is given: APP_PORT, or {port}"
            fact = f"the app does not listen on the port that its sidecar calls: {look.fact}"
            yield Diagnosis(app.name, "failed", fact, fix)
    if fact := last_problem(seen, _SUBSCRIBE):
        fix = "correct the app's answer to GET /dapr/subscribe, then restart it and its sidecar"
        yield Diagnosis(f"{seen.sidecar.node.name}: subscriptions", "failed", fact, fix)


def _control_plane(seen: Inspection, states: Mapping[str, str]) -> Iterator[Diagnosis]:
    with _client(seen) as client:
        stores = actor_stores(declared_by(seen.sidecar))
        placement = placement_check(client, stores).observe()
        scheduler = scheduler_check(client).observe()
    name = seen.sidecar.node.name
    if "placement" in states and not placement.ok:
        fact = last_problem(seen, _PLACEMENT) or placement.fact
        fix = "calls to actors and workflows wait until the node `placement` is up again"
        yield Diagnosis(f"{name}: actors", "failed", fact, fix)
    if placement.ok and placement.warning:
        fix = "set it, and restart the sidecar; calls to actors that use state fail until then"
        yield Diagnosis(f"{name}: actors", "warning", placement.warning, fix)
    # daprd lists a scheduler that has gone as connected (observed in 1.18.2); its log knows better.
    lost = stream_problem(seen)
    if "scheduler" in states and (lost or not scheduler.ok):
        fix = "jobs and reminders do not fire until the node `scheduler` is up again"
        yield Diagnosis(f"{name}: jobs", "failed", lost or scheduler.fact, fix)


def _deliveries(seen: Inspection) -> Iterator[Diagnosis]:
    if fact := last_problem(seen, _DELIVERY):
        fix = f"see why the app rejected it: `dapr-harness logs {seen.sidecar.app_id}`"
        yield Diagnosis(f"{seen.sidecar.node.name}: events", "warning", fact, fix)
    if fact := last_problem(seen, _JOB):
        fix = "a job needs a body (`data`), and the app a route POST /job/NAME that returns 2xx"
        yield Diagnosis(f"{seen.sidecar.node.name}: jobs", "warning", fact, fix)


def examine_groups_of(seen: Inspection) -> Iterator[Diagnosis]:
    """The Kafka groups of a sidecar that cannot deliver, or are behind."""
    for subject, fact, fix in examine_groups(seen):
        yield Diagnosis(f"{seen.sidecar.node.name}: {subject}", "failed", fact, fix)


def last_problem(seen: Inspection, about: re.Pattern[str]) -> str:
    """The last warning or error about something in a sidecar's log; "" if there is none."""
    wrong = ("warning", "error", "fatal")
    return next((m for level, m in reversed(seen.log) if level in wrong and about.search(m)), "")


def stream_problem(seen: Inspection) -> str:
    """Why a sidecar has lost its scheduler, by the last line about it; "" if it has not."""
    for level, message in reversed(seen.log):
        if found := _STREAM.search(message):
            if found["up"]:
                return ""
            if level in ("error", "fatal"):
                return message
    return ""


def _client(seen: Inspection) -> DaprClient:
    sidecar = seen.sidecar
    return DaprClient(endpoint_of(sidecar.node, "http"), sidecar.stack.token, timeout=SOON)
