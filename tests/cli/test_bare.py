"""Commands on a machine that lacks something, and with files that no project should have."""

from __future__ import annotations

import json
import os
import resource
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from harness.stack.registry import Registry
from tests.projects import COMPONENT, MINI_FILES
from tests.support import CLI, cli, environment, project
from tests.unit.test_reading import BOMB


def nothing_written() -> None:
    """In a child before its program: every file is too large, as if every disk were full."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def command(
    folder: Path,
    *arguments: str,
    full: bool = False,
    env: Mapping[str, str] | None = None,
    without: Sequence[str] = (),
) -> subprocess.CompletedProcess[str]:
    """A command that has ended within a minute, and not in a traceback."""
    given = environment(folder, DAPR_HARNESS_CACHE_DIR=str(folder / "cache"))
    # A tool that is not there is neither downloaded nor built, and no engine stands in for it.
    given |= {"DAPR_HARNESS_OFFLINE": "1", "DAPR_HARNESS_RUNTIME": "processes", **(env or {})}
    done = subprocess.run(
        [*CLI, *arguments], cwd=folder,
        env={name: value for name, value in given.items() if name not in without},
        capture_output=True, text=True, timeout=60, preexec_fn=nothing_written if full else None,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done


def diagnosis(done: subprocess.CompletedProcess[str], subject: str) -> dict[str, str]:
    """The doctor's finding about a subject."""
    found: list[dict[str, str]] = json.loads(done.stdout)
    (one,) = [each for each in found if each["subject"] == subject]
    return one


def test_an_empty_path_is_one_sentence(tmp_path: Path) -> None:
    """Looking works; a start without its tools is a sentence, before anything is started."""
    project(tmp_path, **MINI_FILES)

    status, doctor, start = (
        command(tmp_path, *each, env={"PATH": ""})
        for each in (["status"], ["doctor", "--json"], ["up"])
    )

    assert (0, 3) == (status.returncode, start.returncode)
    assert "nothing is up" in status.stdout
    assert doctor.returncode in (0, 3)
    assert "python" == diagnosis(doctor, "python")["subject"]
    assert start.stderr.startswith("error: ")
    assert "Dapr" in start.stderr
    assert "next step: " in start.stderr


@pytest.mark.real
def test_a_stack_needs_nothing_of_path(mini: Path) -> None:
    """Its tools are found without it, and it is ended without it."""
    start, end = (cli(mini, each, timeout=120, env={"PATH": ""}) for each in ("up", "down"))

    assert (0, 0) == (start.returncode, end.returncode), start.stderr + end.stderr


def test_a_home_that_cannot_be_written(tmp_path: Path) -> None:
    """Looking and clearing up work, the doctor says what is wrong, and a start is a sentence."""
    project(tmp_path, file_txt="x", **MINI_FILES)
    home = str(tmp_path / "file.txt" / "home")
    # State and cache lie in the home, where neither is chosen.
    chosen = (
        "DAPR_HARNESS_STATE_DIR", "DAPR_HARNESS_CACHE_DIR", "XDG_STATE_HOME", "XDG_CACHE_HOME",
    )  # fmt: skip

    status, stale, doctor, start = (
        command(tmp_path, *each, env={"HOME": home}, without=chosen)
        for each in (
            ["status"], ["down", "--stale"], ["doctor", "--json"], ["up"],
        )
    )  # fmt: skip

    assert (0, 0, 3) == (status.returncode, stale.returncode, doctor.returncode)
    assert "missing" == diagnosis(doctor, "state")["verdict"]
    assert "DAPR_HARNESS_STATE_DIR" in diagnosis(doctor, "state")["fix"]
    assert "warning" == diagnosis(doctor, "disk")["verdict"]
    assert "DAPR_HARNESS_CACHE_DIR" in diagnosis(doctor, "disk")["fix"]
    assert 3 == start.returncode
    assert f"the state folder {home}" in start.stderr


