"""NetworkPolicies on a real node: what they allow is connected, everything else is refused."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from harness.core.deadline import Deadline, Observation, poll
from tests.kubernetes.clusters import LIMIT, Place, obstacle, remains, run, up
from tests.support import CLI, ROOT, environment

pytestmark = pytest.mark.real

NAME = "policies"
IMAGE = "dapr-harness.local/busybox:1"
REFUSED = "No route to host"
"""What a client is told: the node answers for the pod."""

SERVE = """\
echo open > /tmp/index.html
/bin/busybox httpd -p 8080 -h /tmp
exec /bin/busybox httpd -f -p 9090 -h /tmp
"""
PORTS = [{"name": "main", "containerPort": 8080}, {"name": "metrics", "containerPort": 9090}]


def of(version: str, kind: str, name: str, namespace: str = "shop", **more: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **more}


def pod(name: str, namespace: str = "shop") -> dict[str, Any]:
    """A pod that serves on two ports, and from which others are asked."""
    container = {
        "name": "main", "image": IMAGE, "imagePullPolicy": "Never",
        "command": ["/bin/sh", "-c", SERVE], "ports": PORTS,
        "readinessProbe": {"tcpSocket": {"port": "metrics"}, "periodSeconds": 1},
    }  # fmt: skip
    body = of("v1", "Pod", name, namespace, spec={"containers": [container]})
    return {**body, "metadata": {**body["metadata"], "labels": {"app": name}}}


def policy(name: str, selected: str, **spec: Any) -> dict[str, Any]:
    body = {"podSelector": {"matchLabels": {"app": selected}}, **spec}
    return of("networking.k8s.io/v1", "NetworkPolicy", name, spec=body)


def objects() -> Iterator[dict[str, Any]]:
    """The pods with their namespaces, and one Service."""
    for each in NAMESPACES:
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": each}}
    yield from (pod(each) for each in ("web", "client", "other", "outside"))
    yield pod("client", "monitoring")
    port = {"port": 80, "targetPort": "main"}
    yield of("v1", "Service", "web", spec={"selector": {"app": "web"}, "ports": [port]})


NAMESPACES = ("shop", "monitoring")
CLIENTS = {"podSelector": {"matchLabels": {"app": "client"}}}
MONITORING = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
WEB = {"podSelector": {"matchLabels": {"app": "web"}}}
POLICIES = [
    policy(
        "web", "web",
        ingress=[
            {"from": [CLIENTS], "ports": [{"port": 8080}]},
            {"from": [MONITORING], "ports": [{"port": "metrics"}]},
        ],
    ),
    policy("client", "client", policyTypes=["Egress"], egress=[{"to": [WEB]}]),
    policy(
        "outside", "outside", policyTypes=["Egress"],
        egress=[{"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}],
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The environment of the commands; skips the tests where no node runs."""
    if reason := obstacle():
        pytest.skip(reason)
    return environment(tmp_path_factory.mktemp("clusters"))


@pytest.fixture(scope="module")
def pods(place: Place) -> Iterator[dict[str, str]]:
    """The addresses of pods, to some of which policies apply."""
    folder = up(place, NAME)["folder"]
    try:
        kubectl(place, "apply", "-f", "-", given=yaml.safe_dump_all(objects()))
        for each in NAMESPACES:
            run(place, "cluster", "wait", each, "--cluster", NAME)
        kubectl(place, "apply", "-f", "-", given=yaml.safe_dump_all(POLICIES))
        listed = json.loads(kubectl(place, "get", "pods", "-A", "-o", "json"))["items"]
        yield {
            f"{each['metadata']['namespace']}/{each['metadata']['name']}": each["status"]["podIP"]
            for each in listed
        }
    finally:
        run(place, "cluster", "down", NAME)
        assert [] == remains(folder)


def kubectl(place: Place, *words: str, given: str = "") -> str:
    return run(place, "kubectl", "--cluster", NAME, *words, given=given).stdout


def ask(place: Place, who: str, address: str) -> str:
    """What a pod is told that asks an address."""
    namespace, _, name = who.partition("/")
    words = ["kubectl", "--cluster", NAME, "-n", namespace, "exec", name, "--"]
    done = subprocess.run(
        [*CLI, *words, "wget", "-qO-", f"http://{address}"],
        cwd=ROOT, env=place, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout.strip() or done.stderr.strip()


def soon(place: Place, who: str, address: str, expected: str) -> None:
    """The node learns of a policy a moment after it was stored."""

    def look() -> Observation:
        told = ask(place, who, address)
        return Observation(expected in told, f"{who} -> {address}: {told}")

    seen = poll(look, Deadline(LIMIT))
    assert seen.ok, seen.fact


@pytest.mark.parametrize(
    ("who", "whom", "expected"),
    [
        ("shop/client", "shop/web:8080", "open"),
        ("shop/client", "shop/web:9090", REFUSED),
        ("shop/other", "shop/web:8080", REFUSED),
        ("monitoring/client", "shop/web:8080", REFUSED),
        ("monitoring/client", "shop/web:9090", "open"),
        ("shop/client", "shop/other:8080", REFUSED),
        ("shop/other", "shop/client:8080", "open"),
        ("shop/outside", "shop/other:8080", REFUSED),
        ("shop/outside", "shop/outside:8080", "open"),
    ],
)
def test_a_pod_reaches_and_is_reached_by_what_policies_allow(
    place: Place, pods: dict[str, str], who: str, whom: str, expected: str
) -> None:
    """By labels, namespaces, ports and their names; a pod always reaches itself."""
    name, _, port = whom.partition(":")
    soon(place, who, f"{pods[name]}:{port}", expected)


@pytest.mark.parametrize(("who", "expected"), [("client", "open"), ("other", REFUSED)])
def test_a_policy_applies_to_the_pods_behind_a_service(
    place: Place, pods: dict[str, str], who: str, expected: str
) -> None:
    """Whose names are resolved: a pod always reaches its own node, where the server for them is."""
    soon(place, f"shop/{who}", "web", expected)


def test_a_policy_that_is_removed_has_no_effect_any_more(
    place: Place, pods: dict[str, str]
) -> None:
    address = f"{pods['shop/web']}:8080"
    soon(place, "shop/other", address, REFUSED)

    kubectl(place, "-n", "shop", "delete", "networkpolicy", "web")

    soon(place, "shop/other", address, "open")
    kubectl(place, "apply", "-f", "-", given=yaml.safe_dump_all(POLICIES))
    soon(place, "shop/other", address, REFUSED)
