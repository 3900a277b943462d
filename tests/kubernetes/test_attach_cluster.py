"""`pytest --dapr-attach kube:` on a real cluster with Dapr: what it does there, and leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import App, Settings, Topology
from harness.core.deadline import Deadline, Observation, poll
from harness.core.errors import ConfigError, ProbeError, Unavailable
from harness.kubernetes.kubeconfig import reached_by
from harness.kubernetes.session_agent import LEASE, MANAGED, Session
from harness.nodes.given_cluster import access_to
from harness.stack.given_cluster import Named, in_cluster
from tests.kubernetes.clusters import LIMIT, Place, run
from tests.kubernetes.test_stack_in_cluster import APP, EVENTS, TOPOLOGY
from tests.support import CLI, project

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

TESTS = """\
import os

def test_an_event_is_delivered(dapr_sync):
    dapr_sync.sidecar("web").publish("events", "orders", {"number": 1})
    assert {"number": 1} == dapr_sync.inbox("web").next(path="/orders").data

def test_a_pod_is_restarted(dapr_sync):
    def pod():
        return dapr_sync.app("web").get("/where").json()["pod"]
    before = pod()
    dapr_sync.restart("web", grace=0)
    assert before != pod()

def test_somebody_is_killed(dapr_stack):
    print("supervisor", dapr_stack.owner, flush=True)
    os.read(0, 1)
"""
NOT_HIS = "a-user-without-permissions"
EVERYTHING = "deployments,services,secrets,serviceaccounts,configmaps,components.dapr.io"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one app."""
    settings = '[tool.dapr-harness]\ntopology = "topo:topology"\n'
    return project(
        tmp_path_factory.mktemp("projects") / "attached",
        pyproject_toml=settings, app_py=APP, topo_py=TOPOLOGY, c__events_yaml=EVENTS,
        test_events_py=TESTS,
    )  # fmt: skip


@pytest.fixture(scope="module")
def near(cluster: dict[str, Any], place: Place) -> Place:
    """The environment of a user whose kubeconfig has the cluster."""
    return {**place, "KUBECONFIG": cluster["kubeconfig"]}


def kubectl(place: Place, *words: str, given: str = "") -> str:
    return run(place, "kubectl", "--cluster", "dapr", *words, given=given).stdout


def cli(root: Path, near: Place, *words: str) -> Any:
    """What a command prints as JSON."""
    options = () if words[0] == "invoke" else ("--json",)
    given = [*CLI, *words, *options]
    done = subprocess.run(given, cwd=root, env=near, capture_output=True, text=True)
    assert 0 == done.returncode, done.stdout + done.stderr
    return json.loads(done.stdout)


def known(place: Place, *words: str) -> dict[str, str]:
    """The objects outside of stacks' own namespaces, with their versions."""
    items = json.loads(kubectl(place, "get", EVERYTHING, *words, "-o", "json"))["items"]
    named = ((each["kind"], each["metadata"]) for each in items)
    return {
        f"{kind} {each['namespace']}/{each['name']}": each["resourceVersion"]
        for kind, each in named
        if not each["namespace"].startswith("attached-")
    }


def require_same(place: Place, before: dict[str, str], *words: str) -> None:
    """What the cluster removes by itself takes a moment."""

    def same() -> Observation:
        now = known(place, *words)
        return Observation(now == before, str(now))

    seen = poll(same, Deadline(LIMIT))
    assert seen.ok, seen.fact


def lasting(place: Place) -> list[str]:
    """The namespaces of stacks that are not being removed: this takes a cluster some seconds."""
    items = json.loads(kubectl(place, "get", "namespaces", "-o", "json"))["items"]
    named = ((each["metadata"]["name"], each["status"]["phase"]) for each in items)
    return [name for name, phase in named if name.startswith("attached-") and phase == "Active"]


def require_removed(place: Place) -> None:
    def gone() -> Observation:
        left = lasting(place)
        return Observation(not left, str(left))

    seen = poll(gone, Deadline(LIMIT))
    assert seen.ok, seen.fact


