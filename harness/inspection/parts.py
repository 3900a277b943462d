"""What a running sidecar has and has not loaded, with daprd's own messages."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from harness.core.errors import HarnessError, SystemFailure
from harness.dapr import calls
from harness.dapr.model import Metadata
from harness.dapr.resources import DaprResource
from harness.inspection.sidecars import UpSidecar, untraced

TAIL = 2_000_000
"""The number of bytes at the end of a sidecar's log in which its errors are searched."""

SOON = 3.0
"""Seconds for a sidecar to respond, so that a frozen one does not delay the others."""

_LINE = re.compile(r'level=(?P<level>\w+) msg="(?P<msg>(?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Part:
    """A component or a subscription.

    Attributes:
        kind: ``component`` or ``subscription``.
        name: the component's name, or the topic.
        detail: the component's type, or the pub/sub component of a subscription.
        up: whether daprd uses it.
        error: why it does not, in daprd's words if it said something.
    """

    kind: str
    name: str
    detail: str
    up: bool
    error: str = ""


@dataclass(frozen=True)
class Inspection:
    """A sidecar's own report.

    Attributes:
        metadata: its answer; None if there was none.
        parts: its components and subscriptions, those that it should have included.
        error: why it did not answer.
        log: its log as levels and messages, oldest first.
    """

    sidecar: UpSidecar
    metadata: Metadata | None
    parts: tuple[Part, ...] = ()
    error: str = ""
    log: tuple[tuple[str, str], ...] = ()


def inspect(sidecar: UpSidecar) -> Inspection:
    """Ask a sidecar, and read its resources and its log."""
    log = tuple(log_messages(Path(sidecar.node.log)))
    try:
        seen = sidecar.run(untraced(calls.metadata()), "report its metadata", timeout=SOON)
    except (HarnessError, SystemFailure) as error:
        fact = f"{error.subject}: {error.last}" if error.last else error.subject
        return Inspection(sidecar, None, error=" ".join(fact.split()), log=log)
    return Inspection(sidecar, seen, parts_of(seen, declared_by(sidecar), log), log=log)


def as_row(seen: Inspection) -> dict[str, Any]:
    """An inspection as JSON data."""
    components = [
        {"name": part.name, "type": part.detail, "up": part.up, "error": part.error}
        for part in seen.parts
        if part.kind == "component"
    ]
    subscriptions = [
        {"pubsub": part.detail, "topic": part.name, "up": part.up, "error": part.error}
        for part in seen.parts
        if part.kind == "subscription"
    ]
    return {
        "app": seen.sidecar.app_id,
        "node": seen.sidecar.node.name,
        "error": seen.error,
        "components": components,
        "subscriptions": subscriptions,
    }


def parts_of(
    seen: Metadata, declared: Sequence[DaprResource], log: Sequence[tuple[str, str]]
) -> tuple[Part, ...]:
    """Every component and subscription, whether it is loaded or only declared.

    Args:
        seen: the sidecar's metadata.
        declared: the resources that it was given.
        log: its log.
    """
    components = _components(seen, declared, log)
    loaded = {each.name for each in components if each.up}
    return (*components, *_subscriptions(seen, declared, log, loaded))


def _components(
    seen: Metadata, declared: Sequence[DaprResource], log: Sequence[tuple[str, str]]
) -> list[Part]:
    found = {each.name: Part("component", each.name, each.type, True) for each in seen.components}
    for each in declared:
        if each.kind == "Component" and each.name not in found:
            error = component_error(each.name, log) or "not loaded; its log gives no reason"
            found[each.name] = Part("component", each.name, each.type, False, error)
    return list(found.values())


def _subscriptions(
    seen: Metadata,
    declared: Sequence[DaprResource],
    log: Sequence[tuple[str, str]],
    loaded: Set[str],
) -> Iterator[Part]:
    active = {(each.pubsub, each.topic) for each in seen.subscriptions}
    specs = [each.spec for each in declared if each.kind == "Subscription"]
    wanted = {(str(each.get("pubsubname", "")), str(each.get("topic", ""))) for each in specs}
    for pubsub, topic in sorted(active | wanted):
        # daprd lists a subscription to a component that it does not have (observed in 1.18.2).
        error = "" if pubsub in loaded else f"pub/sub component {pubsub!r} is not loaded"
        error = error or subscription_error(pubsub, topic, log)
        if not error and (pubsub, topic) not in active:
            error = "not active; its log gives no reason"
        yield Part("subscription", topic, pubsub, not error, error)


def component_error(name: str, log: Sequence[tuple[str, str]]) -> str:
    """daprd's last message about a component that it could not load; "" if there is none."""
    about = re.compile(
        rf"(?:Failed to init component|[Pp]rocess component) {re.escape(name)} .*"
        rf"|Component {re.escape(name)} references a secret store that isn't loaded.*"
    )
    return next((msg for level, msg in reversed(log) if about.search(msg)), "")


def subscription_error(pubsub: str, topic: str, log: Sequence[tuple[str, str]]) -> str:
    """daprd's last message about a subscription if it reports a failure; otherwise ""."""
    place = f"pubsub {re.escape(pubsub)}, topic {re.escape(topic)}"
    about = re.compile(
        rf"(?P<failed>(?:Failed to (?:start|reload).*|Retry failed for subscription) {place}: )"
        rf"|Successfully started subscription after retry for {place}$"
        rf"|subscribed to the following topics: .* through pubsub={re.escape(pubsub)}$"
    )
    for _, msg in reversed(log):
        if found := about.search(msg):
            return msg if found["failed"] else ""
    return ""


def declared_by(sidecar: UpSidecar) -> list[DaprResource]:
    """The resources in the folder of a sidecar; none where they cannot be read."""
    folder = sidecar.stack.resources_of(sidecar.node.name)
    return [each for file in sorted(folder.glob("*.y*ml")) for each in _documents(file)]


def _documents(file: Path) -> list[DaprResource]:
    try:
        found = [*yaml.safe_load_all(file.read_text())]
    except (OSError, ValueError, yaml.YAMLError):
        return []
    return [DaprResource(file, 1, each) for each in found if isinstance(each, dict)]


def log_messages(log: Path) -> Iterator[tuple[str, str]]:
    """Level and message of every line at the end of daprd's log, as text or as JSON."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - TAIL))
            text = file.read().decode(errors="replace")
    except OSError:
        return
    for line in text.splitlines():
        if found := _LINE.search(line):
            yield found["level"], found["msg"].replace('\\"', '"').replace("\\n", " ")
        elif line.startswith("{"):
            yield from _json_message(line)


def _json_message(line: str) -> Iterator[tuple[str, str]]:
    try:
        found = json.loads(line)
        yield str(found["level"]), str(found["msg"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return
