"""The start of FastAPI apps with their sidecars: forked of one process, against executed."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
from rich.console import Console

from harness import App, Settings, Stack, Topology, running
from tests.bench.memory import pss
from tests.bench.numbers import Figures, alternated, at_most, paired
from tests.bench.start import cpu_of

PAIRS = 5
COUNTS = (2, 5, 10, 20)
APP = """\
from fastapi import FastAPI

app = FastAPI()


@app.get("/healthz")
def healthz() -> dict[str, str]:
    return {"status": "ok"}
"""
MEGABYTE = 1 << 20
ANCHOR = "executed, same run"
out = Console()


@dataclass
class Started:
    """A start and its apps.

    Attributes:
        wall: seconds until ready.
        cpu: CPU seconds.
        memory: megabytes of the apps, each page counted once.
        restart: seconds until one of them is ready again.
    """

    wall: float
    cpu: float
    memory: float
    restart: float


def forked(settings: Settings, pairs: int = PAIRS, counts: Sequence[int] = COUNTS) -> Figures:
    """Each count in pairs, A B B A."""
    found: Figures = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "fast.py").write_text(APP)
        for count in counts:
            found |= _pairs(folder, count, pairs, settings)
    return found


def _pairs(folder: Path, count: int, rounds: int, settings: Settings) -> Figures:
    def start(preload: bool) -> Started:
        apps = [
            App(f"app-{number}", asgi="fast:app", cwd=folder, health="/healthz", preload=preload)
            for number in range(count)
        ]
        before = time.process_time()
        with running(Topology(*apps), replace(settings, runtime="processes")) as stack:
            return _measured(stack, time.process_time() - before)

    pairs = alternated(rounds, lambda: start(True), lambda: start(False))
    out.print(
        f"  {count}: " + ", ".join(f"{one.wall:.2f} / {other.wall:.2f} s" for one, other in pairs)
    )
    cores = os.cpu_count() or 1
    return {
        f"{count} apps, time to ready": paired(
            [one.wall / other.wall for one, other in pairs], ANCHOR, at_most(1)
        ),
        f"{count} apps, CPU of everything": paired(
            [one.cpu / other.cpu for one, other in pairs], ANCHOR, at_most(1)
        ),
        f"{count} apps, time to ready of the floor": paired(
            [one.wall / (one.cpu / cores) for one, _ in pairs],
            "CPU of everything / cores",
            moonshot=at_most(1.15),
        ),
        f"{count} apps, memory of the apps": paired(
            [one.memory / other.memory for one, other in pairs], ANCHOR, at_most(1)
        ),
        f"{count} apps, restart of one": paired(
            [one.restart / other.restart for one, other in pairs], ANCHOR, at_most(1)
        ),
    }


def _measured(stack: Stack, own: float) -> Started:
    """What the stack and this process have used until now."""
    cpu = own + cpu_of(stack)
    apps = {each.pid for name, each in stack.instances.items() if name.startswith("app-")}
    apps -= {each.pid for name, each in stack.instances.items() if name.endswith("-daprd")}
    below = psutil.Process(stack.owner).children(recursive=True)
    named = {each.pid for each in stack.instances.values()}
    # The only process that is not a node is the one with the imports.
    memory = sum(pss(each.pid) for each in below if each.pid in apps or each.pid not in named)
    began = time.monotonic()
    stack.restart("app-0")
    return Started(stack.took, cpu, memory / MEGABYTE, time.monotonic() - began)
