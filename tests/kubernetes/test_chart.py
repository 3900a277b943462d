"""The chart, rendered by Helm itself."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import App, Receiver, Settings, Topology
from harness.manifests.project import KubernetesProject
from scenarios.topology import todo
from tests.kubernetes.validate import validate
from tests.support import ROOT

pytestmark = pytest.mark.real

CHART = ROOT / "kubernetes" / "chart"
GIVEN = {
    "secrets.DATABASE_URL": "postgresql://a:b@pg/todo",
    "secrets.STATE_STORE_DSN": "postgresql://a:b@pg/state",
    "secrets.BETTER_AUTH_SECRET": "0x31323334",
    "secrets.daprApiToken": "1234",
    "secrets.appApiToken": "true",
}
"""Texts that YAML would take for a number and a truth, were they not quoted."""


def template(helm: Path, **values: str) -> subprocess.CompletedProcess[str]:
    """`helm template` with some values."""
    said = [word for name, value in values.items() for word in ("--set-string", f"{name}={value}")]
    return subprocess.run(
        [str(helm), "template", "mine", str(CHART), "--namespace", "todo", *said],
        capture_output=True, text=True,
    )  # fmt: skip


def installed(
    helm: Path, *values: str, chart: Path = CHART, namespace: str = "todo"
) -> dict[tuple[str, str], dict[str, Any]]:
    """The objects of a release, all of them valid.

    Args:
        helm: Helm.
        values: ``name=value``, of the type that Helm takes them for.
        chart: the chart's folder.
        namespace: the namespace to install into.
    """
    words = [word for each in ("existingSecrets=true", *values) for word in ("--set", each)]
    done = subprocess.run(
        [str(helm), "template", "mine", str(chart), "--namespace", namespace, *words],
        capture_output=True, text=True,
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr
    found = objects(done.stdout)
    for body in found.values():
        validate(body)
    return found


def of_pod(found: dict[tuple[str, str], dict[str, Any]], app: str) -> dict[str, str]:
    """Of an app's pods."""
    template = found["Deployment", app]["spec"]["template"]
    return dict(template["metadata"]["annotations"])


def objects(text: str) -> dict[tuple[str, str], dict[str, Any]]:
    """By kind and name."""
    bodies = [body for body in yaml.safe_load_all(text) if body]
    return {(body["kind"], body["metadata"]["name"]): body for body in bodies}


def test_the_chart_renders_the_manifests(helm: Path) -> None:
    """With its defaults, object by object, and with the given Secrets. All are valid."""
    done = template(helm, **GIVEN)
    assert 0 == done.returncode, done.stderr
    found = objects(done.stdout)
    files = sorted((ROOT / "kubernetes" / "manifests").glob("*.yaml"))
    plain = objects("---\n".join(file.read_text() for file in files))

    secrets = {key: found.pop(key) for key in list(found) if key[0] == "Secret"}
    # Helm itself creates the namespace that it installs into.
    del plain["Namespace", "todo"]

    assert plain == found
    for body in (*found.values(), *secrets.values()):
        validate(body)
    assert {
        "todo": {
            "DATABASE_URL": "postgresql://a:b@pg/todo",
            "STATE_STORE_DSN": "postgresql://a:b@pg/state",
            "BETTER_AUTH_SECRET": "0x31323334",
        },
        "todo-dapr-api-token": {"token": "1234"},
        "todo-app-api-token": {"token": "true"},
    } == {name: body["stringData"] for (_, name), body in secrets.items()}


