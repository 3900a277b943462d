"""The manifests of the reference system: valid, in step, and right about Dapr."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

from harness import App, ConfigError, Receiver, Settings, Topology
from harness.cli.commands import app
from harness.manifests.project import KubernetesProject
from scenarios.topology import todo
from tests.kubernetes.rendering import annotated, one_app, rendered, the
from tests.kubernetes.validate import validate
from tests.projects import COMPONENT
from tests.support import ROOT, project

MANIFESTS = ROOT / "kubernetes" / "manifests"
PART = "app.kubernetes.io/part-of"
EVERYTHING = ("components", "components/mtls", "components/tracing")


def committed() -> Iterator[Any]:
    """Every object of the repository's manifests, the example of the secrets included."""
    for file in sorted(MANIFESTS.iterdir()):
        for body in yaml.safe_load_all(file.read_text()):
            yield pytest.param(body, id=f"{body['kind']} {body['metadata']['name']}")


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


def test_every_object_is_in_the_namespace_of_the_system() -> None:
    """Dapr loads a component only for apps of its own namespace, whatever its source says."""
    objects = rendered(todo(resources=EVERYTHING, mtls=True))
    others = [each for each in objects if each["kind"] != "Namespace"]

    assert the(objects, "Namespace", "todo")
    assert {"todo"} == {each["metadata"]["namespace"] for each in others}
    labels = [each["metadata"]["labels"] for each in objects if each["kind"] != "Secret"]
    assert {"todo"} == {each[PART] for each in labels}


def test_the_namespace_can_have_another_name(tmp_path: Path) -> None:
    """That of the manifests, and of what access control says about callers."""
    topology, settings = todo(resources=EVERYTHING, mtls=True), Settings.load(ROOT)
    found = KubernetesProject(topology, settings, tmp_path, "todo", "shops").rendered()
    objects = [
        body
        for name, text in found.items()
        if name.startswith("manifests/")
        for body in yaml.safe_load_all(text)
    ]

    control = the(objects, "Configuration", "backend-service")["spec"]["accessControl"]
    spaces = {each["metadata"].get("namespace", "") for each in objects}
    assert ({"", "shops"}, "shops") == (
        spaces,
        the(objects, "Namespace", "shops")["metadata"]["name"],
    )
    assert ["shops", "shops"] == [policy["namespace"] for policy in control["policies"]]


def test_the_command_takes_a_namespace(tmp_path: Path) -> None:
    """And compares what it finds with the one that is given."""
    words = [
        "render",
        "k8s",
        "--folder",
        str(tmp_path),
        "--topology",
        "scenarios.topology:reference",
    ]
    written = CliRunner().invoke(app, [*words, "--namespace", "shops"])
    same = CliRunner().invoke(app, [*words, "--namespace", "shops", "--check"])
    drifted = CliRunner().invoke(app, [*words, "--check"])
    body = yaml.safe_load((tmp_path / "manifests" / "component-pubsub.yaml").read_text())

    assert (0, "shops") == (written.exit_code, body["metadata"]["namespace"])
    assert 0 == same.exit_code
    assert isinstance(drifted.exception, ConfigError)


def test_every_value_of_the_chart_is_described() -> None:
    """By its name, on the page about Kubernetes; names of apps and nodes are the topology's."""
    values = yaml.safe_load((ROOT / "kubernetes" / "chart" / "values.yaml").read_text())
    page = (ROOT / "docs" / "kubernetes.md").read_text()
    own = {node.name for node in todo().nodes} | {"DATABASE_URL", "STATE_STORE_DSN"}

    assert set() == {name for name in keys_of(values) - own if name not in page}


def keys_of(value: Any) -> set[str]:
    """Every key of a mapping and of those inside it."""
    if not isinstance(value, dict):
        return set()
    return {*value, *(key for each in value.values() for key in keys_of(each))}


def test_the_namespace_is_created_before_what_is_in_it() -> None:
    """`kubectl apply -f` goes by the names of the files."""
    names = sorted(path.name for path in MANIFESTS.glob("*.yaml"))

    assert "Namespace" == yaml.safe_load((MANIFESTS / names[0]).read_text())["kind"]


def test_scopes_stay_where_dapr_reads_them() -> None:
    """Beside `spec`; inside, they would be ignored and every app would load the component."""
    objects = rendered(todo())
    scopes = {
        (each["kind"], each["metadata"]["name"]): each.get("scopes")
        for each in objects
        if each["apiVersion"].startswith("dapr.io")
    }

    assert ["notification-service"] == scopes["Component", "mail"]
    assert ["recurring-task-service"] == scopes["Subscription", "completed-tasks"]
    assert None is scopes["Component", "pubsub"]


@pytest.mark.parametrize("name", ["sidecar", "secrets"])
def test_a_node_cannot_have_the_name_of_a_value(tmp_path: Path, name: str) -> None:
    """Its address would replace what the chart means by it."""
    topology = Topology(App("shop", asgi="m:a"), Receiver(name=name))
    settings = Settings.load(tmp_path, {})
    mine = KubernetesProject(topology, settings, tmp_path, "todo")

    with pytest.raises(ConfigError, match=f"a value named '{name}'"):
        mine.rendered()


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


@pytest.mark.parametrize("written", ["", "  metadata:\n"])
def test_a_component_without_fields_has_the_empty_list_that_its_crd_requires(
    tmp_path: Path, written: str
) -> None:
    """daprd alone accepts it without."""
    head = "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {name: store}\nspec:\n"
    text = f"{head}  type: state.in-memory\n  version: v1\n{written}"

    objects = one_app(tmp_path, App("shop", asgi="m:a"), store=text)

    assert [] == the(objects, "Component", "store")["spec"]["metadata"]


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
