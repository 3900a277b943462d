"""Processes and what is below them. Standard library only: the supervisor uses it too."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

supervisors: set[int] = set()
"""The supervisors of this process's stacks."""

detached: set[int] = set()
"""Those that were told to go on without it."""


def children_by_parent() -> dict[int, list[int]]:
    """Every process of this machine, by the one that started or adopted it."""
    found: dict[int, list[int]] = {}
    if sys.platform.startswith("linux"):
        for entry in os.listdir("/proc"):  # noqa: PTH208 - the names suffice
            if entry.isdigit():
                with contextlib.suppress(OSError, ValueError, IndexError):
                    text = Path(f"/proc/{entry}/stat").read_text()
                    found.setdefault(int(text.rpartition(")")[2].split()[1]), []).append(int(entry))
    else:
        rows = subprocess.run(["ps", "-axo", "pid=,ppid="], capture_output=True, text=True)
        for row in rows.stdout.splitlines():
            pid, parent = (int(word) for word in row.split())
            found.setdefault(parent, []).append(pid)
    return found


def descendants(root: int) -> list[int]:
    """All processes below a process, nearest first."""
    children = children_by_parent()
    found: list[int] = []
    queue = [root]
    while queue:
        below = children.get(queue.pop(0), [])
        found += below
        queue += below
    return found


def send(pid: int, number: signal.Signals) -> None:
    """Signal a process that may have gone already, or may not be ours any more."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def kill_tree(root: int) -> None:
    """SIGKILL for everything below a process, and then for itself."""
    for pid in (*descendants(root), root):
        send(pid, signal.SIGKILL)


def state_of(pid: int) -> str:
    """What the kernel says that a process does, such as ``T (stopped)``; "" where it does not."""
    with contextlib.suppress(OSError):
        for row in Path(f"/proc/{pid}/status").read_text().splitlines():
            if row.startswith("State:"):
                return row.partition(":")[2].strip()
    return ""


def abandon_all() -> None:
    """Let nothing outlive this process, which ends now, but what was let go.

    A supervisor ends everything itself once its line to us is closed. One that was stopped is
    continued for that; one that cannot go on, as under a debugger, is killed with all it has.
    """
    for child in children_by_parent().get(os.getpid(), []):
        if child in detached:
            continue
        if child in supervisors:
            send(child, signal.SIGCONT)
            if state_of(child)[:1] not in ("T", "t"):
                continue
        kill_tree(child)
