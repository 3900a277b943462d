"""A topology as Kubernetes objects: its apps, their resources, their secrets.

Brokers, databases and other nodes that are not apps are provided by the cluster; their addresses
are values. Annotations are those of Dapr's injector (pkg/injector/annotations of Dapr 1.18.2).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.core.endpoint import Endpoint
from harness.core.errors import ConfigError
from harness.core.placeholders import placeholders
from harness.core.topology import Topology
from harness.dapr.lint import check_resources, require_sound
from harness.dapr.resources import DaprResource, for_app, read_resources
from harness.nodes.app import App
from harness.nodes.command import asgi_line, command_line
from harness.render.kubernetes.resources import LOCAL_STORES, filled, in_cluster, key_of, merged
from harness.render.kubernetes.values import Values

PORT = 8000
"""The port on which every app listens, because each app has its own pod."""

ACCOUNT = 10001
"""The number of an account that no image uses."""

ANNOTATED = (
    "app-max-concurrency", "app-protocol", "enable-api-logging", "enable-app-health-check",
    "app-health-check-path", "app-health-probe-interval", "app-health-probe-timeout",
    "app-health-threshold", "log-as-json", "log-level", "max-body-size", "read-buffer-size",
)  # fmt: skip
"""Flags of daprd that are annotations of the same name."""

API_TOKEN, APP_TOKEN = "dapr-api-token", "app-api-token"
Object = dict[str, Any]


class Objects:
    """The objects of one system.

    Args:
        topology: what to render.
        root: the project's folder.
        name: the name of the system, its Secret and its image.
        values: what an installation can configure.

    Raises:
        ConfigError: a resource is invalid, or an app cannot run in a cluster.
    """

    def __init__(self, topology: Topology, root: Path, name: str, values: Values) -> None:
        self._name = name
        self._values = values
        apps = [node for node in topology.nodes if isinstance(node, App)]
        # A Deployment runs all replicas of its app.
        others = {each.name for app in apps for each in app.others}
        self._apps = [app for app in apps if app.name not in others]
        self._resources = read_resources([root / path for path in topology.resources])
        names = [app.app_id for app in self._apps]
        variables = {key: value for app in self._apps for key, value in app.sidecar_env.items()}
        require_sound(check_resources(self._resources, names, variables, root))

    def files(self) -> dict[str, list[Object]]:
        """Objects by file name: one file for each app, one for each resource."""
        found: dict[str, list[Object]] = {}
        stores = [each.name for each in self._resources if each.type in LOCAL_STORES]
        for each in self._resources:
            if each.kind != "Configuration" and each.type not in LOCAL_STORES:
                body = in_cluster(each, self._name, self._values)
                found[f"{each.kind.lower()}-{each.name}"] = [body]
        for name, configurations in self._configurations().items():
            one = merged(name, configurations, stores, self._values)
            found[f"configuration-{name}"] = [one]
        for app in self._apps:
            found[app.name] = [self._deployment(app), *([_service(app)] if app.listens else [])]
        return dict(sorted(found.items()))

    def secret_keys(self) -> list[str]:
        """The keys that this system's Secret must contain."""
        keys = {key for app in self._apps for key in _secret_env(app)}
        for each in self._resources:
            for item in each.fields().values():
                if isinstance(item.get("secretKeyRef"), dict):
                    keys.add(key_of(item["secretKeyRef"]))
        return sorted(keys)

    def _configurations(self) -> dict[str, list[DaprResource]]:
        """Configurations by the name that a pod refers to; an app has its own if it differs."""
        found = {}
        for app in self._apps:
            if own := self._own_configurations(app):
                found[self._configuration(app)] = own
        return found

    def _configuration(self, app: App) -> str:
        """The name of an app's Configuration; "" for none."""
        own = self._own_configurations(app)
        if len(own) == 1 and not own[0].scopes:
            return own[0].name
        return app.name if own else ""

    def _own_configurations(self, app: App) -> list[DaprResource]:
        allowed = for_app(self._resources, app.app_id)
        return [each for each in allowed if each.kind == "Configuration"]

    def _deployment(self, app: App) -> Object:
        labels = {"app.kubernetes.io/name": app.name, "app.kubernetes.io/part-of": self._name}
        own = {"app.kubernetes.io/name": app.name}
        pod = {"annotations": self._annotations(app), "labels": labels}
        replicas = self._values.get("replicas", app.name, default=app.replicas)
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": app.name, "labels": labels},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": own},
                "template": {"metadata": pod, "spec": self._pod(app)},
            },
        }

    def _annotations(self, app: App) -> dict[str, str]:
        annotations = {
            "enabled": "true",
            "app-id": app.app_id,
            **({"app-port": str(PORT)} if app.listens else {}),
            "config": self._configuration(app),
            "api-token-secret": f"{self._name}-{API_TOKEN}",
            "app-token-secret": f"{self._name}-{APP_TOKEN}",
        }
        for flag, value in app.sidecar_flags.items():
            if flag not in ANNOTATED:
                raise ConfigError(
                    f"the sidecar flag {flag!r} of {app.name} has no annotation",
                    expected=", ".join(ANNOTATED),
                    hint="leave it out of the topology that is rendered for a cluster",
                )
            annotations[flag] = value
        return {f"dapr.io/{key}": value for key, value in annotations.items() if value}

    def _pod(self, app: App) -> Object:
        secure = {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }
        container: Object = {
            "name": "app",
            "image": self._image(app),
            "imagePullPolicy": self._values.get("image", "pullPolicy", default="IfNotPresent"),
            "command": _command(app),
            "env": list(self._env(app)),
            "ports": [{"name": "http", "containerPort": PORT}] if app.listens else [],
            "readinessProbe": _probe(app, 2) if app.listens else None,
            "livenessProbe": _probe(app, 20) if app.listens else None,
            "resources": {
                "requests": {"cpu": "50m", "memory": "128Mi"},
                "limits": {"memory": "512Mi"},
            },
            "securityContext": secure,
        }
        account = {
            "runAsNonRoot": True,
            "runAsUser": ACCOUNT,
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        whole = {key: value for key, value in container.items() if value}
        return {"securityContext": account, "containers": [whole]}

    def _image(self, app: App) -> str:
        if app.image:
            return app.image
        repository = self._values.get("image", "repository", default=self._name)
        return f"{repository}:{self._values.get('image', 'tag', default='latest')}"

    def _env(self, app: App) -> Iterator[Object]:
        """The variables that the harness sets for an app; the injector sets the sidecar's ports."""
        plain = {"PYTHONUNBUFFERED": "1", "APP_ID": app.app_id, "APP_HOST": "0.0.0.0"}  # noqa: S104 - a pod is reached from outside
        if app.listens:
            plain["APP_PORT"] = str(PORT)
        for name, value in plain.items():
            yield {"name": name, "value": value}
        for name, secret in (("DAPR_API_TOKEN", API_TOKEN), ("APP_API_TOKEN", APP_TOKEN)):
            yield _from_secret(name, f"{self._name}-{secret}", "token")
        for name, value in app.env.items():
            if name in _secret_env(app):
                yield _from_secret(name, self._name, name)
            else:
                yield {"name": name, "value": filled(value, self._values)}


def _secret_env(app: App) -> list[str]:
    """Variables that refer to other nodes: addresses with their passwords."""
    return [name for name, value in app.env.items() if list(placeholders(value))]


def _from_secret(name: str, secret: str, key: str) -> Object:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


def _command(app: App) -> list[str]:
    everywhere = Endpoint("0.0.0.0", PORT)  # noqa: S104 - a pod is reached from outside
    if app.asgi:
        return list(asgi_line("python3", app.asgi, everywhere))
    return list(command_line(app.command, everywhere, in_container=True))


def _probe(app: App, period: int) -> Object:
    how: Object = {"tcpSocket": {"port": "http"}}
    if app.health:
        how = {"httpGet": {"path": app.health, "port": "http"}}
    return {**how, "periodSeconds": period, "timeoutSeconds": 2}


def _service(app: App) -> Object:
    """For clients outside Dapr: apps find each other through their sidecars."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": app.name},
        "spec": {
            "selector": {"app.kubernetes.io/name": app.name},
            "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
        },
    }
