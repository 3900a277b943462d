"""What the benches read from the system, and that their commands run."""

from __future__ import annotations

import os

import pytest

from harness import Settings
from tests.bench import imports, supervisor
from tests.bench.numbers import Measure


def test_the_memory_and_the_time_of_a_process_are_read_from_the_system() -> None:
    """Of this one, which has used some of both."""
    pss, rss = supervisor._memory(os.getpid())
    before = supervisor._used(os.getpid())
    sum(range(200_000))

    assert 1 < pss <= rss < 10_000
    assert 0 < before < supervisor._used(os.getpid())


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
