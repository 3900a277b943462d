"""What the programs of Dapr's control plane may do in a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SIDECAR = "daprd"
"""The name of the container that the injector adds."""

SYSTEM = "dapr-system"
"""The namespace of the control plane."""

TRUST = "dapr-trust-bundle"
"""The Secret and the ConfigMap with the certificates, and the volume of the latter."""

WEBHOOK = "dapr-sidecar-injector"
"""The webhook that injects sidecars, and its Service."""

ACCOUNTS = ("dapr-operator", "dapr-injector", "dapr-sentry", "dapr-placement", "dapr-scheduler")
"""The service account of each program."""

_GROUP = "rbac.authorization.k8s.io"
_READ = ("get", "list", "watch")
_ELECTIONS = ("operator.dapr.io", "webhooks.dapr.io")
_DAPR_KINDS = (
    "components",
    "configurations",
    "httpendpoints",
    "mcpservers",
    "resiliencies",
    "subscriptions",
    "workflowaccesspolicies",
)


@dataclass(frozen=True)
class Rule:
    """What is allowed.

    Attributes:
        group: of the kinds; "" for those of Kubernetes' core.
        kinds: in the plural.
        verbs: such as ``get``.
        names: of the objects; any if there are none.
    """

    group: str
    kinds: Sequence[str]
    verbs: Sequence[str]
    names: Sequence[str] = ()

    def body(self) -> dict[str, Any]:
        """As a Role has it."""
        found: dict[str, Any] = {
            "apiGroups": [self.group],
            "resources": [*self.kinds],
            "verbs": [*self.verbs],
        }
        return {**found, "resourceNames": [*self.names]} if self.names else found


EVERYWHERE: Mapping[str, Sequence[Rule]] = {
    "dapr-operator": (
        Rule("apiextensions.k8s.io", ("customresourcedefinitions",), ("get", "patch")),
        Rule("apps", ("deployments", "statefulsets"), _READ),
        Rule("apps", ("deployments/finalizers", "statefulsets/finalizers"), (*_READ, "update")),
        Rule("", ("pods",), (*_READ, "delete")),
        Rule("", ("services", "services/finalizers"), (*_READ, "create", "update")),
        Rule("", ("services",), ("delete",)),
        Rule("", ("secrets",), _READ),
        Rule("dapr.io", _DAPR_KINDS, _READ),
    ),
    "dapr-injector": (
        Rule("", ("serviceaccounts",), ("get", "list")),
        Rule(
            "admissionregistration.k8s.io",
            ("mutatingwebhookconfigurations",),
            ("patch",),
            (WEBHOOK,),
        ),
        Rule("dapr.io", ("components",), ("get", "list")),
    ),
    "dapr-sentry": (
        Rule("authentication.k8s.io", ("tokenreviews",), ("create",)),
        Rule("dapr.io", ("configurations",), _READ),
        Rule("", ("pods",), _READ),
    ),
    "dapr-scheduler": (Rule("", ("namespaces",), _READ),),
}
"""By account, in all namespaces."""

OWN: Mapping[str, Sequence[Rule]] = {
    "dapr-operator": (
        Rule("coordination.k8s.io", ("leases",), (*_READ, "update"), _ELECTIONS),
        Rule("", ("configmaps",), (*_READ, "update"), _ELECTIONS),
        # Whoever creates something cannot be limited to a name.
        Rule("coordination.k8s.io", ("leases",), ("create",)),
        Rule("", ("configmaps", "events"), ("create",)),
    ),
    "dapr-injector": (
        Rule("", ("secrets",), ("get",), (TRUST,)),
        Rule("dapr.io", ("configurations",), ("get",)),
        Rule("apps", ("statefulsets",), ("get",)),
    ),
    "dapr-sentry": (
        Rule("", ("secrets",), ("get", "update", "delete"), (TRUST,)),
        Rule("", ("configmaps",), (*_READ, "update"), (TRUST,)),
        Rule("dapr.io", ("configurations",), _READ),
    ),
}
"""By account, in the namespace of the control plane."""


def permissions() -> Iterator[dict[str, Any]]:
    """The accounts with their roles."""
    for name in ACCOUNTS:
        yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _named(name, SYSTEM)}
    for name, rules in EVERYWHERE.items():
        yield from _granted(name, rules, "ClusterRole", "")
    for name, rules in OWN.items():
        yield from _granted(name, rules, "Role", SYSTEM)


def _granted(
    name: str, rules: Sequence[Rule], kind: str, namespace: str
) -> Iterator[dict[str, Any]]:
    head = {"apiVersion": f"{_GROUP}/v1", "metadata": _named(name, namespace)}
    yield {**head, "kind": kind, "rules": [each.body() for each in rules]}
    yield {
        **head,
        "kind": f"{kind}Binding",
        "roleRef": {"apiGroup": _GROUP, "kind": kind, "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": SYSTEM}],
    }


def _named(name: str, namespace: str) -> dict[str, str]:
    return {"name": name, **({"namespace": namespace} if namespace else {})}
