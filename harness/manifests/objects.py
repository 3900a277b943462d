"""A topology as Kubernetes objects: its apps, their resources, their secrets.

Brokers, databases and other nodes that are not apps are provided by the cluster; their addresses
are values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from harness.core.errors import ConfigError
from harness.core.topology import Topology
from harness.dapr.lint import check_resources, require_sound
from harness.dapr.resources import DaprResource, for_app, read_resources
from harness.manifests.filling import Filling
from harness.manifests.lag import triggers
from harness.manifests.network import Network, Traffic
from harness.manifests.resources import (
    configuration,
    in_cluster,
    may_read,
    merged,
)
from harness.manifests.values import Object, Values
from harness.manifests.workload import Workload, secret_env
from harness.nodes.app import App
from harness.nodes.sidecar import LOCAL_STORES

Fill = Callable[[str, str], str]


class Objects:
    """The objects of one system.

    Args:
        topology: what to render.
        root: the project's folder.
        name: the name of the system, its Secret and its image.
        namespace: the namespace of all objects in plain manifests.
        values: what an installation can configure.

    Raises:
        ConfigError: a resource is invalid, or an app cannot run in a cluster.
    """

    def __init__(
        self, topology: Topology, root: Path, name: str, namespace: str, values: Values
    ) -> None:
        self._name = name
        self._namespace = values.namespace(namespace)
        self._values = values
        self._filling = Filling(topology.nodes, values)
        apps = [node for node in topology.nodes if isinstance(node, App)]
        # A Deployment runs all replicas of its app.
        others = {each.name for app in apps for each in app.others}
        self._apps = [app for app in apps if app.name not in others]
        self._resources = read_resources([root / path for path in topology.resources])
        names = [app.app_id for app in self._apps]
        variables = {key: value for app in self._apps for key, value in app.sidecar_env.items()}
        require_sound(check_resources(self._resources, names, variables, root))
        traffic = [self._traffic(app) for app in self._apps]
        self._network = Network(topology.nodes, traffic, values)

    def files(self) -> dict[str, list[Object]]:
        """Objects by file name: one file for each app, one for each resource."""
        found: dict[str, list[Object]] = {}
        for each in self._resources:
            if each.kind != "Configuration" and each.type not in LOCAL_STORES:
                body = in_cluster(each, self._name, self._filling)
                found[f"{each.kind.lower()}-{each.name}"] = [body]
        found |= dict(self._configurations())
        for app in self._apps:
            found[app.name] = list(self._of(app))
        return {
            file: [self._placed(each) for each in objects]
            for file, objects in sorted(found.items())
        }

    def secret_keys(self) -> list[str]:
        """The keys that this system's Secret must contain."""
        keys = {key for app in self._apps for key in secret_env(app)}
        items = [item for each in self._resources for item in each.fields().values()]
        return sorted(keys.union(filter(None, map(self._filling.secret_key, items))))

    def secret_values(self, fill: Fill) -> dict[str, str]:
        """The values of the Secret of a system that a stack runs.

        Args:
            fill: returns a text with its placeholders filled, as the app with the given name sees
                them.

        Raises:
            ConfigError: a key has no value.
        """
        found: dict[str, str] = {}
        for app in self._apps:
            given = {**app.sidecar_env, **{key: app.env[key] for key in secret_env(app)}}
            found |= {key: fill(value, app.name) for key, value in given.items()}
            for each in for_app(self._resources, app.app_id):
                for item in each.fields().values():
                    if (key := self._filling.secret_key(item)) and "value" in item:
                        found[key] = fill(str(item["value"]), app.name)
        keys = self.secret_keys()
        if missing := [key for key in keys if key not in found]:
            raise ConfigError(
                f"the Secret of the system has no value for {', '.join(missing)}",
                expected="secrets from variables of sidecars (secretstores.local.env)",
                hint="give the app sidecar_env= with this variable",
            )
        return {key: found[key] for key in keys}

    def _of(self, app: App) -> Iterator[Object]:
        yield from Workload(
            app=app,
            system=self._name,
            namespace=self._namespace,
            configuration=self._configuration(app),
            reads_secrets=self._reads_secrets(app),
            values=self._values,
            lag=self._lag(app),
        ).objects()
        yield from self._network.policy(app)

    def _lag(self, app: App) -> list[Object]:
        if not app.kubernetes.lag_target:
            return []
        return triggers(app, for_app(self._resources, app.app_id), self._filling, self._values)

    def _traffic(self, app: App) -> Traffic:
        access = self._spec(app).get("accessControl") or {}
        resources = for_app(self._resources, app.app_id)
        return Traffic(app, resources, access, self._reads_secrets(app))

    def _placed(self, body: Object) -> Object:
        """An object of this system in its namespace, where its apps must be."""
        metadata = body["metadata"]
        labels = {**metadata.get("labels", {}), "app.kubernetes.io/part-of": self._name}
        others = {key: each for key, each in metadata.items() if key not in ("name", "namespace")}
        placed = {"name": metadata["name"], "namespace": self._namespace}
        return {**body, "metadata": {**placed, **others, "labels": labels}}

    def _configurations(self) -> Iterator[tuple[str, list[Object]]]:
        """Configurations that pods refer to; an app has its own if it differs."""
        stores = [each.name for each in self._resources if each.type in LOCAL_STORES]
        for app in self._apps:
            if name := self._configuration(app):
                spec = self._spec(app)
                body = configuration(name, spec, stores, self._name, self._namespace)
                yield f"configuration-{name}", [body]

    def _configuration(self, app: App) -> str:
        """The name of an app's Configuration; "" for none."""
        own = self._own_configurations(app)
        if len(own) == 1 and not own[0].scopes:
            return own[0].name
        return app.name if own else ""

    def _spec(self, app: App) -> dict[str, Any]:
        """The spec of an app's Configuration."""
        return merged(self._own_configurations(app), self._filling)

    def _own_configurations(self, app: App) -> list[DaprResource]:
        allowed = for_app(self._resources, app.app_id)
        return [each for each in allowed if each.kind == "Configuration"]

    def _reads_secrets(self, app: App) -> bool:
        own = for_app(self._resources, app.app_id)
        stores = [each.name for each in own if each.type in LOCAL_STORES]
        return may_read(self._spec(app), stores)
