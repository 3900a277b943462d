"""NetworkPolicies: who reaches whom, computed from the rendered policies as Kubernetes does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness import App, Kafka, Kubernetes, Postgres, Receiver, Redis
from harness.nodes.process import Process
from scenarios.topology import todo
from tests.kubernetes.rendering import one_app, rendered, the
from tests.kubernetes.validate import validate

APPS = ("backend-service", "frontend", "notification-service", "recurring-task-service")
SIDECAR, APP, METRICS = 50002, 8000, 9090
COMPONENT = """\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: NAME}
spec: {type: TYPE, version: v1, metadata: [FIELDS]}
scopes: [shop]
"""
STORE = COMPONENT.replace("NAME", "local").replace("TYPE", "secretstores.local.env")
CONTROL = """\
apiVersion: dapr.io/v1alpha1
kind: Configuration
metadata: {name: access}
spec:
  accessControl: {trustDomain: public, RULES}
scopes: [shop]
"""
ONE = "operations: [{name: /a, httpVerb: [GET], action: allow}]"
POLICY = "{appId: cart, trustDomain: public, namespace: SPACE, RULES}"
KAFKA = (
    "{name: brokers, value: 'a.example.org:9093,b.example.org:9094'}, {name: authType, value: none}"
)
MAIL = "{name: host, value: mail.example.org}, {name: port, value: '587'}"
SHOP, CART, BANK = (App(name, asgi="m:a") for name in ("shop", "cart", "bank"))


def spec(objects: list[dict[str, Any]], app: str) -> dict[str, Any]:
    """The policy of an app's pods."""
    found: dict[str, Any] = the(objects, "NetworkPolicy", app)["spec"]
    labels = the(objects, "Deployment", app)["spec"]["template"]["metadata"]["labels"]
    assert found["podSelector"]["matchLabels"].items() <= labels.items()
    assert ["Ingress", "Egress"] == found["policyTypes"]
    return found


def peers(rule: dict[str, Any], side: str) -> set[str]:
    """The apps and namespaces of a rule; `*` for everybody."""
    if side not in rule:
        return {"*"}
    found: set[str] = set()
    for peer in rule[side]:
        if labels := peer.get("namespaceSelector", {}).get("matchLabels"):
            found.add(f"namespace {labels['kubernetes.io/metadata.name']}")
        elif expressions := peer["podSelector"].get("matchExpressions"):
            (among,) = expressions
            assert ("app.kubernetes.io/name", "In") == (among["key"], among["operator"])
            found |= set(among["values"])
        else:
            found.add("own namespace")
    return found


def lets_in(objects: list[dict[str, Any]], app: str, port: int) -> set[str]:
    """Who may connect to this port of an app's pods."""
    return _side(spec(objects, app)["ingress"], "from", port)


def lets_out(objects: list[dict[str, Any]], app: str, port: int) -> set[str]:
    """To whom an app's pods may connect at this port."""
    return _side(spec(objects, app)["egress"], "to", port)


def _side(rules: list[dict[str, Any]], side: str, port: int) -> set[str]:
    fitting = [
        r for r in rules if port in {each["port"] for each in r.get("ports", [{"port": port}])}
    ]
    return {each for rule in fitting for each in peers(rule, side)}


def ports(objects: list[dict[str, Any]], app: str, side: str) -> set[int]:
    """Every port of one side of an app's policy."""
    return {each["port"] for rule in spec(objects, app)[side] for each in rule.get("ports", [])}


def test_each_app_of_the_reference_system_reaches_its_own_nodes_only() -> None:
    """The broker for all; the database and the receiver for those that refer to them."""
    objects = rendered(todo())
    everywhere = {53, 6500, 50001, 50005, 50006, SIDECAR, 9092}

    assert {
        "backend-service": everywhere | {5432},
        "frontend": everywhere,
        "notification-service": everywhere | {5432, 25, 80},
        "recurring-task-service": everywhere,
    } == {app: ports(objects, app, "egress") for app in APPS}


