"""A run's folder, and its owner."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import time
from pathlib import Path

from harness.core.deadline import Deadline, Observation, poll
from harness.core.files import write_private, writing
from harness.core.private import CLOSED, MEETING, PASSABLE, private_folder, temporary_folder
from harness.runtime.proc import born
from harness.runtime.segments import release_segments

OWNER = "owner"
"""The file that names the run's owner: process id and start time."""

MAKING = 60.0
"""Seconds after which a folder without an owner is no longer considered new."""

RELEASING = 10.0
"""Seconds within which the processes of a killed PostgreSQL notice this and release its memory."""

DOORS = Path(f"/tmp/dapr-harness-sockets-{os.getuid()}")  # noqa: S108 - checked by private_folder
"""The sockets of supervisors. A socket's path must fit into 104 bytes, so TMPDIR is not used."""


def sockets_folder() -> Path:
    """The folder of all supervisors' sockets.

    Raises:
        Unavailable: it does not belong to this user.
    """
    return private_folder(DOORS)


def door_of(folder: Path) -> Path:
    """The socket on which a run's supervisor accepts clients.

    Raises:
        Unavailable: the folder of the sockets does not belong to this user.
    """
    return sockets_folder() / f"{folder.name}.sock"


def new_run_folder() -> Path:
    """The folder of a run that is about to begin; it does not exist yet.

    Raises:
        Unavailable: its parent folder does not belong to this user, or it cannot be written.
    """
    return private_folder(_base(), _mode()) / secrets.token_hex(4)


def make_run_folder(folder: Path, owner: int) -> None:
    """Create the folder of a run; others can traverse it only as far as an unprivileged node must.

    Args:
        folder: a result of `new_run_folder`.
        owner: the supervisor, which removes the folder once its client is gone: a kill can come
            between any two steps of a start.

    Raises:
        Unavailable: it cannot be written.
    """
    with writing(folder):
        folder.mkdir(mode=CLOSED)
        # Before anything else is in it: a folder without an owner is still being created.
        _give(folder, owner)
        private_folder(folder / "logs")
        private_folder(folder / "nodes", _mode())
        private_folder(folder, _mode())


def _mode() -> int:
    return PASSABLE if os.geteuid() == 0 else CLOSED


def _give(folder: Path, owner: int) -> None:
    """Set the process whose exit ends the run."""
    write_private(folder / OWNER, f"{owner} {born(owner)}")


def meeting_folder() -> Path:
    """A folder that does not exist yet, for `open_meeting_folder` in other processes.

    Like a run's folder, it is removed as stale once its owner is gone.
    """
    return _base() / f"{MEETING}{secrets.token_hex(4)}"


def open_meeting_folder(folder: Path, owner: int) -> Path:
    """Create the folder in which processes agree who starts what, if it does not exist yet.

    Args:
        folder: a result of `meeting_folder`.
        owner: the process that removes it, and without which it is stale.

    Raises:
        Unavailable: it cannot be created or written, or belongs to another user.
    """
    private_folder(folder.parent, _mode())
    private_folder(folder)
    with writing(folder):  # other processes may use it already, so it stays
        _give(folder, owner)
    return folder


def clear_dead_meetings(folder: Path) -> None:
    """Remove the folders beside a run's in which processes have met whose controller is gone."""
    for each in folder.parent.glob(f"{MEETING}*"):
        if is_dead(each):
            shutil.rmtree(each, ignore_errors=True)


def dead_run_folders() -> list[Path]:
    """The folders of this user's runs whose owner is gone."""
    base = _base()
    return [each for each in sorted(base.iterdir()) if is_dead(each)] if base.is_dir() else []


def clear_run_folder(folder: Path) -> str:
    """Remove a dead run's folder, and the shared memory left by its PostgreSQL.

    Returns:
        Why it still exists; "" if it is gone.
    """

    def look() -> Observation:
        used = release_segments(folder)
        return Observation(not used, "; ".join(used))

    if not (seen := poll(look, Deadline(RELEASING))).ok:
        return f"{folder}: {seen.fact}"
    door_of(folder).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    return f"{folder} cannot be removed" if folder.exists() else ""


def is_dead(folder: Path) -> bool:
    """Whether the owner of a folder is gone."""
    with contextlib.suppress(ValueError):
        try:
            pid, since = (folder / OWNER).read_text().split(" ")
        except FileNotFoundError:
            return time.time() - folder.stat().st_mtime > MAKING
        except OSError:
            return False
        return not since or born(int(pid)) != since
    return False


def _base() -> Path:
    return temporary_folder() / f"dapr-harness-{os.getuid()}"
