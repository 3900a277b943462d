"""An existing cluster: how it is named, its images, and what is its stack's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness import App, ConfigError, Kafka, Settings
from harness.kubernetes.api import Answer
from harness.kubernetes.placing import placed, require_free, require_unclaimed
from harness.kubernetes.session_agent import SESSION
from harness.provision.cluster_node import SHELL_IMAGE
from harness.stack.given_cluster import Named, named
from harness.stack.given_tools import SHELL_DEFAULT, GivenTools
from tests.kubernetes.test_validation import Server

DEPLOYMENT: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "ours"},
    "spec": {
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "initContainers": [{"image": SHELL_IMAGE, "imagePullPolicy": "Never"}],
                "containers": [{"image": "web:1", "imagePullPolicy": "Never"}],
            },
        }
    },
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kube:", Named()),
        ("kube:staging", Named("staging")),
        ("kube:staging/ours", Named("staging", "ours")),
        ("kube:/ours", Named("", "ours")),
        ("kube:aws:cluster/shop/ours", Named("aws:cluster/shop", "ours")),
        ("default", None),
        ("compose/compose.yaml", None),
    ],
)  # fmt: skip
def test_a_cluster_is_named_by_a_context_and_a_namespace(text: str, expected: Named | None) -> None:
    assert expected == named(text)


@pytest.mark.parametrize("text", ["kube:staging/", "kube:staging/Ours", "kube:a/-b"])
def test_a_namespace_that_kubernetes_does_not_accept_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="names no namespace"):
        named(text)


def tools(*, packed: bool = False, **images: str) -> GivenTools:
    settings = Settings.load(Path(__file__).parent, {}, images=images)
    return GivenTools(settings, "staging", packed=packed)


def test_an_app_that_the_cluster_cannot_pull_is_refused_with_the_variables_that_name_it() -> None:
    with pytest.raises(ConfigError, match="app 'my-shop' has no image that the cluster") as caught:
        tools().app("my-shop")

    assert "DAPR_HARNESS_IMAGE_MY_SHOP, DAPR_HARNESS_IMAGE_APPS for all apps" in str(caught.value)


def test_an_own_image_of_an_app_comes_before_that_of_all_apps() -> None:
    given = tools(apps="all:1", my_shop="shop:2")

    assert ("shop:2", "all:1") == (given.app("my-shop"), given.app("web"))


def test_other_nodes_have_the_official_images_or_those_that_were_named() -> None:
    given = tools(kafka="registry.example.org/kafka:4")

    assert "registry.example.org/kafka:4" == given.reference("kafka")
    assert "postgres:18" == given.reference("postgres")
    assert "wiremock/wiremock:3" == given.reference("wiremock/wiremock:3")


def test_a_sidecar_of_the_tests_has_the_image_of_those_that_are_injected() -> None:
    given = tools()
    given.found("registry.example.org/daprd:1.18.0")

    assert "registry.example.org/daprd:1.18.0" == given.reference("daprd")


def test_the_shell_is_that_of_a_registry_unless_images_are_packed_here() -> None:
    assert SHELL_DEFAULT == tools().shell()
    assert SHELL_IMAGE == tools(packed=True).shell()
    assert "mine:1" == tools(packed=True, shell="mine:1").shell()


def test_nothing_is_packed_for_a_cluster_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    given = tools(apps="all:1")
    monkeypatch.setattr(given, "reference", lambda what: pytest.fail(f"{what} is packed"))

    given.provide([Kafka(["orders"]), App("web", asgi="web:app")], Path())

    assert [] == given.archives


def test_objects_have_the_label_of_the_session_and_images_that_can_be_pulled() -> None:
    made = placed(DEPLOYMENT, "s1", "busybox:1")

    template = made["spec"]["template"]
    containers = [*template["spec"]["initContainers"], *template["spec"]["containers"]]
    assert "s1" == made["metadata"]["labels"][SESSION] == template["metadata"]["labels"][SESSION]
    assert [("busybox:1", "IfNotPresent"), ("web:1", "IfNotPresent")] == [
        (each["image"], each["imagePullPolicy"]) for each in containers
    ]
    assert SESSION not in str(DEPLOYMENT), "the object itself was changed"


SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web", "namespace": "ours"},
}


class Has(Server):
    """A server on which everything that is asked for exists."""

    def __init__(self, **body: Any) -> None:
        super().__init__()
        self.found = body

    def get(self, path: str) -> Answer:
        known = super().get(path)
        return known if known.accepted else Answer(200, self.found)


@pytest.mark.parametrize("labels", [{}, {SESSION: "another"}])
def test_an_object_of_others_is_not_applied_over(labels: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="has a Service 'web' already"):
        require_free(Has(metadata={"labels": labels}), [SERVICE], "s1")


def test_an_object_of_the_stack_is_applied_again() -> None:
    require_free(Has(metadata={"labels": {SESSION: "s1"}}), [SERVICE], "s1")


def test_a_namespace_that_another_stack_renews_is_refused_with_its_holder() -> None:
    claim = {"renewTime": "2999-01-01T00:00:00.000000Z", "holderIdentity": "host, process 7"}

    with pytest.raises(ConfigError, match="'ours' is used by another stack") as caught:
        require_unclaimed(Has(spec=claim), "ours")

    assert "host, process 7" in str(caught.value)


def test_a_claim_that_nobody_renews_is_over() -> None:
    claim = {"renewTime": "2020-01-01T00:00:00.000000Z", "leaseDurationSeconds": 300}

    require_unclaimed(Has(spec=claim), "ours")
