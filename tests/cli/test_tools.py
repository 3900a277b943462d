"""``doctor`` and ``provision``: what a machine has, and what it lacks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from harness.deadline import Deadline, Observation, poll
from tests.support import CLI, cli, environment, leftovers, survivors

pytestmark = pytest.mark.real


def test_the_doctor_is_content_with_this_machine(mini: Path) -> None:
    """Every subject has a verdict and a fact."""
    done = cli(mini, "doctor", "--json")

    found = {each["subject"]: each for each in json.loads(done.stdout)}
    assert done.returncode == 0
    subjects = {"python", "dapr", "java", "kafka", "postgres", "engine", "disk", "leftovers"}
    assert subjects == set(found)
    assert "ok" == found["kafka"]["verdict"]
    assert all(each["fix"] for each in found.values() if each["verdict"] != "ok")


def test_the_doctor_tells_what_is_missing_and_how_to_get_it(mini: Path) -> None:
    """Exit code 3 when a stack cannot start; looking installs nothing."""
    cache = mini / "cache"
    broken = {"DAPR_HARNESS_JAVA": str(mini / "no-java"), "DAPR_HARNESS_CACHE_DIR": str(cache)}

    done = cli(mini, "doctor", env={**broken, "HOME": str(mini)})

    assert done.returncode == 3, done.stdout
    assert "missing  java" in done.stdout
    assert "fix: pip install" in done.stdout
    assert "warning  dapr" in done.stdout
    assert not any(path.is_dir() for path in cache.glob("*"))


def test_provision_says_where_everything_is(mini: Path) -> None:
    """And a second one needs no network."""
    done = cli(mini, "provision", "--offline", "--json")

    found = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert os.access(found["daprd"], os.X_OK)
    assert {"daprd", "java", "kafka", "postgres", "postgres-data"} == set(found)


def test_kill_9_while_building_leaves_no_build(mini: Path) -> None:
    """A build of minutes does not outlive who asked for it."""
    binaries = mini / "bin"
    binaries.mkdir()
    go = binaries / "go"
    go.write_text(
        "#!/bin/sh\nif [ $1 = env ]; then echo go1.30.0; else echo building; exec sleep 300; fi\n"
    )
    go.chmod(0o755)
    env = {
        "PATH": f"{binaries}:/usr/bin:/bin",
        "HOME": str(mini),
        "DAPR_HARNESS_CACHE_DIR": str(mini / "cache"),
        "DAPR_HARNESS_RELEASE_URL": "",
    }
    with subprocess.Popen(
        [*CLI, "provision"],
        cwd=mini, env=environment(mini, **env),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as building:  # fmt: skip
        seen = poll(
            lambda: Observation(any("sleep 300" in line for line in survivors(mini))), Deadline(20)
        )
        building.send_signal(signal.SIGKILL)

    assert seen.ok
    assert [] == leftovers(mini)
