"""What the image of an app contains: its files, and wheels for its Python."""

from __future__ import annotations

import contextlib
import os
import zipfile
from pathlib import Path

import pytest

from harness.core.errors import ConfigError, Unavailable
from harness.core.launch import Build
from harness.core.settings import Settings
from harness.core.wheels import Python
from harness.provision.apps import _requirements, site_of
from harness.provision.progress import Quiet
from harness.provision.store import Store
from harness.runtime.containers.ignored import app_files


def in_image(folder: Path, *names: str, ignored: str = "") -> list[str]:
    """Which of these files, written into the folder, an image would contain."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    (folder / ".dockerignore").write_text(ignored)
    return [file.relative_to(folder).as_posix() for file in app_files(folder)]


def test_caches_environments_and_hidden_files_stay_out_of_an_image(tmp_path: Path) -> None:
    names = [
        "app.py",
        ".env",
        "a.pyc",
        "docs/x.md",
        "a/venv/pyvenv.cfg",
        "a/venv/x.py",
        "kept/y.py",
    ]
    names += ["a/__pycache__/x", "Dockerfile"]

    assert ["app.py", "kept/y.py"] == in_image(tmp_path, *names, ignored="# comment\ndocs/\n")


def test_exceptions_in_dockerignore_are_kept(tmp_path: Path) -> None:
    names = ["app.py", "src/a.py", "src/deep/b.py", "src/deep/c.md", ".env.example"]

    assert ["src/a.py", "src/deep/b.py"] == in_image(
        tmp_path, *names, ignored="*\n!src\nsrc/**/*.md\n"
    )
    assert [".env.example", "app.py"] == in_image(tmp_path, *names, ignored="src\n!.env.example\n")


def test_an_app_without_any_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"would be empty(.|\n)*patterns of .dockerignore"):
        in_image(tmp_path, "app.py", ignored="**\n")


def test_wheels_for_an_older_libc_can_be_used() -> None:
    tags = Python("3.11", "2.36", "x86_64").platforms()

    assert ["manylinux_2_36_x86_64", "manylinux_2_35_x86_64"] == tags[:2]
    assert {"manylinux_2_24_x86_64", "manylinux2014_x86_64", "manylinux1_x86_64"} <= set(tags)
    assert not [tag for tag in Python("3.11", "2.36", "aarch64").platforms() if "_2_5_" in tag]
    assert ["musllinux_1_2_x86_64", "musllinux_1_1_x86_64"] == Python(
        "3.11", "musl", "x86_64"
    ).platforms()


@pytest.mark.parametrize("line", ["Uvicorn[standard]==0.30 \\\n    --hash=sha256:0", "uvicorn"])
def test_a_package_that_the_requirements_name_is_not_required_twice(
    tmp_path: Path, line: str
) -> None:
    """With hashes, pip rejects a second line without one; names are compared as pip does."""
    file = tmp_path / "requirements.txt"
    file.write_text(f"# uvloop\n{line}\nopentelemetry_api\n")
    build = Build(tmp_path, requirements=file, extra=("uvicorn", "opentelemetry-api", "uvloop"))

    more = _requirements(build).removeprefix(file.read_text())

    assert ["uvloop"] == more.split()


@pytest.mark.parametrize(
    ("libc", "tag", "fits"),
    [
        ("2.36", "manylinux_2_24_x86_64", True),
        ("2.36", "manylinux_2_37_x86_64", False),
        ("musl", "musllinux_1_2_x86_64", True),
        ("musl", "manylinux_2_17_x86_64", False),
    ],
)
def test_pip_installs_a_compiled_package_for_the_libc_of_the_image(
    tmp_path: Path, libc: str, tag: str, fits: bool
) -> None:
    wheel = tmp_path / f"quick-1.0-cp311-cp311-{tag}.whl"
    with zipfile.ZipFile(wheel, "w") as packed:
        packed.writestr("quick.py", "")
        about = "quick-1.0.dist-info"
        packed.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: quick\nVersion: 1.0\n")
        packed.writestr(f"{about}/WHEEL", f"Wheel-Version: 1.0\nTag: cp311-cp311-{tag}\n")
        packed.writestr(f"{about}/RECORD", "")
    (tmp_path / "requirements.txt").write_text("quick\n")
    environment = {**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)}
    settings = Settings.load(start=tmp_path, environ=environment)
    build = Build(tmp_path, requirements=tmp_path / "requirements.txt")
    store = Store(tmp_path / "cache")

    with contextlib.ExitStack() as stack:
        if not fits:
            stack.enter_context(pytest.raises(Unavailable, match="No matching distribution"))
        site = site_of(build, Python("3.11", libc, "x86_64"), settings, store, Quiet())

    assert not fits or (site / "quick.py").is_file()
