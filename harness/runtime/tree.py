"""Process trees. Standard library only, because the supervisor uses it too."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

supervisors: set[int] = set()
"""The supervisors of this process's stacks."""

detached: set[int] = set()
"""The supervisors that were told to continue without this process."""


def children_by_parent() -> dict[int, list[int]]:
    """Every process of this machine, by its (adoptive) parent."""
    found: dict[int, list[int]] = {}
    if sys.platform.startswith("linux"):
        for entry in os.listdir("/proc"):  # noqa: PTH208 - the names are enough
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
    """All descendants of a process, nearest first."""
    children = children_by_parent()
    return _below(root, lambda pid: children.get(pid, []))


def quick_descendants(root: int) -> list[int]:
    """The same without a look at every process of the machine, which takes a hundred times as long.

    While processes end, the kernel may leave out others that do not (proc(5)). Whoever must not
    miss one asks `descendants`.
    """
    return _below(root, _children_of) if _lists_children() else descendants(root)


def _below(root: int, children: Callable[[int], list[int]]) -> list[int]:
    found: list[int] = []
    queue = [root]
    while queue:
        below = children(queue.pop(0))
        found += below
        queue += below
    return found


@lru_cache
def _lists_children() -> bool:
    """Whether the kernel lists the children of a process (CONFIG_PROC_CHILDREN)."""
    pid = os.getpid()
    return os.path.exists(f"/proc/{pid}/task/{pid}/children")  # noqa: PTH110 - quicker


def _children_of(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - the names are enough
            with contextlib.suppress(OSError):
                found += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
    return found


def exited_child() -> int:
    """A child that has exited and has not been collected; 0 if there is none.

    On macOS, which cannot tell, nobody adopts processes.
    """
    if not hasattr(os, "waitid"):
        return 0
    with contextlib.suppress(ChildProcessError):
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return found.si_pid if found else 0
    return 0


def send(pid: int, number: signal.Signals) -> None:
    """Signal a process that may already be gone, or may no longer be ours."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def kill_tree(root: int) -> None:
    """Send SIGKILL to all descendants of a process, and then to itself."""
    for pid in (*descendants(root), root):
        send(pid, signal.SIGKILL)


def state_of(pid: int) -> str:
    """The kernel's state of a process, such as ``T (stopped)``; "" if there is none."""
    with contextlib.suppress(OSError):
        for row in Path(f"/proc/{pid}/status").read_text().splitlines():
            if row.startswith("State:"):
                return row.partition(":")[2].strip()
    return ""


def running_in(root: int) -> list[int]:
    """The processes of a tree that have neither stopped nor exited."""
    # Twice: a process that was forked after the first list was made is in the second one.
    for _ in range(2):
        found = [root, *descendants(root)]
        if running := [pid for pid in found if state_of(pid)[:1] not in ("", "T", "t", "X", "Z")]:
            return running
    return []


def stop_tree(root: int) -> bool:
    """Tell the processes of a tree to stop; whether one of them still runs."""
    running = running_in(root)
    for pid in running:
        send(pid, signal.SIGSTOP)
    return bool(running)


def abandon_all() -> None:
    """Let nothing outlive this process, which is about to exit, except what was detached.

    A supervisor stops everything itself once its connection to us is closed. One that was stopped
    is continued first; one that cannot continue, as under a debugger, is killed with all its
    processes.
    """
    for child in children_by_parent().get(os.getpid(), []):
        if child in detached:
            continue
        if child in supervisors:
            send(child, signal.SIGCONT)
            if state_of(child)[:1] not in ("T", "t"):
                continue
        kill_tree(child)
