"""Dapr resources for sidecars of a namespace of their own, on a broker that others use, too."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from harness.core.errors import ConfigError
from harness.dapr.resources import DaprResource, mapping, sequence

GROUPS = ("consumergroup", "consumerid")
TOPICS = ("topics", "publishtopic")
"""Fields of the binding, in which daprd knows no namespace."""

SCOPED = {"name": "namespaceScoped", "value": "{namespace}"}
"""A field that no component has: daprd puts the namespace before each topic of a pub/sub component
if the value of any field has this template (`ContainsNamespace` in pkg/runtime/meta of 1.18.2)."""

INSIDE = ("secretstores.", "middleware.", "crypto.", "conversation.", "bindings.cron",
          "bindings.http", "state.in-memory", "pubsub.in-memory")  # fmt: skip
"""Components that keep nothing, or keep it within one sidecar."""


def in_namespace(resource: DaprResource, namespace: str) -> DaprResource:
    """The resource for sidecars of a namespace: what it has on Kafka is theirs alone.

    Raises:
        ConfigError: its consumer group is a secret, which cannot be changed from here.
    """
    if resource.type not in ("pubsub.kafka", "bindings.kafka"):
        return resource
    body = copy.deepcopy(resource.body)
    items = [mapping(each) for each in sequence(body["spec"].get("metadata"))]
    if resource.type == "bindings.kafka":
        made = [_prefixed(each, namespace, resource) for each in items]
    else:
        made = [*(_own_group(each, namespace, resource) for each in items), SCOPED]
        if not {_name(each) for each in items} & {*GROUPS}:
            made.append({"name": "consumerGroup", "value": "{namespace}"})
    body["spec"]["metadata"] = made
    return replace(resource, body=body)


def names_its_store(resource: DaprResource) -> bool:
    """Whether a component refers to something that keeps data by a literal address or path.

    Nothing is known of what a secret, a variable of the sidecar or a placeholder stands for.
    """
    if resource.kind != "Component" or resource.type.startswith(INSIDE):
        return False
    if resource.type in ("pubsub.kafka", "bindings.kafka"):
        return False
    return not any(_refers(item) for item in resource.fields().values())


def _refers(item: Mapping[str, Any]) -> bool:
    return "${" in str(item.get("value", "")) or bool({"secretKeyRef", "envRef"} & {*item})


def _prefixed(item: dict[str, Any], namespace: str, resource: DaprResource) -> dict[str, Any]:
    """A field of the binding, in which the names of topics are literal."""
    if _name(item) not in TOPICS:
        return _own_group(item, namespace, resource)
    names = (each.strip() for each in _value(item, resource).split(","))
    return {**item, "value": ",".join(namespace + each for each in names)}


def _own_group(item: dict[str, Any], namespace: str, resource: DaprResource) -> dict[str, Any]:
    if _name(item) not in GROUPS or "{namespace}" in (group := _value(item, resource)):
        return item
    return {**item, "value": f"{namespace}.{group}"}


def _value(item: Mapping[str, Any], resource: DaprResource) -> str:
    if "value" not in item:
        raise ConfigError(
            f"{resource.at()}: {item.get('name')} of {resource.name!r} is a reference, "
            "and a copy of the stack needs another value",
            expected="a plain value",
            hint='leave it out, or use @pytest.mark.dapr(isolation="stack")',
        )
    return str(item["value"])


def _name(item: Mapping[str, Any]) -> str:
    return str(item.get("name", "")).lower()
