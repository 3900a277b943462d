"""What is applied to a cluster to install Dapr, and the images of its programs."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import pytest

from harness.core.errors import ConfigError
from harness.kubernetes.dapr_objects import dapr_objects
from harness.kubernetes.dapr_roles import SYSTEM
from harness.kubernetes.dapr_workloads import programs
from harness.provision.authority import make_authority
from harness.provision.dapr_images import images_name, version_in
from harness.provision.versions import DAPR_BINARIES
from tests.kubernetes.rendering import the

AUTHORITY = make_authority()


@pytest.fixture(scope="module")
def objects() -> list[dict[str, Any]]:
    return list(dapr_objects("1.18.2", AUTHORITY))


def pods(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The templates of pods by the names of their workloads."""
    return {
        each["metadata"]["name"]: each["spec"]["template"]["spec"]
        for each in objects
        if each["kind"] in ("Deployment", "StatefulSet")
    }


def test_the_injector_is_not_asked_for_the_pods_of_the_control_plane(
    objects: list[dict[str, Any]],
) -> None:
    """It would wait for itself for ever; all other pods wait for it."""
    (hook,) = the(objects, "MutatingWebhookConfiguration", "dapr-sidecar-injector")["webhooks"]
    (rule,) = hook["namespaceSelector"]["matchExpressions"]

    assert "Fail" == hook["failurePolicy"]
    assert ("NotIn", [SYSTEM]) == (rule["operator"], rule["values"])


def test_everybody_trusts_the_root_that_signed_the_issuer_of_sentry(
    objects: list[dict[str, Any]],
) -> None:
    """Only sentry is given its key."""
    trusted = the(objects, "ConfigMap", "dapr-trust-bundle")["data"]
    secret = the(objects, "Secret", "dapr-trust-bundle")["data"]
    (hook,) = the(objects, "MutatingWebhookConfiguration", "dapr-sidecar-injector")["webhooks"]
    with_key = [
        name
        for name, pod in pods(objects).items()
        if any("secret" in volume for volume in pod["volumes"])
    ]

    assert {"ca.crt": AUTHORITY.anchors} == trusted
    assert AUTHORITY.key == base64.b64decode(secret["issuer.key"]).decode()
    assert AUTHORITY.anchors == base64.b64decode(hook["clientConfig"]["caBundle"]).decode()
    assert ["dapr-sentry"] == with_key


def test_mtls_is_on(objects: list[dict[str, Any]]) -> None:
    assert the(objects, "Configuration", "daprsystem")["spec"]["mtls"]["enabled"]


def test_every_program_is_guaranteed_some_cpu(objects: list[dict[str, Any]]) -> None:
    """Otherwise its probes fail on a busy machine."""
    found = {
        name: container["resources"]["requests"]["cpu"]
        for name, pod in pods(objects).items()
        for container in pod["containers"]
    }

    assert dict.fromkeys([each.name for each in programs("1.18.2")], "100m") == found


def test_no_program_runs_as_root_or_writes_to_its_image(objects: list[dict[str, Any]]) -> None:
    for pod in pods(objects).values():
        (container,) = pod["containers"]
        assert container["securityContext"]["runAsNonRoot"]
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert ["ALL"] == container["securityContext"]["capabilities"]["drop"]


def test_the_storage_of_the_scheduler_is_in_memory(objects: list[dict[str, Any]]) -> None:
    pod = pods(objects)["dapr-scheduler-server"]
    (container,) = pod["containers"]
    (folder,) = [each[16:] for each in container["args"] if each.startswith("--etcd-data-dir=")]
    (name,) = [
        each["name"] for each in container["volumeMounts"] if folder.startswith(each["mountPath"])
    ]
    (volume,) = [each for each in pod["volumes"] if each["name"] == name]

    assert {"medium": "Memory"} == volume["emptyDir"]


def test_every_account_is_there_before_what_uses_it(objects: list[dict[str, Any]]) -> None:
    seen = set()
    for each in objects:
        if each["kind"] == "ServiceAccount":
            seen.add(each["metadata"]["name"])
        if each["kind"] in ("Deployment", "StatefulSet"):
            assert each["spec"]["template"]["spec"]["serviceAccountName"] in seen
    assert "Namespace" == objects[0]["kind"]


@pytest.fixture
def binaries(tmp_path: Path) -> Path:
    for name in DAPR_BINARIES:
        (tmp_path / name).write_bytes(b"program")
        os.utime(tmp_path / name, ns=(1, 1))
    return tmp_path


def test_images_belong_to_the_binaries_that_they_were_made_of(binaries: Path) -> None:
    before = images_name(binaries)
    assert before == images_name(binaries)

    os.utime(binaries / "sentry", ns=(2, 2))

    assert before != images_name(binaries)


def test_the_version_of_images_is_that_of_their_daprd(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no image of daprd"):
        version_in(tmp_path)
    for name in ("sentry-1.18.2.tar", "daprd-1.18.2-rc.1.tar"):
        (tmp_path / name).touch()

    assert "1.18.2-rc.1" == version_in(tmp_path)
