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
OWN_NAMESPACE = "default"
"""The namespace of every sidecar outside a cluster; access control means the system's own."""

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


def merged(configurations: Sequence[DaprResource], values: Values) -> dict[str, Any]:
    """The spec of several Configurations merged into one, because a pod refers to one by its name.

    Args:
        configurations: the Configurations to merge.
        values: where the placeholders' values come from.
    """
    spec: dict[str, Any] = {}
    for each in configurations:
        spec = _merge(spec, filled(copy.deepcopy(each.body.get("spec") or {}), values))
    return spec


def configuration(
    name: str, spec: Mapping[str, Any], local_stores: Sequence[str], secret: str, namespace: Any
) -> dict[str, Any]:
    """A Configuration for a cluster.

    Args:
        name: its name.
        spec: the spec of the Configurations that it stands for.
        local_stores: names of stores that the built-in one replaces.
        secret: the name of the Secret with the values that these stores had.
        namespace: the namespace of the system.
    """
    own: dict[str, Any] = copy.deepcopy(dict(spec))
    for scope in _secret_scopes(own):
        if scope.get("storeName") in local_stores:
            scope["storeName"] = BUILT_IN_STORE
            # What was a secret is a key of this one.
            for names in ("allowedSecrets", "deniedSecrets"):
                if scope.get(names):
                    scope[names] = [secret]
    for policy in (own.get("accessControl") or {}).get("policies") or []:
        if policy.get("namespace") == OWN_NAMESPACE:
            policy["namespace"] = namespace
    # Scopes of a Configuration are an extension of the harness: a pod's annotation replaces them.
    return {
        "apiVersion": "dapr.io/v1alpha1",
        "kind": "Configuration",
        "metadata": {"name": name},
        "spec": own,
    }


def may_read(spec: Mapping[str, Any], stores: Sequence[str]) -> bool:
    """Whether an app may read secrets through its sidecar.

    Args:
        spec: the spec of its Configuration.
        stores: names of the stores of local secrets that its sidecar loads.
    """
    scopes = {scope.get("storeName"): scope for scope in _secret_scopes(spec)}
    return any(_is_open(scopes.get(store, {})) for store in stores)


def _is_open(scope: Mapping[str, Any]) -> bool:
    """Whether a scope leaves anything to read of the one Secret that contains all values."""
    if scope.get("allowedSecrets"):
        return True
    denied = scope.get("deniedSecrets") or str(scope.get("defaultAccess")).lower() == "deny"
    return not denied


def _secret_scopes(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (spec.get("secrets") or {}).get("scopes") or []
    return found


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
