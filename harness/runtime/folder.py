"""A run's folder, and whose it is."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from pathlib import Path

from harness.runtime.proc import born

OWNER = "owner"
"""The file that names the run's owner: process id and start time."""


def make_run_folder() -> Path:
    """A new folder that others can pass through only as far as an unprivileged node must."""
    base = _base()
    mode = 0o711 if os.geteuid() == 0 else 0o700
    base.mkdir(mode=mode, exist_ok=True)
    folder = base / secrets.token_hex(4)
    folder.mkdir(mode=mode)
    # Before anything else is in it: a folder without an owner is one that is being made.
    give_run_folder(folder, os.getpid())
    for room in ("logs", "nodes"):
        (folder / room).mkdir(mode=mode)
    return folder


def give_run_folder(folder: Path, owner: int) -> None:
    """Say whose end is the end of the run."""
    fresh = folder / f"{OWNER}.new"
    fresh.write_text(f"{owner} {born(owner)}")
    fresh.replace(folder / OWNER)


def dead_run_folders() -> list[Path]:
    """The folders of this user's runs whose owner is gone."""
    base = _base()
    return [each for each in sorted(base.iterdir()) if _is_dead(each)] if base.is_dir() else []


def _is_dead(folder: Path) -> bool:
    with contextlib.suppress(OSError, ValueError):
        pid, since = (folder / OWNER).read_text().split(" ")
        return not since or born(int(pid)) != since
    return False


def _base() -> Path:
    return Path(tempfile.gettempdir()) / f"dapr-harness-{os.getuid()}"
