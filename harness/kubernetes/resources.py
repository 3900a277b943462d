"""Dapr resources as a cluster needs them."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from typing import Any

from harness.dapr.resources import DaprResource
from harness.kubernetes.values import Values

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
"""What a placeholder's key stands for in a cluster, unless the user says otherwise."""

_PLACEHOLDER = re.compile(r"\$\{([^}.]+)\.([^}]+)\}")


def in_cluster(resource: DaprResource, secret: str, values: Values) -> dict[str, Any]:
    """One resource, with values for its placeholders and the cluster's secrets for its own.

    Credentials come from the store `kubernetes` that is there without a component: Dapr's operator
    reads it (pkg/operator/api/components.go), so that no app needs the right to read Secrets.

    Args:
        resource: anything but a Configuration and a store of local secrets.
        secret: the name of the Secret that holds what sidecars had in their environment.
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
    """A key that a Secret may have: colons, which separate levels of a file, are not allowed."""
    return str(reference["key"]).replace(":", ".")


def merged(
    name: str,
    configurations: Sequence[DaprResource],
    local_stores: Sequence[str],
    values: Values,
) -> dict[str, Any]:
    """One Configuration of several: a pod refers to one, by its name.

    Args:
        name: of the one.
        configurations: what is put together.
        local_stores: names of stores whose place the built-in one takes.
        values: where the placeholders' values come from.
    """
    spec: dict[str, Any] = {}
    for each in configurations:
        spec = _merge(spec, filled(copy.deepcopy(each.body.get("spec") or {}), values))
    for scope in (spec.get("secrets") or {}).get("scopes") or []:
        if scope.get("storeName") in local_stores:
            scope["storeName"] = BUILT_IN_STORE
    # Scopes of a Configuration are the harness's: in a cluster a pod's annotation chooses.
    return {
        "apiVersion": "dapr.io/v1alpha1",
        "kind": "Configuration",
        "metadata": {"name": name},
        "spec": spec,
    }


def filled(value: Any, values: Values) -> Any:
    """The same with a value for each placeholder."""
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
