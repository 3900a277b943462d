"""Which Kafka consumer groups a sidecar uses, by its components; and whether all groups deliver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from harness.core.deadline import Check, Observation
from harness.core.kafka_access import Brokers
from harness.core.node import Resource
from harness.dapr.health import SubscriptionsCheck
from harness.dapr.kafka_component import connection_of
from harness.dapr.resources import plain_fields
from harness.ready.kafka import GroupCheck


@dataclass(frozen=True)
class ConsumerGroup:
    """The group of one pub/sub component.

    Attributes:
        brokers: addresses, separated by commas, with credentials if the broker requires them.
        name: the group; ``*`` stands for what only the sidecar knows, such as a UUID.
        prefix: what daprd puts before the name of each topic.
        hidden: why it cannot be looked at from here; "" if it can.
    """

    brokers: Brokers
    name: str
    prefix: str = ""
    hidden: str = ""

    def check(self, topics: Sequence[str]) -> Check:
        """The check that the group has every partition of topics."""
        return GroupCheck(self.brokers, self.name, topics)


def consumer_groups(
    resources: Sequence[Resource], app_id: str, env: Mapping[str, str] | None = None
) -> dict[str, ConsumerGroup]:
    """The group of every Kafka pub/sub component, by component, as daprd determines it.

    Args:
        resources: what the sidecar loads, with placeholders filled.
        app_id: the sidecar's.
        env: the variables set for the sidecar, filled.
    """
    components = [each for each in resources if each.type == "pubsub.kafka"]
    return {each.name: _group_of(each, resources, app_id, env or {}) for each in components}


def named(name: str, app_id: str, env: Mapping[str, str]) -> str:
    """A group's name with the templates of daprd replaced; ``*`` for what only daprd knows."""
    # As daprd does it: pkg/runtime/meta/meta.go of dapr 1.18.2.
    for template, value in (
        ("{uuid}", "*"),
        ("{podName}", env.get("POD_NAME", "*")),
        ("{namespace}", f"{env.get('NAMESPACE', '')}.{app_id}"),
        ("{appID}", app_id),
    ):
        name = name.replace(template, value)
    return name


def topic_prefix(fields: Mapping[str, str], env: Mapping[str, str]) -> tuple[str, str]:
    """What daprd puts before each topic, and why that is not known here; "" if it is."""
    if not any("{namespace}" in value for value in fields.values()):
        return "", ""
    namespace = env.get("NAMESPACE", "")
    unknown = "its topics begin with NAMESPACE, which is not set for the sidecar"
    return namespace, "" if namespace else unknown


def _group_of(
    component: Resource, resources: Sequence[Resource], app_id: str, env: Mapping[str, str]
) -> ConsumerGroup:
    fields = plain_fields(component)
    name = fields.get("consumergroup") or fields.get("consumerid") or app_id
    prefix, no_prefix = topic_prefix(fields, env)
    brokers, unknown = connection_of(component, resources, env)
    hidden = no_prefix or _hidden(component) or unknown
    return ConsumerGroup(brokers, named(name, app_id, env), prefix, hidden)


def _hidden(component: Resource) -> str:
    for name, item in component.fields().items():
        if name.lower() in ("brokers", "consumergroup", "consumerid") and "value" not in item:
            return f"{name} is a reference that only its sidecar resolves"
    return ""


class Group(Protocol):
    """What reads the topics of a pub/sub component."""

    @property
    def prefix(self) -> str:
        """What daprd puts before the name of each topic."""
        ...

    @property
    def hidden(self) -> str:
        """Why it cannot be looked at from here; "" if it can."""
        ...

    def check(self, topics: Sequence[str]) -> Check:
        """The check that topics are read."""
        ...


@dataclass
class DeliveryCheck:
    """The groups of this sidecar read every topic that they subscribe to.

    Attributes:
        subscriptions: knows what the app subscribed to.
        groups: the group of each pub/sub component whose broker can be asked.
    """

    subscriptions: SubscriptionsCheck
    groups: Mapping[str, Group]
    name: str = "group"

    def __post_init__(self) -> None:
        self._checks: list[Check] | None = None
        self._hidden: list[str] = []

    def observe(self) -> Observation:
        """Query the broker once per group."""
        if self._checks is None:
            self._checks = list(self._plan())
        facts = []
        for check in self._checks:
            seen = check.observe()
            if not seen.ok:
                return seen
            facts.append(seen.fact)
        facts += self._hidden
        return Observation(
            True, "; ".join(facts) or "no subscription on a broker that can be asked"
        )

    def _plan(self) -> Sequence[Check]:
        checks = []
        for pubsub, group in self.groups.items():
            known = self.subscriptions.wanted - self.subscriptions.own_queues
            wanted = (topic for name, topic in known if name == pubsub)
            topics = sorted(group.prefix + topic for topic in wanted)
            if topics and group.hidden:
                self._hidden.append(f"the group of {pubsub} is not checked: {group.hidden}")
            elif topics:
                checks.append(group.check(topics))
        return checks
