"""What is asked of an API server about manifests, and what is told of its answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.kubernetes.api import Answer, ApiServer
from harness.kubernetes.kinds import ServedCheck
from harness.kubernetes.manifests import read
from harness.kubernetes.validation import Validation, Verdict

CORE = {
    "resources": [
        {"name": "namespaces", "kind": "Namespace", "namespaced": False},
        {"name": "services", "kind": "Service", "namespaced": True},
        {"name": "services/status", "kind": "Service", "namespaced": True},
    ]
}
CUSTOM = {
    "resources": [
        {
            "name": "customresourcedefinitions",
            "kind": "CustomResourceDefinition",
            "namespaced": False,
        }
    ]
}
SHOPS = {"resources": [{"name": "shops", "kind": "Shop", "namespaced": True}]}
SERVED = {"/api/v1": CORE, "/apis/apiextensions.k8s.io/v1": CUSTOM, "/apis/mine.io/v1": SHOPS}


class Server(ApiServer):
    """Answers as it is told, and notes what was applied: the path, and whether it was stored."""

    def __init__(self, **refused: Answer) -> None:
        self.applied: list[tuple[str, str]] = []
        self.asked: list[str] = []
        self._refused = refused
        self.early: dict[str, int] = {}

    def get(self, path: str) -> Answer:
        self.asked.append(path)
        known = SERVED.get(path)
        if self.early.setdefault(path, 0):
            self.early[path] -= 1
            known = None
        return Answer(200, known) if known else Answer(404, {"message": "404 page not found"})

    def apply(self, path: str, manifest: bytes, *, dry_run: bool) -> Answer:
        self.applied.append((path, "dry run" if dry_run else "stored"))
        name = yaml.safe_load(manifest)["metadata"]["name"]
        return self._refused.get(name, Answer(200, {}))


def refused(message: str, *fields: str) -> Answer:
    """As the server answers an invalid object."""
    causes = [{"reason": "FieldValueInvalid", "field": field} for field in fields]
    return Answer(422, {"kind": "Status", "message": message, "details": {"causes": causes}})


def service(name: str, namespace: str = "", **more: Any) -> str:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return json.dumps({"apiVersion": "v1", "kind": "Service", "metadata": metadata, **more})


def judged(server: Server, *texts: str, namespace: str = "default") -> list[Verdict]:
    found = [each for text in texts for each in read(text, Path("a.yaml"))]
    return list(Validation(server, namespace).judge(found))


def test_everything_but_namespaces_and_definitions_is_a_dry_run_after_them() -> None:
    """Without them, others would be refused."""
    server = Server()
    crd = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
    mine = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "mine"}}

    verdicts = judged(
        server,
        service("shop", "mine"),
        json.dumps({**crd, "metadata": {"name": "a.b.io"}}),
        json.dumps(mine),
    )

    assert [
        ("/api/v1/namespaces/mine", "stored"),
        ("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/a.b.io", "stored"),
        ("/api/v1/namespaces/mine/services/shop", "dry run"),
    ] == server.applied
    assert ["mine", "a.b.io", "mine/shop"] == [each.name for each in verdicts]
    assert not any(each.problem for each in verdicts)


def test_nothing_is_stored_in_a_cluster_that_is_somebodys() -> None:
    """Neither a namespace that is among the manifests, nor one that they only name."""
    server = Server()
    mine = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "mine"}}
    texts = (json.dumps(mine), service("a", "mine"), service("b", "other"))
    found = [each for text in texts for each in read(text, Path("a.yaml"))]

    verdicts = list(Validation(server, own=False).judge(found))

    assert ["dry run"] * 3 == [how for _, how in server.applied]
    assert [""] * 3 == [each.problem for each in verdicts]


def test_a_namespace_that_no_manifest_has_is_created_once() -> None:
    """Helm and `kubectl create namespace` do so before."""
    server = Server()

    judged(server, service("a"), service("b"), service("c", "other"), namespace="mine")

    stored = [path for path, how in server.applied if how == "stored"]
    assert ["/api/v1/namespaces/mine", "/api/v1/namespaces/other"] == stored
    assert "/api/v1/namespaces/mine/services/b" in [path for path, _ in server.applied]


def test_objects_of_a_kind_that_a_manifest_defines_wait_until_it_is_served() -> None:
    """A server learns of a kind a moment after its definition was accepted."""
    server = Server()
    server.early["/apis/mine.io/v1"] = 3
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "shops.mine.io"},
        "spec": {
            "group": "mine.io",
            "names": {"kind": "Shop"},
            "versions": [{"name": "v0", "served": False}, {"name": "v1", "served": True}],
        },
    }

    shop = {"apiVersion": "mine.io/v1", "kind": "Shop", "metadata": {"name": "a"}}
    verdicts = judged(server, json.dumps(shop), json.dumps(crd))

    assert ["", ""] == [each.problem for each in verdicts]


def test_a_namespace_that_cannot_be_created_is_a_problem_of_each_object_in_it() -> None:
    server = Server(Mine=refused('Namespace "Mine" is invalid'))

    first, second = judged(server, service("a", "Mine"), service("b", "yours"))

    assert 'its namespace cannot be created: Namespace "Mine" is invalid' == first.problem
    assert "" == second.problem


def test_a_refusal_is_told_in_the_words_of_the_server_at_the_line_of_its_field() -> None:
    server = Server(shop=refused('Service "shop" is invalid', "spec.ports[0].port"))
    text = (
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: shop\n"
        "spec:\n  ports:\n    - name: http\n      port: 99999\n"
    )

    (verdict,) = judged(server, text)

    assert Verdict("a.yaml:8", "Service", "default/shop", 'Service "shop" is invalid') == verdict


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("failed: .spec.ports: field not declared in schema", 6),
        ('strict decoding error: unknown field "spec.ports.x"', 6),
        ("it is wrong, in metadata.k8s.io", 3),
        ("it is wrong", 1),
        ("version v1.34.4 is wrong", 1),
    ],
)
def test_a_field_in_a_message_is_found_if_the_object_has_it(message: str, line: int) -> None:
    server = Server(shop=refused(message))
    text = "apiVersion: v1\nkind: Service\nmetadata:\n  name: shop\nspec:\n  ports: []\n"

    (verdict,) = judged(server, text)

    assert f"a.yaml:{line}" == verdict.place


def test_a_line_of_the_text_becomes_a_line_of_the_file() -> None:
    """The server counts from where the document begins."""
    server = Server(
        shop=refused("error converting YAML to JSON: yaml: unmarshal errors:\n  line 5: x")
    )

    _, verdict = judged(server, f"{service('a')}\n---\n{service('shop')}\n")

    assert "a.yaml:6" == verdict.place


def test_warnings_are_told_of_what_is_accepted() -> None:
    server = Server(shop=Answer(200, {}, ("v1 is old",)))

    (verdict,) = judged(server, service("shop"))

    assert ("", ("v1 is old",)) == (verdict.problem, verdict.warnings)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "Servce"}, "v1 has no kind 'Servce'; did you mean 'Service'?"),
        ({"apiVersion": "dapr.io/v9"}, "does not serve dapr.io/v9"),
        ({"kind": ""}, "it has no kind"),
        ({"metadata": {}}, "it has no metadata.name"),
        ({"apiVersion": None, "metadata": None}, "it has no apiVersion, it has no metadata.name"),
    ],
)
def test_what_the_server_does_not_know_is_not_sent(change: dict[str, Any], said: str) -> None:
    """The others are validated all the same."""
    server = Server()
    wrong = json.dumps(json.loads(service("wrong")) | change)

    first, second = judged(server, wrong, service("right"))

    assert said in first.problem
    assert "" == second.problem
    assert not any("wrong" in path for path, _ in server.applied)


def test_each_group_is_asked_for_once() -> None:
    server = Server()

    judged(server, service("a"), service("b"))

    assert ["/api/v1"] == server.asked


def test_a_name_cannot_lead_to_another_path() -> None:
    server = Server()

    judged(server, service("../../secrets/x"))

    assert "/api/v1/namespaces/default/services/..%2F..%2Fsecrets%2Fx" == server.applied[-1][0]


def test_a_server_is_ready_for_custom_kinds_when_it_serves_each() -> None:
    server = Server()

    ready = ServedCheck(server, (("v1", "Service"),)).observe()
    early = ServedCheck(server, (("v1", "Service"), ("dapr.io/v1alpha1", "Component"))).observe()

    assert (True, False) == (ready.ok, early.ok)
    assert "does not serve dapr.io/v1alpha1" in early.fact
