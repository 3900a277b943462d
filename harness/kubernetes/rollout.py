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
from harness.kubernetes.pods import (
    Object,
    Problem,
    is_over,
    is_ready,
    lack_of,
    problem_of,
    progress_of,
)

LINES = 8
"""The last lines of a log that are told."""

POD, EVENT = "/api/v1/{}/pods", "/api/v1/{}/events"
PAUSE = 1
"""Seconds after which pods are looked at even if nothing was announced."""


WORKLOADS = ("deployments", "statefulsets")
"""What is waited for, beside the pods that it has created."""


@dataclass(frozen=True)
class Listed:
    """The objects of one kind.

    Attributes:
        path: of the list.
        items: the objects.
        version: of the list.
    """

    path: str
    items: Sequence[Object]
    version: str


@dataclass(frozen=True)
class PodsCheck:
    """Every Deployment, StatefulSet and pod of a namespace is ready.

    Attributes:
        namespace: which must have at least one pod.
        hint: the next step if a pod cannot become ready; ``{pod}`` stands for its name.
    """

    server: ApiServer
    namespace: str
    hint: str = ""
    name: str = "pods"

    def observe(self) -> Observation:
        """Look at all of them, and wait for a change if one is not ready.

        Raises:
            LaunchError: a pod cannot be scheduled, or a container cannot be started.
            InstanceDied: a container crashes or needs too much memory.
        """
        try:
            return self._look()
        except ProbeError as error:
            return Observation(False, error.last)

    def _look(self) -> Observation:
        pods = self._list(POD)
        waiting = [each for each in pods.items if not (is_over(each) or is_ready(each))]
        events = self._list(EVENT).items if waiting else []
        for pod in waiting:
            if problem := problem_of(pod, events):
                raise self._told(pod, problem)
        lists = [self._list(f"/apis/apps/v1/{{}}/{each}") for each in WORKLOADS]
        lacking = [each for listed in lists for each in listed.items if lack_of(each)]
        if lacking and not waiting:
            events = self._list(EVENT).items
        facts = [progress_of(each, events) for each in waiting]
        facts += [lack_of(each, events) for each in lacking]
        if pods.items and not facts:
            return Observation(True, f"{len(pods.items)} are ready")
        # Pods change first, and then what has created them.
        changing = (
            pods
            if waiting or not pods.items
            else next(each for each in lists if any(map(lack_of, each.items)))
        )
        self.server.await_change(changing.path, changing.version, PAUSE)
        return Observation(False, "; ".join(facts) or f"namespace {self.namespace} has no pods")

    def _list(self, path: str) -> Listed:
        path = path.format(f"namespaces/{self.namespace}")
        answer = self.server.get(path)
        if not answer.accepted:
            raise ProbeError(f"{path} cannot be read", last=answer.message)
        version = str(mapping(answer.body.get("metadata")).get("resourceVersion") or "")
        items = [mapping(each) for each in sequence(answer.body.get("items"))]
        return Listed(path, items, version)

    def _told(self, pod: Object, problem: Problem) -> HarnessError:
        name = str(mapping(pod.get("metadata")).get("name"))
        said = self._log(name, problem) if problem.container else ""
        kind = InstanceDied if problem.container else LaunchError
        return kind(problem.cause, last=said, hint=self.hint.format(pod=name))

    def _log(self, pod: str, problem: Problem) -> str:
        which = f"container={problem.container}&tailLines={LINES}"
        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod}/log?{which}"
        said = self.server.text(f"{path}&previous=true") if problem.previous else ""
        return (said or self.server.text(path)).strip() or "it wrote nothing"


@dataclass(frozen=True)
class PodCheck:
    """The one pod with some labels is ready.

    Attributes:
        namespace: of the pod.
        labels: of the pod.
    """

    server: ApiServer
    namespace: str
    labels: Mapping[str, str]
    name: str = "pod"

    def observe(self) -> Observation:
        """Look at it, and wait for a change if it is not ready."""
        path = f"{POD.format(f'namespaces/{self.namespace}')}?labelSelector={selector(self.labels)}"
        try:
            answer = self.server.get(path)
            pods = [mapping(each) for each in sequence(answer.body.get("items"))]
            if pods and all(map(is_ready, pods)):
                return Observation(True, "it is ready")
            version = str(mapping(answer.body.get("metadata")).get("resourceVersion") or "")
            self.server.await_change(path, version, PAUSE)
        except ProbeError as error:
            return Observation(False, error.last)
        return Observation(False, "; ".join(map(progress_of, pods)) or "there is no pod")


def selector(labels: Mapping[str, str]) -> str:
    """Labels as requests for lists have them."""
    return ",".join(f"{key}={value}" for key, value in labels.items())


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
