"""The tutorial of docs/own-technology.md, file by file, as a user would follow it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT, environment, leftovers

pytestmark = pytest.mark.real

FILE = re.compile(r"```\w+\n# file: (\S+)\n(.*?)```", re.DOTALL)
TUTORIAL = ROOT / "docs" / "own-technology.md"


@pytest.fixture
def followed(tmp_path: Path) -> Path:
    """A folder with every file of the tutorial."""
    for name, text in FILE.findall(TUTORIAL.read_text()):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def run(folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Plain pytest in a folder, with these variables."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:schemathesis"],
        cwd=folder, env=environment(folder, PATH=path, **env), capture_output=True, text=True,
    )  # fmt: skip


def test_a_broker_that_the_harness_does_not_know_carries_events(followed: Path) -> None:
    done = run(followed)

    assert "2 passed" in done.stdout, done.stdout + done.stderr
    assert [] == leftovers(followed)


def test_a_check_of_a_users_node_that_does_not_pass_is_reported_with_its_last_fact(
    followed: Path,
) -> None:
    file = followed / "mqtt.py"
    file.write_text(file.read_text().replace("20 02 00 00", "20 02 00 05"))
    (followed / "system.py").write_text(
        "from harness import Topology\nfrom mqtt import Mqtt\n\ntopology = Topology(Mqtt())\n"
    )

    done = run(followed, DAPR_HARNESS_READY_TIMEOUT="10")

    assert "mqtt did not pass the readiness check 'connect'" in done.stdout, (
        done.stdout + done.stderr
    )
    assert "answered 20 02 00 00" in done.stdout
    assert [] == leftovers(followed)
