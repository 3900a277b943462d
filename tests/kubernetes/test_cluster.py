"""A real node of Kubernetes: pods, Services, clusters side by side, and what is left of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness import Settings
from harness.core.deadline import Deadline, Observation, poll
from harness.core.errors import HarnessError
from harness.kubernetes.obstacles import require_node, this_machine
from harness.nodes.cluster import ClusterNode, group_of
from harness.provision.toolbox import Provisioner
from harness.stack.registry import Registry, alive
from tests.support import CLI, ROOT, environment

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

LIMIT = 60.0
"""Seconds for what takes some on an idle machine."""


def obstacle() -> str:
    """Why no node runs here; "" if one does."""
    settings = Settings.load(ROOT, offline=True)
    toolbox = Provisioner(settings)
    try:
        require_node(this_machine(settings.environment, toolbox.store.root))
        for tool in ClusterNode.tools:
            toolbox.path(tool)
    except HarnessError as error:
        return f"no node of Kubernetes runs here: {error.subject}"
    return ""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of the commands; skips the tests where no node runs."""
    if reason := obstacle():
        pytest.skip(reason)
    return environment(tmp_path_factory.mktemp("clusters"))


def run(
    place: Mapping[str, str], *words: str, given: str = "", code: int = 0
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*CLI, *words], cwd=ROOT, env=place, input=given, capture_output=True, text=True
    )
    assert code == done.returncode, done.stdout + done.stderr
    return done


def up(place: Mapping[str, str], name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(place, "cluster", "up", name, "--json").stdout)
    return found


def remains(folder: str) -> list[str]:
    """What is left of the cluster whose run had this folder."""
    processes = [f"process {each}" for each in psutil.process_iter() if _mentions(each, folder)]
    mounts = [row for row in Path("/proc/self/mounts").read_text().splitlines() if folder in row]
    group = group_of(Path(folder) / "nodes" / "cluster")
    groups = [f"cgroup {each}" for each in Path("/sys/fs/cgroup").glob(f"**/{group}")]
    links = [
        f"interface {name}" for name, addresses in psutil.net_if_addrs().items()
        if any(each.address.startswith(("10.200.", "10.244.")) for each in addresses)
    ]  # fmt: skip
    folders = [f"folder {each}" for each in [Path(folder)] if each.exists()]
    return [*processes, *mounts, *groups, *links, *folders]


def _mentions(process: psutil.Process, folder: str) -> bool:
    try:
        return any(folder in word for word in process.cmdline())
    except psutil.Error:
        return False


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


def test_a_killed_cluster_leaves_nothing_and_another_one_as_it_is(
    one: dict[str, Any], place: dict[str, str]
) -> None:
    """No process and no cgroup; its folder until somebody removes what dead runs have left."""
    folder = up(place, "other")["folder"]
    pods = run(place, "kubectl", "--cluster", "other", "get", "pods", "-o", "name").stdout
    (supervisor,) = [
        each for each in psutil.process_iter()
        if _mentions(each, folder) and "supervisor/program.py" in " ".join(each.cmdline())
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
        if each.name() == "kubelet" and _mentions(each, folder)
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
