"""A daprd sidecar and its readiness checks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.core.deadline import Check
from harness.core.endpoint import LOOPBACK
from harness.core.launch import InContainer, InProcess, Launch
from harness.core.names import sidecar_name
from harness.core.node import Node, Resource, Scope, Target
from harness.dapr import yaml_text
from harness.dapr.health import (
    HealthCheck,
    SubscriptionsCheck,
    components_check,
    identity_check,
    placement_check,
    scheduler_check,
)
from harness.dapr.resources import plain_fields
from harness.dapr.status import SidecarStatus
from harness.nodes.base import BaseNode
from harness.nodes.consumer_groups import DeliveryCheck, Group, consumer_groups
from harness.nodes.control import Placement, Scheduler, Sentry, sentry_address
from harness.nodes.exporting import exporting
from harness.nodes.kafka_refusal import refused_component
from harness.nodes.other_groups import other_groups
from harness.ready.tcp import TcpCheck

PORTS = ("http", "grpc", "internal", "metrics")
NAMES = "names"
"""The folder that all sidecars share, with the resolver's file."""
NAME_RESOLUTION = "nameresolution.sqlite"
LOCAL_STORES = ("secretstores.local.env", "secretstores.local.file")
UNSEEN = frozenset({"components-path", "config", "mode", "resources-path"})
"""Flags with which daprd loads resources that are not known here."""


