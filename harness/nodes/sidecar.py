"""A daprd sidecar and its readiness checks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from harness.dapr.client import DaprClient
from harness.dapr.health import (
    HealthCheck,
    SubscriptionsCheck,
    components_check,
    identity_check,
    placement_check,
    scheduler_check,
)
from harness.deadline import Check
from harness.endpoint import LOOPBACK
from harness.launch import Launch
from harness.nodes.base import Plain
from harness.nodes.consumer_groups import DeliveryCheck, consumer_groups, plain_fields
from harness.nodes.control import Placement, Scheduler, Sentry, sentry_address
from harness.ready.tcp import TcpCheck
from harness.topology import HOST, Book, Node, Resource

PORTS = ("http", "grpc", "internal", "metrics")
NAMES = "names"
"""The folder that all sidecars share, with the resolver's file."""


@dataclass(frozen=True)
class Sidecar(Plain):
    """The sidecar of one app.

    Attributes:
        app_id: the app that it belongs to.
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
    """

    tools = ("daprd",)

    app_id: str
    app_node: str = ""
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

    @property
    def name(self) -> str:
        """``<app-id>-daprd``."""
        return f"{self.app_id}-daprd"

    def implies(self, mtls: bool) -> tuple[Node, ...]:
        """The control plane."""
        return (Placement(), Scheduler(), *((Sentry(),) if mtls else ()))

    def plan(self, book: Book) -> Launch:
        """daprd with only this app's resources, listening only where its callers are."""
        home = book.home(self.name)
        resources = self.loaded(book, self.name)
        files = {
            f"resources/{index:02}-{each.kind.lower()}-{each.name}.yaml": each.text
            for index, each in enumerate(resources)
            if each.kind != "Configuration"
        }
        files |= {name: text for each in resources for name, text in each.companions.items()}
        configs = {"harness-config.yaml": self._configuration(book)}
        for index, each in enumerate(resources):
            if each.kind == "Configuration":
                configs[f"config-{index:02}.yaml"] = each.text
        # The folder must exist even if it is empty.
        files["resources/.keep"] = ""
        flags = {**self._flags(book), "resources-path": str(home / "resources"), **self.flags}
        argv = [f"--{key}={value}" for key, value in flags.items()]
        argv += [f"--config={home / file}" for file in configs]
        return Launch(
            name=self.name,
            argv=(str(book.tools.path("daprd")), *argv),
            env=self._environment(book),
            cwd=None if book.inside(self.name) else (book.root / self.cwd).resolve(),
            ports=tuple(book.listen(self.name, port).port for port in PORTS),
            internal=(book.listen(self.name, "internal").port,),
            files=files | configs,
            grace=4.0,
            image="daprd",
            pod=self.pod,
            inherits=not self.hermetic,
            volumes={NAMES: str(book.shared(NAMES, self.name))},
        )

    def loaded(self, book: Book, viewer: str) -> Sequence[Resource]:
        """The resources that it loads, with placeholders filled for a viewer."""
        return book.resources(self.app_id, viewer)

    def checks(self, book: Book) -> Iterator[Check]:
        """Each check implies more than the previous one."""
        token = self._token(book, "dapr-api")
        with DaprClient(book.endpoint(self.name, "http"), token) as client:
            yield from self._ladder(book, client)

    def _ladder(self, book: Book, client: DaprClient) -> Sequence[Check]:
        # Only an app that uses HTTP can be queried as daprd does.
        asked = self.app_node and self.flags.get("app-protocol", "http") == "http"
        if "subscribe" in self.flags.get("disable-init-endpoints", "").split(","):
            asked = False
        app = book.endpoint(self.app_id) if asked else None
        heard = self.app_id if self.app_node else ""
        resources = self.loaded(book, HOST)
        subscriptions = SubscriptionsCheck(
            client, app, self._token(book, "app-api"), _declared_topics(resources)
        )
        declared = {each.name: each.type for each in resources if each.kind == "Component"}
        groups = consumer_groups(resources, self.app_id, self.env)
        return (
            TcpCheck(book.endpoint(self.name, "http"), forwarded=book.inside(self.name)),
            HealthCheck(client, outbound=True, rung="outbound"),
            identity_check(client, self.app_id, book.tools.version("daprd")),
            components_check(client, declared),
            HealthCheck(client, outbound=False, rung="app", waits_for=heard),
            subscriptions,
            placement_check(client, actor_stores(resources)),
            scheduler_check(client),
            DeliveryCheck(subscriptions, groups),
        )

    def exports(self, book: Book, viewer: str = HOST) -> Mapping[str, str]:
        """``http``, ``grpc``, ``metrics``: the ports; ``token``: the token of its API."""
        return {
            **{
                port: str(book.endpoint(self.name, port).port)
                for port in ("http", "grpc", "metrics")
            },
            "token": self._token(book, "dapr-api"),
        }

    def _token(self, book: Book, purpose: str) -> str:
        return book.token(purpose) if self.token else ""

    def _environment(self, book: Book) -> dict[str, str]:
        where = f"env of {self.name}"
        env = {key: book.fill(value, where, self.name) for key, value in self.env.items()}
        if not book.inside(self.name):
            # The sqlite resolver registers this address for the app; in a container, daprd
            # determines the address in its network.
            env["DAPR_HOST_IP"] = LOOPBACK
            if not self.token:
                # Inherited values would make daprd require tokens that its callers do not have.
                env = {"DAPR_API_TOKEN": "", "APP_API_TOKEN": "", **env}
        if book.topology.mtls:
            env["DAPR_TRUST_ANCHORS"] = book.authority().anchors
        if self.token:
            env |= {
                "DAPR_API_TOKEN": book.token("dapr-api"),
                "APP_API_TOKEN": book.token("app-api"),
            }
        return env

    def _flags(self, book: Book) -> dict[str, str]:
        http, grpc, internal, metrics = (book.listen(self.name, port) for port in PORTS)
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
            app = book.endpoint(self.app_node, viewer=self.name)
            flags |= {"app-port": str(app.port), "app-channel-address": app.host}
        if "placement" in book.topology:
            flags["placement-host-address"] = str(book.endpoint("placement", viewer=self.name))
        if "scheduler" in book.topology:
            flags["scheduler-host-address"] = str(book.endpoint("scheduler", viewer=self.name))
        if book.topology.mtls:
            flags |= {"enable-mtls": "true", "sentry-address": sentry_address(book, self.name)}
        return flags

    def _configuration(self, book: Book) -> str:
        """Name resolution with a file, because mDNS fails in VPNs, containers and CI."""
        return configuration_text(str(book.shared(NAMES, self.name) / "names.db"))


