"""The objects of one app: its account, its Deployment, and what keeps the right number of pods."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from harness.core.endpoint import Endpoint
from harness.core.placeholders import placeholders
from harness.manifests.annotations import annotations_of
from harness.manifests.network import NAME, PORT
from harness.manifests.values import Object, Values
from harness.nodes.app import App
from harness.nodes.command import asgi_line, command_line

ACCOUNT = 10001
"""The number of an account that no image uses."""

API_TOKEN, APP_TOKEN = "dapr-api-token", "app-api-token"
LEAST_GRACE, MARGIN = 30, 5
"""Seconds: the least that a pod is given to end, and what it is given beside its sidecar's."""

PROBE_PERIOD = 2


@dataclass(frozen=True)
class Workload:
    """One app as Kubernetes objects.

    Attributes:
        app: the app.
        system: the name of the system, its Secret and its image.
        namespace: the namespace of the system.
        configuration: the name of the Configuration of its pods; "" for none.
        reads_secrets: whether it may read secrets through its sidecar.
        values: what an installation can configure.
        lag: the triggers of KEDA, if it is scaled by lag.
    """

    app: App
    system: str
    namespace: Any
    configuration: str
    reads_secrets: bool
    values: Values
    lag: Sequence[Object] = ()

    def objects(self) -> Iterator[Object]:
        """In the order in which they need each other."""
        yield self._account()
        if self.reads_secrets:
            yield from self._permission()
        yield self._deployment()
        if self.app.listens:
            yield self._service()
        yield from self._autoscaler()
        yield from self._disruption_budget()

    def _account(self) -> Object:
        """An account of its own, without a token: its sidecar's identity comes from a volume."""
        return {
            **self._of("v1", "ServiceAccount"),
            "automountServiceAccountToken": False,
        }

    def _permission(self) -> Iterator[Object]:
        """Read this system's Secret, and no other."""
        group = "rbac.authorization.k8s.io"
        reading = {
            "apiGroups": [""],
            "resources": ["secrets"],
            "resourceNames": [self.system],
            "verbs": ["get"],
        }
        name = f"{self.app.name}-secrets"
        yield {**self._of(f"{group}/v1", "Role", name), "rules": [reading]}
        account = {"kind": "ServiceAccount", "name": self.app.name, "namespace": self.namespace}
        yield {
            **self._of(f"{group}/v1", "RoleBinding", name),
            "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
            "subjects": [account],
        }

    def _deployment(self) -> Object:
        labels = {NAME: self.app.name, "app.kubernetes.io/part-of": self.system}
        pod = {"annotations": self._annotations(), "labels": labels}
        spec = {
            "replicas": self._replicas(),
            # A pod is replaced when the new one is ready, so that nothing is unavailable meanwhile.
            "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "selector": {"matchLabels": {NAME: self.app.name}},
            "template": {"metadata": pod, "spec": self._pod()},
        }
        return {
            **self._of("apps/v1", "Deployment"),
            "spec": {key: value for key, value in spec.items() if value is not None},
        }

    def _annotations(self) -> dict[str, str]:
        app = self.app
        identity = {
            "enabled": "true",
            "app-id": app.app_id,
            "app-port": str(PORT) if app.listens else "",
            "config": self.configuration,
            "api-token-secret": f"{self.system}-{API_TOKEN}",
            "app-token-secret": f"{self.system}-{APP_TOKEN}",
        }
        return annotations_of(app, identity, self.values, reads_secrets=self.reads_secrets)

    def _pod(self) -> Object:
        account = {
            "runAsNonRoot": True,
            "runAsUser": ACCOUNT,
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        return {
            "serviceAccountName": self.app.name,
            "automountServiceAccountToken": self.reads_secrets,
            "terminationGracePeriodSeconds": self._grace(),
            "securityContext": account,
            "containers": [{key: value for key, value in self._container().items() if value}],
        }

    def _container(self) -> Object:
        app, values = self.app, self.values
        given = {"requests": dict(app.kubernetes.requests), "limits": dict(app.kubernetes.limits)}
        resources = {kind: each for kind, each in given.items() if each}
        return {
            "name": "app",
            "image": self._image(),
            "imagePullPolicy": values.get("image", "pullPolicy", default="IfNotPresent"),
            "command": _command(app),
            "env": list(self._env()),
            "envFrom": self._env_from(),
            "ports": [{"name": "http", "containerPort": PORT}] if app.listens else [],
            **(_probes(app) if app.listens else {}),
            "lifecycle": self._lifecycle(),
            "resources": values.data("resources", app.name, "app", default=resources),
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": True,
            },
        }

    def _lifecycle(self) -> Object:
        """Listen for a while after the pod was told to end: clients learn of it only then."""
        seconds = self.app.kubernetes.listening_seconds()
        return {"preStop": {"sleep": {"seconds": seconds}}} if self.app.listens and seconds else {}

    def _grace(self) -> int:
        """Seconds after which Kubernetes kills the pod."""
        return max(LEAST_GRACE, self.app.kubernetes.ending_seconds() + MARGIN)

    def _image(self) -> str:
        if self.app.image:
            return self.app.image
        repository = self.values.get("image", "repository", default=self.system)
        return f"{repository}:{self.values.get('image', 'tag', default='latest')}"

    def _env(self) -> Iterator[Object]:
        """The variables that the harness sets for an app; the injector sets the sidecar's ports."""
        app = self.app
        plain = {"PYTHONUNBUFFERED": "1", "APP_ID": app.app_id, "APP_HOST": "0.0.0.0"}  # noqa: S104 - a pod is reached from outside
        if app.listens:
            plain["APP_PORT"] = str(PORT)
        for name, value in plain.items():
            yield {"name": name, "value": value}
        for name, secret in (("DAPR_API_TOKEN", API_TOKEN), ("APP_API_TOKEN", APP_TOKEN)):
            yield _from_secret(name, f"{self.system}-{secret}", "token")
        for name, value in app.env.items():
            if name in secret_env(app):
                yield _from_secret(name, self.system, name)
            else:
                yield {"name": name, "value": value}

    def _env_from(self) -> Any:
        """Variables that only an installation knows, such as the name of its ingress."""
        path = ("envFrom", self.app.name)
        given = self.values.expression(*path, default="")
        return self.values.field_when(given, False, self.values.data(*path, default=[]))

    def _service(self) -> Object:
        """For clients outside Dapr: apps find each other through their sidecars."""
        return {
            **self._of("v1", "Service"),
            "spec": {
                "selector": {NAME: self.app.name},
                "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
            },
        }

    def _replicas(self) -> Any:
        """A number, unless the autoscaler sets it: each installation would undo what it did."""
        number = self.values.get("replicas", self.app.name, default=self._least())
        if not self._scaled():
            return number
        return self.values.field_when(f"not {self._is_scaled()}", False, number)

    def _autoscaler(self) -> Iterator[Object]:
        if not self._scaled():
            return
        own, name = self.app.kubernetes, self.app.name

        def value(key: str, default: int) -> Any:
            return self.values.get("autoscaling", name, key, default=default)

        target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
        least = value("minReplicas", self._least())
        most = value("maxReplicas", own.max_replicas)
        if own.lag_target:
            body = self._of("keda.sh/v1alpha1", "ScaledObject")
            bounds = {"minReplicaCount": least, "maxReplicaCount": most}
            spec = {"scaleTargetRef": target, **bounds, "triggers": list(self.lag)}
        else:
            body = self._of("autoscaling/v2", "HorizontalPodAutoscaler")
            bounds = {"minReplicas": least, "maxReplicas": most}
            busy = value("targetCPUUtilizationPercentage", own.cpu_target)
            spec = {"scaleTargetRef": target, **bounds, "metrics": [_cpu(busy)]}
        yield from self.values.when(self._is_scaled(), True, {**body, "spec": spec})

    def _disruption_budget(self) -> Iterator[Object]:
        """Pods are moved one at a time; the budget of a single pod would only block its node."""
        values, name = self.values, self.app.name
        number = values.expression("replicas", name, default=self._least())
        if self._scaled():
            least = values.expression("autoscaling", name, "minReplicas", default=self._least())
            number = f"(ternary {least} {number} {self._is_scaled()})"
        spec = {
            "maxUnavailable": 1,
            "selector": {"matchLabels": {NAME: name}},
            # A pod that is not ready serves no requests, so it must not block a drain of its node.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        }
        body = {**self._of("policy/v1", "PodDisruptionBudget"), "spec": spec}
        yield from values.when(f"gt (int {number}) 1", self._least() > 1, body)

    def _least(self) -> int:
        return self.app.kubernetes.replicas or self.app.replicas

    def _scaled(self) -> bool:
        return self.app.kubernetes.max_replicas > 0

    def _is_scaled(self) -> str:
        return self.values.expression("autoscaling", self.app.name, "enabled", default=True)

    def _of(self, version: str, kind: str, name: str = "") -> Object:
        metadata = {"name": name or self.app.name, "labels": {NAME: self.app.name}}
        return {"apiVersion": version, "kind": kind, "metadata": metadata}


def secret_env(app: App) -> list[str]:
    """Variables that refer to other nodes: addresses with their passwords."""
    return [name for name, value in app.env.items() if list(placeholders(value))]


def _from_secret(name: str, secret: str, key: str) -> Object:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


def _cpu(percent: Any) -> Object:
    target = {"type": "Utilization", "averageUtilization": percent}
    return {"type": "Resource", "resource": {"name": "cpu", "target": target}}


def _command(app: App) -> list[str]:
    everywhere = Endpoint("0.0.0.0", PORT)  # noqa: S104 - a pod is reached from outside
    if app.asgi:
        return list(asgi_line("python3", app.asgi, everywhere))
    return list(command_line(app.command, everywhere, in_container=True))


def _probes(app: App) -> dict[str, Object]:
    """The liveness probe begins after the startup probe: a slow start is not a failure."""
    attempts = -(-app.kubernetes.startup_seconds // PROBE_PERIOD)
    return {
        "startupProbe": {**_probe(app, PROBE_PERIOD), "failureThreshold": attempts},
        "readinessProbe": _probe(app, PROBE_PERIOD),
        "livenessProbe": _probe(app, 20),
    }


def _probe(app: App, period: int) -> Object:
    how: Object = {"tcpSocket": {"port": "http"}}
    if app.health:
        how = {"httpGet": {"path": app.health, "port": "http"}}
    return {**how, "periodSeconds": period, "timeoutSeconds": 2}
