"""Waits for pods by what the API says, and ends at once if waiting cannot help."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.core.deadline import Observation
from harness.core.errors import HarnessError, InstanceDied, LaunchError, ProbeError
from harness.dapr.resources import mapping, sequence
from harness.kubernetes.api import ApiServer
from harness.kubernetes.pods import Object, Problem, is_ready, name_of, problem_of, progress_of

LINES = 8
"""The last lines of a log that are told."""

PAUSE = 1
"""Seconds after which pods are looked at even if nothing was announced."""


@dataclass(frozen=True)
class PodsCheck:
    """A pod of each of these workloads is ready, with all its containers.

    Attributes:
        namespace: where they are.
        apps: the label ``app`` of each.
    """

    server: ApiServer
    namespace: str
    apps: tuple[str, ...]
    name: str = "pods"

    def observe(self) -> Observation:
        """Look at all pods, and wait until one changes if they are not ready.

        Raises:
            LaunchError: a pod cannot be scheduled, or a container cannot be started.
            InstanceDied: a container crashes or needs too much memory.
        """
        path = f"/api/v1/namespaces/{self.namespace}/pods"
        try:
            found = self.server.get(path)
            pods = [mapping(each) for each in sequence(found.body.get("items"))]
            missing = self._missing(pods)
            if not missing:
                return Observation(True, f"{len(self.apps)} are ready")
            facts = self._facts(pods)
            self.server.await_change(path, _version(found.body), PAUSE)
        except ProbeError as error:
            return Observation(False, error.last)
        return Observation(False, "; ".join(facts) or f"no pod of {', '.join(missing)}")

    def _missing(self, pods: Sequence[Object]) -> list[str]:
        ready = {_app(each) for each in pods if is_ready(each)}
        return [each for each in self.apps if each not in ready]

    def _facts(self, pods: Sequence[Object]) -> list[str]:
        """How far those are that are not ready."""
        waiting = [each for each in pods if not is_ready(each)]
        events = self._events() if waiting else []
        for pod in waiting:
            if problem := problem_of(pod, events):
                raise self._told(pod, problem)
        return [progress_of(each, events) for each in waiting]

    def _events(self) -> list[Object]:
        found = self.server.get(f"/api/v1/namespaces/{self.namespace}/events").body
        return [mapping(each) for each in sequence(found.get("items"))]

    def _told(self, pod: Object, problem: Problem) -> HarnessError:
        name = str(mapping(pod.get("metadata")).get("name"))
        said = self._log(name, problem) if problem.container else ""
        kind = InstanceDied if problem.container else LaunchError
        kubectl = f"dapr-harness kubectl -n {self.namespace} describe pod {name}"
        return kind(problem.cause, last=said, hint=f"`{kubectl}` shows all that is known of it")

    def _log(self, pod: str, problem: Problem) -> str:
        which = f"container={problem.container}&tailLines={LINES}"
        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod}/log?{which}"
        said = self.server.text(f"{path}&previous=true") if problem.previous else ""
        return (said or self.server.text(path)).strip() or "it wrote nothing"


@dataclass(frozen=True)
class InjectionCheck:
    """A pod that asks for a sidecar is given one; the pod is not created."""

    server: ApiServer
    name: str = "injector"

    def observe(self) -> Observation:
        """Have the injector asked in a dry run.

        Raises:
            ProbeError: the server does not answer.
        """
        answer = self.server.apply(
            f"/api/v1/namespaces/default/pods/{_ASKING['metadata']['name']}",
            json.dumps(_ASKING).encode(),
            dry_run=True,
        )
        if not answer.accepted:
            return Observation(False, answer.message)
        containers = map(mapping, sequence(mapping(answer.body.get("spec")).get("containers")))
        names = [each.get("name") for each in containers]
        return Observation("daprd" in names, f"containers: {', '.join(map(str, names))}")


_ASKING: Mapping[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "asks-for-a-sidecar",
        "annotations": {"dapr.io/enabled": "true", "dapr.io/app-id": "asks-for-a-sidecar"},
    },
    "spec": {"containers": [{"name": "app", "image": "none"}]},
}


def _app(pod: Object) -> str:
    return str(mapping(mapping(pod.get("metadata")).get("labels")).get("app") or name_of(pod))


def _version(listed: Object) -> str:
    return str(mapping(listed.get("metadata")).get("resourceVersion") or "")
