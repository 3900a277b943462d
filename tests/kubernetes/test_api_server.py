"""The manifests and the chart, validated by a real API server with Dapr's CRDs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.kubernetes.test_chart import GIVEN, template
from tests.support import ROOT, environment

pytestmark = pytest.mark.real

MANIFESTS = ROOT / "kubernetes" / "manifests"

CHOSEN = {
    **GIVEN,
    "autoscaling.backend-service.minReplicas": "3",
    "replicas.frontend": "2",
    "resources.frontend.app.limits.cpu": "2",
    "resources.frontend.daprd.requests.memory": "128Mi",
    "sidecar.livenessProbe.delaySeconds": "5",
    "sidecar.apiLogging": "true",
}
"""Values of an installation that has changed what it can."""

MISTAKES = """\
apiVersion: dapr.io/v1alpha1
kind: Componen
metadata: {name: misspelt}
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: undefined}
---
apiVersion: v1
kind: Service
metadata: {name: twice}
spec:
  type: ClusterIP
  type: NodePort
  ports: [{port: 80}]
---
apiVersion: v1
kind: Service
metadata: {name: beyond}
spec:
  ports:
    - port: 99999
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: unmatched}
spec:
  selector:
    matchLabels: {app: one}
  template:
    metadata:
      labels: {app: other}
    spec:
      containers: [{name: a, image: a}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: right}
"""


def planted(folder: Path) -> Path:
    """Our own manifests with one mistake each, and others."""
    folder.mkdir()
    for name, right, wrong in (
        ("frontend", "  replicas: 1\n", "  replicaz: 1\n"),
        ("component-statestore", "initTimeout: 30s", "initTimeout: [1]"),
    ):
        text = (MANIFESTS / f"{name}.yaml").read_text()
        assert right in text
        (folder / f"{name}.yaml").write_text(text.replace(right, wrong))
    (folder / "mistakes.yaml").write_text(MISTAKES)
    return folder


@pytest.fixture(scope="module")
def api_server(
    helm: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, list[dict[str, Any]]]]:
    """What one run of the command tells of each file of each source."""
    folder = tmp_path_factory.mktemp("validated")
    sources = {"manifests": MANIFESTS, "planted": planted(folder / "planted")}
    for name, values in (("chart", GIVEN), ("chosen", CHOSEN)):
        sources[name] = folder / f"{name}.yaml"
        sources[name].write_text(template(helm, **values).stdout)
    paths = sources.values()
    done = subprocess.run(
        [sys.executable, "-m", "harness.cli.main", "validate", "k8s", "--json", *map(str, paths)],
        cwd=ROOT, env=environment(folder), capture_output=True, text=True,
    )  # fmt: skip
    assert 2 == done.returncode, done.stderr
    rows = json.loads(done.stdout)
    yield {
        name: [row for row in rows if row["place"].startswith(str(path))]
        for name, path in sources.items()
    }
    assert [] == [each for each in psutil.process_iter() if str(folder) in " ".join(_words(each))]


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


@pytest.mark.parametrize("source", ["manifests", "chart", "chosen"])
def test_each_object_is_accepted_without_a_warning(
    api_server: dict[str, list[dict[str, Any]]], source: str
) -> None:
    found = api_server[source]

    assert [] == [each for each in found if each["problem"] or each["warnings"]]
    assert {"Deployment", "NetworkPolicy", "Component", "Subscription"} <= {
        each["kind"] for each in found
    }


@pytest.mark.parametrize(
    ("name", "place", "said"),
    [
        ("todo/frontend", "frontend.yaml:21", "replicaz"),
        ("todo/statestore", "component-statestore.yaml:12", "initTimeout"),
        ("misspelt", "mistakes.yaml:2", "dapr.io/v1alpha1 has no kind 'Componen'"),
        ("undefined", "mistakes.yaml:6", "does not serve keda.sh/v1alpha1"),
        ("default/twice", "mistakes.yaml:14", '"type" already set'),
        ("default/beyond", "mistakes.yaml:22", "spec.ports[0].port: Invalid value: 99999"),
        ("default/unmatched", "mistakes.yaml:32", "`selector` does not match template `labels`"),
    ],
)
def test_a_mistake_is_refused_at_its_line(
    api_server: dict[str, list[dict[str, Any]]], name: str, place: str, said: str
) -> None:
    (found,) = [each for each in api_server["planted"] if each["name"] == name and each["problem"]]

    assert said in found["problem"]
    assert found["place"].endswith(f"/{place}")


def test_what_is_right_beside_mistakes_is_accepted(
    api_server: dict[str, list[dict[str, Any]]],
) -> None:
    (right,) = [each for each in api_server["planted"] if each["name"] == "default/right"]

    assert "" == right["problem"]
