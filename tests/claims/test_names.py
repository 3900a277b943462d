"""Claims about the resolver of names by SQLite, on sidecars without anything else."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from harness import Settings
from harness.core.deadline import Deadline, Observation, poll
from harness.core.launch import Launch
from harness.nodes.sidecar import configuration_text
from harness.provision.toolbox import Provisioner
from harness.runtime.instance import ProcessInstance
from harness.runtime.processes import ProcessRuntime

pytestmark = pytest.mark.real

CLEANED = "Schedule expired data clean up every"
REGISTERED = "Initialized name resolution to sqlite"
LOST = "Host registration lost"
OPENED = "Configuring SQLite name resolution"
RUNS_ON = "dapr initialized. Status: Running"
LOCKED = "database is locked"


@pytest.fixture
def runtime() -> Iterator[ProcessRuntime]:
    with ProcessRuntime({"PATH": os.environ["PATH"], "DAPR_HOST_IP": "127.0.0.1"}) as opened:
        yield opened


def sidecar(runtime: ProcessRuntime, name: str, **changes: str) -> ProcessInstance:
    """A daprd with the harness's Configuration, some values of which are replaced."""
    configuration = yaml.safe_load(configuration_text(str(runtime.folder / f"{name}.db")))
    values = configuration["spec"]["nameResolution"]["configuration"]
    assert changes.keys() <= values.keys()
    values.update(changes)
    text = yaml.safe_dump(configuration)
    flags = ("dapr-http-port", "dapr-grpc-port", "dapr-internal-grpc-port", "metrics-port")
    ports = [runtime.reserve().port for _ in flags]
    argv = [f"--{flag}={port}" for flag, port in zip(flags, ports, strict=True)]
    argv += [f"--app-id={name}", "--config=names.yaml", "--resources-path=resources"]
    daprd = str(Provisioner(Settings.load()).path("daprd"))
    files = {"names.yaml": text, "resources/.keep": ""}
    return runtime.start(
        Launch(name, (daprd, *argv), ports=dict(zip(flags, ports, strict=True)), files=files)
    )


def says(instance: ProcessInstance, words: str) -> Observation:
    text = instance.log.read_text()
    return Observation(words in text, text)


def require(instance: ProcessInstance, words: str) -> None:
    assert (seen := poll(lambda: says(instance, words), Deadline(60))).ok, seen.fact


def test_a_clean_up_of_names_ends_the_sidecar_and_ours_has_none(runtime: ProcessRuntime) -> None:
    """It deletes what is fresh (components-contrib 1.18.3); by default it comes after an hour."""
    seconds = {"updateInterval": "4s", "timeout": "3s"}
    ours = sidecar(runtime, "ours", **seconds)
    cleaned = sidecar(runtime, "cleaned", **seconds, cleanupInterval="1s")

    require(cleaned, CLEANED)
    require(cleaned, LOST)
    require(ours, REGISTERED)

    assert poll(lambda: Observation(cleaned.exit_code is not None), Deadline(30)).ok
    assert not says(ours, CLEANED).ok
    assert ours.exit_code is None


def test_the_claim_is_about_the_file_that_sidecars_get() -> None:
    """Nothing but 0 switches it off, and nothing else may stand there."""
    assert "cleanupInterval: '0'\n" in configuration_text(str(Path("hosts.db")))


def opening_a_file_in_use(runtime: ProcessRuntime, name: str, **changes: str) -> ProcessInstance:
    """A sidecar that opens a file of names to which another one writes, for about a second."""
    with closing(sqlite3.connect(runtime.folder / f"{name}.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        opened = sidecar(runtime, name, **changes)
        require(opened, OPENED)
        poll(lambda: says(opened, LOCKED), Deadline(1))
    return opened


def test_a_sidecar_waits_for_another_one_that_writes_to_a_new_file_of_names(
    runtime: ProcessRuntime,
) -> None:
    """With a write-ahead log it goes on without a name instead (components-contrib 1.18.3)."""
    logged = opening_a_file_in_use(runtime, "logged", disableWAL="false")
    ours = opening_a_file_in_use(runtime, "ours")

    require(ours, REGISTERED)
    require(logged, RUNS_ON)

    assert says(logged, LOCKED).ok
    assert not says(logged, REGISTERED).ok
    assert logged.exit_code is None
    assert not says(ours, LOCKED).ok
