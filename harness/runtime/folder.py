"""A run's folder, and its owner."""

from __future__ import annotations

import atexit
import contextlib
import os
import secrets
import shutil
import time
from collections.abc import Iterator
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


_unowned: dict[Path, int] = {}
"""The folders of runs that have no supervisor yet, and the process that made each."""

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


def make_run_folder() -> Path:
    """A new folder, which others can traverse only as far as an unprivileged node must.

    It is removed when this process exits, unless it was given to a supervisor before: an interrupt
    can come between any two steps of a start.

    Raises:
        Unavailable: its parent folder does not belong to this user, or it cannot be written.
    """
    mode = PASSABLE if os.geteuid() == 0 else CLOSED
    folder = private_folder(_base(), mode) / secrets.token_hex(4)
    _unowned[folder] = os.getpid()
    with _new(folder):
        folder.mkdir(mode=CLOSED)
        # Before anything else is in it: a folder without an owner is still being created.
        give_run_folder(folder, os.getpid())
        private_folder(folder / "logs")
        private_folder(folder / "nodes", mode)
        return private_folder(folder, mode)


@contextlib.contextmanager
def _new(folder: Path) -> Iterator[None]:
    """Make a folder, or leave nothing of it.

    Raises:
        Unavailable: it cannot be written.
    """
    try:
        with writing(folder):
            yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def give_run_folder(folder: Path, owner: int) -> None:
    """Set the process whose exit ends the run."""
    write_private(folder / OWNER, f"{owner} {born(owner)}")
    if owner != os.getpid():
        _unowned.pop(folder, None)


@atexit.register
def _clear_unowned() -> None:
    """Remove the folders that this process made and gave to nobody."""
    for folder, maker in _unowned.items():
        if maker == os.getpid():
            shutil.rmtree(folder, ignore_errors=True)


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
    private_folder(folder.parent, PASSABLE if os.geteuid() == 0 else CLOSED)
    private_folder(folder)
    with writing(folder):  # other processes may use it already, so it stays
        give_run_folder(folder, owner)
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