def configuration_text(names_file: str) -> str:
    """The Configuration of every sidecar: names are resolved with a shared SQLite file.

    An entry is renewed every updateInterval - timeout and is valid for updateInterval. With 2 s and
    1 s, calls failed whenever a machine was busy for a second (components-contrib 1.18.3). The
    hourly clean-up of that version deletes the fresh entries instead of the old ones, and each
    sidecar then exits with "Host registration lost", so it is switched off.
    """
    names = {
        "connectionString": names_file,
        "updateInterval": "30s",
        "timeout": "25s",
        "busyTimeout": "5s",
        "cleanupInterval": "0",
    }
    resolution = {"component": "sqlite", "version": "v1", "configuration": names}
    body = {
        "apiVersion": "dapr.io/v1alpha1",
        "kind": "Configuration",
        "metadata": {"name": "harness"},
        "spec": {"nameResolution": resolution},
    }
    return str(yaml.safe_dump(body, sort_keys=False))


def actor_stores(resources: Sequence[Resource]) -> list[str]:
    """The components that declare themselves as actor state stores, in any spelling of daprd's."""
    yes = ("y", "yes", "true", "t", "on", "1")
    states = [each for each in resources if each.type.startswith("state.")]
    said = {each.name: plain_fields(each).get("actorstatestore", "").strip() for each in states}
    return [name for name, value in said.items() if value.lower() in yes]


def _declared_topics(resources: Sequence[Resource]) -> list[tuple[str, str]]:
    specs = (yaml.safe_load(each.text)["spec"] for each in resources if each.kind == "Subscription")
    return [(spec["pubsubname"], spec["topic"]) for spec in specs]
