"""What is said of an existing cluster, by what its API server answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.core.errors import ConfigError, ProbeError, Unavailable
from harness.kubernetes.api import Answer
from harness.kubernetes.existing import ExistingCluster, Right
from harness.kubernetes.manifests import read
from harness.kubernetes.validation import Verdict
from tests.kubernetes.test_validation import Server

RBAC = (
    'deployments.apps "shop" is forbidden: User "ada" cannot patch resource "deployments" in API '
    'group "apps" in the namespace "todo"'
)
QUOTA = 'pods "shop" is forbidden: exceeded quota: small, requested: pods=1'
UNANSWERED = (
    'Internal error occurred: failed calling webhook "sidecar-injector.dapr.io": no endpoints '
    'available for service "dapr-sidecar-injector"'
)


class Pods(Server):
    """Answers a dry run of a pod in one way, and keeps what was asked."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer
        self.sent: dict[str, Any] = {}

    def apply(self, path: str, manifest: bytes, *, dry_run: bool) -> Answer:
        assert dry_run
        self.sent = json.loads(manifest)
        return self.answer


def injected(image: str, where: str = "containers") -> Answer:
    return Answer(201, {"spec": {where: [{"name": "app"}, {"name": "daprd", "image": image}]}})


def judged(answer: Answer, enabled: str = "true") -> list[Verdict]:
    annotations = {"dapr.io/enabled": enabled}
    spec = {"serviceAccountName": "shop", "containers": [{"name": "app"}]}
    template = {"metadata": {"annotations": annotations}, "spec": spec}
    shop = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "shop"}}
    text = json.dumps({**shop, "spec": {"template": template}})
    cluster = ExistingCluster(Pods(answer), "staging")
    return list(cluster.sidecars(list(read(text, Path("a.yaml"))), "todo", "1.18.2"))


@pytest.mark.parametrize("where", ["containers", "initContainers"])
def test_a_pod_with_a_sidecar_is_accepted(where: str) -> None:
    """Also if it is a native one, which Kubernetes has among the init containers."""
    (verdict,) = judged(injected("docker.io/daprio/daprd:1.18.0", where))

    assert ("Pod", "todo/shop-validated", "") == (verdict.kind, verdict.name, verdict.problem)


def test_a_pod_that_asks_for_no_sidecar_is_not_tried() -> None:
    assert [] == judged(injected("daprd:1.18.2"), enabled="false")


@pytest.mark.parametrize("image", ["daprio/daprd:1.17.4", "registry:5000/daprd:1.19.0-mariner"])
def test_a_sidecar_of_another_minor_version_is_told(image: str) -> None:
    """Its annotations and components may be others."""
    with pytest.raises(Unavailable, match=r"of context 'staging' has Dapr 1\.1[79]\.") as caught:
        judged(injected(image))

    assert image in caught.value.last


@pytest.mark.parametrize("image", ["daprd:latest", "daprd@sha256:00", "registry:5000/daprd"])
def test_a_sidecar_whose_version_its_image_does_not_tell_is_accepted(image: str) -> None:
    assert "" == judged(injected(image))[0].problem


def test_an_injector_that_does_not_answer_is_not_a_problem_of_the_pod() -> None:
    with pytest.raises(ProbeError, match="the injector of Dapr does not answer") as caught:
        judged(Answer(500, {"message": UNANSWERED}))

    assert UNANSWERED == caught.value.last


def test_a_pod_that_the_cluster_refuses_is_refused_in_its_words() -> None:
    """A quota is no lack of a permission, although both are forbidden."""
    (verdict,) = judged(Answer(403, {"message": QUOTA}))

    assert f"its pod: {QUOTA}" == verdict.problem


def test_a_permission_that_is_missing_is_told() -> None:
    cluster = ExistingCluster(Server(), "staging")

    with pytest.raises(Unavailable, match="has no permission to patch deployments") as caught:
        cluster.require(Answer(403, {"message": RBAC}))

    assert RBAC == caught.value.last


def test_credentials_that_are_not_accepted_are_told() -> None:
    cluster = ExistingCluster(Server(), "staging")

    with pytest.raises(ConfigError, match="does not accept its credentials"):
        cluster.require(Answer(401, {"message": "Unauthorized"}))


@pytest.mark.parametrize("where", ["containers", "initContainers"])
def test_the_image_of_injected_sidecars_is_that_of_a_pod_in_a_dry_run(where: str) -> None:
    cluster = ExistingCluster(Pods(injected("daprio/daprd:1.18.0", where)), "staging")

    assert "daprio/daprd:1.18.0" == cluster.injected("todo", "1.18.2")


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (Answer(201, {"spec": {"containers": []}}), Unavailable, "adds no sidecar to pods of"),
        (Answer(500, {"message": UNANSWERED}), ProbeError, "the injector of Dapr does not answer"),
        (injected("daprio/daprd:1.17.4"), Unavailable, "has Dapr 1.17"),
    ],
)
def test_a_namespace_in_which_no_sidecar_can_be_used_is_refused(
    answer: Answer, kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said):
        ExistingCluster(Pods(answer), "staging").injected("todo", "1.18.2")


class Allows(Server):
    """Allows to do something with pods and their logs, and nothing else."""

    def create(self, path: str, body: Mapping[str, Any]) -> Answer:
        asked = body["spec"]["resourceAttributes"]
        allowed = (asked["resource"], asked["subresource"]) in (("pods", ""), ("pods", "log"))
        return Answer(201, {"status": {"allowed": allowed}})


def test_every_permission_that_is_missing_is_told_at_once() -> None:
    cluster = ExistingCluster(Allows(), "staging")
    rights = [Right("create", "pods"), Right("get", "pods/log"), Right("get", "pods/portforward"),
              Right("create", "deployments", "apps")]  # fmt: skip

    cluster.require_rights(rights[:2], "todo")
    with pytest.raises(Unavailable) as caught:
        cluster.require_rights(rights, "todo")

    assert caught.value.subject == (
        "context 'staging' has no permission to get pods/portforward, create deployments "
        "in namespace 'todo'"
    )