def test_chart_values_are_rendered(helm: Path) -> None:
    """Image, number of replicas, and where the cluster's own brokers and receivers are."""
    values = {
        "image.repository": "registry.example.org/todo",
        "image.tag": "7",
        "broker.brokers": "kafka-0:9092\\,kafka-1:9092",
        "receiver.url": "https://hooks.example.org",
    }
    done = subprocess.run(
        [str(helm), "template", "mine", str(CHART), "--set", "replicas.frontend=3",
         *(w for n, v in {**GIVEN, **values}.items() for w in ("--set-string", f"{n}={v}"))],
        capture_output=True, text=True,
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr
    found = objects(done.stdout)

    frontend = found["Deployment", "frontend"]["spec"]
    image = frontend["template"]["spec"]["containers"][0]["image"]
    pubsub = found["Component", "pubsub"]["spec"]["metadata"]
    webhook = found["Component", "webhook"]["spec"]["metadata"]
    assert (3, "registry.example.org/todo:7") == (frontend["replicas"], image)
    assert {"name": "brokers", "value": "kafka-0:9092,kafka-1:9092"} in pubsub
    assert {"name": "url", "value": "https://hooks.example.org/webhooks"} in webhook
    for body in found.values():
        validate(body)


@pytest.mark.parametrize("missing", sorted(GIVEN))
def test_the_chart_requires_every_secret(helm: Path, missing: str) -> None:
    """Nothing is installed with an empty password."""
    done = template(helm, **{name: value for name, value in GIVEN.items() if name != missing})

    assert 0 != done.returncode
    assert f"set {missing}" in done.stderr


def test_the_chart_requires_the_credentials_of_a_broker(helm: Path, tmp_path: Path) -> None:
    """Its username and its root certificate as well as its password; the mechanism is a value."""
    folders = ("components", "components/sasl-tls")
    mine = todo(resources=folders, sasl="SCRAM-SHA-512", tls=True)
    KubernetesProject(mine, Settings.load(ROOT), tmp_path, "todo").write()
    broker = {f"secrets.BROKER_{key}": "x" for key in ("USERNAME", "PASSWORD", "AUTHORITY")}

    def made(given: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        said = [word for each in given.items() for word in ("--set-string", "=".join(each))]
        return subprocess.run(
            [str(helm), "template", "mine", str(tmp_path / "chart"), *said],
            capture_output=True, text=True,
        )  # fmt: skip

    for missing in broker:
        done = made({key: each for key, each in {**GIVEN, **broker}.items() if key != missing})
        assert f"set {missing}" in done.stderr
    done = made({**GIVEN, **broker, "broker.saslMechanism": "SHA-256"})
    pubsub = objects(done.stdout)["Component", "pubsub"]
    assert {"name": "saslMechanism", "value": "SHA-256"} in pubsub["spec"]["metadata"]


def test_existing_secrets_are_used_instead_of_rendered_ones(helm: Path) -> None:
    """Then the chart makes none."""
    done = subprocess.run(
        [str(helm), "template", "mine", str(CHART), "--set", "existingSecrets=true"],
        capture_output=True, text=True,
    )  # fmt: skip

    assert 0 == done.returncode, done.stderr
    assert not [key for key in objects(done.stdout) if key[0] == "Secret"]


def test_every_object_is_in_the_namespace_of_the_release(helm: Path, tmp_path: Path) -> None:
    """Access control names it as well: Dapr compares a caller's namespace."""
    mine = todo(resources=("components", "components/mtls"), mtls=True)
    KubernetesProject(mine, Settings.load(ROOT), tmp_path, "todo").write()
    found = installed(helm, chart=tmp_path / "chart", namespace="shops")
    control = found["Configuration", "backend-service"]["spec"]["accessControl"]

    assert {"shops"} == {body["metadata"]["namespace"] for body in found.values()}
    assert {"shops"} == {policy["namespace"] for policy in control["policies"]}


def test_an_installation_chooses_how_sidecars_log_and_are_measured(helm: Path) -> None:
    """Annotations, and the port that the NetworkPolicies open for monitoring."""
    found = installed(
        helm, "sidecar.logLevel=debug", "sidecar.logAsJson=true", "sidecar.apiLogging=false",
        "sidecar.metrics.enabled=false", "sidecar.metrics.port=9191",
        "networkPolicy.namespaces.monitoring=prometheus",
    )  # fmt: skip
    said = of_pod(found, "frontend")

    assert ("debug", "true", "false", "false", "9191") == tuple(
        said[f"dapr.io/{name}"]
        for name in ("log-level", "log-as-json", "enable-api-logging", "enable-metrics",
                     "metrics-port")
    )  # fmt: skip
    assert {
        "from": [{"namespaceSelector": {
            "matchLabels": {"kubernetes.io/metadata.name": "prometheus"}}}],
        "ports": [{"port": 9191, "protocol": "TCP"}],
    } in found["NetworkPolicy", "frontend"]["spec"]["ingress"]  # fmt: skip


def test_an_installation_chooses_when_sidecars_are_probed(helm: Path) -> None:
    """Delays, timeouts, periods and thresholds of both probes."""
    names = {"delaySeconds": "delay-seconds", "timeoutSeconds": "timeout-seconds",
             "periodSeconds": "period-seconds", "threshold": "threshold"}  # fmt: skip
    probes = [(probe, name) for probe in ("liveness", "readiness") for name in names]
    values = [f"sidecar.{p}Probe.{name}={i}" for i, (p, name) in enumerate(probes, 11)]
    said = of_pod(installed(helm, *values), "frontend")

    assert [str(i) for i, _ in enumerate(probes, 11)] == [
        said[f"dapr.io/sidecar-{probe}-probe-{names[name]}"] for probe, name in probes
    ]


def test_an_installation_chooses_resources(helm: Path) -> None:
    """Of an app and of its sidecar, each its own; those of others stay as they are."""
    found = installed(
        helm, "resources.frontend.app.limits.cpu=2", "resources.frontend.daprd.limits.cpu=500m",
        "resources.frontend.daprd.requests.memory=64Mi",
    )  # fmt: skip
    (container,) = found["Deployment", "frontend"]["spec"]["template"]["spec"]["containers"]
    said = of_pod(found, "frontend")

    assert {
        "requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"cpu": 2, "memory": "512Mi"}
    } == container["resources"]  # fmt: skip
    assert ("100m", "64Mi", "500m", "512Mi") == tuple(
        said[f"dapr.io/sidecar-{each}"]
        for each in ("cpu-request", "memory-request", "cpu-limit", "memory-limit")
    )
    assert "dapr.io/sidecar-cpu-limit" not in of_pod(found, "backend-service")


def test_an_installation_adds_variables_of_an_app(helm: Path) -> None:
    """Such as the name of its ingress, which no topology knows."""
    found = installed(helm, "envFrom.frontend[0].configMapRef.name=hosts")
    containers = {
        name: found["Deployment", name]["spec"]["template"]["spec"]["containers"][0]
        for name in ("frontend", "backend-service")
    }

    assert [{"configMapRef": {"name": "hosts"}}] == containers["frontend"]["envFrom"]
    assert "envFrom" not in containers["backend-service"]


def test_an_installation_chooses_how_an_app_is_scaled(helm: Path) -> None:
    """The autoscaler's bounds and target."""
    path = "autoscaling.backend-service"
    found = installed(
        helm, f"{path}.minReplicas=3", f"{path}.maxReplicas=9",
        f"{path}.targetCPUUtilizationPercentage=50",
    )  # fmt: skip
    spec = found["HorizontalPodAutoscaler", "backend-service"]["spec"]

    assert (3, 9) == (spec["minReplicas"], spec["maxReplicas"])
    assert 50 == spec["metrics"][0]["resource"]["target"]["averageUtilization"]


def test_without_autoscaling_a_deployment_states_its_replicas(helm: Path) -> None:
    """And with it, it does not: each upgrade would undo the autoscaler's choice."""
    off = installed(helm, "autoscaling.backend-service.enabled=false", "replicas.backend-service=5")

    assert 5 == off["Deployment", "backend-service"]["spec"]["replicas"]
    assert ("HorizontalPodAutoscaler", "backend-service") not in off
    assert "replicas" not in installed(helm)["Deployment", "backend-service"]["spec"]


@pytest.mark.parametrize(
    ("app", "values", "protected"),
    [
        ("frontend", ("replicas.frontend=1",), False),
        ("frontend", ("replicas.frontend=2",), True),
        ("backend-service", ("autoscaling.backend-service.minReplicas=1",), False),
        ("notification-service", ("autoscaling.notification-service.minReplicas=2",), True),
        ("notification-service", ("replicas.notification-service=2",), False),
        (
            "backend-service",
            ("autoscaling.backend-service.enabled=false", "replicas.backend-service=1"),
            False,
        ),
        (
            "notification-service",
            ("autoscaling.notification-service.enabled=false", "replicas.notification-service=2"),
            True,
        ),
    ],
)
def test_several_pods_of_an_installation_have_a_disruption_budget(
    helm: Path, app: str, values: tuple[str, ...], protected: bool
) -> None:
    """By the number that counts: the autoscaler's least, or the Deployment's."""
    assert protected == (("PodDisruptionBudget", app) in installed(helm, *values))


def test_an_installation_says_where_its_nodes_are(helm: Path) -> None:
    """Port and place of a broker, in the policies of those that use it; or no policies at all."""
    place = "broker.egress.to[0].ipBlock.cidr=10.0.0.0/8"
    found = installed(helm, "broker.egress.ports[0].port=9093", place)
    off = installed(helm, "networkPolicy.enabled=false")

    for app in ("backend-service", "frontend", "notification-service", "recurring-task-service"):
        assert {
            "to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": 9093}]
        } in found["NetworkPolicy", app]["spec"]["egress"]  # fmt: skip
    assert not [key for key in off if key[0] == "NetworkPolicy"]


def test_a_dash_in_the_name_of_a_node_is_no_operator(helm: Path, tmp_path: Path) -> None:
    """Helm's language takes it for one."""
    app = App("shop", asgi="m:a", env={"WHERE": "${mail-box.url}"})
    mine = KubernetesProject(
        Topology(app, Receiver(name="mail-box")), Settings.load(tmp_path, {}), tmp_path, "todo"
    )
    mine.write()
    found = installed(helm, "mail-box.egress.ports[0].port=8025", chart=tmp_path / "chart")

    assert {"ports": [{"port": 8025}]} in found["NetworkPolicy", "shop"]["spec"]["egress"]


def test_helm_lint_finds_nothing(helm: Path) -> None:
    """`helm lint`, warnings included."""
    said = [word for name, value in GIVEN.items() for word in ("--set-string", f"{name}={value}")]
    done = subprocess.run(
        [str(helm), "lint", "--strict", str(CHART), *said], capture_output=True, text=True
    )

    assert 0 == done.returncode, done.stdout
