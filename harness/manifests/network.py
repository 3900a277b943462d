"""NetworkPolicies: each pod is reached by, and reaches, what the topology says and nothing else.

A policy selects pods, so it speaks of the ports that pods listen on, not of those of Services.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.core.node import Node
from harness.core.placeholders import RESERVED, placeholders
from harness.dapr.resources import DaprResource
from harness.manifests.annotations import metrics_port
from harness.manifests.resources import OWN_NAMESPACE
from harness.manifests.values import Object, Values
from harness.nodes.app import App
from harness.nodes.kafka import Kafka
from harness.nodes.postgres import Postgres
from harness.nodes.redis import Redis
from harness.nodes.redpanda import Redpanda

NAME = "app.kubernetes.io/name"
PORT = 8000
"""The port on which every app listens, because each app has its own pod."""

SIDECAR_PORT = 50002
"""The port on which a sidecar listens for other sidecars; its API is on the pod's loopback."""

CONTROL_PLANE = (6500, 50001, 50005, 50006)
"""Operator, sentry, placement and scheduler: the ports of their pods."""

API_SERVER = (443, 6443)
DNS = 53
NODES: Mapping[type[Node], int] = {Kafka: 9092, Redpanda: 9092, Postgres: 5432, Redis: 6379}
KEYS = {"brokers": 9092, "address": 6379, "dsn": 5432, "smtp": 25, "port": 80, "url": 80}
"""Ports by what an app asks of a node of another class."""

SCHEMES = {"http": 80, "https": 443, "amqp": 5672, "amqps": 5671, "mqtt": 1883, "redis": 6379}
_ADDRESS = re.compile(
    r"(?:(?P<scheme>[a-z]+)://)?(?:[^/@\s]*@)?[\w.-]*[a-z.][\w.-]*(?::(?P<port>\d+))?(?:/.*)?"
)


@dataclass(frozen=True)
class Traffic:
    """What one app says about its connections.

    Attributes:
        app: the app.
        resources: the Dapr resources that its sidecar loads.
        access: ``spec.accessControl`` of its Configuration; empty if it has none.
        reads_secrets: whether its sidecar asks Kubernetes for secrets.
    """

    app: App
    resources: Sequence[DaprResource]
    access: Mapping[str, Any]
    reads_secrets: bool

    def used(self) -> dict[str, set[str]]:
        """The keys that it, its sidecar and its resources ask of other nodes, by node."""
        texts = [*self.app.env.values(), *self.app.sidecar_env.values()]
        texts += [text for each in self.resources for text in _texts(each.body)]
        found: dict[str, set[str]] = {}
        for text in texts:
            for node, key in placeholders(text):
                if node != RESERVED:
                    found.setdefault(node, set()).add(key)
        return found

    def callers(self, apps: Sequence[App]) -> list[str]:
        """The apps whose sidecars may call this one's: all, unless its access control says less.

        Its own replicas are always among them, because actors and workflows are spread over them.
        """
        allowed = self._allowed({app.app_id for app in apps}) if self.app.listens else set()
        return [app.name for app in apps if app.app_id in allowed | {self.app.app_id}]

    def literal_ports(self) -> list[int]:
        """The ports of addresses that components contain literally."""
        found = {port for each in self.resources for port in _literal_ports(each)}
        return sorted(found)

    def _allowed(self, everybody: set[str]) -> set[str]:
        """Who may call at least one operation, as pkg/acl of Dapr decides it."""
        policies = [each for each in self.access.get("policies") or [] if _is_of_ours(each)]
        default = str(self.access.get("defaultAction") or ("deny" if policies else "allow"))
        named = {str(each.get("appId")): _allows(each, default) for each in policies}
        return {each for each in everybody if named.get(each, _is_allow(default))}


