"""The wheel is built, installed into a fresh environment, and the README's example runs there."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from tests.support import ROOT, environment, leftovers

pytestmark = pytest.mark.real

FILE = re.compile(r"```\w+\n# file: (\S+)\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a fresh environment with the built wheel in it.

    The wheel's dependencies are lent by a path file from the environment of this test, so that
    the suite runs without a network; dapr-harness itself comes from the wheel, which comes first.
    """
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", str(folder)]
    subprocess.run([*build, str(ROOT)], check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    # By this environment's pip: a Python without ensurepip makes environments without one.
    venv.create(folder / "venv")
    binaries = folder / "venv" / "bin"
    pip = [sys.executable, "-m", "pip", "--python", str(binaries / "python")]
    install = [*pip, "install", "--no-deps", "--no-index"]
    subprocess.run([*install, str(wheel)], check=True, capture_output=True)
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return binaries


def test_the_wheel_is_what_runs(installed: Path, tmp_path: Path) -> None:
    """Not the working copy."""
    where = "import harness; print(harness.__file__)"

    seen = subprocess.run(
        [str(installed / "python"), "-c", where], cwd=tmp_path, capture_output=True, text=True
    )

    assert seen.stdout.startswith(str(installed.parent))


def test_the_readmes_example_passes_as_it_stands(installed: Path, tmp_path: Path) -> None:
    """Every file of it, in an empty folder, with plain `pytest`."""
    files = dict(FILE.findall((ROOT / "README.md").read_text()))
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    env = {**environment(tmp_path), "PYTHONPATH": ""}

    done = subprocess.run(
        [str(installed / "python"), "-m", "pytest", "-v"],
        cwd=tmp_path, env=env, capture_output=True, text=True,
    )  # fmt: skip

    example = {"shop.py", "components/pubsub.yaml", "conftest.py", "test_orders.py"}
    assert example | {"pyproject.toml"} == set(files)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
    assert "Warning" not in done.stdout + done.stderr
    assert [] == leftovers(tmp_path)


def test_the_demo_plays_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    """The reference system is inside; its three stories pass and leave nothing."""
    env = {**environment(tmp_path), "PYTHONPATH": ""}

    done = subprocess.run(
        [str(installed / "dapr-harness"), "demo"],
        cwd=tmp_path, env=env, capture_output=True, text=True,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("✓") == 3
    assert [] == leftovers(tmp_path)
