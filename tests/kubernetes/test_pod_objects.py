"""The objects of a launch that is a pod of its own."""

from __future__ import annotations

import base64
import io
import os
import socket
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from harness import ConfigError
from harness.core.launch import InContainer, Launch
from harness.kubernetes.pod_objects import behind, of_own, with_containers
from tests.kubernetes.rendering import the

BROKER = Launch(
    "broker", ("serve", "--now"), env={"PASSWORD": "p"}, ports={"main": 9092}, grace=2.5
)


def objects(launch: Launch) -> list[dict[str, Any]]:
    return list(of_own(launch, "shop", "image:1"))


def spec_of(found: list[dict[str, Any]], name: str) -> dict[str, Any]:
    spec: dict[str, Any] = the(found, "Deployment", name)["spec"]["template"]["spec"]
    return spec


def test_variables_are_in_a_secret_and_not_in_the_pod() -> None:
    found = objects(BROKER)

    assert {"PASSWORD": "p"} == the(found, "Secret", "broker-given")["stringData"]
    (container,) = spec_of(found, "broker")["containers"]
    assert [{"secretRef": {"name": "broker-given"}}] == container["envFrom"]
    assert "env" not in container


def test_files_are_not_among_the_variables_of_a_container() -> None:
    """An archive is not text, and the container would not be created."""
    found = objects(Launch("tap", ("daprd",), files={"a": "b"}))

    assert {} == the(found, "Secret", "tap-given")["stringData"]
    assert "data" not in the(found, "Secret", "tap-given")


def test_a_pod_requests_a_share_of_the_cpu() -> None:
    """Without, it has next to nothing while the machine is busy."""
    (container,) = spec_of(objects(BROKER), "broker")["containers"]

    assert {"cpu": "50m"} == container["resources"]["requests"]


def test_a_pod_is_ready_when_it_listens_on_its_first_port() -> None:
    (container,) = spec_of(objects(BROKER), "broker")["containers"]

    assert {"port": 9092} == container["readinessProbe"]["tcpSocket"]


def test_a_pod_runs_the_command_of_its_launch_in_an_image_that_is_there() -> None:
    (container,) = spec_of(objects(BROKER), "broker")["containers"]

    assert ("image:1", "Never", ["serve", "--now"]) == (
        container["image"], container["imagePullPolicy"], container["args"],
    )  # fmt: skip


def test_a_pod_has_the_grace_of_its_launch_rounded_up() -> None:
    assert 3 == spec_of(objects(BROKER), "broker")["terminationGracePeriodSeconds"]


def test_a_service_leads_to_a_pod_before_it_is_ready() -> None:
    service = the(objects(BROKER), "Service", "broker")["spec"]

    assert service["publishNotReadyAddresses"]
    assert [9092] == [each["port"] for each in service["ports"]]


def test_files_and_folders_are_in_the_home_of_the_container(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "code.py").write_text("pass")
    launch = Launch(
        "tap", ("daprd",), files={"resources/a.yaml": "a: 1"},
        container=InContainer("daprd", folders={"package": tmp_path / "package"}),
    )  # fmt: skip

    found = objects(launch)

    data = base64.b64decode(the(found, "Secret", "tap-home")["data"]["home.tar.gz"])
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert {"package", "package/code.py", "resources/a.yaml"} == {*tar.getnames()}
    spec = spec_of(found, "tap")
    (unpacking,) = spec["initContainers"]
    assert "/harness" in unpacking["command"]
    (container,) = spec["containers"]
    assert [{"name": "tap-home", "mountPath": "/harness"}] == container["volumeMounts"]


def test_files_that_do_not_fit_into_a_secret_are_refused(tmp_path: Path) -> None:
    # Bytes that cannot be compressed.
    (tmp_path / "big").write_bytes(os.urandom(1_100_000))
    launch = Launch("tap", ("x",), container=InContainer("app", folders={"big": tmp_path}))

    with pytest.raises(ConfigError, match="the files of tap do not fit into a Secret"):
        objects(launch)


def test_folders_of_this_machine_are_refused() -> None:
    launch = Launch("shop", ("x",), container=InContainer("app", mounts={"/clock": "/clock"}))

    with pytest.raises(ConfigError, match="shop reads folders of this machine"):
        objects(launch)


def test_the_recorder_of_an_app_is_a_container_of_its_pod() -> None:
    template = {"metadata": {}, "spec": {"containers": [{"name": "app"}], "hostname": "h"}}

    made = with_containers(template, [BROKER], lambda _: "image:2")

    assert ["app", "broker"] == [each["name"] for each in made["spec"]["containers"]]
    assert "h" == made["spec"]["hostname"]
    assert ["app"] == [each["name"] for each in template["spec"]["containers"]]  # type: ignore[index]


def test_a_recorder_starts_when_the_app_listens() -> None:
    """Really executed: it runs when the port is open, and not before."""
    with socket.create_server(("127.0.0.1", 0)) as neighbour:
        launch = behind(Launch("inbox", ("echo", "runs")), neighbour.getsockname()[1])
        done = subprocess.run([sys.executable, *launch.argv[1:]], capture_output=True, text=True)
    waiting = subprocess.Popen([sys.executable, *launch.argv[1:]], stdout=subprocess.PIPE)
    try:
        assert "runs\n" == done.stdout
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.communicate(timeout=0.5)
    finally:
        waiting.kill()
        waiting.communicate()
