"""What this machine can do at best, before and after a run: no figure is better than these."""

from __future__ import annotations

import os
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from rich import box
from rich.table import Table

from harness.load.judge.criteria import MOVED
from harness.load.measure.noise import loopback_echo

ECHO = "loopback echo of one byte"
SHARED_MEMORY = Path("/dev/shm")
TIMER = 0.001
"""Seconds that a wait of the table is meant to last."""

Limits = Mapping[str, float]
"""Microseconds by what takes them: medians, of the echo as `loopback_echo` takes it."""


def limits() -> Limits:
    """Each of them, in a few seconds."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        connect = _median(200, lambda: _connect(server))
    memory = {"fsync of 4 KiB, in memory": SHARED_MEMORY} if SHARED_MEMORY.is_dir() else {}
    folders = {"fsync of 4 KiB, temporary files": Path(tempfile.gettempdir()), **memory}
    return {
        ECHO: loopback_echo(),
        "loopback connect and accept": connect,
        f"wait of {TIMER * 1000:g} ms, too long by": _median(100, _wait) - TIMER * 1e6,
        **{name: _synchronized(folder) for name, folder in folders.items()},
        "spawn of true": _median(50, _spawn),
        "python -S -c pass": _median(10, lambda: subprocess.run(
            [sys.executable, "-S", "-c", "pass"], check=True
        )),
    }  # fmt: skip


def noisy(before: Limits, after: Limits) -> str:
    """Why the figures between are not to be trusted; "" if they are."""
    moved = after[ECHO] / before[ECHO] - 1
    if abs(moved) <= MOVED:
        return ""
    return (
        f"noisy: the {ECHO} took {before[ECHO]:.1f} us before and {after[ECHO]:.1f} us after, "
        f"{moved:+.0%}, at most {MOVED:.0%}"
    )


def table(before: Limits, after: Limits) -> Table:
    """For a terminal."""
    made = Table(title="limits of this machine, us", title_justify="left", box=box.SIMPLE_HEAD)
    made.add_column("")
    for title in ("before", "after", "change"):
        made.add_column(title, justify="right")
    for name, value in before.items():
        made.add_row(name, f"{value:.1f}", f"{after[name]:.1f}", f"{after[name] / value - 1:+.0%}")
    return made


def _median(rounds: int, carry_out: Callable[[], object]) -> float:
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        carry_out()
        took.append(time.perf_counter() - began)
    return statistics.median(took) * 1e6


def _connect(server: socket.socket) -> None:
    with socket.create_connection(server.getsockname()), server.accept()[0]:
        pass


def _wait() -> None:
    select.select([], [], [], TIMER)


def _spawn() -> None:
    os.waitpid(os.posix_spawnp("true", ["true"], os.environ), 0)


def _synchronized(folder: Path) -> float:
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:

        def write() -> None:
            file.write(bytes(4096))
            os.fsync(file.fileno())

        return _median(100, write)
