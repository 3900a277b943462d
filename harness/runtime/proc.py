"""The kernel's data about ports and processes of this machine."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from harness.core.deadline import Deadline, Observation, poll


def owner_of(port: int) -> str:
    """A sentence that names the process listening on the port; "" if there is none."""
    import psutil

    listening = []
    with contextlib.suppress(psutil.Error):  # macOS shows them to root only
        listening = [
            each.pid
            for each in psutil.net_connections("tcp")
            if each.status == psutil.CONN_LISTEN and each.laddr and each.laddr.port == port
        ]
    for pid in filter(None, listening):
        return f"port {port} is held by pid {pid} ({_command(pid)})"
    return f"port {port} is held by a process that this user cannot see" if listening else ""


def environment_of(pid: int) -> dict[str, str]:
    """The variables with which a process was started; none if they cannot be read."""
    import psutil

    with contextlib.suppress(psutil.Error, OSError):
        return dict(psutil.Process(pid).environ())
    return {}


def _command(pid: int) -> str:
    import psutil

    with contextlib.suppress(psutil.Error):
        return " ".join(" ".join(psutil.Process(pid).cmdline()).split())[:80]
    return "unknown command"


# From here on, /proc is read without psutil: every start and stop does so, psutil takes 40 ms to
# import, and its start times move when the clock is adjusted, so they do not identify a process.
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


def cpu_of(pid: int) -> float | None:
    """Seconds of CPU that a process and those of its children that have ended have used; None if
    it is not running, or the system does not say."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return sum(map(int, words[11:15])) / os.sysconf("SC_CLK_TCK")


def own_name() -> str:
    """How this process introduces itself to the other clients of a run."""
    path = Path(sys.argv[0] if sys.argv else "python")
    if path.name in ("__main__.py", "main.py"):  # python -m pytest, python -m harness.cli.main
        path = path.parent.parent if path.parent.name == "cli" else path.parent
    words = [path.name]
    if path.name in ("harness", "dapr-harness"):
        words = ["dapr-harness", *sys.argv[1:2]]
    return f"{' '.join(words)} (pid {os.getpid()})"
