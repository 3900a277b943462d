"""The start of 1, 5 and 20 small apps with their sidecars, and the first word of one by `run`."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from harness import App, Settings, Topology, running
from tests.bench.numbers import Figures, at_most, paired
from tests.projects import HELLO_APP
from tests.support import environment

ROUNDS = 5
COUNTS = (1, 5, 20)
GATES = {20: at_most(8)}
RUN_FILE = """\
version: 1
apps:
- appID: hello
  appDirPath: .
  command: ["{python}", "-u", "-c", "print('said it'); import signal; signal.pause()"]
"""
out = Console()


def small_apps(settings: Settings, rounds: int = ROUNDS) -> Figures:
    """All counts in each round, so that what disturbs one disturbs the others."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "hello.py").write_text(HELLO_APP)
        found = [_round(folder, settings) for _ in range(rounds)]
        words = [_first_word(folder) for _ in range(rounds)]
    return {
        "1 app, s (median)": statistics.median(each[1] for each in found),
        **{
            f"B14 {count} apps": paired(
                [each[count] / each[1] for each in found], "1 app", GATES.get(count)
            )
            for count in COUNTS[1:]
        },
        "first output of an app after `run`, s (median)": statistics.median(words),
    }


def _round(folder: Path, settings: Settings) -> dict[int, float]:
    found = {count: _start(folder, count, settings) for count in COUNTS}
    out.print("  " + ", ".join(f"{count}: {took:.2f} s" for count, took in found.items()))
    return found


def _start(folder: Path, count: int, settings: Settings) -> float:
    command = [sys.executable, "hello.py", "{port}"]
    apps = [App(f"hello-{number}", command=command, cwd=folder) for number in range(count)]
    with running(Topology(*apps), replace(settings, runtime="processes")) as stack:
        return stack.took


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
