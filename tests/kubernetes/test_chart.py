"""The chart, rendered by Helm itself."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import Settings
from tests.kubernetes.validate import validate
from tests.provision import find_helm
from tests.support import ROOT

pytestmark = pytest.mark.real

CHART = ROOT / "kubernetes" / "chart"
GIVEN = {
    "secrets.DATABASE_URL": "postgresql://a:b@pg/todo",
    "secrets.STATE_STORE_DSN": "postgresql://a:b@pg/state",
    "secrets.daprApiToken": "1234",
    "secrets.appApiToken": "true",
}
"""Texts that YAML would take for a number and a truth, were they not quoted."""


@pytest.fixture(scope="module")
def helm() -> Path:
    """Helm, which provisioning of the tests has built where the machine has none."""
    found = find_helm(Settings.load(ROOT))
    if found is None:
        pytest.skip("Helm is not provisioned; `python -m tests.provision` builds it")
    return found


def template(helm: Path, **values: str) -> subprocess.CompletedProcess[str]:
    """`helm template` with some values."""
    said = [word for name, value in values.items() for word in ("--set-string", f"{name}={value}")]
    return subprocess.run(
        [str(helm), "template", "mine", str(CHART), *said], capture_output=True, text=True
    )


def objects(text: str) -> dict[tuple[str, str], dict[str, Any]]:
    """By kind and name."""
    bodies = [body for body in yaml.safe_load_all(text) if body]
    return {(body["kind"], body["metadata"]["name"]): body for body in bodies}


def test_the_chart_renders_the_manifests(helm: Path) -> None:
    """With its defaults, object by object, and with the given Secrets. All are valid."""
    done = template(helm, **GIVEN)
    assert 0 == done.returncode, done.stderr
    found = objects(done.stdout)
    files = sorted((ROOT / "kubernetes" / "manifests").glob("*.yaml"))
    plain = objects("---\n".join(file.read_text() for file in files))

    secrets = {key: found.pop(key) for key in list(found) if key[0] == "Secret"}

    assert plain == found
    for body in (*found.values(), *secrets.values()):
        validate(body)
    assert {
        "todo": {
            "DATABASE_URL": "postgresql://a:b@pg/todo",
            "STATE_STORE_DSN": "postgresql://a:b@pg/state",
        },
        "todo-dapr-api-token": {"token": "1234"},
        "todo-app-api-token": {"token": "true"},
    } == {name: body["stringData"] for (_, name), body in secrets.items()}


def test_chart_values_are_rendered(helm: Path) -> None:
    """Image, number of replicas, and where the cluster's own brokers and receivers are."""
    values = {
        "image.repository": "registry.example.org/todo",
        "image.tag": "7",
        "broker.brokers": "kafka-0:9092\\,kafka-1:9092",
        "receiver.url": "https://hooks.example.org",
    }
    done = subprocess.run(
        [str(helm), "template", "mine", str(CHART), "--set", "replicas.backend-service=3",
         *(w for n, v in {**GIVEN, **values}.items() for w in ("--set-string", f"{n}={v}"))],
        capture_output=True, text=True,
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr
    found = objects(done.stdout)

    backend = found["Deployment", "backend-service"]["spec"]
    image = backend["template"]["spec"]["containers"][0]["image"]
    pubsub = found["Component", "pubsub"]["spec"]["metadata"]
    webhook = found["Component", "webhook"]["spec"]["metadata"]
    assert (3, "registry.example.org/todo:7") == (backend["replicas"], image)
    assert {"name": "brokers", "value": "kafka-0:9092,kafka-1:9092"} in pubsub
    assert {"name": "url", "value": "https://hooks.example.org/webhooks"} in webhook
    for body in found.values():
        validate(body)


@pytest.mark.parametrize("missing", sorted(GIVEN))
def test_the_chart_requires_every_secret(helm: Path, missing: str) -> None:
    """Nothing is installed with an empty password."""
    done = template(helm, **{name: value for name, value in GIVEN.items() if name != missing})

    assert 0 != done.returncode
    assert f"set {missing}" in done.stderr


def test_existing_secrets_are_used_instead_of_rendered_ones(helm: Path) -> None:
    """Then the chart makes none."""
    done = subprocess.run(
        [str(helm), "template", "mine", str(CHART), "--set", "existingSecrets=true"],
        capture_output=True, text=True,
    )  # fmt: skip

    assert 0 == done.returncode, done.stderr
    assert not [key for key in objects(done.stdout) if key[0] == "Secret"]


def test_helm_lint_finds_nothing(helm: Path) -> None:
    """`helm lint`, warnings included."""
    said = [word for name, value in GIVEN.items() for word in ("--set-string", f"{name}={value}")]
    done = subprocess.run(
        [str(helm), "lint", "--strict", str(CHART), *said], capture_output=True, text=True
    )

    assert 0 == done.returncode, done.stdout
