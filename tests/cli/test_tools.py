"""``doctor`` and ``provision``: what a machine has, and what it lacks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from harness.core.deadline import Deadline, Observation, poll
from harness.provision.store import Store
from harness.provision.versions import DAPR, DAPR_BINARIES
from tests.support import CLI, cli, environment, leftovers, survivors

pytestmark = pytest.mark.real


def test_doctor_finds_no_problem_on_this_machine(mini: Path) -> None:
    """Every subject has a verdict and a fact."""
    done = cli(mini, "doctor", "--json")

    found = {each["subject"]: each for each in json.loads(done.stdout)}
    assert done.returncode == 0
    subjects = {"python", "dapr", "java", "kafka", "postgres", "installed", "engine", "disk"}
    assert subjects | {"tmp", "processes", "state", "leftovers"} == set(found)
    assert "ok" == found["kafka"]["verdict"]
    assert all(each["fix"] for each in found.values() if each["verdict"] != "ok")


def test_doctor_names_what_is_missing_and_how_to_install_it(mini: Path) -> None:
    """Exit code 3 when a stack cannot start; looking installs nothing."""
    cache = mini / "cache"
    broken = {"DAPR_HARNESS_JAVA": str(mini / "no-java"), "DAPR_HARNESS_CACHE_DIR": str(cache)}

    done = cli(mini, "doctor", env={**broken, "HOME": str(mini)})

    assert done.returncode == 3, done.stdout
    assert "missing  java" in done.stdout
    assert "fix: pip install" in done.stdout
    assert "warning  dapr" in done.stdout
    assert not any(path.is_dir() for path in cache.glob("*"))


def test_provision_prints_the_path_of_each_tool(mini: Path) -> None:
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


def test_damaged_tools_are_found_by_doctor_and_provision(mini: Path) -> None:
    """Every byte is looked at by `doctor` and `provision`; sizes by everything."""
    env = {
        "DAPR_HARNESS_CACHE_DIR": str(mini / "cache"), "HOME": str(mini), "PATH": "/usr/bin:/bin",
        "DAPR_HARNESS_RUNTIME": "processes",
    }  # fmt: skip

    def binaries(target: Path) -> None:
        for name in DAPR_BINARIES:
            (target / name).write_text("#!/bin/sh\necho 1.18.2\n")
            (target / name).chmod(0o755)

    folder = Store(mini / "cache").make(f"dapr-{DAPR}", binaries)
    placement = folder / "placement"
    state = placement.stat()

    def seen(*arguments: str) -> tuple[int, str]:
        done = cli(mini, *arguments, env=env)
        return done.returncode, done.stdout + done.stderr

    sound = seen("doctor")
    placement.write_text("#!/bin/sh\necho 1.81.2\n")
    os.utime(placement, ns=(state.st_atime_ns, state.st_mtime_ns))
    changed, refused = seen("doctor"), seen("provision", "--offline")
    placement.write_text("#!/bin/sh\n")
    cut, start = seen("doctor"), seen("up", "--offline")

    assert f"as it was installed: dapr-{DAPR}" in sound[1]
    for code, said in (changed, refused):
        assert 3 == code
        assert f"dapr-{DAPR}/placement has other bytes than were installed" in said
    assert "damaged  installed" in changed[1]
    for code, said in (cut, start):
        assert 3 == code
        assert f"dapr-{DAPR} is damaged: dapr-{DAPR}/placement has 10 bytes, not 22" in said
    assert "fix: dapr-harness provision" in cut[1]