def test_only_sidecars_monitoring_and_clients_of_exposed_apps_are_let_in() -> None:
    """By port; the sidecar's API is on the pod's loopback, where no policy is needed."""
    objects = rendered(todo())

    for app in APPS:
        exposed = app in ("backend-service", "frontend")
        assert {SIDECAR, METRICS, *([APP] if exposed else [])} == ports(objects, app, "ingress")
        assert set(APPS) == lets_in(objects, app, SIDECAR)
        assert {"namespace monitoring"} == lets_in(objects, app, METRICS)
        assert ({"*"} if exposed else set()) == lets_in(objects, app, APP)


def test_every_pod_reaches_the_name_service_and_the_control_plane() -> None:
    """Without one of them, its sidecar does not start."""
    objects = rendered(todo())

    for app in APPS:
        assert {"namespace kube-system"} == lets_out(objects, app, 53)
        for port in (6500, 50001, 50005, 50006):
            assert {"namespace dapr-system"} == lets_out(objects, app, port)


def test_names_are_asked_for_over_both_protocols() -> None:
    """UDP first, and TCP for a long answer."""
    egress = spec(rendered(todo()), "frontend")["egress"]

    assert {"UDP", "TCP"} == {
        port["protocol"] for rule in egress for port in rule["ports"] if port["port"] == 53
    }


def test_access_control_limits_who_may_connect() -> None:
    """The reference system with mTLS: the frontend and the recurring tasks call the backend."""
    objects = rendered(todo(resources=("components", "components/mtls"), mtls=True))

    assert {"backend-service", "frontend", "recurring-task-service"} == lets_in(
        objects, "backend-service", SIDECAR
    )
    assert "backend-service" not in lets_out(objects, "notification-service", SIDECAR)
    assert "backend-service" in lets_out(objects, "frontend", SIDECAR)


@pytest.mark.parametrize(
    ("rules", "callers"),
    [
        ("defaultAction: deny", {"shop"}),
        ("defaultAction: allow", {"shop", "cart", "bank"}),
        ("defaultAction: deny, policies: [POLICY defaultAction: allow}]", {"shop", "cart"}),
        ("defaultAction: deny, policies: [POLICY defaultAction: deny}]", {"shop"}),
        ("defaultAction: allow, policies: [POLICY defaultAction: deny}]", {"shop", "bank"}),
        ("policies: [POLICY defaultAction: allow}]", {"shop", "cart"}),
        (f"defaultAction: deny, policies: [POLICY defaultAction: deny, {ONE}}}]", {"shop", "cart"}),
        ("defaultAction: deny, policies: [ELSEWHERE defaultAction: allow}]", {"shop"}),
    ],
)
def test_callers_are_those_that_access_control_allows_something(
    tmp_path: Path, rules: str, callers: set[str]
) -> None:
    """As Dapr decides it. Replicas of one app always reach each other, for actors and workflows."""
    policy = POLICY.removesuffix("RULES}")
    rules = rules.replace("POLICY", policy.replace("SPACE", "default"))
    rules = rules.replace("ELSEWHERE", policy.replace("SPACE", "elsewhere"))
    objects = one_app(tmp_path, SHOP, CART, BANK, access=CONTROL.replace("RULES", rules))

    assert callers == lets_in(objects, "shop", SIDECAR)
    for app in ("cart", "bank"):
        assert (app in callers) == ("shop" in lets_out(objects, app, SIDECAR))


def test_an_app_that_does_not_listen_is_called_by_its_replicas_only(tmp_path: Path) -> None:
    """Their sidecars share actors and workflows."""
    worker = App("worker", command=["python3", "w.py"], listens=False)
    objects = one_app(tmp_path, worker, SHOP)

    assert {"worker"} == lets_in(objects, "worker", SIDECAR)
    assert set() == lets_in(objects, "worker", APP)


