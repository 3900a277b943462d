"""A running sidecar with fewer components, and what becomes of it when a test needs another one."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness import App, Settings, Stack, Topology, World, running
from harness.provision import local_daprd
from harness.provision.dapr import version_of
from harness.provision.local_daprd import TYPES
from harness.provision.toolbox import Provisioner
from tests.projects import HELLO_APP, IN_MEMORY
from tests.support import project

pytestmark = pytest.mark.real

STORE = """
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: store}
spec: {type: state.in-memory, version: v1}
"""


def topology(folder: Path) -> Topology:
    project(folder, hello_py=HELLO_APP, r__pubsub_yaml=IN_MEMORY)
    hello = App("hello", command=[sys.executable, "hello.py", "{port}"], cwd=folder)
    return Topology(hello, resources="r")


def program(stack: Stack) -> Path:
    """The program that the sidecar executes, as the kernel has it."""
    pid = stack.instances["hello-daprd"].pid
    return Path(psutil.Process(pid).cmdline()[0]).parent


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """Its sidecar runs a daprd that is taken to have one component; in truth, it has all."""
    whole = Provisioner(Settings.load()).path("daprd")
    version = version_of(whole)
    cache = tmp_path / "cache"
    local = cache / f"dapr-{version}-local-{local_daprd._digest()}"
    local.mkdir(parents=True)
    (local / "daprd").symlink_to(whole)
    (local / TYPES).write_text(json.dumps(["nameresolution.sqlite", "pubsub.in-memory"]))
    (cache / f"dapr-{version}").symlink_to(whole.parent)
    environment = {**os.environ, "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    settings = Settings.load(
        tmp_path, environment, cache_dir=cache, daprd_components="local", dapr_version=version,
        runtime="processes", offline=True,
    )  # fmt: skip
    with running(topology(tmp_path), settings) as opened:
        yield opened


def test_a_resource_of_a_type_that_a_sidecar_lacks_restarts_it_with_the_whole_daprd(
    stack: Stack,
) -> None:
    """And with the former one at the end."""
    assert "-local-" in program(stack).name
    with World(stack) as dapr:
        with dapr.resources(STORE) as restarted:
            reason = "the daprd that it runs does not have the same components"
            assert {"hello-daprd": reason} == restarted
            assert "-local-" not in program(stack).name
            dapr.sidecar("hello").save_state("store", "a", 1)
            assert 1 == dapr.sidecar("hello").get_state("store", "a").value

        assert "-local-" in program(stack).name
        assert ["pubsub"] == [each.name for each in dapr.sidecar("hello").metadata().components]


def test_a_stopped_sidecar_starts_with_the_daprd_that_has_its_new_resources(stack: Stack) -> None:
    """And with the former one after that."""
    with World(stack) as dapr:
        stack.instances["hello-daprd"].stop()
        with dapr.resources(STORE):
            stack.restart("hello-daprd")
            assert "-local-" not in program(stack).name
            dapr.sidecar("hello").save_state("store", "a", 1)
            stack.instances["hello-daprd"].stop()

        stack.restart("hello-daprd")
        assert "-local-" in program(stack).name


def metadata(folder: Path, settings: Settings) -> tuple[str, Mapping[str, Any]]:
    """The name of the sidecar's program's folder, and its metadata without what each start has."""
    with running(topology(folder), settings) as stack, World(stack) as dapr:
        found = dict(dapr.sidecar("hello").metadata().raw)
        found["enabledFeatures"] = sorted(found["enabledFeatures"])  # daprd's order varies
        name = program(stack).name
    connection = {"appConnectionProperties", "scheduler", "actorRuntime"}
    return name, {key: value for key, value in found.items() if key not in connection}


def test_both_builds_of_daprd_report_the_same_metadata(tmp_path: Path) -> None:
    """The version, the components and what they can do, the features."""
    usual = replace(Settings.load(tmp_path), runtime="processes", offline=True)
    few = replace(usual, daprd_components="local")
    if Provisioner(few).local_daprd() is None:
        pytest.skip("the daprd with fewer components is not built here")

    whole, local = metadata(tmp_path, usual), metadata(tmp_path, few)

    assert "-local-" in local[0]
    assert "-local-" not in whole[0]
    assert whole[1] == local[1]
    assert whole[1]["runtimeVersion"] == local[0].split("-")[1]
    assert ["pubsub"] == [each["name"] for each in local[1]["components"]]
