"""A real node of Kubernetes: pods, Services, clusters side by side, and what is left of them."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness import Settings
from harness.core.deadline import Deadline, Observation, poll
from harness.provision.toolbox import Provisioner
from harness.stack.registry import Registry, alive
from tests.kubernetes.clusters import LIMIT, mentions, obstacle, remains, run, up
from tests.support import ROOT, environment

pytestmark = pytest.mark.real

WEB = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: web
          image: dapr-harness.local/busybox:1
          imagePullPolicy: Never
          command: [/bin/sh, -c, 'echo "served by $HOSTNAME" > /tmp/index.html; exec /bin/busybox httpd -f -p 8080 -h /tmp']
          ports: [{containerPort: 8080}]
          readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: 8080}]
"""  # noqa: E501

STORE = """\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: store, namespace: default}
spec: {type: state.in-memory, version: v1, metadata: []}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of the commands; skips the tests where no node runs."""
    if reason := obstacle():
        pytest.skip(reason)
    return environment(tmp_path_factory.mktemp("clusters"))


def of_the_machine() -> dict[str, str]:
    """Settings that kubelet, kube-proxy and the network of pods would change."""
    names = ("vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops", "net/ipv4/ip_forward")
    return {name: Path("/proc/sys", name).read_text() for name in names}


@pytest.fixture(scope="module")
def before(place: dict[str, str]) -> dict[str, str]:
    return of_the_machine()


@pytest.fixture(scope="module")
def one(place: dict[str, str], before: dict[str, str]) -> Iterator[dict[str, Any]]:
    """A cluster with a Service of two pods."""
    found = up(place, "one")
    try:
        run(place, "kubectl", "--cluster", "one", "apply", "-f", "-", given=WEB)
        waiting = ("rollout", "status", "deployment/web", "--timeout=60s")
        run(place, "kubectl", "--cluster", "one", *waiting)
        yield found
    finally:
        run(place, "cluster", "down", "one")
        assert [] == remains(found["folder"])


def test_pods_run_on_a_node_and_answer_by_their_service(
    one: dict[str, Any], place: dict[str, str]
) -> None:
    """Asked for by name, from another pod: names, translated addresses, exec."""
    words = ("exec", "deployment/web", "--", "wget", "-qO-", "http://web.default.svc.cluster.local")
    said = run(place, "kubectl", "--cluster", "one", *words).stdout

    assert "served by web-" in said


def test_clients_of_this_machine_need_the_kubeconfig_only(
    one: dict[str, Any], place: dict[str, str]
) -> None:
    """Which nobody else can read; its API server is on loopback."""
    file = Path(one["kubeconfig"])
    program = Provisioner(Settings.load(ROOT, offline=True)).path("kubectl")
    path = "/api/v1/namespaces/default/services/web:http/proxy/"

    done = subprocess.run(
        [program, "--kubeconfig", file, "get", "--raw", path], capture_output=True, text=True
    )

    assert "served by web-" in done.stdout, done.stderr
    assert 0o600 == file.stat().st_mode & 0o777
    assert one["server"].startswith("https://127.0.0.1:")


def test_a_cluster_without_dapr_validates_nothing(
    one: dict[str, Any], place: dict[str, str]
) -> None:
    """Its kinds are not defined."""
    mine = {**place, "KUBECONFIG": one["kubeconfig"]}
    (context,) = run(
        mine, "kubectl", "--cluster", "one", "config", "get-contexts", "-o", "name"
    ).stdout.split()

    done = run(mine, "validate", "k8s", "-", "--context", context, given=STORE, code=3)

    told = " ".join(done.stderr.split())
    assert f"error: Dapr is not installed in the cluster of context '{context}'" in told


def test_a_killed_cluster_leaves_nothing_and_another_one_as_it_is(
    one: dict[str, Any], place: dict[str, str]
) -> None:
    """No process and no cgroup; its folder until somebody removes what dead runs have left."""
    folder = up(place, "other")["folder"]
    pods = run(place, "kubectl", "--cluster", "other", "get", "pods", "-o", "name").stdout
    (supervisor,) = [
        each for each in psutil.process_iter()
        if mentions(each, folder) and "supervisor/program.py" in " ".join(each.cmdline())
    ]  # fmt: skip

    supervisor.send_signal(signal.SIGKILL)

    def look() -> Observation:
        found = [each for each in remains(folder) if not each.startswith("folder ")]
        return Observation(not found, "; ".join(found))

    assert poll(look, Deadline(LIMIT)).ok, look().fact
    run(place, "down", "--stale")
    assert [] == remains(folder)
    left = run(place, "kubectl", "get", "pods", "-o", "name").stdout
    assert ("", 2) == (pods, left.count("pod/web-"))


def test_nothing_of_the_machine_is_changed_by_a_cluster(
    one: dict[str, Any], before: dict[str, str]
) -> None:
    assert before == of_the_machine()


def test_a_killed_kubelet_ends_its_cluster_and_is_named(place: dict[str, str]) -> None:
    """At once, and not when something else has waited for long enough."""
    folder = up(place, "broken")["folder"]
    (kubelet,) = [
        each for each in psutil.process_iter()
        if each.name() == "kubelet" and mentions(each, folder)
    ]  # fmt: skip
    os.kill(kubelet.pid, signal.SIGKILL)

    registry = Registry(Path(place["DAPR_HARNESS_STATE_DIR"]))

    def look() -> Observation:
        (node,) = registry.require("broken").nodes
        return Observation(not alive(node.pid))

    assert poll(look, Deadline(LIMIT)).ok
    said = run(place, "kubectl", "--cluster", "broken", "get", "pods", code=4).stderr
    run(place, "cluster", "down", "broken")

    assert "the node of cluster 'broken' has ended" in said
    assert "kubelet ended with code 137" in said
    assert [] == remains(folder)
