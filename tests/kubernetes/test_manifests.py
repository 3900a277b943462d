"""The manifests of the reference system: valid, in step, and right about Dapr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from harness import App, ConfigError, Settings, Topology
from harness.render.kubernetes.objects import ANNOTATED
from harness.render.kubernetes.project import KubernetesProject
from scenarios.topology import todo
from tests.kubernetes.validate import validate
from tests.projects import COMPONENT
from tests.support import ROOT, project

MANIFESTS = ROOT / "kubernetes" / "manifests"
EVERYTHING = ("components", "components/mtls", "components/tracing")


def rendered(topology: Topology, root: Path = ROOT) -> list[dict[str, Any]]:
    """The objects of a topology's manifests."""
    settings = Settings.load(root)
    found = KubernetesProject(topology, settings, root / "k", "todo").rendered()
    texts = [text for name, text in found.items() if name.startswith("manifests/")]
    return [body for text in texts for body in yaml.safe_load_all(text)]


def committed() -> Iterator[Any]:
    """Every object of the repository's manifests, the example of the secrets included."""
    for file in sorted(MANIFESTS.iterdir()):
        for body in yaml.safe_load_all(file.read_text()):
            yield pytest.param(body, id=f"{body['kind']} {body['metadata']['name']}")


def the(objects: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    """One object."""
    (found,) = [o for o in objects if (o["kind"], o["metadata"]["name"]) == (kind, name)]
    return found


def annotated(objects: list[dict[str, Any]], app: str) -> dict[str, str]:
    """Of an app's pod."""
    template = the(objects, "Deployment", app)["spec"]["template"]
    found: dict[str, str] = template["metadata"]["annotations"]
    return found


@pytest.mark.parametrize("body", list(committed()))
def test_every_object_is_valid(body: dict[str, Any]) -> None:
    """For Kubernetes, and for Dapr's own resources by their CRDs."""
    validate(body)


def test_the_files_are_what_the_topology_renders() -> None:
    """Manifests and chart."""
    KubernetesProject(todo(), Settings.load(ROOT), ROOT / "kubernetes", "todo").check_drift()


def test_a_drift_is_named(tmp_path: Path) -> None:
    """Changed, missing, left over from an earlier rendering; rendered again, all is well."""
    settings = Settings.load(ROOT)
    KubernetesProject(todo(resources=EVERYTHING), settings, tmp_path, "todo").write()
    leftover = tmp_path / "manifests" / "configuration-frontend.yaml"
    mine = KubernetesProject(todo(), settings, tmp_path, "todo")
    changed, missing = tmp_path / "chart" / "Chart.yaml", tmp_path / "manifests" / "frontend.yaml"
    changed.write_text("changed")
    missing.unlink()

    with pytest.raises(ConfigError) as drifted:
        mine.check_drift()
    mine.write(force=True)

    for path in (changed, missing, leftover):
        assert str(path.relative_to(tmp_path)) in str(drifted.value)
    assert not leftover.exists()
    mine.check_drift()


def test_the_validator_can_fail() -> None:
    """A misspelled field, a missing one, a wrong type: of Kubernetes and of Dapr."""
    objects = rendered(todo())
    deployment = the(objects, "Deployment", "frontend")
    resiliency = the(objects, "Resiliency", "calls")
    for body, wrong in (
        (deployment, {"replicas": "one"}),
        (deployment, {"replica": 1}),
        (resiliency, {"target": {}}),
        (resiliency, {"policies": {"retries": {"again": {"maxRetries": "three"}}}}),
    ):
        with pytest.raises(jsonschema.ValidationError):
            validate({**body, "spec": {**body["spec"], **wrong}})


def test_each_app_has_its_sidecar_by_annotated() -> None:
    """Ids, port, tokens and Configuration; strings, as Kubernetes wants them."""
    assert {
        "dapr.io/enabled": "true",
        "dapr.io/app-id": "backend-service",
        "dapr.io/app-port": "8000",
        "dapr.io/config": "access",
        "dapr.io/api-token-secret": "todo-dapr-api-token",
        "dapr.io/app-token-secret": "todo-app-api-token",
    } == annotated(rendered(todo()), "backend-service")


def test_pods_refer_only_to_existing_objects() -> None:
    """Configurations among the manifests; Secrets and their keys in the example."""
    objects = rendered(todo(resources=EVERYTHING, mtls=True))
    configurations = {o["metadata"]["name"] for o in objects if o["kind"] == "Configuration"}
    keys = {
        (o["metadata"]["name"], key)
        for o in objects
        if o["kind"] == "Secret"
        for key in o["stringData"]
    }
    used = set()
    for each in (o for o in objects if o["kind"] == "Deployment"):
        template = each["spec"]["template"]
        assert template["metadata"]["annotations"]["dapr.io/config"] in configurations
        for variable in template["spec"]["containers"][0]["env"]:
            if "valueFrom" in variable:
                reference = variable["valueFrom"]["secretKeyRef"]
                used.add((reference["name"], reference["key"]))
    for each in (o for o in objects if o["kind"] == "Component"):
        for item in each["spec"]["metadata"]:
            if "secretKeyRef" in item:
                used.add((item["secretKeyRef"]["name"], item["secretKeyRef"]["key"]))

    assert used == keys


def test_configurations_are_one_for_each_pod() -> None:
    """A pod refers to one: what several say is put together, and scopes choose."""
    objects = rendered(todo(resources=EVERYTHING, mtls=True))
    backend = the(objects, "Configuration", "backend-service")["spec"]
    frontend = the(objects, "Configuration", "frontend")["spec"]

    assert "backend-service" == annotated(objects, "backend-service")["dapr.io/config"]
    assert {"secrets", "accessControl", "metrics", "tracing", "logging"} == set(backend)
    assert {"secrets", "metrics", "tracing", "logging"} == set(frontend)
    for each in objects:
        validate(each)


def test_credentials_are_the_clusters_secrets() -> None:
    """The built-in store, which the operator reads: no store of files or variables is left."""
    objects = rendered(todo())
    store = the(objects, "Component", "statestore")
    access = the(objects, "Configuration", "access")["spec"]["secrets"]["scopes"]

    (item,) = [each for each in store["spec"]["metadata"] if "secretKeyRef" in each]
    assert ({"secretStore": "kubernetes"}, {"name": "todo", "key": "STATE_STORE_DSN"}) == (
        store["auth"],
        item["secretKeyRef"],
    )
    assert [("kubernetes", "deny")] == [(s["storeName"], s["defaultAccess"]) for s in access]
    types = [o["spec"]["type"] for o in objects if o["kind"] == "Component"]
    assert not [each for each in types if each.startswith("secretstores.local")]


def test_a_wrong_resource_is_not_rendered(tmp_path: Path) -> None:
    """One error is enough."""
    project(tmp_path, pyproject_toml="", c__c_yaml=COMPONENT.replace("name: brokers", "name: b"))

    with pytest.raises(ConfigError, match="lacks the required field 'brokers'"):
        rendered(Topology(App("shop", asgi="m:a"), resources="c"), tmp_path)


def test_nothing_secret_is_committed() -> None:
    """Every value of the example is empty."""
    secrets = [o for o in rendered(todo()) if o["kind"] == "Secret"]

    assert 3 == len(secrets)
    assert {""} == {value for each in secrets for value in each["stringData"].values()}


def test_a_flag_that_is_no_annotation_is_refused(tmp_path: Path) -> None:
    """Those that are become annotations."""
    good = App("shop", asgi="m:a", sidecar_flags={"log-level": "debug"})
    bad = App("shop", asgi="m:a", sidecar_flags={"profile-port": "1"})
    project(tmp_path, pyproject_toml="")

    assert "debug" == annotated(rendered(Topology(good), tmp_path), "shop")["dapr.io/log-level"]
    with pytest.raises(ConfigError, match=r"'profile-port' of shop has no annotation"):
        rendered(Topology(bad), tmp_path)


def test_each_probe_has_a_handler(tmp_path: Path) -> None:
    """By one handler: Kubernetes' schema takes a probe without any, its server does not."""
    project(tmp_path, pyproject_toml="")
    plain, healthy = App("plain", asgi="m:a"), App("healthy", asgi="m:a", health="/health")
    objects = rendered(Topology(plain, healthy), tmp_path)
    handlers = {}
    for app in ("plain", "healthy"):
        (container,) = the(objects, "Deployment", app)["spec"]["template"]["spec"]["containers"]
        for probe in ("readinessProbe", "livenessProbe"):
            timing = {"periodSeconds", "timeoutSeconds"}
            handlers[app, probe] = {k: v for k, v in container[probe].items() if k not in timing}

    asked = {"httpGet": {"path": "/health", "port": "http"}}
    assert {
        ("plain", "readinessProbe"): {"tcpSocket": {"port": "http"}},
        ("plain", "livenessProbe"): {"tcpSocket": {"port": "http"}},
        ("healthy", "readinessProbe"): asked,
        ("healthy", "livenessProbe"): asked,
    } == handlers


def test_a_worker_has_neither_port_nor_service(tmp_path: Path) -> None:
    """And no probes: it only calls its sidecar."""
    project(tmp_path, pyproject_toml="")
    objects = rendered(
        Topology(App("worker", command=["python3", "w.py"], listens=False)), tmp_path
    )

    (container,) = the(objects, "Deployment", "worker")["spec"]["template"]["spec"]["containers"]
    assert not {"ports", "readinessProbe", "livenessProbe"} & set(container)
    assert "dapr.io/app-port" not in annotated(objects, "worker")
    assert not [o for o in objects if o["kind"] == "Service"]
    for each in objects:
        validate(each)


def test_a_command_runs_by_the_python_of_its_image(tmp_path: Path) -> None:
    """Not by the path of this machine's, which no image has."""
    app = App("shop", command=[sys.executable, "shop.py", "{host}", "{port}"])
    deployment = the(rendered(Topology(app), tmp_path), "Deployment", "shop")

    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert ["python3", "shop.py", "0.0.0.0", "8000"] == container["command"]


def test_every_annotation_of_the_seed_documents_exists() -> None:
    """Those of the documents, ours, and those of a sidecar's own resources."""
    known = set(json.loads(files("harness.dapr").joinpath("crds.json").read_text())["annotations"])
    said = {
        "dapr.io/enabled", "dapr.io/app-id", "dapr.io/app-port", "dapr.io/app-protocol",
        "dapr.io/app-max-concurrency", "dapr.io/enable-api-logging", "dapr.io/log-level",
        "dapr.io/enable-metrics", "dapr.io/metrics-port", "dapr.io/config",
        "dapr.io/sidecar-cpu-request", "dapr.io/sidecar-cpu-limit",
        "dapr.io/sidecar-memory-request", "dapr.io/sidecar-memory-limit",
        "dapr.io/sidecar-liveness-probe-delay-seconds",
        "dapr.io/sidecar-readiness-probe-delay-seconds",
    }  # fmt: skip
    ours = {f"dapr.io/{flag}" for flag in ANNOTATED}

    assert set() == (said | ours | set(annotated(rendered(todo()), "backend-service"))) - known


def test_manifests_leave_ports_and_services_of_sidecars_to_the_injector() -> None:
    """The sidecar's ports in the app's environment; and no Service leads to a sidecar."""
    objects = rendered(todo())
    variables = {
        variable["name"]
        for each in objects
        if each["kind"] == "Deployment"
        for variable in each["spec"]["template"]["spec"]["containers"][0]["env"]
    }
    ports = {
        port["targetPort"]
        for each in objects
        if each["kind"] == "Service"
        for port in each["spec"]["ports"]
    }

    assert not variables & {"DAPR_HTTP_PORT", "DAPR_GRPC_PORT"}
    assert {"http"} == ports
