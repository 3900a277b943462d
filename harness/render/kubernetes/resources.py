"""Dapr resources in the form that a cluster needs."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from typing import Any

from harness.dapr.resources import DaprResource
from harness.render.kubernetes.values import Values

LOCAL_STORES = ("secretstores.local.env", "secretstores.local.file")
BUILT_IN_STORE = "kubernetes"
DEFAULTS: Mapping[str, str] = {
    "brokers": "{node}:9092",
    "address": "{node}:6379",
    "host": "{node}",
    "port": "80",
    "smtp": "25",
    "url": "http://{node}",
}
"""The value of a placeholder's key in a cluster, unless the user configures another."""

_PLACEHOLDER = re.compile(r"\$\{([^}.]+)\.([^}]+)\}")


def in_cluster(resource: DaprResource, secret: str, values: Values) -> dict[str, Any]:
    """One resource with its placeholders filled, and with secrets from the cluster.

    Credentials come from the built-in store `kubernetes`, which needs no component: Dapr's operator
    reads it (pkg/operator/api/components.go), so that no app needs permission to read Secrets.

    Args:
        resource: any resource except a Configuration and a store of local secrets.
        secret: the name of the Secret with the values that sidecars had in their environment.
        values: where the placeholders' values come from.
    """
    body: dict[str, Any] = filled(copy.deepcopy(resource.body), values)
    if "auth" in body:
        body["auth"] = {"secretStore": BUILT_IN_STORE}
    for item in (body.get("spec") or {}).get("metadata") or []:
        if isinstance(item, dict) and "secretKeyRef" in item:
            item["secretKeyRef"] = {"name": secret, "key": key_of(item["secretKeyRef"])}
    return body


def key_of(reference: Mapping[str, Any]) -> str:
    """A valid key for a Secret: colons, which separate levels in a file, are not allowed."""
    return str(reference["key"]).replace(":", ".")


def merged(
    name: str,
    configurations: Sequence[DaprResource],
    local_stores: Sequence[str],
    values: Values,
) -> dict[str, Any]:
    """Several Configurations merged into one, because a pod refers to one by its name.

    Args:
        name: the name of the merged one.
        configurations: the Configurations to merge.
        local_stores: names of stores that the built-in one replaces.
        values: where the placeholders' values come from.
    """
    spec: dict[str, Any] = {}
    for each in configurations:
        spec = _merge(spec, filled(copy.deepcopy(each.body.get("spec") or {}), values))
    for scope in (spec.get("secrets") or {}).get("scopes") or []:
        if scope.get("storeName") in local_stores:
            scope["storeName"] = BUILT_IN_STORE
    # Scopes of a Configuration are an extension of the harness: a pod's annotation replaces them.
    return {
        "apiVersion": "dapr.io/v1alpha1",
        "kind": "Configuration",
        "metadata": {"name": name},
        "spec": spec,
    }


def filled(value: Any, values: Values) -> Any:
    """The same, with each placeholder replaced."""
    if isinstance(value, dict):
        return {key: filled(each, values) for key, each in value.items()}
    if isinstance(value, list):
        return [filled(each, values) for each in value]
    if isinstance(value, str):
        return _PLACEHOLDER.sub(lambda match: _value(match, values), value)
    return value


def _value(match: re.Match[str], values: Values) -> str:
    node, key = match[1].strip(), match[2].strip()
    default = DEFAULTS.get(key, "").format(node=node)
    return str(values.get(node, key, default=default))


def _merge(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    together = {**first, **second}
    for key in first.keys() & second.keys():
        one, other = first[key], second[key]
        if isinstance(one, dict) and isinstance(other, dict):
            together[key] = _merge(one, other)
        elif isinstance(one, list) and isinstance(other, list):
            together[key] = [*one, *other]
    return together
