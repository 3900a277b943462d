"""Missing resources of the machine are reported before anything starts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness import App, Settings, Topology, Unavailable
from harness.provision.machine import THREADS_EACH, require_processes, require_temporary
from harness.stack.run import running
from tests.support import ROOT, project

LIMITED = """
import os, resource, sys
from harness.core.errors import Unavailable
from harness.provision.machine import require_processes

resource.setrlimit(resource.RLIMIT_NPROC, (int(sys.argv[1]), 20000))
if os.geteuid() == 0:
    os.setuid(54321)  # root is not held to it; this account has nothing else that runs
try:
    print(require_processes(10))
except Unavailable as error:
    print(error)
"""


def limited(number: int) -> str:
    """What is said with a limit of processes, to an account that is held to it."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(number)], cwd=ROOT, capture_output=True, text=True
    )
    assert 0 == done.returncode, done.stderr
    return done.stdout


def test_too_few_processes_are_reported_with_limit_and_need() -> None:
    """Before that many threads cannot be started, each in words of its own."""
    said = limited(100)

    assert "too few processes are allowed for 10 nodes" in said
    assert "expected: 150 more" in said
    assert "100 allowed by ulimit -u" in said
    assert "next step: ulimit -u 20000" in said


def test_enough_processes_pass_the_check() -> None:
    """Processes that already exist count, and are reported."""
    said = limited(9999)

    assert said.startswith("9999 allowed by ulimit -u, ")
    assert "too few" not in said


def test_a_limit_of_the_container_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds for root, too; the word `max` is none."""
    project(tmp_path, own__pids_max="1000", own__pids_current="990")
    project(tmp_path, top__pids_max="max", top__pids_current="990")
    monkeypatch.setattr(
        "harness.provision.machine.own_groups", lambda: [tmp_path / "own", tmp_path / "top"]
    )

    with pytest.raises(Unavailable, match=r"(?s)1000 allowed by .*own/pids\.max, 990 in use"):
        require_processes(1)
    assert "own/pids.max" in require_processes(0)
    assert "top" not in require_processes(0)


@pytest.mark.parametrize("kind", ["gone", "file", "full"])
def test_a_temporary_folder_that_cannot_be_used(tmp_path: Path, kind: str) -> None:
    """Python would take /tmp in silence, and a Go program would panic."""
    project(tmp_path, file_txt="x")
    folder = {"gone": tmp_path / "gone", "file": tmp_path / "file.txt", "full": tmp_path}[kind]

    with pytest.raises(Unavailable, match=rf"(?s){folder}.*TMPDIR to a folder"):
        require_temporary({"TMPDIR": str(folder)}, 1e18 if kind == "full" else 1)
    assert tmp_path == require_temporary({"TMPDIR": str(tmp_path)}, 1)


def test_a_start_checks_the_process_limit_for_all_its_nodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An app has a sidecar, whose placement and scheduler are nodes as well; nothing is made."""
    room = str(3 * THREADS_EACH)
    project(tmp_path, group__pids_max=room, group__pids_current="0")
    monkeypatch.setattr("harness.provision.machine.own_groups", lambda: [tmp_path / "group"])
    tmp = tmp_path / "tmp"
    tmp.mkdir()
    environ = {"TMPDIR": str(tmp), "DAPR_HARNESS_RUNTIME": "processes"}

    with pytest.raises(Unavailable, match="too few processes are allowed for 4 nodes"):
        running(Topology(App("a", command="true")), Settings.load(tmp_path, environ))

    assert [] == list(tmp.iterdir())


def test_a_start_checks_the_machine_before_installing_anything(tmp_path: Path) -> None:
    """Nothing is made or installed then."""
    settings = Settings.load(
        tmp_path, {"TMPDIR": str(tmp_path / "gone"), "DAPR_HARNESS_RUNTIME": "processes"}
    )

    with pytest.raises(Unavailable, match=r"the temporary folder .*gone cannot be used"):
        running(Topology(App("a", command="true")), settings)

    assert [] == list(tmp_path.iterdir())
