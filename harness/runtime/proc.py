"""The kernel's data about ports and processes of this machine."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from harness.core.deadline import Deadline, Observation, poll

LISTEN = "0A"
"""The state of a listening socket in ``/proc/net/tcp`` (linux/net/tcp_states.h)."""


def owner_of(port: int) -> str:
    """A sentence that names the process listening on the port; "" if there is none."""
    inodes = _inodes(port)
    for inode in inodes:
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and _holds(entry, inode):
                return f"port {port} is held by pid {entry.name} ({_command(entry)})"
    return f"port {port} is held by a process that this user cannot see" if inodes else ""


def _inodes(port: int) -> list[str]:
    found = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for row in Path(table).read_text().splitlines()[1:]:
                words = row.split()
                if words[3] == LISTEN and int(words[1].rpartition(":")[2], 16) == port:
                    found.append(words[9])
    return found


def _holds(process: Path, inode: str) -> bool:
    with contextlib.suppress(OSError):
        for link in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                if str(link.readlink()) == f"socket:[{inode}]":
                    return True
    return False


def _command(process: Path) -> str:
    with contextlib.suppress(OSError):
        return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()[:80]
    return "unknown command"


def wait_gone(pid: int, seconds: float) -> bool:
    """Whether a process, which need not be a child, exited within that time."""

    def look() -> Observation:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return Observation(True)
        return Observation(_is_zombie(pid), f"pid {pid} is alive")

    return poll(look, Deadline(seconds)).ok


def _is_zombie(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return False


def born(pid: int) -> str:
    """When a process started, in the kernel's format; "" if it is not running.

    A zombie is still listed, but counts as not running.
    """
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if words[0] == "Z" else words[19]


def own_name() -> str:
    """How this process introduces itself to the other clients of a run."""
    path = Path(sys.argv[0] if sys.argv else "python")
    if path.name in ("__main__.py", "main.py"):  # python -m pytest, python -m harness.cli.main
        path = path.parent.parent if path.parent.name == "cli" else path.parent
    words = [path.name]
    if path.name in ("harness", "dapr-harness"):
        words = ["dapr-harness", *sys.argv[1:2]]
    return f"{' '.join(words)} (pid {os.getpid()})"