def test_full_disks_are_reported_and_stale_runs_can_be_removed(tmp_path: Path) -> None:
    """What a dead run has left is found and removed, which is how there will be room again."""
    project(tmp_path, **MINI_FILES)
    environment(tmp_path)
    left = tmp_path / "tmp" / f"dapr-harness-{os.getuid()}" / "dead"
    left.mkdir(parents=True)
    (left / "owner").write_text(f"{os.getpid()} 1")

    doctor = command(tmp_path, "doctor", "--json", full=True)
    status = command(tmp_path, "status", full=True)
    start = command(tmp_path, "up", full=True)
    stale = command(tmp_path, "down", "--stale", full=True)

    assert (3, 0, 3) == (doctor.returncode, status.returncode, start.returncode)
    verdicts = [diagnosis(doctor, each)["verdict"] for each in ("tmp", "state", "disk")]
    assert ["missing", "missing", "warning"] == verdicts
    assert diagnosis(doctor, "leftovers")["fact"].startswith("0 state files, 1 folders")
    assert "File too large" in start.stderr
    assert (0, False) == (stale.returncode, left.exists()), stale.stderr


FULL_STATE = """
import resource, sys
from pathlib import Path
from harness.core.errors import Unavailable
from harness.stack.registry import Registry

resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
try:
    with Registry(Path(sys.argv[1])).starting("x"):
        print("started")
except Unavailable as error:
    print(error)
"""


def test_a_full_state_folder_is_reported_before_the_start(tmp_path: Path) -> None:
    """Not after it, when the stack could not be registered."""
    script = ["-c", FULL_STATE, str(tmp_path / "state")]
    done = subprocess.run([CLI[0], *script], env=environment(tmp_path), capture_output=True,
                          text=True, timeout=60)  # fmt: skip

    assert "started" not in done.stdout, done.stderr
    assert f"the state folder {tmp_path / 'state'} cannot be used" in done.stdout
    assert [] == list(Registry(tmp_path / "state"))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (os.mkfifo, "error is a named pipe"),
        (
            lambda path: path.write_text(f"apiVersion: dapr.io/v1alpha1\n{BOMB}"),
            "contains too many values",
        ),
    ],
    ids=["pipe", "bomb"],
)
def test_lint_ends_with_a_sentence(
    tmp_path: Path, make: Callable[[Path], object], said: str
) -> None:
    """Wherever it lies: in the folder that is named, or below it."""
    (tmp_path / "res" / "below").mkdir(parents=True)
    for file in (tmp_path / "res" / "c.yaml", tmp_path / "res" / "below" / "d.yaml"):
        make(file)

    done = command(tmp_path, "lint", "res")

    assert 2 == done.returncode
    assert "res/c.yaml:" in done.stdout
    assert said in done.stdout


TOPOLOGY = "import sys\nfrom harness import Topology\n{}\nmini = Topology(resources=['res'])\n"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{}['key']", "KeyError: 'key' at "),
        ("print('noise'); sys.exit(0)", "SystemExit: 0 at "),
    ],
)
def test_a_topology_module_that_fails_is_wrong_configuration(
    tmp_path: Path, line: str, said: str
) -> None:
    """Exit code 2 with its line, and none of it on standard output."""
    project(tmp_path, **{**MINI_FILES, "topology_py": TOPOLOGY.format(line)})

    for arguments in (["up"], ["lint", "--json"]):
        done = command(tmp_path, *arguments)

        assert (2, "") == (done.returncode, done.stdout), done.stderr
        assert f"{said}{tmp_path / 'topology.py'}:3" in done.stderr


def test_what_a_topology_module_prints_is_no_part_of_json(tmp_path: Path) -> None:
    """It is on standard error."""
    text = TOPOLOGY.format("print('noise')")
    project(tmp_path, **{**MINI_FILES, "topology_py": text, "res__c_yaml": COMPONENT})

    for arguments in (["lint", "--json"], ["doctor", "--json"]):
        done = command(tmp_path, *arguments)

        assert isinstance(json.loads(done.stdout), list)
        assert "noise" in done.stderr