@dataclass(frozen=True)
class Sidecar(BaseNode):
    """The sidecar of one app.

    Attributes:
        app_id: the app that it belongs to.
        app: the app's node, if its name is not the app-id: replicas have one app-id.
        app_node: the node whose ``main`` port daprd calls (the app, or its inbox); "" for a
            sidecar without an app, or whose app does not listen.
        needs: nodes that must be ready first, because its components connect when it starts.
        env: variables for daprd, such as those that ``secretstores.local.env`` reads.
        flags: further daprd flags, without the leading dashes.
        token: whether its API and the app's require this stack's tokens.
        pod: the pod of its app; "" if the app is not next to it in a container.
        ports: fixed ports, by ``http``, ``grpc``, ``internal`` and ``metrics``.
        resources: folders of its own Dapr YAML; those of the topology if None.
        configurations: Configuration files; with its own resources, the only ones it reads.
        cwd: daprd's working folder, the base of relative paths in its resources, such as
            ``secretsFile``; by default, the project's root. A container has no such folder.
        hermetic: inherit only a few variables from the environment of whoever starts the stack.
        reachable: whether this machine, too, connects to its internal port in a container.
        injected: whether a cluster injects it into the pod of its app.
    """

    tools = ("daprd",)

    app_id: str
    app_node: str = ""
    app: str = ""
    needs: tuple[str, ...] = ("placement", "scheduler")
    env: Mapping[str, str] = field(default_factory=dict)
    flags: Mapping[str, str] = field(default_factory=dict)
    token: bool = True
    pod: str = ""
    ports: Mapping[str, int] = field(default_factory=dict)
    resources: tuple[Path, ...] | None = None
    configurations: tuple[Path, ...] = ()
    cwd: Path = Path()
    hermetic: bool = False
    reachable: bool = False
    injected: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "app", self.app or self.app_id)

    @property
    def fixed_ports(self) -> Mapping[str, int]:  # type: ignore[override]  # derived, not stored
        """Its fixed ports."""
        return self.ports

    @property
    def name(self) -> str:
        """Named after its app."""
        return sidecar_name(self.app)

    def resolve(self, target: Target) -> Node:
        """With virtual time, clocks make calls of cron bindings by its internal port."""
        injected = target.runtime == "kubernetes" and bool(self.pod)
        return replace(self, reachable=target.time == "virtual", injected=injected)

    def implies(self, mtls: bool) -> tuple[Node, ...]:
        """The control plane."""
        return (Placement(), Scheduler(), *((Sentry(),) if mtls else ()))

    def plan(self, scope: Scope) -> Launch:
        """daprd with only this app's resources, listening only where its callers are."""
        home = scope.home
        resources = self.loaded(scope)
        files = {
            f"resources/{index:02}-{each.kind.lower()}-{each.name}.yaml": each.text
            for index, each in enumerate(resources)
            if each.kind != "Configuration" and not self._is_replaced(each)
        }
        files |= {name: text for each in resources for name, text in each.companions.items()}
        configs = {"harness-config.yaml": self._configuration(scope)}
        for index, each in enumerate(resources):
            if each.kind == "Configuration":
                configs[f"config-{index:02}.yaml"] = each.text
        # The folder must exist even if it is empty.
        files["resources/.keep"] = ""
        flags = {**self._flags(scope), "resources-path": str(home / "resources"), **self.flags}
        argv = [f"--{key}={value}" for key, value in flags.items()]
        argv += [f"--config={home / file}" for file in configs]
        return Launch(
            name=self.name,
            argv=(str(self._program(scope, resources)), *argv),
            env=self._pod_name(resources) | self._environment(scope),
            ports={port: scope.listen(port).port for port in PORTS},
            files=files | configs,
            grace=4.0,
            process=InProcess((scope.root / self.cwd).resolve(), inherits=not self.hermetic),
            container=InContainer(
                "daprd",
                self.pod,
                () if self.reachable else ("internal",),
                {NAMES: str(scope.shared(NAMES))},
            ),
        )

    def _program(self, scope: Scope, resources: Sequence[Resource]) -> Path:
        """A daprd that has every component which it can be asked for."""
        if UNSEEN & {*self.flags}:
            return scope.tool("daprd")
        return scope.daprd(component_types(resources))

    def loaded(self, scope: Scope) -> Sequence[Resource]:
        """The resources that it loads, with placeholders filled for the viewer."""
        return scope.resources()

    def checks(self, scope: Scope) -> Iterator[Check]:
        """Each check implies more than the previous one."""
        token = self._token(scope, "dapr-api")
        with SidecarStatus(scope.endpoint("http"), token) as client:
            yield from self._ladder(scope, client)

    def explain(self, scope: Scope, log: str) -> str:
        """What a Kafka broker tells a client with the credentials of the component that failed."""
        resources = self.loaded(scope)
        return refused_component(resources, self._filled_env(scope), log)

    def _ladder(self, scope: Scope, client: SidecarStatus) -> Sequence[Check]:
        # Only an app that uses HTTP can be queried as daprd does.
        asked = self.app_node and self.flags.get("app-protocol", "http") == "http"
        if "subscribe" in self.flags.get("disable-init-endpoints", "").split(","):
            asked = False
        app = scope.address(self.app) if asked else None
        heard = self.app if self.app_node else ""
        resources = self.loaded(scope)
        subscriptions = SubscriptionsCheck(
            client,
            app,
            self._token(scope, "app-api"),
            declared_topics(resources),
            declared_topics(resources, own_queue=True),
        )
        components = [each for each in resources if each.kind == "Component"]
        declared = {each.name: each.type for each in components if not self._is_replaced(each)}
        set_here = self._pod_name(resources) | self._filled_env(scope)
        # The name of a pod, and so of its group, is not known before the cluster has made it.
        named = [each for each in resources if not (self.injected and _has_pod_name(each))]
        kafka = consumer_groups(named, self.app_id, set_here)
        others = other_groups(named, self.app_id, set_here)
        groups: dict[str, Group] = {**kafka, **others}
        return (
            TcpCheck(scope.endpoint("http"), forwarded=scope.in_container),
            HealthCheck(client, outbound=True, name="outbound"),
            identity_check(client, self.app_id, scope.version("daprd")),
            components_check(client, declared),
            HealthCheck(client, outbound=False, name="app", waits_for=heard),
            subscriptions,
            placement_check(client, actor_stores(resources)),
            scheduler_check(client),
            DeliveryCheck(subscriptions, groups),
        )

    def _is_replaced(self, resource: Resource) -> bool:
        """Whether the store of the cluster takes the place of a local store of secrets."""
        return self.injected and resource.type in LOCAL_STORES

    def exports(self, scope: Scope) -> Mapping[str, str]:
        """``http``, ``grpc``, ``metrics``: the ports; ``token``: the token of its API."""
        return {
            **{port: str(scope.endpoint(port).port) for port in ("http", "grpc", "metrics")},
            "token": self._token(scope, "dapr-api"),
        }

    def _token(self, scope: Scope, purpose: str) -> str:
        return scope.token(purpose) if self.token else ""

    def _filled_env(self, scope: Scope) -> dict[str, str]:
        where = f"env of {self.name}"
        filled = {key: scope.fill(value, where) for key, value in self.env.items()}
        return {**filled, "NAMESPACE": scope.namespace} if scope.namespace else filled

    def _environment(self, scope: Scope) -> dict[str, str]:
        env = exporting(scope, self.name, self.app_id) | self._filled_env(scope)
        if not scope.in_container:
            # The sqlite resolver registers this address for the app; in a container, daprd
            # determines the address in its network.
            env["DAPR_HOST_IP"] = LOOPBACK
            if not self.token:
                # Inherited values would make daprd require tokens that its callers do not have.
                env = {"DAPR_API_TOKEN": "", "APP_API_TOKEN": "", **env}
        if scope.mtls:
            env["DAPR_TRUST_ANCHORS"] = scope.authority().anchors
        if self.token:
            env |= {
                "DAPR_API_TOKEN": scope.token("dapr-api"),
                "APP_API_TOKEN": scope.token("app-api"),
            }
        return env

    def _pod_name(self, resources: Sequence[Resource]) -> dict[str, str]:
        """daprd rejects a component with ``{podName}`` without this variable of the injector's."""
        return {"POD_NAME": self.app} if any(map(_has_pod_name, resources)) else {}

    def _flags(self, scope: Scope) -> dict[str, str]:
        http, grpc, internal, metrics = (scope.listen(port) for port in PORTS)
        flags = {
            "app-id": self.app_id,
            "dapr-http-port": str(http.port),
            "dapr-grpc-port": str(grpc.port),
            "dapr-internal-grpc-port": str(internal.port),
            "metrics-port": str(metrics.port),
            "dapr-listen-addresses": http.host,
            "dapr-internal-grpc-listen-address": internal.host,
            "metrics-listen-address": metrics.host,
            # With the default of 5 s, every stop with a busy subscription would take all of it.
            "dapr-graceful-shutdown-seconds": "1",
        }
        if self.app_node:
            app = scope.address(self.app_node, waits=False)
            flags |= {"app-port": str(app.port), "app-channel-address": app.host}
        if scope.has("placement"):
            flags["placement-host-address"] = str(scope.address("placement", waits=False))
        if scope.has("scheduler"):
            flags["scheduler-host-address"] = str(scope.address("scheduler", waits=False))
        if scope.mtls:
            flags |= {"enable-mtls": "true", "sentry-address": sentry_address(scope)}
        return flags

    def _configuration(self, scope: Scope) -> str:
        """Name resolution with a file, because mDNS fails in VPNs, containers and CI."""
        return configuration_text(str(scope.shared(NAMES) / "hosts.db"))


