"""Dapr resources in the form that a cluster needs."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from harness.dapr.resources import DaprResource
from harness.manifests.filling import Filling

BUILT_IN_STORE = "kubernetes"
OWN_NAMESPACE = "default"
"""The namespace of every sidecar outside a cluster; access control means the system's own."""


def in_cluster(resource: DaprResource, secret: str, filling: Filling) -> dict[str, Any]:
    """One resource with its placeholders filled, and with secrets from the cluster.

    Credentials come from the built-in store `kubernetes`, which needs no component: Dapr's operator
    reads it (pkg/operator/api/components.go), so that no app needs permission to read Secrets. What
    only the installation knows, such as the name of a user, is a key of the same Secret.

    Args:
        resource: any resource except a Configuration and a store of local secrets.
        secret: the name of the Secret with the values that sidecars had in their environment.
        filling: what takes the place of placeholders.
    """
    body = copy.deepcopy(resource.body)
    for item in _items(body):
        if key := filling.secret_key(item):
            item.pop("value", None)
            item["secretKeyRef"] = {"name": secret, "key": key}
            body["auth"] = {}
    if resource.kind == "Component" and (spec := body.get("spec") or {}).get("metadata") is None:
        # daprd alone does without it; the CRD requires it.
        body["spec"] = {**spec, "metadata": []}
    if "auth" in body:
        body["auth"] = {"secretStore": BUILT_IN_STORE}
    found: dict[str, Any] = filling.fill(body)
    return found


def _items(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The fields of a component, which can refer to secrets."""
    items = (body.get("spec") or {}).get("metadata") or []
    return [item for item in items if isinstance(item, dict)]


def merged(configurations: Sequence[DaprResource], filling: Filling) -> dict[str, Any]:
    """The spec of several Configurations merged into one, because a pod refers to one by its name.

    Args:
        configurations: the Configurations to merge.
        filling: what takes the place of placeholders.
    """
    spec: dict[str, Any] = {}
    for each in configurations:
        spec = _merge(spec, filling.fill(copy.deepcopy(each.body.get("spec") or {})))
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


def _merge(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    together = {**first, **second}
    for key in first.keys() & second.keys():
        one, other = first[key], second[key]
        if isinstance(one, dict) and isinstance(other, dict):
            together[key] = _merge(one, other)
        elif isinstance(one, list) and isinstance(other, list):
            together[key] = [*one, *other]
    return together