def begun(root: Path, near: Place, where: str, *tests: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", "-p",
             "no:randomly", f"--dapr-attach={where}"]  # fmt: skip
    return subprocess.Popen(
        [*words, *(f"test_events.py::test_{each}" for each in tests)],
        cwd=root, env=near, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def test_tests_run_in_a_namespace_of_their_own_and_touch_nothing_else(
    root: Path, near: Place
) -> None:
    before = known(near, "-A")

    with begun(root, near, "kube:", "an_event_is_delivered") as tests:
        said, _ = tests.communicate()

    assert "1 passed" in said
    assert [] == lasting(near)
    assert before == known(near, "-A")


def test_a_stack_that_is_up_in_a_named_namespace_is_used_and_leaves_what_others_have_there(
    root: Path, near: Place
) -> None:
    """By tests and commands, as any stack that is up; meanwhile, no other stack may use it."""
    kubectl(near, "create", "namespace", "ours")
    kubectl(near, "-n", "ours", "create", "configmap", "of-others")
    before = known(near, "-n", "ours")

    cli(root, near, "up", "--cluster", "kube:dapr-harness/ours")
    with begun(root, near, "default", "an_event_is_delivered", "a_pod_is_restarted") as tests:
        said, _ = tests.communicate()
    answer = cli(root, near, "invoke", "web", "where")
    with pytest.raises(ConfigError, match="'ours' is used by another stack"):
        made(Named("", "ours"), root, near)
    cli(root, near, "down")

    assert "2 passed" in said
    assert answer["pod"].startswith("web-")
    # Services of sidecars are removed by the cluster, after their Deployments.
    require_same(near, before, "-n", "ours")


def test_an_object_of_others_is_not_replaced(root: Path, near: Place) -> None:
    kubectl(near, "create", "namespace", "theirs")
    kubectl(near, "-n", "theirs", "create", "service", "clusterip", "web", "--tcp=80")
    before = known(near, "-n", "theirs")

    with pytest.raises(ConfigError, match="namespace 'theirs' has a Service 'web' already"):
        made(Named("", "theirs"), root, near).start()

    assert before == known(near, "-n", "theirs")


@pytest.mark.parametrize("killed", ["pytest", "supervisor"])
def test_whoever_is_killed_the_namespace_is_removed(root: Path, near: Place, killed: str) -> None:
    with begun(root, near, "kube:", "somebody_is_killed") as tests:
        assert tests.stdout
        supervisor = next(int(row.split()[1]) for row in tests.stdout if row.startswith("super"))
        there = lasting(near)

        os.kill(tests.pid if killed == "pytest" else supervisor, signal.SIGKILL)
        require_removed(near)

        tests.kill()
    assert 1 == len(there)


def test_what_a_machine_that_has_gone_has_left_is_removed(near: Place) -> None:
    """Its claim was not renewed for long; that of a stack which still runs was."""
    claimed = {"attached-gone": "2020-01-01T00:00:00.000000Z",
               "attached-busy": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"}  # fmt: skip
    for name, time in claimed.items():
        namespace = {"apiVersion": "v1", "kind": "Namespace",
                     "metadata": {"name": name, "labels": MANAGED}}  # fmt: skip
        lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                 "metadata": {"name": LEASE, "namespace": name},
                 "spec": {"renewTime": time, "leaseDurationSeconds": 300}}  # fmt: skip
        kubectl(near, "apply", "-f", "-", given=yaml.safe_dump_all([namespace, lease]))
    server = reached_by("", near)
    about = {**access_to(server, Path(near["KUBECONFIG"]).parent).told()}

    Session({"server": about, "namespace": "another", "own": True}).sweep()

    left = lasting(near)
    kubectl(near, "delete", "namespace", "attached-busy", "--wait=false")
    assert ["attached-busy"] == left


@pytest.fixture(scope="module")
def contexts(
    cluster: dict[str, Any], near: Place, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """The variables of a user with further contexts."""
    body = yaml.safe_load(Path(cluster["kubeconfig"]).read_text())
    kubectl(near, "create", "serviceaccount", NOT_HIS)
    token = kubectl(near, "create", "token", NOT_HIS).strip()
    (server,) = body["clusters"]
    away = {**server["cluster"], "server": "https://127.0.0.1:1"}
    body["clusters"].append({"name": "away", "cluster": away})
    body["users"].append({"name": NOT_HIS, "user": {"token": token}})
    body["contexts"] += [
        {"name": "away", "context": {"cluster": "away", "user": NOT_HIS}},
        {"name": "denied", "context": {"cluster": server["name"], "user": NOT_HIS}},
    ]
    file = tmp_path_factory.mktemp("kube") / "config"
    file.write_text(yaml.safe_dump(body))
    yield {**near, "KUBECONFIG": str(file)}
    kubectl(near, "delete", "serviceaccount", NOT_HIS)


def made(where: Named, root: Path, environ: Place, **given: Any) -> Any:
    settings = Settings.load(root, environ, topology="", **given)
    return in_cluster(where, Topology(App("web", asgi="app:app")), settings)


@pytest.mark.parametrize(
    ("where", "kind", "said"),
    [
        (Named("dapr-harnes"), ConfigError, "no context named 'dapr-harnes'"),
        (Named("away"), ProbeError, "the API server at https://127.0.0.1:1 does not answer"),
        (Named("denied"), Unavailable, "has no permission to create namespaces, delete namespaces"),
        (Named("", "nowhere"), Unavailable, "has no namespace 'nowhere'"),
    ],
)
def test_what_a_stack_cannot_use_is_refused_before_anything_is_created(
    contexts: Place, root: Path, where: Named, kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said):
        made(where, root, contexts)


def test_dapr_of_another_minor_version_is_refused_and_nothing_is_left(
    near: Place, root: Path
) -> None:
    stack = made(Named(), root, near, dapr_version="1.17.0")

    with pytest.raises(Unavailable, match="of context 'dapr-harness' has Dapr 1") as caught:
        stack.start()

    assert "expected: Dapr 1.17" in str(caught.value)
    require_removed(near)