def test_an_app_that_refers_to_another_connects_to_it(tmp_path: Path) -> None:
    """Past its sidecar: on both sides, and for nobody else."""
    client = App("client", asgi="m:a", env={"SHOP": "${shop.url}"})
    objects = one_app(tmp_path, SHOP, client, BANK)

    assert ({"client"}, {"shop"}) == (
        lets_in(objects, "shop", APP),
        lets_out(objects, "client", APP),
    )
    assert set() == lets_out(objects, "bank", APP)


def test_an_exposed_app_is_open_to_everybody(tmp_path: Path) -> None:
    """Another one is not, although it has a Service."""
    exposed = App("shop", asgi="m:a", kubernetes=Kubernetes(exposed=True))
    objects = one_app(tmp_path, exposed, CART)

    assert ({"*"}, set()) == (lets_in(objects, "shop", APP), lets_in(objects, "cart", APP))


@pytest.mark.parametrize(
    ("node", "reference", "expected"),
    [
        (Kafka(topics=["t"]), "${kafka.brokers}", {9092}),
        (Postgres(), "${postgres.host}", {5432}),
        (Redis(), "${redis.url}", {6379}),
        (Receiver(), "${receiver.smtp}", {25}),
        (Receiver(), "${receiver.url}", {80}),
    ],
)
def test_the_port_of_a_node_is_that_of_its_technology(
    tmp_path: Path, node: Any, reference: str, expected: set[int]
) -> None:
    """Wherever it is: its address is a value of the installation."""
    app = App("shop", asgi="m:a", env={"WHERE": reference})
    before = ports(one_app(tmp_path / "a", SHOP, node), "shop", "egress")
    objects = one_app(tmp_path / "b", app, node)

    assert expected == ports(objects, "shop", "egress") - before
    for port in expected:
        assert {"*"} == lets_out(objects, "shop", port)


def test_a_node_of_an_unknown_port_is_sought_in_the_own_namespace(tmp_path: Path) -> None:
    """Its default address is a Service there; an installation can say more."""
    app = App("shop", asgi="m:a", env={"WHERE": "${payments.host}"})
    objects = one_app(tmp_path, app, Process("payments", command=["p", "{port}"]))

    assert {"own namespace"} == lets_out(objects, "shop", 12345)


@pytest.mark.parametrize(
    ("kind", "fields", "expected"),
    [
        ("bindings.http", "{name: url, value: 'https://api.example.org/mail'}", {443}),
        ("bindings.http", "{name: url, value: 'http://api.example.org:8081'}", {8081}),
        ("pubsub.kafka", KAFKA, {9093, 9094}),
        ("bindings.smtp", MAIL, {587}),
        ("bindings.cron", "{name: schedule, value: '@every 60s'}", set()),
    ],
)  # fmt: skip
def test_a_literal_address_of_a_component_is_let_through(
    tmp_path: Path, kind: str, fields: str, expected: set[int]
) -> None:
    """For the apps that load it."""
    text = COMPONENT.replace("NAME", "there").replace("TYPE", kind).replace("FIELDS", fields)
    objects = one_app(tmp_path, SHOP, CART, there=text)
    common = ports(objects, "cart", "egress")

    assert expected == ports(objects, "shop", "egress") - common
    assert not expected & common


def test_only_an_app_that_reads_secrets_reaches_kubernetes(tmp_path: Path) -> None:
    """Its sidecar asks the API server, whose address a policy cannot know."""
    objects = one_app(tmp_path, SHOP, CART, store=STORE.replace("FIELDS", ""))

    assert ({"*"}, {"*"}) == (lets_out(objects, "shop", 443), lets_out(objects, "shop", 6443))
    assert set() == lets_out(objects, "cart", 443) | lets_out(objects, "cart", 6443)


def test_policies_are_valid(tmp_path: Path) -> None:
    """With every kind of rule."""
    client = App("client", asgi="m:a", env={"SHOP": "${shop.url}", "DB": "${postgres.dsn}"})
    objects = one_app(tmp_path, SHOP, client, Postgres(), store=STORE.replace("FIELDS", ""))

    for each in objects:
        validate(each)
