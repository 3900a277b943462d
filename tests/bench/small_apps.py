"""What small apps with their sidecars cost, 1 to 20 of them, and the first word of one by `run`."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
from rich.console import Console

from harness import App, Settings, Stack, Topology, running
from tests.bench.forked import MEGABYTE
from tests.bench.memory import pss
from tests.bench.numbers import Figures, at_most, paired
from tests.bench.start import cpu_of
from tests.projects import HELLO_APP
from tests.support import environment

ROUNDS = 5
COUNTS = (1, 2, 5, 10, 20)
GATES = {20: at_most(8)}
RUN_FILE = """\
version: 1
apps:
- appID: hello
  appDirPath: .
  command: ["{python}", "-u", "-c", "print('said it'); import signal; signal.pause()"]
"""
out = Console()


@dataclass(frozen=True)
class Cost:
    """Of one start: seconds until ready, CPU seconds, megabytes of all its processes."""

    wall: float
    cpu: float
    memory: float


def small_apps(settings: Settings, rounds: int = ROUNDS) -> Figures:
    """All counts in each round, so that what disturbs one disturbs the others."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "hello.py").write_text(HELLO_APP)
        found = [_round(folder, settings) for _ in range(rounds)]
        words = [_first_word(folder) for _ in range(rounds)]
    return {
        "1 app, s (median)": statistics.median(each[1].wall for each in found),
        "1 app, CPU s (median)": statistics.median(each[1].cpu for each in found),
        "1 app, MB (median)": statistics.median(each[1].memory for each in found),
        **{name: each for count in COUNTS[1:] for name, each in _growth(found, count).items()},
        f"B14 {COUNTS[-1]} apps, of the floor": paired(
            [each[COUNTS[-1]].wall / (each[COUNTS[-1]].cpu / _cores()) for each in found],
            "CPU of everything / cores",
            moonshot=at_most(1.15),
        ),
        "first output of an app after `run`, s (median)": statistics.median(words),
    }


def _growth(rounds: list[dict[int, Cost]], count: int) -> Figures:
    """What some apps cost, compared with one."""
    return {
        f"B14 {count} apps": paired(
            [each[count].wall / each[1].wall for each in rounds], "1 app", GATES.get(count)
        ),
        f"{count} apps, CPU": paired([each[count].cpu / each[1].cpu for each in rounds], "1 app"),
        f"{count} apps, memory": paired(
            [each[count].memory / each[1].memory for each in rounds], "1 app"
        ),
    }


def _cores() -> int:
    return os.cpu_count() or 1


def _round(folder: Path, settings: Settings) -> dict[int, Cost]:
    found = {count: _start(folder, count, settings) for count in COUNTS}
    out.print("  " + ", ".join(f"{count}: {each.wall:.2f} s" for count, each in found.items()))
    return found


def _start(folder: Path, count: int, settings: Settings) -> Cost:
    command = [sys.executable, "hello.py", "{port}"]
    apps = [App(f"hello-{number}", command=command, cwd=folder) for number in range(count)]
    before = time.process_time()
    with running(Topology(*apps), replace(settings, runtime="processes")) as stack:
        own = time.process_time() - before
        return Cost(stack.took, own + cpu_of(stack), _memory(stack))


def _memory(stack: Stack) -> float:
    below = psutil.Process(stack.owner).children(recursive=True)
    return sum(pss(each.pid) for each in below) / MEGABYTE


def _first_word(folder: Path) -> float:
    """Seconds from the command until an app's line is shown."""
    (folder / "dapr.yaml").write_text(RUN_FILE.format(python=sys.executable))
    command = [str(Path(sys.executable).with_name("dapr-harness")), "run", "-n", "bench-small"]
    began = time.monotonic()
    with subprocess.Popen(
        command, cwd=folder, env=environment(folder), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert any("said it" in line for line in process.stdout)
        took = time.monotonic() - began
        process.terminate()
        process.stdout.read()
    return took
