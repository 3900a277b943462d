"""B15: from the end of a session until nothing of its stack is left, against the wait of Ryuk."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import psutil
from rich.console import Console
from testcontainers.core.config import testcontainers_config

from harness import Settings
from harness.core.deadline import Deadline, Observation, poll
from tests.bench.numbers import Figures, alternated, at_most, paired
from tests.bench.session import ROOT, environment

PAIRS = 6
RYUK = float(testcontainers_config.ryuk_reconnection_timeout.removesuffix("s"))
"""Seconds after which it begins to clean."""

ANCHOR = f"the {RYUK:g} s after which Ryuk begins, by testcontainers-python's default"
GATE, MOONSHOT = at_most(0.3), at_most(0.02)
OFTEN = 0.001
out = Console()

Session = subprocess.Popen[str]


@dataclass(frozen=True)
class Ended:
    """A stack that is gone: how many processes it had, and the seconds until they were gone."""

    processes: int
    took: float


def teardown(settings: Settings, pairs: int = PAIRS) -> Figures:
    """Sessions that end in order, and sessions that are killed, A B B A."""
    settings = replace(settings, runtime="processes")
    found = alternated(pairs, lambda: _ended(settings, _close), lambda: _ended(settings, _kill))
    orderly, killed = [one.took for one, _ in found], [other.took for _, other in found]
    return {
        "processes": median(each.processes for pair in found for each in pair),
        "a session that ends, s (median)": median(orderly),
        "a session that is killed, s (median)": median(killed),
        "B15 a session that ends": paired(
            [each / RYUK for each in orderly], ANCHOR, GATE, MOONSHOT
        ),
        "B15 a session that is killed": paired(
            [each / RYUK for each in killed], ANCHOR, GATE, MOONSHOT
        ),
    }


def _ended(settings: Settings, end: Callable[[Session], None]) -> Ended:
    with (
        tempfile.TemporaryDirectory() as scratch,
        subprocess.Popen(
            [sys.executable, "-m", "tests.bench.held", scratch],
            cwd=ROOT, env=environment(settings), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True,
        ) as session,
    ):  # fmt: skip
        assert session.stdout
        owner, folder = session.stdout.readline().split(maxsplit=1)
        supervisor = psutil.Process(int(owner))
        processes = [supervisor, *supervisor.children(recursive=True)]
        began = time.monotonic()
        end(session)
        _await_end(processes, Path(folder.strip()))
        took = time.monotonic() - began
    out.print(f"  {end.__name__.strip('_')}: {len(processes)} processes, {took:.3f} s")
    return Ended(len(processes), took)


def _close(session: Session) -> None:
    assert session.stdin
    session.stdin.close()


def _kill(session: Session) -> None:
    session.kill()


def _await_end(processes: Sequence[psutil.Process], folder: Path) -> None:
    """Until no process runs, and so no port is taken, and the run's folder is gone."""

    def look() -> Observation:
        left = [each for each in processes if runs(each)]
        return Observation(not left and not folder.exists(), f"{left}, {folder}")

    seen = poll(look, Deadline(60), interval=OFTEN)
    assert seen.ok, seen.fact


def runs(process: psutil.Process) -> bool:
    """Whether a process is there, and not only its exit code for whoever adopted it."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