class Network:
    """The NetworkPolicies of one system.

    Args:
        nodes: the nodes of its topology.
        traffic: what its apps say about their connections.
        values: what an installation can configure.
    """

    def __init__(self, nodes: Sequence[Node], traffic: Sequence[Traffic], values: Values) -> None:
        self._nodes = {node.name: node for node in nodes}
        self._traffic = {each.app.name: each for each in traffic}
        self._apps = [each.app for each in traffic]
        self._values = values

    def policy(self, app: App) -> list[Object]:
        """The policy of an app's pods, if the installation wants policies."""
        path = ("networkPolicy", "enabled")
        enabled = self._values.expression(*path, default=True)
        spec = {
            "podSelector": {"matchLabels": {NAME: app.name}},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": list(self._ingress(app)),
            "egress": list(self._egress(app)),
        }
        body = {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": app.name},
            "spec": spec,
        }
        return self._values.when(enabled, True, body)

    def _ingress(self, app: App) -> Iterator[Object]:
        yield {
            "from": [_pods(self._traffic[app.name].callers(self._apps))],
            "ports": _ports(SIDECAR_PORT),
        }
        clients = [each.name for each in self._apps if app.name in self._direct(each)]
        if app.listens and app.kubernetes.exposed:
            yield {"ports": _ports(PORT)}
        elif app.listens and clients:
            yield {"from": [_pods(clients)], "ports": _ports(PORT)}
        monitoring = self._namespace("monitoring", "monitoring")
        yield {"from": [monitoring], "ports": _ports(metrics_port(self._values))}

    def _egress(self, app: App) -> Iterator[Object]:
        own = self._traffic[app.name]
        dns = [{"port": DNS, "protocol": protocol} for protocol in ("UDP", "TCP")]
        yield {"to": [self._namespace("dns", "kube-system")], "ports": dns}
        yield {"to": [self._namespace("dapr", "dapr-system")], "ports": _ports(*CONTROL_PLANE)}
        called = [t.app.name for t in self._traffic.values() if app.name in t.callers(self._apps)]
        yield {"to": [_pods(called)], "ports": _ports(SIDECAR_PORT)}
        if direct := self._direct(app):
            yield {"to": [_pods(direct)], "ports": _ports(PORT)}
        for name, keys in sorted(own.used().items()):
            if name not in self._traffic:
                yield self._values.data(name, "egress", default=self._towards(name, keys))
        if literal := own.literal_ports():
            yield {"ports": _ports(*literal)}
        if own.reads_secrets:
            yield {"ports": _ports(*API_SERVER)}

    def _direct(self, app: App) -> list[str]:
        """The apps to which this one connects without their sidecars."""
        used = self._traffic[app.name].used()
        return [name for name in self._traffic if name in used]

    def _towards(self, name: str, keys: set[str]) -> Object:
        """The rule for a node that is not an app: any destination, because its address is a value.

        All apps share the node's value, so it covers what any of them asks.
        """
        keys = keys.union(*(each.used().get(name, ()) for each in self._traffic.values()))
        node = self._nodes.get(name)
        fixed = [port for each, port in NODES.items() if isinstance(node, each)]
        if ports := sorted(fixed or {KEYS[key] for key in keys if key in KEYS}):
            return {"ports": _ports(*ports)}
        # Its port is not known: by default, its address is a Service of the same namespace.
        return {"to": [{"podSelector": {}}]}

    def _namespace(self, purpose: str, default: str) -> Object:
        name = self._values.get("networkPolicy", "namespaces", purpose, default=default)
        return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}


def _pods(names: Sequence[str]) -> Object:
    among = {"key": NAME, "operator": "In", "values": sorted(names)}
    return {"podSelector": {"matchExpressions": [among]}}


def _ports(*ports: Any) -> list[Object]:
    return [{"port": port, "protocol": "TCP"} for port in ports]


def _is_of_ours(policy: Mapping[str, Any]) -> bool:
    return policy.get("namespace") == OWN_NAMESPACE


def _is_allow(action: Any) -> bool:
    return str(action).lower() == "allow"


def _allows(policy: Mapping[str, Any], default: str) -> bool:
    """Whether a policy allows anything at all."""
    operations = policy.get("operations") or []
    actions = [policy.get("defaultAction") or default, *(each.get("action") for each in operations)]
    return any(map(_is_allow, actions))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)


def _literal_ports(resource: DaprResource) -> Iterator[int]:
    values = {name: str(item.get("value", "")) for name, item in resource.fields().items()}
    if resource.kind == "HTTPEndpoint":
        values["baseUrl"] = str(resource.spec.get("baseUrl", ""))
    for name, value in values.items():
        if name.lower() == "port" and value.isdigit():
            yield int(value)
        for address in value.split(","):
            yield from _port_of(address)


def _port_of(address: str) -> Iterator[int]:
    match = None if "${" in address else _ADDRESS.fullmatch(address)
    if match and match["port"]:
        yield int(match["port"])
    elif match and match["scheme"] in SCHEMES:
        yield SCHEMES[match["scheme"]]
