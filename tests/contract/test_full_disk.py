"""What becomes of a start when there is no room for its files.

A limit on the size of files takes the place of a full disk: every user can set it for a process.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.core.errors import LaunchError
from harness.core.files import copy_tree
from tests.support import ROOT, environment

START = """
import resource, sys

from harness import HarnessError, Postgres, Settings, Topology, running
from harness.runtime.folder import meeting_folder, open_meeting_folder
from harness.runtime.processes import ProcessRuntime

settings = Settings.load(runtime="processes", offline=True)

def start():
    with running(Topology(Postgres()), settings):
        print("up")

def run():
    ProcessRuntime({})

def meet():
    import os
    open_meeting_folder(meeting_folder(), os.getpid())

def write():
    from harness.core.files import write_home
    from pathlib import Path
    write_home(Path("home"), {}, {"properties": "text"})

name, size = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_FSIZE, (int(size), int(size)))
try:
    {"start": start, "run": run, "meet": meet, "write": write}[name]()
except HarnessError as error:
    print(type(error).__name__, error)
"""


def limited(folder: Path, name: str, size: int) -> str:
    """What is said where no file may have more bytes."""
    from harness import Settings
    from harness.provision.store import Store

    cache = str(Store(Settings.load().cache_dir).root)
    done = subprocess.run(
        [sys.executable, "-c", START, name, str(size)],
        cwd=folder,
        env=environment(folder, DAPR_HARNESS_CACHE_DIR=cache, PYTHONPATH=str(ROOT)),
        capture_output=True, text=True,
    )  # fmt: skip
    assert "" == done.stderr
    return done.stdout


def left(folder: Path) -> list[str]:
    """Runs and their files; the ports' leases and the copy of PostgreSQL stay for later starts."""
    runs = [each for each in (folder / "tmp").glob("dapr-harness-*/*") if each.is_dir()]
    return [each.name for each in runs if (each / "nodes").exists() or (each / "owner").exists()]


@pytest.mark.real
def test_a_database_folder_without_room_ends_the_start_with_the_reason(tmp_path: Path) -> None:
    """And nothing is left of the run."""
    said = limited(tmp_path, "start", 100_000)

    assert said.startswith("LaunchError ")
    assert "/data could not be copied to " in said
    assert "last seen: cp was ended by SIGXFSZ" in said
    assert "set TMPDIR to a folder that you own, on a disk with room" in said
    assert [] == left(tmp_path)


@pytest.mark.parametrize(
    ("name", "file"), [("run", "dapr-harness-"), ("meet", "/meeting-"), ("write", "home")]
)
def test_a_folder_that_cannot_be_written_is_named_with_the_reason(
    tmp_path: Path, name: str, file: str
) -> None:
    """That of a run, the one in which workers meet, and that of a node."""
    said = limited(tmp_path, name, 0)

    assert said.startswith("Unavailable ")
    assert file in said
    assert "cannot be written" in said
    assert "last seen: [Errno 27] File too large" in said
    assert "set TMPDIR to a folder that you own, on a disk with room" in said


def test_nothing_is_left_of_a_run_whose_folder_cannot_be_written(tmp_path: Path) -> None:
    assert "cannot be written" in limited(tmp_path, "run", 0)

    assert [] == [*(tmp_path / "tmp").glob("dapr-harness-*/*")]


def test_a_copy_that_fails_for_every_file_is_told_in_a_few_lines(tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / "from" / "data").mkdir(parents=True, exist_ok=True)
        (tmp_path / "from" / "data" / str(number)).touch()
        (tmp_path / "to" / "data" / str(number)).mkdir(parents=True)

    with pytest.raises(LaunchError) as raised:
        copy_tree(tmp_path / "from", tmp_path / "to")

    lines = raised.value.last.splitlines()
    assert 4 == len(lines)
    assert all("cannot overwrite directory" in line for line in lines[:3])
    assert "and 7 more lines" == lines[3]
