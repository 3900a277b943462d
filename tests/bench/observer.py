"""B16: what it costs to watch. An inbox before a handler, and the generator's own recorder."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from harness import Settings, World, running
from harness.load.arrivals import Step
from harness.load.collector import Collector
from harness.load.overheads import Overhead, overhead
from harness.load.profile import Profile
from harness.load.runner import LoadRun
from harness.load.surroundings import rows_of_sink
from loadtests.topology import watched
from tests.bench.numbers import Figures

RATE, SECONDS, WARMUP = 60, 45.0, 5.0
PROFILE = Profile(name="observer", rates={"Watch": RATE}, steps=(Step(1, SECONDS),), warmup=WARMUP)
RECORDED = 20_000
GATE = "(gate 1.03, moonshot 1.01)"


def observer(settings: Settings) -> Figures:
    """Events to two sinks in turn, one of them behind an inbox."""
    with running(watched, settings) as stack, World(stack) as world:
        inbox = world.inbox("watched-sink")
        result = LoadRun(stack, PROFILE, Path(__file__).with_name("observer_locustfile.py")).run()
        sent = sum(result["names"][name]["ok"] for name in ("watched", "not watched"))
        plain = rows_of_sink(world.app_url("load-sink"), int(sent / 2))
        behind = rows_of_sink(world.app_url("watched-sink"), int(sent / 2))
        seen = [each for each in inbox.all() if each.path == "/load"]
    rounds = {
        "plain": _rounds([(row[3], row[5]) for row in plain]),
        "app": _rounds([(row[3], row[5]) for row in behind]),
        "inbox": _rounds([(each.data["due"], each.at) for each in seen]),
    }
    publish = result["names"]["not watched"]["intended"]["p50"]
    recorder = _recorder()
    return {
        "valid (1 yes)": float(result["valid"]),
        "publish to handler, not watched, events": len(plain),
        **_figures("what the inbox says / not watched", overhead("inbox", "plain", rounds)),
        **_figures("what the app behind it says / not watched", overhead("app", "plain", rounds)),
        "B16 generator's recorder, us a request": recorder,
        f"B16 recorder / publish, p50, as a ratio {GATE}": 1 + recorder / 1000 / publish,
    }


def _rounds(moments: list[tuple[float, float]]) -> dict[int, list[float]]:
    first = min(due for due, _ in moments) + WARMUP
    found: dict[int, list[float]] = {}
    for due, at in moments:
        if due >= first:
            found.setdefault(int(due), []).append(1000 * (at - due))
    return found


def _figures(title: str, found: Overhead | None) -> dict[str, Any]:
    assert found is not None
    p50 = found.ratios["p50"]
    return {
        f"B16 {title}, p50 {GATE}": p50.value,
        f"B16 {title}, p50, low": p50.low,
        f"B16 {title}, p50, high": p50.high,
        f"B16 {title}, mean, ms": found.mean.value,
    }


def _recorder() -> float:
    collector = Collector()
    began = time.perf_counter()
    for number in range(RECORDED):
        at = number / 100
        collector.due("publish", at)
        collector.answered("publish", at, at, at, at)
    return (time.perf_counter() - began) / RECORDED * 1e6
