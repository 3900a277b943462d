"""`make demo` and `make test` install a lock file with what the machine has."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support import ROOT

pytestmark = pytest.mark.real

INSTALL = ROOT / "tools" / "install.py"
BARE = """
import runpy, sys
for name in ("ensurepip", "pip", "uv"):
    sys.modules[name] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""A Python as Debian's without python3-venv and python3-pip."""


def wheel(folder: Path, name: str, module: str) -> str:
    """A wheel of one module; its line of a lock file."""
    file, info = folder / f"{name}-1.0-py3-none-any.whl", f"{name}-1.0.dist-info"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"{name}.py", module)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return f"{name}==1.0 --hash=sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}\n"


# The build backend of the checkout, as small as one can be: its editable wheel is one more module.
BACKEND = """
import zipfile
def build_editable(folder, config_settings=None, metadata_directory=None):
    name, info = "mine-1.0-py3-none-any.whl", "mine-1.0.dist-info"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as archive:
        archive.writestr("mine.py", "")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: mine\\nVersion: 1.0\\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\n")
        archive.writestr(f"{info}/RECORD", "")
    return name
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A project with a lock file whose packages lie in a folder."""
    (tmp_path / "lock.txt").write_text(
        wheel(tmp_path, "colour", "NAME = 'green'\n") + wheel(tmp_path, "backend", BACKEND)
    )
    (tmp_path / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\n'
        '[project]\nname = "mine"\nversion = "1.0"\n'
    )
    return tmp_path


def install(
    folder: Path, *python: str, path: str = "/usr/bin:/bin", **more: str
) -> subprocess.CompletedProcess[str]:
    """Run the installer there, without a network; without uv on PATH, as long as none is given."""
    return subprocess.run(
        [*python, str(INSTALL), "venv", "lock.txt", "2 kB, no time at all"],
        cwd=folder, capture_output=True, text=True,
        env={"PATH": path, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder), **more},
    )  # fmt: skip


def test_a_lock_file_and_the_checkout_are_installed(checkout: Path) -> None:
    """With the number of packages before, and the time after."""
    done = install(checkout, sys.executable)
    script = "import colour, mine; print(colour.NAME)"
    seen = subprocess.run(
        [checkout / "venv" / "bin" / "python", "-c", script], capture_output=True, text=True
    )

    assert 0 == done.returncode, done.stdout
    assert "installing 2 packages of lock.txt with" in done.stdout
    assert "2 kB, no time at all" in done.stdout
    assert "venv: ready after" in done.stdout
    assert "green\n" == seen.stdout, seen.stderr


RECORDING = """#!/bin/sh
echo "$@" >> {log}
[ "$1 $2" != "pip install" ] || exit {code}
"""


@pytest.mark.parametrize("told", ["", "1"])
def test_modules_are_compiled_where_python_would_write_no_bytecode(
    checkout: Path, told: str
) -> None:
    """Those that are installed and the checkout's own; elsewhere, their first import does it."""
    (checkout / "own").mkdir()
    (checkout / "own" / "__init__.py").write_text("")

    done = install(checkout, sys.executable, PYTHONDONTWRITEBYTECODE=told)

    installed = {
        each.name.partition(".")[0] for each in checkout.glob("venv/lib/*/*/__pycache__/*.pyc")
    }
    own = [*checkout.glob("own/__pycache__/*.pyc")]
    assert 0 == done.returncode, done.stdout + done.stderr
    assert (bool(told), bool(told)) == ("colour" in installed, bool(own))


@pytest.mark.parametrize("works", [True, False])
def test_uv_goes_first_where_it_is_on_path(checkout: Path, works: bool) -> None:
    """And pip installs everything when it fails; a stand-in for uv notes its arguments."""
    uv = checkout / "bin" / "uv"
    uv.parent.mkdir()
    uv.write_text(RECORDING.format(log=checkout / "asked.txt", code=int(not works)))
    uv.chmod(0o755)

    done = install(checkout, sys.executable, path=f"{uv.parent}:/usr/bin:/bin")
    asked = (checkout / "asked.txt").read_text().splitlines()

    assert 0 == done.returncode, done.stdout
    assert f"venv --quiet --seed --python {sys.executable} venv" == asked[0]
    assert "pip install --quiet --python venv/bin/python --require-hashes -r lock.txt" == asked[1]
    assert ("pip install" in asked[-1] and asked[-1].endswith("-e .")) is works
    assert "packages of lock.txt with uv" in done.stdout
    assert ("packages of lock.txt with pip" in done.stdout) is not works
    assert (checkout / "venv" / "bin" / "python").exists() is not works


def test_a_package_that_is_not_what_was_locked_is_refused(checkout: Path) -> None:
    """By its hash, whatever the installer."""
    wheel(checkout, "colour", "NAME = 'red'\n")

    done = install(checkout, sys.executable)

    assert 3 == done.returncode
    assert "hash" in done.stdout.lower()


def test_without_any_installer_it_is_said_what_to_install(checkout: Path) -> None:
    """One sentence, instead of venv's own that names no remedy for this."""
    done = install(checkout, sys.executable, "-S", "-c", BARE)

    assert 3 == done.returncode
    assert "neither ensurepip nor a pip" in done.stdout
    assert "apt install python3-venv" in done.stdout
    assert not (checkout / "venv").exists()
