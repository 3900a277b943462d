"""A project that was written for the Dapr CLI, brought under pytest as the README says."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.core.ports import free_port
from tests.support import ROOT, environment

FOREIGN = Path(__file__).parent / "foreign"
FIXED = ("6379", "8001", "3501")
"""Ports of its files; others on this machine may have them, so each run gets its own."""


@pytest.mark.parametrize("name", ["conftest.py", "test_orders.py"])
def test_the_readme_shows_what_is_added_to_it(name: str) -> None:
    """Word by word, so that who follows it does what is tested here."""
    assert (
        f"```python\n# {name}\n{(FOREIGN / name).read_text()}```"
        in (ROOT / "README.md").read_text()
    )


@pytest.mark.real
def test_a_project_of_the_dapr_cli_runs_under_pytest(tmp_path: Path) -> None:
    """Its run file, components, ports and variables as they are; two files are added."""
    project = tmp_path / "shop"
    shutil.copytree(FOREIGN, project, ignore=shutil.ignore_patterns("__pycache__"))
    for port in FIXED:
        _replace(project, port, str(free_port()))
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:schemathesis"],
        cwd=project,
        env=environment(tmp_path, SHOP="Main Street", PATH=path),
        capture_output=True,
        text=True,
    )

    assert "2 passed" in done.stdout, done.stdout + done.stderr


def _replace(folder: Path, old: str, new: str) -> None:
    for file in [*folder.rglob("*.yaml"), *folder.rglob("*.py")]:
        file.write_text(file.read_text().replace(old, new))
