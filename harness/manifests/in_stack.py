"""The objects of a system that a stack runs: as they are rendered, with this run's addresses."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core.errors import ConfigError
from harness.core.topology import Topology
from harness.manifests.annotations import PREFIX
from harness.manifests.objects import Fill, Objects
from harness.manifests.values import Object, Values
from harness.manifests.workload import API_TOKEN, APP_TOKEN
from harness.nodes.app import App

LEFT_OUT = ("HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy")
"""A stack has one pod for each of its nodes, and its brokers have ports of this run."""


@dataclass(frozen=True)
class Facts:
    """What a stack knows of itself.

    Attributes:
        exports: returns what a node exports to pods.
        fill: returns a text with its placeholders filled, as an app sees them.
        token: returns a secret of the stack by its purpose.
    """

    exports: Callable[[str], Mapping[str, str]]
    fill: Fill
    token: Callable[[str], str]


class RunValues(Values):
    """Addresses of nodes are those of the run; everything else has its default.

    Args:
        topology: what runs.
        exports: returns what a node exports to pods.
    """

    def __init__(self, topology: Topology, exports: Callable[[str], Mapping[str, str]]) -> None:
        super().__init__()
        self._nodes = {each.name for each in topology.nodes if not isinstance(each, App)}
        self._exports = exports

    def get(self, *path: str, default: str | int) -> Any:
        """What the node exports, if the value is one of its exports."""
        if len(path) == 2 and path[0] in self._nodes:
            return self._exports(path[0]).get(path[1], default)
        return super().get(*path, default=default)


class StackObjects:
    """The objects of the apps of a stack.

    Args:
        topology: what runs.
        root: the project's folder.
        name: of the system.
        namespace: of all objects.
        facts: what the stack knows.

    Raises:
        ConfigError: an app cannot run in a cluster, or a secret has no value.
    """

    def __init__(
        self, topology: Topology, root: Path, name: str, namespace: str, facts: Facts
    ) -> None:
        for app in topology.nodes:
            if isinstance(app, App):
                _require_possible(app)
        self._name, self._namespace, self._facts = name, namespace, facts
        values = RunValues(topology, facts.exports)
        self._objects = Objects(topology, root, name, namespace, values)
        self._files = self._objects.files()
        self._apps = {each.name for each in topology.nodes if isinstance(each, App)}

    def of(self, app: str, port: int | None) -> tuple[Object, ...]:
        """Everything that an app needs, its Deployment last.

        Args:
            app: its name.
            port: the port at which its sidecar calls it; None for its own.
        """
        shared = [
            body for name, each in self._files.items() if name not in self._apps for body in each
        ]
        own = [_as_run(each, port) for each in self._files[app]]
        found = [*self._secrets(), *shared, *own]
        return tuple(each for each in found if each["kind"] not in LEFT_OUT)

    def _secrets(self) -> Sequence[Object]:
        tokens = {API_TOKEN: "dapr-api", APP_TOKEN: "app-api"}
        own = {
            f"{self._name}-{name}": {"token": self._facts.token(purpose)}
            for name, purpose in tokens.items()
        }
        given = {self._name: self._objects.secret_values(self._facts.fill), **own}
        return [
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": name, "namespace": self._namespace},
                "stringData": values,
            }
            for name, values in given.items()
        ]


def _as_run(body: Object, port: int | None) -> Object:
    """A rendered object, with one pod. The runtime adds what it has packed, its image."""
    if body["kind"] != "Deployment":
        return body
    made = copy.deepcopy(body)
    made["spec"]["replicas"] = 1
    made["spec"]["strategy"] = {"type": "Recreate"}
    template = made["spec"]["template"]
    if port is not None:
        template["metadata"]["annotations"][f"{PREFIX}app-port"] = str(port)
    return made


def _require_possible(app: App) -> None:
    told = {
        "replicas": app.replicas > 1 and "each node of a stack has one pod",
        "on_host": app.on_host and "pods cannot reach this machine",
        "after_sidecar": app.after_sidecar and "a pod starts all of its containers at once",
        "calls": app.calls and "the injector tells an app the port of its sidecar",
    }
    for option, reason in told.items():
        if reason:
            raise ConfigError(
                f"app {app.name!r} has {option}, which the Kubernetes runtime cannot do",
                last=str(reason),
                hint="leave it out, or use the processes or the containers runtime",
            )
