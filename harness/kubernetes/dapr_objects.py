"""All objects of Dapr's control plane, in the order in which they can be created."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from harness.core.authority import Authority
from harness.kubernetes.dapr_roles import SYSTEM, TRUST, WEBHOOK, permissions
from harness.kubernetes.dapr_workloads import DOMAIN, SENTRY, workloads

ELSEWHERE = "replaceme"
"""What Dapr's CRDs have in place of the control plane's namespace."""

_NAME_OF_NAMESPACE = "kubernetes.io/metadata.name"
"""The label that each namespace has."""


def dapr_objects(version: str, authority: Authority) -> Iterator[dict[str, Any]]:
    """The control plane, without its CRDs.

    Args:
        version: of the images.
        authority: signs the certificates of all programs and sidecars; sentry is given its key.
    """
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}}
    yield from permissions()
    yield from _certificates(authority)
    yield _configuration()
    yield from workloads(version)
    yield _webhook(authority)


def _certificates(authority: Authority) -> Iterator[dict[str, Any]]:
    """The issuer for sentry, and the root for everybody."""
    head = {"apiVersion": "v1", "metadata": {"name": TRUST, "namespace": SYSTEM}}
    own = {
        "ca.crt": authority.anchors,
        "issuer.crt": authority.certificate,
        "issuer.key": authority.key,
    }
    yield {**head, "kind": "Secret", "data": {name: _base64(text) for name, text in own.items()}}
    yield {**head, "kind": "ConfigMap", "data": {"ca.crt": authority.anchors}}


def _configuration() -> dict[str, Any]:
    """mTLS, as Dapr's chart has it by default."""
    mtls = {
        "enabled": True,
        "workloadCertTTL": "24h",
        "allowedClockSkew": "15m",
        "controlPlaneTrustDomain": DOMAIN,
        "sentryAddress": SENTRY,
    }
    return {
        "apiVersion": "dapr.io/v1alpha1",
        "kind": "Configuration",
        "metadata": {"name": "daprsystem", "namespace": SYSTEM},
        "spec": {"mtls": mtls},
    }


def _webhook(authority: Authority) -> dict[str, Any]:
    """The injector; no pod starts without its sidecar because the injector is not available."""
    own = {"key": _NAME_OF_NAMESPACE, "operator": "NotIn", "values": [SYSTEM]}
    hook = {
        "name": "sidecar-injector.dapr.io",
        "reinvocationPolicy": "IfNeeded",
        "clientConfig": {
            "service": {"namespace": SYSTEM, "name": WEBHOOK, "path": "/mutate"},
            "caBundle": _base64(authority.anchors),
        },
        "rules": [
            {
                "apiGroups": [""],
                "apiVersions": ["v1"],
                "resources": ["pods"],
                "operations": ["CREATE"],
            }
        ],
        "failurePolicy": "Fail",
        # Otherwise it would be asked for its own pods, and none of them would ever be created.
        "namespaceSelector": {"matchExpressions": [own]},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": WEBHOOK, "labels": {"app": WEBHOOK}},
        "webhooks": [hook],
    }


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
