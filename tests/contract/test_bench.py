"""What the benches read from the system, and that their commands run."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil
import pytest

from harness import Settings
from harness.core.deadline import Deadline, Observation, poll
from harness.load.measure import noise
from tests.bench import imports, limits, supervisor, teardown
from tests.bench.numbers import Measure


def test_the_memory_and_the_time_of_a_process_are_read_from_the_system() -> None:
    """Of this one, which has used some of both."""
    pss, rss = supervisor._memory(os.getpid())
    before = supervisor._used(os.getpid())
    sum(range(200_000))

    assert 1 < pss <= rss < 10_000
    assert 0 < before < supervisor._used(os.getpid())


def test_the_limits_of_a_machine_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes some time, the echo among them."""
    monkeypatch.setattr(noise, "PAUSE", 0.0)

    found = limits.limits()

    assert limits.ECHO in found
    assert [] == [name for name, took in found.items() if not 0 < took < 1e6]


def test_a_process_whose_exit_code_nobody_has_read_does_not_run() -> None:
    """Whoever adopted it may never read it."""
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as made:
        process = psutil.Process(made.pid)
        assert teardown.runs(process)
        made.kill()
        assert poll(lambda: Observation(not teardown.runs(process)), Deadline(10)).ok
        assert psutil.STATUS_ZOMBIE == process.status()
    assert not teardown.runs(process)


@pytest.mark.real
def test_eight_clients_hear_every_event_of_a_supervisor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the bench fails."""
    monkeypatch.setattr(supervisor, "EVENTS", 200)
    monkeypatch.setattr(supervisor, "IDLE", 0.1)

    found = supervisor._cost(Settings.load(runtime="processes"), supervisor.MANY)

    assert 0 < found.pss <= found.rss
    assert found.event > 0
    assert found.rate > 0


@pytest.mark.real
def test_every_command_of_the_import_bench_succeeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only pytest-asyncio's own share has no gate: it is not ours."""
    monkeypatch.setattr(imports, "PAIRS", 1)

    found = imports.imports(Settings.load())

    ratios = {name: each for name, each in found.items() if isinstance(each, Measure)}
    assert all(each.value > 0 for each in ratios.values())
    assert ["pytest-asyncio's own share"] == [n for n, each in ratios.items() if not each.gate]
