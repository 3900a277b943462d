"""What the suite's own conftest.py promises: skips, what to run first, a clean environment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine import engine_obstacle
from tests.support import ROOT

HAND_ON = """
import os
def test_x(): assert [] == [name for name in os.environ if name in {names!r}]
"""


@pytest.mark.parametrize(
    ("ci", "call", "code"),
    [("true", "skip", 1), ("", "skip", 0), ("true", "xfail", 0)],
)
def test_a_skip_that_is_not_named_fails_on_ci(
    tmp_path: Path, ci: str, call: str, code: int
) -> None:
    """And passes elsewhere; an expected failure has run, and is none."""
    (tmp_path / "conftest.py").write_text((ROOT / "conftest.py").read_text())
    test = f"import pytest\ndef test_x(): pytest.{call}('no reason')\n"
    (tmp_path / "test_x.py").write_text(test)

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path, env={"CI": ci, "PATH": "/usr/bin"}, capture_output=True, text=True,
    )  # fmt: skip

    assert done.returncode == code, done.stdout


def test_options_of_this_pytest_do_not_reach_those_that_tests_start(tmp_path: Path) -> None:
    """PYTEST_ADDOPTS and its like have been read, and are no part of the environment any more."""
    variables = {
        "PYTEST_ADDOPTS": "-v --color=no", "PYTEST_PLUGINS": "pytester", "PYTEST_THEME": "x",
    }  # fmt: skip
    (tmp_path / "conftest.py").write_text((ROOT / "conftest.py").read_text())
    (tmp_path / "test_x.py").write_text(HAND_ON.format(names=sorted(variables)))

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path, env={"PATH": "/usr/bin", **variables}, capture_output=True, text=True,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout
    assert "test_x.py::test_x PASSED" in done.stdout, "these options did not reach this pytest"


def test_without_its_packages_one_line_says_what_to_run_first(tmp_path: Path) -> None:
    """As after `make demo`, which installs less."""
    text = (ROOT / "conftest.py").read_text()
    (tmp_path / "conftest.py").write_text(text.replace("NEEDED = (", 'NEEDED = ("no_such_one", '))
    (tmp_path / "test_x.py").write_text("def test_x(): pass\n")

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path, env={"PATH": "/usr/bin"}, capture_output=True, text=True,
    )  # fmt: skip

    assert 4 == done.returncode
    (line,) = [each for each in done.stderr.splitlines() if each]
    assert "run `make unit` or `make test` first" in line
    assert "missing: no_such_one" in line


def test_without_an_engine_the_reason_of_a_skip_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pytest then tells it once, with the number of tests."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path / 'nowhere.sock'}")

    obstacle = engine_obstacle()

    assert "no container engine answers" in obstacle
    assert 1 == len(obstacle.splitlines())
