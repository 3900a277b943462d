"""The holder of a lock, reported to processes that wait for it."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Holder:
    """A process that holds a lock.

    Attributes:
        pid: its pid; 0 if unknown.
        command: its command line.
        stopped: whether it was stopped, by Ctrl-Z or a debugger.
    """

    pid: int = 0
    command: str = ""
    stopped: bool = False

    def __str__(self) -> str:
        if not self.pid:
            return "another process"
        state = "which is stopped" if self.stopped else "which runs"
        return f"pid {self.pid} ({self.command}), {state}"


def sign(file: Path) -> None:
    """Record that this process holds the lock that belongs to the file."""
    file.write_text(f"{os.getpid()} {_since(os.getpid())}")


def holder_of(file: Path) -> Holder:
    """The recorded process, if it is still running: pids are reused after a while."""
    with contextlib.suppress(OSError, ValueError):
        pid, since = file.read_text().split()
        if _since(int(pid)) == since:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
            stopped = _words(int(pid))[0] in ("T", "t")
            words = " ".join(command.decode(errors="replace").split())
            return Holder(int(pid), words[:80], stopped)
    return Holder()


def _since(pid: int) -> str:
    return _words(pid)[19]


def _words(pid: int) -> list[str]:
    """The kernel's status fields after the process name: state first, start time at 19."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ["?"] * 20  # no /proc, as on macOS
