"""How escapes are judged: red for the bug's own reason where it is, green where it is fixed."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.support import PYTEST, ROOT, environment, project

JUDGED = """
import pytest

later = pytest.mark.escape(fixed_in="99.0.0", shows="boom.*bang")
earlier = pytest.mark.escape(fixed_in="1.9.0", shows="boom.*bang")

@pytest.fixture(autouse=True)
def asked(dapr_settings): pass

@later
def test_shown(): pytest.fail("boom\\nand bang")
@later
def test_not_shown(): pass
@later
def test_another_reason(): pytest.fail("bang")
@earlier
def test_fixed(): pass
@earlier
def test_not_fixed(): pytest.fail("boom\\nand bang")
"""


def collected(folder: Path, *arguments: str) -> str:
    """What a pytest with this project's settings collects, or the outcomes of what it runs."""
    done = subprocess.run(
        [*PYTEST, "-q", "-rA", "-c", str(ROOT / "pyproject.toml"),
         f"--rootdir={folder}", *arguments],
        cwd=folder, env=environment(folder), capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout + done.stderr


def test_an_escape_counts_when_it_fails_for_its_own_reason(tmp_path: Path) -> None:
    """Otherwise the run fails; on a version with the fix it is a test like any other."""
    project(tmp_path, test_it_py=JUDGED)
    conftest = (ROOT / "scenarios" / "escapes" / "conftest.py").read_text()
    (tmp_path / "conftest.py").write_text(conftest)

    said = collected(tmp_path, ".")

    lines = [line.split() for line in said.splitlines() if "::" in line]
    outcomes = {test: outcome for outcome, test, *_ in lines}
    assert {
        "test_it.py::test_shown": "XFAIL",
        "test_it.py::test_not_shown": "FAILED",
        "test_it.py::test_another_reason": "FAILED",
        "test_it.py::test_fixed": "PASSED",
        "test_it.py::test_not_fixed": "FAILED",
    } == outcomes, said
    assert "the bug did not show" in said


def test_escapes_are_collected_only_when_they_are_named(tmp_path: Path) -> None:
    """They need a second version of Dapr."""
    for folder in (tmp_path / "scenarios", tmp_path / "scenarios" / "escapes"):
        folder.mkdir()
        (folder / f"test_{folder.name}.py").write_text("def test_x(): pass\n")

    everything = collected(tmp_path, "--collect-only", "scenarios")
    named = collected(tmp_path, "--collect-only", "scenarios/escapes")

    assert "test_scenarios.py::test_x" in everything
    assert "test_escapes.py" not in everything
    assert "test_escapes.py::test_x" in named
