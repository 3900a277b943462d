"""Which files of an app's folder its image contains: Docker's own reading of ``.dockerignore``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from docker.utils.build import exclude_paths

from harness.core.errors import ConfigError
from harness.core.reading import read_text

NEVER = (".*", "__pycache__", "*.pyc", "node_modules", "*.egg-info", "dist", "build")
"""In every folder, unless ``.dockerignore`` takes them back with ``!``."""


def app_files(folder: Path) -> list[Path]:
    """The files of an app that belong in its image, sorted.

    No hidden files, caches or virtual environments, and nothing that ``.dockerignore`` excludes.

    Raises:
        ConfigError: the folder does not exist, or ``.dockerignore`` leaves no file.
    """
    if not folder.is_dir():
        raise ConfigError(f"the app's folder {folder} does not exist", hint="fix cwd=")
    always = [f"**/{name}" for name in NEVER]
    patterns = [*always, *_environments(folder), *_dockerignore(folder)]
    # It adds exceptions for these two files, which are for whoever builds an image by hand.
    kept = exclude_paths(str(folder), patterns) - {"Dockerfile", ".dockerignore"}
    found = sorted(folder / name for name in kept if (folder / name).is_file())
    if not found:
        raise ConfigError(
            f"the image of the app in {folder} would be empty",
            expected="files that .dockerignore does not exclude",
            hint="check the patterns of .dockerignore",
        )
    return found


def _dockerignore(folder: Path) -> list[str]:
    file = folder / ".dockerignore"
    rows = read_text(file).splitlines() if file.is_file() else []
    return [row.strip() for row in rows if row.strip() and not row.startswith("#")]


def _environments(folder: Path) -> Iterator[str]:
    """The virtual environments below a folder, whatever their names are."""
    for place, folders, files in os.walk(folder):
        if "pyvenv.cfg" in files:
            yield Path(place).relative_to(folder).as_posix()
            folders.clear()
        folders[:] = [each for each in folders if not each.startswith(".") and each not in NEVER]
