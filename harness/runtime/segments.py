"""Shared memory that nothing else ever removes: of a killed PostgreSQL, and of libfaketime.

A server keeps a small segment so that a second server can detect it; the rest of its memory is
freed with its processes. The seventh line of ``postmaster.pid`` identifies the segment.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from pathlib import Path

TABLE = Path("/proc/sysvipc/shm")
IPC_RMID = 0
"""From linux/ipc.h: remove."""


def release_segments(folder: Path) -> list[str]:
    """Remove the segments of a run's dead servers.

    Returns:
        A sentence for each that is still in use.
    """
    problems = []
    if next(folder.glob("nodes/*/now.txt"), None) is not None:
        release_preloaded()
    for file in sorted(folder.glob("nodes/*/data/postmaster.pid")):
        row = _segment(file)
        if row is None:
            continue
        if int(row["nattch"]) or Path(f"/proc/{row['cpid']}").exists():
            problems.append(f"shared memory {row['shmid']} of {file.parents[1].name} is in use")
        else:
            ctypes.CDLL(None).shmctl(int(row["shmid"]), IPC_RMID, None)
    return problems


def release_preloaded(memory: Path = Path("/dev/shm")) -> None:  # noqa: S108 - shm_open's folder
    """Remove what libfaketime has left of processes that are gone; it does so only at an exit()."""
    for pattern in ("faketime_shm_*", "sem.faketime_sem_*"):
        for path in memory.glob(pattern):
            if not Path(f"/proc/{path.name.rpartition('_')[2]}").exists():
                with contextlib.suppress(OSError):  # another account's
                    path.unlink()


def _segment(file: Path) -> dict[str, str] | None:
    """The kernel's row for a server's segment; None for one of another process or account."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = file.read_text().splitlines()
        key, number = (int(word) for word in lines[6].split())
        head, *rows = (row.split() for row in TABLE.read_text().splitlines())
        for row in (dict(zip(head, each, strict=False)) for each in rows):
            same = (int(row["key"]) & 0xFFFFFFFF, int(row["shmid"])) == (key & 0xFFFFFFFF, number)
            mine = (row["cpid"], int(row["cuid"])) == (lines[0].strip(), os.lstat(file).st_uid)
            if same and mine:
                return row
    return None
