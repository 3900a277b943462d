"""Waiting for pods on a real API server, which runs none: their status is written by the tests."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import Settings, Topology
from harness.core.errors import HarnessError, InstanceDied, LaunchError
from harness.kubernetes.api import ApiServer
from harness.kubernetes.dapr_objects import ELSEWHERE, dapr_objects
from harness.kubernetes.dapr_roles import SYSTEM
from harness.kubernetes.installing import apply_all, define_kinds
from harness.kubernetes.manifests import read
from harness.kubernetes.rollout import InjectionCheck, PodsCheck
from harness.kubernetes.validation import Validation
from harness.nodes.api_server import KubeApiServer, access_from
from harness.provision.authority import make_authority
from harness.provision.toolbox import Provisioner
from harness.stack.run import running
from tests.kubernetes.test_pods import pod
from tests.support import ROOT

pytestmark = pytest.mark.real

HOUR = 3600


@pytest.fixture(scope="module")
def api_server() -> Iterator[ApiServer]:
    node = KubeApiServer()
    settings = Settings.load(ROOT, topology="", runtime="processes")
    with (
        running(Topology(node), settings) as stack,
        ApiServer(access_from(stack.book.exports(node.name))) as server,
    ):
        yield server


def create(server: ApiServer, namespace: str, *names: str) -> None:
    """A namespace with some of the recorded pods, whatever their own was."""
    name = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    apply_all(server, [name])
    for each in names:
        found = pod(each)
        apply_all(server, [{**_head(namespace, each), "spec": found["spec"]}])
        write_status(server, namespace, each, found["status"])


def write_status(server: ApiServer, namespace: str, name: str, status: dict[str, Any]) -> None:
    """What kubelet would write."""
    path = f"/api/v1/namespaces/{namespace}/pods/{name}/status"
    text = json.dumps({**_head(namespace, name), "status": status}).encode()
    answer = server.apply(path, text, dry_run=False)
    assert answer.accepted, answer.message


def _head(namespace: str, name: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}


def test_a_namespace_is_ready_when_every_pod_is(api_server: ApiServer) -> None:
    create(api_server, "ready", "ready")

    seen = PodsCheck(api_server, "ready").observe()

    assert (True, "1 are ready") == (seen.ok, seen.fact)


def test_a_namespace_without_pods_is_not_ready(api_server: ApiServer) -> None:
    create(api_server, "empty")

    seen = PodsCheck(api_server, "empty").observe()

    assert (False, "namespace empty has no pods") == (seen.ok, seen.fact)


def test_a_workload_without_pods_is_not_ready(api_server: ApiServer) -> None:
    """Nobody creates them here; the pod that is ready is another one."""
    create(api_server, "half", "ready")
    labels = {"matchLabels": {"app": "shop"}}
    template = {"metadata": {"labels": {"app": "shop"}}, "spec": pod("ready")["spec"]}
    apply_all(
        api_server,
        [
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": "shop", "namespace": "half"},
                "spec": {"selector": labels, "template": template},
            }
        ],
    )

    seen = PodsCheck(api_server, "half").observe()

    assert (False, "half/shop: 0 of 1 pods are ready") == (seen.ok, seen.fact)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("unschedulable", LaunchError),
        ("never-pulled", LaunchError),
        ("crashing", InstanceDied),
        ("out-of-memory", InstanceDied),
    ],
)
def test_one_pod_that_cannot_become_ready_ends_the_wait(
    api_server: ApiServer, name: str, kind: type[HarnessError]
) -> None:
    """Although another one may; the next step names this one."""
    create(api_server, f"with-{name}", "unready", name)

    with pytest.raises(kind) as raised:
        PodsCheck(api_server, f"with-{name}", "look at {pod}").observe()

    assert f"with-{name}/{name}" in raised.value.subject
    assert f"look at {name}" == raised.value.hint


def test_a_change_ends_the_wait_for_it(api_server: ApiServer) -> None:
    """And not the hour."""
    create(api_server, "changing", "unready")
    path = "/api/v1/namespaces/changing/pods"
    version = api_server.get(path).body["metadata"]["resourceVersion"]
    waiting = threading.Thread(target=api_server.await_change, args=(path, version, HOUR))
    waiting.daemon = True
    waiting.start()

    write_status(api_server, "changing", "unready", {"phase": "Failed"})

    waiting.join(60)
    assert not waiting.is_alive()


def test_the_control_plane_is_accepted_as_it_is_written(api_server: ApiServer) -> None:
    """Unknown fields are refused, and so is what a kind does not allow."""
    items = list(dapr_objects("1.18.2", make_authority()))
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})

    verdicts = list(Validation(api_server).judge(list(read(text, Path("dapr")))))

    assert [] == [each for each in verdicts if each.problem or each.warnings]
    assert len(items) == len(verdicts)


def test_the_crds_name_the_namespace_of_the_control_plane(api_server: ApiServer) -> None:
    """Where the operator converts subscriptions."""
    folder = Provisioner(Settings.load(ROOT, offline=True)).path("dapr-crds")

    define_kinds(api_server, folder, {ELSEWHERE: SYSTEM})

    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/subscriptions.dapr.io"
    conversion = api_server.get(path).body["spec"]["conversion"]
    assert SYSTEM == conversion["webhook"]["clientConfig"]["service"]["namespace"]


def test_what_the_server_refuses_is_told_with_its_own_words(api_server: ApiServer) -> None:
    wrong = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "Shop"}}

    with pytest.raises(HarnessError, match="refuses ConfigMap Shop") as raised:
        apply_all(api_server, [{**wrong, "metadata": {"name": "Shop", "namespace": "default"}}])

    assert "RFC 1123" in raised.value.last


def test_without_an_injector_no_sidecar_is_injected(api_server: ApiServer) -> None:
    seen = InjectionCheck(api_server).observe()

    assert (False, "containers: app") == (seen.ok, seen.fact)
