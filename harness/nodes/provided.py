"""Dapr's control plane where the cluster has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.core.launch import InPod, Launch
from harness.core.node import Scope
from harness.kubernetes.dapr_roles import SYSTEM
from harness.nodes.base import BaseNode

WORKLOADS: Mapping[str, str] = {
    "placement": "dapr-placement-server",
    "scheduler": "dapr-scheduler-server",
    "sentry": "dapr-sentry",
}
"""What runs each service in a cluster."""


@dataclass(frozen=True)
class ProvidedService(BaseNode):
    """A service of the control plane that is part of the cluster: its pod is only followed.

    Attributes:
        name: the node's name.
        service: ``placement``, ``scheduler`` or ``sentry``.
        followed: whether it is; that of an existing cluster may not be.
    """

    name: str
    service: str
    followed: bool = True

    def plan(self, scope: Scope) -> Launch:
        """Nothing to start; the cluster has it before this node is planned to start."""
        workload = WORKLOADS[self.service]
        pod = InPod(workload, workload, SYSTEM, {"app": workload})
        return Launch(self.name, (), in_pod=pod, external=not self.followed)
