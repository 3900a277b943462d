"""A node of Kubernetes in which Dapr is installed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.core.deadline import Check
from harness.core.node import Scope
from harness.kubernetes.api import ApiServer
from harness.kubernetes.dapr_objects import ELSEWHERE, dapr_objects
from harness.kubernetes.dapr_roles import SYSTEM
from harness.kubernetes.installing import apply_all, define_kinds
from harness.kubernetes.rollout import InjectionCheck, PodsCheck
from harness.nodes.cluster import TOOLS, ClusterNode
from harness.provision.dapr_images import IMAGES, archives_in, version_in


@dataclass(frozen=True)
class DaprClusterNode(ClusterNode):
    """A cluster of one node with Dapr's control plane, which injects sidecars into pods."""

    tools = (*TOOLS, "dapr-crds", IMAGES)

    def archives(self, scope: Scope) -> list[Path]:
        """Those of Dapr's programs, too."""
        return [*super().archives(scope), *archives_in(scope.tool(IMAGES))]

    def initialize(self, scope: Scope) -> None:
        """Install Dapr.

        Raises:
            HarnessError: the API server refuses an object.
        """
        version = version_in(scope.tool(IMAGES))
        with ApiServer(self._access(scope)) as server:
            define_kinds(server, scope.tool("dapr-crds"), {ELSEWHERE: SYSTEM})
            apply_all(server, dapr_objects(version, scope.authority()))

    def post_checks(self, scope: Scope) -> Iterator[Check]:
        """Every program is ready, and sidecars are injected."""
        with ApiServer(self._access(scope)) as server:
            yield PodsCheck(server, SYSTEM)
            yield InjectionCheck(server)
