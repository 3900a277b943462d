"""Memory and CPU of worlds and of twenty apps by what uses them, and of a daprd with fewer
components; and what a session of a thousand tests keeps."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import psutil
from rich.console import Console

from harness import App, IsolatedStack, Settings, Stack, Topology, running
from harness.provision.toolbox import Provisioner
from tests.bench.memory import pss
from tests.bench.numbers import Figures, alternated, at_most, paired
from tests.bench.session import environment
from tests.projects import HELLO_APP

PAIRS = 5
APPS, WORLDS, TESTS = 20, 5, 1000
MEGABYTE = 1 << 20
CONTROL = ("placement", "scheduler", "sentry")
PARTS = ("sidecars", "apps", "control plane", "harness")
ANCHOR = "with all components, same run"
LEVEL = at_most(1)
out = Console()


@dataclass(frozen=True)
class Usage:
    """What the processes of a stack have used so far: by part, of `PARTS`.

    Attributes:
        memory: megabytes, each page that n processes share counted as 1/n.
        cpu: seconds.
    """

    memory: Mapping[str, float]
    cpu: Mapping[str, float]

    @property
    def whole(self) -> tuple[float, float]:
        """Memory and CPU of all parts together."""
        return sum(self.memory.values()), sum(self.cpu.values())


def footprint(settings: Settings, pairs: int = PAIRS) -> Figures:
    """All of them."""
    settings = replace(settings, runtime="processes")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "hello.py").write_text(HELLO_APP)
        return {
            **_apps(folder, settings, pairs),
            **_worlds(folder, settings),
            **_session(folder, settings),
        }


def _apps(folder: Path, settings: Settings, pairs: int) -> Figures:
    """Twenty apps by part; in turns with a daprd that has fewer components, if it is here."""
    few = replace(settings, daprd_components="local")
    if Provisioner(few).local_daprd() is None:
        return _by_part(f"{APPS} apps", [_used(folder, settings) for _ in range(pairs)])
    found = alternated(pairs, lambda: _used(folder, few), lambda: _used(folder, settings))
    figures = _by_part(f"{APPS} apps", [whole for _, whole in found])
    title = f"{APPS} apps, fewer components"
    for number, what in enumerate(("memory", "CPU")):
        ratios = [local.whole[number] / whole.whole[number] for local, whole in found]
        figures[f"{title}, {what} of everything"] = paired(ratios, ANCHOR, LEVEL)
    ratios = [local.memory["sidecars"] / whole.memory["sidecars"] for local, whole in found]
    return {**figures, f"{title}, memory of the sidecars": paired(ratios, ANCHOR, LEVEL)}


def _used(folder: Path, settings: Settings) -> Usage:
    with running(_topology(folder, APPS), settings) as stack:
        used = _usage(stack)
    out.print(f"  {used.whole[0]:.0f} MB, {used.whole[1]:.2f} s of CPU")
    return used


def _topology(folder: Path, count: int) -> Topology:
    command = [sys.executable, "hello.py", "{port}"]
    return Topology(
        *(App(f"hello-{number}", command=command, cwd=folder) for number in range(count))
    )


def _usage(stack: Stack) -> Usage:
    part = {each.pid: _part(name) for name, each in stack.instances.items() if each.pid}
    memory, cpu = dict.fromkeys(PARTS, 0.0), dict.fromkeys(PARTS, 0.0)
    supervisor = psutil.Process(stack.owner)
    for process in (supervisor, *supervisor.children(recursive=True)):
        named = part.get(process.pid, "harness")
        memory[named] += pss(process.pid) / MEGABYTE
        times = process.cpu_times()
        cpu[named] += times.user + times.system + times.children_user + times.children_system
    return Usage(memory, cpu)


def _part(node: str) -> str:
    if node.endswith("-daprd"):
        return "sidecars"
    return "control plane" if node in CONTROL else "apps"


def _by_part(title: str, found: Sequence[Usage]) -> Figures:
    """Medians."""
    figures: Figures = {}
    for part in PARTS:
        figures[f"{title}, {part}, MB"] = median(each.memory[part] for each in found)
        figures[f"{title}, {part}, s of CPU"] = median(each.cpu[part] for each in found)
    return figures


def _worlds(folder: Path, settings: Settings) -> Figures:
    """Of several at the same time: what a further one uses, and the stack that they share."""
    with running(_topology(folder, 1), settings) as stack, ExitStack() as opened:
        found = [_usage(opened.enter_context(IsolatedStack(stack))) for _ in range(WORLDS)]
        ratios = [each.whole[0] / _usage(stack).whole[0] for each in found]
    figures = _by_part("a world with one app", found)
    return {**figures, "a world with one app, memory": paired(ratios, "its stack", LEVEL)}


CONFTEST = """\
import json
import sys
from pathlib import Path

import psutil
import pytest

from harness import App, Topology

HERE = Path(__file__).parent
FIRST, LAST = {first}, {last}
begun, kept, seen = [], [], []


@pytest.fixture(scope="session")
def dapr_topology():
    return Topology(App("hello", command=[sys.executable, "hello.py", "{{port}}"], cwd=HERE))


@pytest.fixture(autouse=True, scope="session")
def keep(dapr_stack):
    kept.append(psutil.Process(dapr_stack.owner))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logstart():
    if len(begun) in (FIRST, LAST):
        seen.append(
            [
                (each.num_fds(), each.num_threads(), each.memory_info().rss)
                for each in (psutil.Process(), *kept)
            ]
        )
    begun.append(1)


def pytest_sessionfinish():
    (HERE / "seen.json").write_text(json.dumps(seen))
"""
TEST = """\
import pytest


@pytest.mark.parametrize("number", range({last} + 1))
def test_nothing(dapr_sync, number):
    pass
"""
PLUGINS = ("-p", "pytest_asyncio.plugin", "-p", "harness.pytest_plugin")
FIRST = 50


def _session(folder: Path, settings: Settings) -> Figures:
    """The process of the tests and the supervisor, after some tests and after all."""
    (folder / "conftest.py").write_text(CONFTEST.format(first=FIRST, last=TESTS))
    (folder / "test_nothing.py").write_text(TEST.format(last=TESTS))
    (folder / "pytest.ini").write_text("[pytest]\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *PLUGINS],
        cwd=folder,
        env={**environment(settings), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    early, late = json.loads((folder / "seen.json").read_text())
    figures: Figures = {}
    for who, before, after in zip(("session", "supervisor"), early, late, strict=True):
        for number, what in enumerate(("file handles", "threads")):
            figures[f"{TESTS:,} tests, {who}, more {what}"] = after[number] - before[number]
        grown = (after[2] - before[2]) / 1024 / (TESTS - FIRST)
        figures[f"{TESTS:,} tests, {who}, kB more for each"] = grown
    return figures
