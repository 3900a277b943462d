"""Dapr in a real node of Kubernetes: its control plane, injected sidecars, and what cannot run."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from harness import App, Topology
from harness.kubernetes.dapr_workloads import programs
from harness.provision.versions import DAPR
from tests.kubernetes.clusters import Place, run
from tests.kubernetes.rendering import rendered, the
from tests.support import CLI, ROOT, project

pytestmark = pytest.mark.real

IMAGE = "dapr-harness.local/busybox:1"
TOKEN = "known-to-the-test"

STORE = """\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: store}
spec:
  type: state.in-memory
  version: v1
  metadata: []
"""

BROKEN: dict[str, dict[str, Any]] = {
    "unschedulable": {"resources": {"requests": {"cpu": "512"}}},
    "without-image": {"image": "dapr-harness.local/nothing:1"},
    "crashing": {"command": ["/bin/sh", "-c", "echo the table is missing >&2; exit 3"]},
    "out-of-memory": {
        "command": ["/bin/sh", "-c", "x=a; while true; do x=$x$x; done"],
        "resources": {"limits": {"memory": "16Mi"}},
    },
}
"""What is wrong with the container of the only pod of each of these namespaces."""


def kubectl(place: Place, *words: str, given: str = "") -> str:
    return run(place, "kubectl", "--cluster", "dapr", *words, given=given).stdout


def static(name: str) -> App:
    """An app that serves the file with the name of its pod."""
    return App(name, command="/bin/busybox httpd -f -p {port} -h /etc", image=IMAGE)


@pytest.fixture(scope="module")
def apps(
    cluster: dict[str, Any], place: Place, tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, Any]]:
    """The pods of two apps, as `render k8s` writes them."""
    folder = project(tmp_path_factory.mktemp("shop"), pyproject_toml="", c__store_yaml=STORE)
    objects = rendered(Topology(static("caller"), static("web"), resources="c"), folder)
    for each in objects:
        if each["kind"] == "Secret":
            each["stringData"] = dict.fromkeys(each["stringData"], TOKEN)
    first = the(objects, "Namespace", "todo")
    kubectl(place, "apply", "-f", "-", given=yaml.safe_dump_all([first, *objects]))
    run(place, "cluster", "wait", "todo", "--cluster", "dapr")
    pods: list[dict[str, Any]] = json.loads(
        kubectl(place, "-n", "todo", "get", "pods", "-o", "json")
    )["items"]
    return pods


def from_sidecar(place: Place, path: str) -> str:
    """What the sidecar of the calling app answers, asked from its pod."""
    header = f"dapr-api-token: {TOKEN}"
    words = ("wget", "-qO-", "--header", header, f"http://127.0.0.1:3500/v1.0/{path}")
    return kubectl(place, "-n", "todo", "exec", "deployment/caller", "-c", "app", "--", *words)


def test_every_program_of_the_control_plane_has_a_ready_pod(
    cluster: dict[str, Any], place: Place
) -> None:
    found = json.loads(kubectl(place, "-n", "dapr-system", "get", "pods", "-o", "json"))["items"]
    ready = {
        each["metadata"]["labels"]["app"]
        for each in found
        if all(status["ready"] for status in each["status"]["containerStatuses"])
    }

    assert {each.name for each in programs(DAPR)} == ready


def test_rendered_apps_get_a_sidecar_and_answer_by_it(
    apps: list[dict[str, Any]], place: Place
) -> None:
    """From one sidecar to the other, by the name of the Service that Dapr's operator creates."""
    containers = [[each["name"] for each in pod["status"]["containerStatuses"]] for pod in apps]
    (web,) = [each for each in apps if each["metadata"]["name"].startswith("web-")]

    said = from_sidecar(place, "invoke/web/method/hostname")

    assert [["app", "daprd"]] * 2 == [sorted(each) for each in containers]
    assert web["metadata"]["name"] == said.strip()


def test_apps_are_called_from_this_machine_through_a_forwarded_port(
    apps: list[dict[str, Any]], place: Place
) -> None:
    words = ("kubectl", "--cluster", "dapr", "-n", "todo", "port-forward", "deployment/caller")
    forward = subprocess.Popen(
        [*CLI, *words, ":3500"], cwd=ROOT, env=place, stdout=subprocess.PIPE, text=True
    )
    try:
        assert forward.stdout is not None
        told = re.search(r"127\.0\.0\.1:\d+", forward.stdout.readline())
        assert told
        path = "v1.0/invoke/web/method/hostname"
        answer = httpx.get(f"http://{told[0]}/{path}", headers={"dapr-api-token": TOKEN})
    finally:
        forward.terminate()
        forward.communicate()

    assert answer.text.startswith("web-"), answer.text


def test_sidecars_use_mtls_and_load_the_components_of_their_namespace(
    apps: list[dict[str, Any]], place: Place
) -> None:
    """Sentry signs for each of them; a component comes from Dapr's operator."""
    sidecars = [
        container["args"]
        for pod in apps
        for container in pod["spec"]["containers"]
        if container["name"] == "daprd"
    ]
    known = json.loads(from_sidecar(place, "metadata"))
    log = kubectl(place, "-n", "todo", "logs", "deployment/web", "-c", "daprd")

    assert all("--enable-mtls" in each for each in sidecars)
    assert "Security is initialized successfully" in log
    assert ["store"] == [each["name"] for each in known["components"]]


@pytest.fixture(scope="module")
def broken(cluster: dict[str, Any], place: Place) -> None:
    """All at the same time: some need a moment until they have failed."""
    pods = [_broken(name, more) for name, more in BROKEN.items()]
    names = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": each}} for each in BROKEN
    ]
    kubectl(place, "apply", "-f", "-", given=yaml.safe_dump_all([*names, *pods]))


def _broken(name: str, more: dict[str, Any]) -> dict[str, Any]:
    container = {"name": "app", "image": IMAGE, "imagePullPolicy": "Never", **more}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "shop", "namespace": name},
        "spec": {"containers": [container]},
    }


@pytest.mark.parametrize(
    ("namespace", "cause"),
    [
        ("unschedulable", "cannot be scheduled: 0/1 nodes are available: 1 Insufficient cpu"),
        ("without-image", "has no image dapr-harness.local/nothing:1 (ErrImageNeverPull)"),
        ("crashing", "ended with code 3"),
        ("out-of-memory", "needs more memory than its limit 16Mi (OOMKilled)"),
    ],
)
def test_a_pod_that_cannot_become_ready_ends_the_wait_with_its_cause(
    broken: None, place: Place, namespace: str, cause: str
) -> None:
    """And not the time-out, which would be hours away."""
    words = ("cluster", "wait", namespace, "--cluster", "dapr", "--timeout", "9999")

    said = run(place, *words, code=4).stderr

    assert cause in said.replace("\n", " ")
    assert ("the table is missing" in said) is (namespace == "crashing")
    assert f"kubectl --cluster dapr -n {namespace} describe pods shop" in said


def test_pods_of_a_namespace_that_does_not_exist_are_not_waited_for(
    cluster: dict[str, Any], place: Place
) -> None:
    said = run(place, "cluster", "wait", "tood", "--cluster", "dapr", code=2).stderr

    assert "cluster 'dapr' has no namespace 'tood'" in said


def test_the_state_of_a_cluster_with_dapr_is_shown_like_any_other(
    cluster: dict[str, Any], place: Place
) -> None:
    (row,) = json.loads(run(place, "cluster", "status", "--json").stdout)

    assert ("dapr", "running") == (row["name"], row["state"])
    assert Path(row["kubeconfig"]).is_file()
