"""R8: what `kill -9` of the command line leaves, at random instants of a start."""

from __future__ import annotations

import random
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from testcontainers.core.config import testcontainers_config

from harness.core.settings import Settings
from harness.runtime.containers import agent
from tests.bench.numbers import Figures
from tests.engine import everything
from tests.projects import HELLO_APP, MINI_FILES
from tests.support import CLI, environment, leftovers, project

KILLS = 20


def of_processes(_settings: Settings) -> Figures:
    """Processes and folders; a start takes about a second."""
    left, slowest = _trials("processes", 1.8, leftovers)
    return {
        "kill -9 trials": KILLS,
        "processes and folders left": left,
        "slowest clean-up, s": slowest,
    }


def of_containers(_settings: Settings) -> Figures:
    """Containers, networks and volumes too; held against the time that Ryuk waits."""
    left, slowest = _trials("containers", 4.5, _everything_left)
    ryuk = float(testcontainers_config.ryuk_reconnection_timeout.removesuffix("s"))
    return {
        "kill -9 trials": KILLS,
        "containers, networks, volumes, processes and folders left": left,
        "slowest clean-up, s": slowest,
        "Ryuk begins after, s": ryuk,
        "slowest clean-up / Ryuk": slowest / ryuk,
    }


def _trials(
    runtime: str, longest: float, left_in: Callable[[Path], list[str]]
) -> tuple[int, float]:
    left, slowest, moments = 0, 0.0, random.Random(8)
    with tempfile.TemporaryDirectory() as work:
        folder = project(Path(work), **MINI_FILES)
        # Containers are reached from without only on an address that is not their loopback.
        project(folder, hello_py=HELLO_APP.replace('"127.0.0.1"', '"0.0.0.0"'))
        for _ in range(KILLS):
            _killed(folder, runtime, 0.3 + moments.random() * (longest - 0.3))
            began = time.monotonic()
            left += len(left_in(folder))
            slowest = max(slowest, time.monotonic() - began)
    return left, slowest


def _killed(folder: Path, runtime: str, after: float) -> None:
    with subprocess.Popen(
        [*CLI, "up", "--attach", "--runtime", runtime], cwd=folder, env=environment(folder),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as starting:  # fmt: skip
        try:
            starting.wait(after)
        except subprocess.TimeoutExpired:
            starting.kill()


def _everything_left(folder: Path) -> list[str]:
    """As the engine tells it once nothing of the run's processes is there any more."""
    return [*leftovers(folder), *everything({"label": agent.RUN_LABEL})]
