"""B3: a session that attaches to a stack, and the restart of one node, against a cold start."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from rich.console import Console

from harness import Settings, Stack
from scenarios.topology import reference
from tests.bench.numbers import Figures, at_most, paired
from tests.bench.session import ROOT, environment

ROUNDS = 10
NAME = "bench"
APP, SIDECAR = "backend-service", "backend-service-daprd"
GATE, MOONSHOT = at_most(0.10), at_most(0.03)
out = Console()


@dataclass(frozen=True)
class Session:
    """Seconds until a session's stack was ready: since its process began, and since the call."""

    whole: float
    call: float


@dataclass(frozen=True)
class Round:
    """What one stack was used for; the restarts are seconds until the node was ready again."""

    cold: Session
    attached: Session
    again: float
    app: float
    sidecar: float
    python: float


def on_processes(settings: Settings, count: int = ROUNDS) -> Figures:
    """Each round starts a stack, attaches to it from another process, and restarts two nodes."""
    with tempfile.TemporaryDirectory() as scratch:
        settings = replace(settings, runtime="processes", state_dir=Path(scratch))
        rounds = [_round(number, settings) for number in range(count)]
    session, start = "the session that starts it", "the call that starts it"
    return {
        "cold start, call to ready, s (median)": median(r.cold.call for r in rounds),
        "attach, call to ready, s (median)": median(r.attached.call for r in rounds),
        "B3 session that attaches, process to ready": paired(
            [r.attached.whole / r.cold.whole for r in rounds], session, GATE, MOONSHOT
        ),
        "B3 attach, call to ready": paired(
            [r.attached.call / r.cold.call for r in rounds], start, GATE, MOONSHOT
        ),
        "attach again in one process": paired([r.again / r.cold.call for r in rounds], start),
        "session that attaches / python -S -c pass": paired(
            [r.attached.whole / r.python for r in rounds], "a bare interpreter"
        ),
        "restart of an app": paired([r.app / r.cold.call for r in rounds], start),
        "restart of a sidecar": paired([r.sidecar / r.cold.call for r in rounds], start),
    }


def _round(number: int, settings: Settings) -> Round:
    with _session("start", settings) as cold:
        # Whatever is measured first finds the caches of the start, so the order alternates.
        if number % 2 == 0:
            attached, python = _attached(settings), _bare()
            again, app, sidecar = _restarts(settings, (APP, SIDECAR))
        else:
            again, sidecar, app = _restarts(settings, (SIDECAR, APP))
            python, attached = _bare(), _attached(settings)
    found = Round(cold, attached, again, app, sidecar, python)
    out.print(
        f"  round {number + 1}: {cold.call:.2f} s, attach {attached.call:.3f} s, "
        f"app {app:.2f} s, sidecar {sidecar:.2f} s"
    )
    return found


def _attached(settings: Settings) -> Session:
    with _session("attach", settings) as found:
        return found


def _restarts(settings: Settings, nodes: tuple[str, str]) -> tuple[float, float, float]:
    """Attach in this process, which has imported everything, and restart both nodes."""
    began = time.monotonic()
    with Stack.attach(NAME, reference, settings) as stack:
        moments = [time.monotonic()]
        for node in nodes:
            stack.restart(node)
            moments.append(time.monotonic())
    ready, first, second = moments
    return ready - began, first - ready, second - first


def _bare() -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, "-S", "-c", "pass"], check=True)
    return time.monotonic() - began


@contextmanager
def _session(what: str, settings: Settings) -> Iterator[Session]:
    began = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", "tests.bench.session", what, NAME],
        cwd=ROOT, env=environment(settings), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True,
    ) as process:  # fmt: skip
        assert process.stdout
        line = process.stdout.readline()
        imported, ready = map(float, line.split())
        yield Session(ready - began, ready - imported)
