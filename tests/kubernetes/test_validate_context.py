"""`dapr-harness validate k8s --context` by an existing cluster: a real API server."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import Settings, Topology
from harness.core.deadline import Deadline, Observation, poll
from harness.kubernetes.api import Access, ApiServer
from harness.kubernetes.installing import apply_all
from harness.nodes.api_server import KubeApiServer, access_from
from harness.stack.run import running
from tests.kubernetes.clusters import LIMIT, run
from tests.support import CLI, ROOT, environment

pytestmark = pytest.mark.real

APP = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: mine}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata:
      labels: {app: web}
      annotations: {dapr.io/enabled: "true", dapr.io/app-id: web}
    spec:
      serviceAccountName: web
      containers: [{name: app, image: web}]
"""
STORE = """\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: store, namespace: mine}
spec: {type: state.in-memory, version: v1, metadata: []}
"""
NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "mine"}}
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@pytest.fixture(scope="module")
def access() -> Iterator[Access]:
    """How a cluster with Dapr's kinds is reached, and with a namespace."""
    node = KubeApiServer()
    settings = Settings.load(ROOT, topology="", runtime="processes")
    with running(Topology(node), settings) as stack:
        yield access_from(stack.book.exports(node.name))


@pytest.fixture(scope="module")
def api_server(access: Access) -> Iterator[ApiServer]:
    with ApiServer(access) as server:
        apply_all(server, [NAMESPACE])
        yield server


@pytest.fixture
def place(access: Access, api_server: ApiServer, tmp_path: Path) -> Mapping[str, str]:
    """The environment of the command, with contexts of the server and of none."""
    server = {"server": access.url, "certificate-authority": str(access.authority)}
    nowhere = {**server, "server": "https://127.0.0.1:1"}
    token, other = {"token": access.token}, {"token": "of nobody"}
    rows = {"mine": (server, token), "nobody": (server, other), "nowhere": (nowhere, token)}
    body = {
        "clusters": [{"name": name, "cluster": each} for name, (each, _) in rows.items()],
        "users": [{"name": name, "user": each} for name, (_, each) in rows.items()],
        "contexts": [{"name": each, "context": {"cluster": each, "user": each}} for each in rows],
    }
    (tmp_path / "config").write_text(yaml.safe_dump(body))
    return environment(tmp_path, KUBECONFIG=str(tmp_path / "config"))


def validated(
    place: Mapping[str, str], *words: str, given: str = STORE, code: int = 0
) -> tuple[str, str]:
    done = run(place, "validate", "k8s", "-", *words, given=given, code=code)
    return done.stdout, " ".join(done.stderr.split())


def stored(server: ApiServer, path: str) -> Any:
    return server.get(path).body.get("items")


def test_objects_are_checked_by_the_cluster_and_nothing_is_stored(
    api_server: ApiServer, place: Mapping[str, str]
) -> None:
    """Not even a namespace that is among them."""
    other = json.dumps({**NAMESPACE, "metadata": {"name": "other"}})

    shown, told = validated(place, "--context", "mine", given=f"{STORE}---\n{other}\n")

    assert "ok Component mine/store" in shown
    assert "ok Namespace other" in shown
    assert "2 objects: 0 refused by Kubernetes 1.34.4 of context 'mine'" in told
    assert 404 == api_server.get("/api/v1/namespaces/other").status
    assert [] == stored(api_server, "/apis/dapr.io/v1alpha1/components")


def test_what_the_cluster_refuses_is_told_like_by_an_own_server(place: Mapping[str, str]) -> None:
    shown, _ = validated(
        place, "--context", "mine", given=STORE.replace("metadata: []", "x: 1"), code=2
    )

    assert "refused Component mine/store" in shown
    assert ".spec.x: field not declared in schema" in shown


def test_an_app_to_which_no_sidecar_is_added_is_refused(place: Mapping[str, str]) -> None:
    """Its pod would start without one. The account of the pod need not exist."""
    shown, told = validated(place, "--context", "mine", given=APP, code=2)

    assert "ok Deployment mine/web" in shown
    assert (
        "standard input:9: refused Pod mine/web-validated: "
        "the injector of Dapr has added no sidecar to its pod"
    ) in shown
    assert "2 objects: 1 refused" in told


def test_an_injector_that_does_not_answer_is_told(
    api_server: ApiServer, place: Mapping[str, str]
) -> None:
    """The API server cannot reach it; where it fails closed, no pod is accepted."""
    hook = {
        "name": "sidecar-injector.dapr.io",
        "clientConfig": {"url": "https://127.0.0.1:1/mutate"},
        "rules": [
            {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"],
             "operations": ["CREATE"]}
        ],
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }  # fmt: skip
    version, kind = "admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"
    metadata = {"name": "dapr-sidecar-injector"}
    body = {"apiVersion": version, "kind": kind, "metadata": metadata, "webhooks": [hook]}
    apply_all(api_server, [body])

    def unanswered() -> Observation:
        # The API server calls a webhook a moment after it was stored.
        done = run_validation(place, APP)
        return Observation("does not answer" in done, done)

    try:
        seen = poll(unanswered, Deadline(LIMIT))
        _, told = validated(place, "--context", "mine", given=APP, code=4)
    finally:
        apply_all(api_server, [{**body, "webhooks": []}])

    assert seen.ok, seen.fact
    assert "the injector of Dapr does not answer in the cluster of context 'mine'" in told


def run_validation(place: Mapping[str, str], given: str) -> str:
    """What is told, whatever the exit code is."""
    words = [*CLI, "validate", "k8s", "-", "--context", "mine"]
    done = subprocess.run(words, cwd=ROOT, env=place, input=given, capture_output=True, text=True)
    return done.stderr


def test_a_context_that_does_not_exist_is_told(place: Mapping[str, str]) -> None:
    _, told = validated(place, "--context", "mien", code=2)

    assert "error: the kubeconfig has no context named 'mien'" in told
    assert "did you mean 'mine'?" in told


def test_credentials_that_are_not_accepted_are_told(place: Mapping[str, str]) -> None:
    _, told = validated(place, "--context", "nobody", code=2)

    assert "error: the API server of context 'nobody' does not accept its credentials" in told


def test_a_cluster_that_does_not_answer_is_told(place: Mapping[str, str]) -> None:
    _, told = validated(place, "--context", "nowhere", code=4)

    assert "error: the API server at https://127.0.0.1:1 does not answer" in told


def test_a_namespace_that_the_cluster_lacks_is_told_once(place: Mapping[str, str]) -> None:
    """And not for each object: a dry run in it is not possible."""
    given = STORE.replace("mine", "yours")

    shown, told = validated(place, "--context", "mine", given=given, code=3)

    assert "error: the cluster of context 'mine' has no namespace 'yours'" in told
    assert "kubectl --context mine create namespace yours" in told
    assert "" == shown
