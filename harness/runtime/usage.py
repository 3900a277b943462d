"""What processes use of this machine, and what of it is free."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from harness.core.cgroups import own_groups
from harness.runtime.tree import children_by_parent


def memory_of(roots: Iterable[int]) -> int:
    """The memory of processes and their descendants in bytes; 0 where the kernel does not tell.

    Pages that several processes share are divided among them (PSS).
    """
    children = children_by_parent()
    found, left = 0, [*roots]
    while left:
        pid = left.pop()
        found += _pss(pid)
        left += children.get(pid, [])
    return found


def _pss(pid: int) -> int:
    with contextlib.suppress(OSError):
        return _row(Path(f"/proc/{pid}/smaps_rollup"), "Pss:")
    return 0


def free_memory() -> int | None:
    """Bytes that can be used without swapping, and without exceeding a limit; None if unknown."""
    if not sys.platform.startswith("linux"):
        return None
    found = [_row(Path("/proc/meminfo"), "MemAvailable:")]
    for folder in own_groups():
        with contextlib.suppress(OSError, ValueError):
            most = int((folder / "memory.max").read_text())  # the word max if there is no limit
            cache = _row(folder / "memory.stat", "inactive_file", unit=1)
            found.append(most - int((folder / "memory.current").read_text()) + cache)
    return max(0, min(found))


def _row(file: Path, name: str, unit: int = 1024) -> int:
    for row in file.read_text().splitlines():
        words = row.split()
        if words and words[0] == name:
            return int(words[1]) * unit
    return 0


def usable_cores() -> int:
    """How many processor cores this process may use."""
    with contextlib.suppress(AttributeError):  # only Linux restricts it
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class IdleCores:
    """How many of the processor cores that this process may use have had nothing to do."""

    def __init__(self) -> None:
        self._last = _idle_ticks(), time.monotonic()

    def lately(self, seconds: float) -> float:
        """Their mean number since it was asked last; all of them where it is unknown.

        Args:
            seconds: if that was longer ago, or is less than half of it, nothing is known yet: 0.
        """
        before, began = self._last
        now, at = _idle_ticks(), time.monotonic()
        passed = at - began
        if passed > seconds / 2:
            self._last = now, at
        if before is None or now is None:
            return float(usable_cores())
        if not seconds / 2 < passed <= seconds:
            return 0.0
        return (now - before) / os.sysconf("SC_CLK_TCK") / passed


def _idle_ticks() -> int | None:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        own = {f"cpu{number}" for number in os.sched_getaffinity(0)}
        rows = (row.split() for row in Path("/proc/stat").read_text().splitlines())
        return sum(int(row[4]) + int(row[5]) for row in rows if row and row[0] in own)
    return None
