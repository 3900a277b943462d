"""A stack in a real node of Kubernetes: an injected sidecar, the usual commands, and the end."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.nodes.dapr_cluster import DaprClusterNode
from tests.kubernetes.clusters import obstacle, remains
from tests.support import CLI, environment, project

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

APP = """\
import json, os
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body = {"/dapr/subscribe": [{"pubsubname": "events", "topic": "orders", "route": "/orders"}]}
    said = body.get(scope["path"], {"pod": os.uname().nodename})
    print("asked for", scope["path"], flush=True)
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(said).encode()})
"""

TOPOLOGY = """\
from harness import App, Topology
topology = Topology(App("web", asgi="app:app", inbox=True), resources="c")
"""

EVENTS = """\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: events}
spec: {type: pubsub.in-memory, version: v1, metadata: []}
"""

TESTS = """\
def test_an_event_is_delivered(dapr_sync):
    dapr_sync.sidecar("web").publish("events", "orders", {"number": 1})
    assert {"number": 1} == dapr_sync.inbox("web").next(path="/orders").data
"""

Place = dict[str, str]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The environment of the commands; skips the tests where no node runs."""
    if reason := obstacle(DaprClusterNode):
        pytest.skip(reason)
    return environment(tmp_path_factory.mktemp("stacks"))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one app."""
    settings = '[tool.dapr-harness]\ntopology = "topo:topology"\n'
    return project(
        tmp_path_factory.mktemp("projects") / "shop",
        pyproject_toml=settings, app_py=APP, topo_py=TOPOLOGY, c__events_yaml=EVENTS,
        test_events_py=TESTS,
    )  # fmt: skip


def run(root: Path, place: Place, *words: str, code: int = 0) -> str:
    done = subprocess.run([*CLI, *words], cwd=root, env=place, capture_output=True, text=True)
    assert code == done.returncode, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stderr


@pytest.fixture(scope="module")
def stack(root: Path, place: Place) -> Iterator[dict[str, Any]]:
    """The stack, as ``status`` shows it."""
    run(root, place, "up", "--runtime", "kubernetes")
    (found,) = json.loads(run(root, place, "status", "--json"))
    try:
        yield found
    finally:
        run(root, place, "down")
        assert [] == remains(found["folder"])


def pods(root: Path, place: Place) -> list[dict[str, Any]]:
    said = run(root, place, "kubectl", "-n", "shop", "get", "pods", "-o", "json")
    found: list[dict[str, Any]] = json.loads(said)["items"]
    return found


def asked(root: Path, place: Place) -> str:
    """The name of the pod that answers."""
    said: dict[str, str] = json.loads(run(root, place, "invoke", "web", "where"))
    return said["pod"]


def test_an_app_is_called_through_the_sidecar_that_the_injector_has_added(
    stack: dict[str, Any], root: Path, place: Place
) -> None:
    (pod,) = pods(root, place)
    sidecar = next(each for each in pod["spec"]["containers"] if each["name"] == "daprd")

    assert pod["metadata"]["name"] == asked(root, place)
    assert "--enable-mtls" in sidecar["args"]


def test_the_log_of_a_container_is_in_the_folder_of_the_run(
    stack: dict[str, Any], root: Path, place: Place
) -> None:
    asked(root, place)

    assert "asked for /where" in run(root, place, "logs", "web")
    assert "dapr initialized" in run(root, place, "logs", "web-daprd")
    assert run(root, place, "logs", "scheduler")


def test_tests_attach_to_it_and_see_what_the_sidecar_delivers(
    stack: dict[str, Any], root: Path, place: Place
) -> None:
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*words, "--dapr-attach=default", "test_events.py"],
        cwd=root, env=place, capture_output=True, text=True,
    )  # fmt: skip

    assert 0 == done.returncode, done.stdout + done.stderr


def test_a_restart_replaces_the_pod_and_the_app_answers_again(
    stack: dict[str, Any], root: Path, place: Place
) -> None:
    before = asked(root, place)

    run(root, place, "restart", "web")

    after = asked(root, place)
    assert before != after
    assert [after] == [each["metadata"]["name"] for each in pods(root, place)]


def test_a_killed_pod_stays_away_until_it_is_restarted(
    stack: dict[str, Any], root: Path, place: Place
) -> None:
    run(root, place, "kill", "web")
    left = pods(root, place)
    (killed,) = json.loads(run(root, place, "status", "--json"))

    run(root, place, "restart", "web")

    assert [] == left
    states = {each["name"]: each["state"] for each in killed["nodes"]}
    assert "exited" == states["web"] == states["web-daprd"]
    assert asked(root, place)


def test_a_pod_cannot_be_paused(stack: dict[str, Any], root: Path, place: Place) -> None:
    said = run(root, place, "pause", "web", code=2)

    assert "web cannot be paused" in said


def test_the_stack_is_a_cluster_for_kubectl_and_its_pods_are_ready(
    stack: dict[str, Any], root: Path, place: Place
) -> None:
    said = run(root, place, "cluster", "wait", "shop", "--cluster", "default")

    assert "1 are ready in namespace 'shop'" in said
