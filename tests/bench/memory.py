"""The memory of a process."""

from __future__ import annotations

from pathlib import Path


def pss(pid: int) -> int:
    """Its proportional set size in bytes: a page that n processes share counts as 1/n of it."""
    rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(row.split()[1]) * 1024 for row in rows if row.startswith("Pss:"))
