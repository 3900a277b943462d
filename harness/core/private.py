"""Folders and files that belong to one user, in places where others could create theirs first."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from harness.core.errors import Unavailable

PASSABLE = 0o711
"""For a folder that an unprivileged node must traverse: the names in it cannot be listed."""

CLOSED = 0o700

MEETING = "meeting-"
"""The beginning of the name of a folder in which processes meet; it is beside those of runs."""


def temporary_folder(environment: Mapping[str, str] | None = None) -> Path:
    """The folder for temporary files, as for a Go program: TMPDIR, or /tmp.

    If that folder is full, `tempfile` uses the next one with room, where nothing finds what a run
    has left behind, and it fails if none has room.

    Args:
        environment: where TMPDIR may be set; this process's own if None.
    """
    own = os.environ  # noqa: TID251 - as tempfile, which looks there as well
    found = (own if environment is None else environment).get("TMPDIR")
    return Path(found or "/tmp").absolute()  # noqa: S108 - the folder, not a file in it


def private_folder(path: Path, mode: int = CLOSED) -> Path:
    """Create a folder, or check that an existing one belongs to this user.

    Raises:
        Unavailable: it is a link or a file, belongs to another user, or is writable by others.
    """
    try:
        path.mkdir(mode=mode)
    except FileExistsError:
        pass
    except OSError as error:
        raise _refused(path, str(error)) from None
    try:
        opened = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        raise _refused(path, _described(path.lstat())) from None
    try:
        found = os.fstat(opened)
        if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise _refused(path, _described(found))
        # mkdir's mode is subject to the umask.
        os.fchmod(opened, mode)
    finally:
        os.close(opened)
    return path


def open_private(path: Path | str, mode: str, **options: Any) -> IO[Any]:
    """`open`, for a file that only its owner may read; links are not followed."""
    return open(path, mode, opener=_opener, **options)


def _opener(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _refused(path: Path, fact: str) -> Unavailable:
    return Unavailable(
        f"{path} cannot be trusted",
        expected=f"a folder of uid {os.geteuid()} in which nobody else can write",
        last=fact,
        hint="have its owner remove it, or set TMPDIR to a folder of your own",
    )


def _described(found: os.stat_result) -> str:
    kinds = {stat.S_IFLNK: "a symbolic link", stat.S_IFDIR: "a folder", stat.S_IFREG: "a file"}
    kind = kinds.get(stat.S_IFMT(found.st_mode), "something else")
    try:
        owner = pwd.getpwuid(found.st_uid).pw_name
    except KeyError:
        owner = "unknown"
    return f"{kind} of {owner} (uid {found.st_uid}), {stat.filemode(found.st_mode)}"