def configuration_text(names_file: str) -> str:
    """The Configuration of every sidecar: names are resolved with a shared SQLite file.

    An entry is renewed every updateInterval - timeout and is valid for updateInterval. With 2 s and
    1 s, calls failed whenever a machine was busy for a second (components-contrib 1.18.3). The
    hourly clean-up of that version deletes the fresh entries instead of the old ones, and each
    sidecar then exits with "Host registration lost", so it is switched off.

    No write-ahead log: switching a new file to it does not wait for a lock. Of four sidecars that
    opened one at the same moment, some failed in 16 of 300 trials, and daprd goes on after that,
    healthy, without a name by which others can call its app. Without the log, a write locks
    readers out, so it must not wait for the disk, which has nothing to keep.
    """
    names = {
        "connectionString": f"{names_file}?_pragma=synchronous(off)",
        "disableWAL": "true",
        "updateInterval": "30s",
        "timeout": "25s",
        "busyTimeout": "5s",
        "cleanupInterval": "0",
    }
    resolution = {
        "component": NAME_RESOLUTION.partition(".")[2],
        "version": "v1",
        "configuration": names,
    }
    body = {
        "apiVersion": "dapr.io/v1alpha1",
        "kind": "Configuration",
        "metadata": {"name": "harness"},
        "spec": {"nameResolution": resolution},
    }
    return yaml_text.dump(body)


def component_types(resources: Iterable[Resource]) -> set[str]:
    """The types of the components, and of the name resolution that a Configuration chooses."""
    found = {NAME_RESOLUTION}
    for each in resources:
        if each.kind == "Configuration":
            chosen = (yaml_text.load(each.text).get("spec") or {}).get("nameResolution") or {}
            found |= {f"nameresolution.{chosen[key]}" for key in ("component",) if chosen.get(key)}
        elif each.type:
            found.add(each.type)
    return found


def actor_stores(resources: Sequence[Resource]) -> list[str]:
    """The components that declare themselves as actor state stores, in any spelling of daprd's."""
    yes = ("y", "yes", "true", "t", "on", "1")
    states = [each for each in resources if each.type.startswith("state.")]
    said = {each.name: plain_fields(each).get("actorstatestore", "").strip() for each in states}
    return [name for name, value in said.items() if value.lower() in yes]


def _has_pod_name(resource: Resource) -> bool:
    return any("{podName}" in value for value in plain_fields(resource).values())


def declared_topics(
    resources: Sequence[Resource], *, own_queue: bool = False
) -> list[tuple[str, str]]:
    """Pub/sub and topic of each declared subscription; or of those that name their queue."""
    specs = (yaml_text.load(each.text)["spec"] for each in resources if each.kind == "Subscription")
    return [
        (spec["pubsubname"], spec["topic"])
        for spec in specs
        if not own_queue or "queueName" in (spec.get("metadata") or {})
    ]
