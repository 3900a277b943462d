"""The holder of a lock, reported to processes that wait for it."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

CLOCK = 2.0
"""Seconds by which the start time of one process may vary: it moves with the clock."""


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
    import psutil

    file.write_text(f"{os.getpid()} {psutil.Process().create_time()}")


def holder_of(file: Path) -> Holder:
    """The recorded process, if it is still running: pids are reused after a while."""
    import psutil

    with contextlib.suppress(OSError, ValueError, psutil.Error):
        pid, since = file.read_text().split()
        process = psutil.Process(int(pid))
        if abs(process.create_time() - float(since)) < CLOCK:
            stopped = process.status() in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)
            words = " ".join(process.cmdline()).split()
            return Holder(int(pid), " ".join(words)[:80], stopped)
    return Holder()
