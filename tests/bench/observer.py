"""B16: what it costs to watch. An inbox before a handler, and the generator's own recorder."""

from __future__ import annotations

import time
from pathlib import Path

from harness import Settings, World, running
from harness.load.judge.overheads import overhead
from harness.load.measure.collector import Collector
from harness.load.model.profile import Profile, Step
from harness.load.model.result import Overhead
from harness.load.runner import LoadRun
from loadtests.topology import watched
from tests.bench.load import validity_of
from tests.bench.numbers import Figures, Measure, at_most
from tests.bench.sinks import rows_of_sink

RATE, SECONDS, WARMUP = 60, 45.0, 5.0
PROFILE = Profile(name="observer", rates={"Watch": RATE}, steps=(Step(1, SECONDS),), warmup=WARMUP)
RECORDED = 20_000
GATE, MOONSHOT = at_most(1.03), at_most(1.01)


def observer(settings: Settings) -> Figures:
    """Events to two sinks in turn, one of them behind an inbox."""
    with running(watched, settings) as stack, World(stack) as world:
        inbox = world.inbox("watched-sink")
        result = LoadRun(stack, PROFILE, Path(__file__).with_name("locustfile.py")).run()
        sent = sum(result.names[name].ok for name in ("watched", "not watched"))
        plain = rows_of_sink(world.url("load-sink"), int(sent / 2))
        behind = rows_of_sink(world.url("watched-sink"), int(sent / 2))
        seen = [each for each in inbox.all() if each.path == "/load"]
    rounds = {
        "plain": _rounds([(row[3], row[5]) for row in plain]),
        "app": _rounds([(row[3], row[5]) for row in behind]),
        "inbox": _rounds([(each.data["due"], each.at) for each in seen]),
    }
    publish = result.names["not watched"].intended["p50"]
    recorder = _recorder()
    return {
        **validity_of(result),
        "events to each": len(plain),
        **_figures("publish to inbox", overhead("inbox", "plain", rounds)),
        **_figures("publish to the app behind it", overhead("app", "plain", rounds)),
        "generator's recorder, us a request": recorder,
        "B16 publish with the generator's recorder, p50": Measure(
            1 + recorder / 1000 / publish, "without", GATE, MOONSHOT
        ),
    }


def _rounds(moments: list[tuple[float, float]]) -> dict[int, list[float]]:
    first = min(due for due, _ in moments) + WARMUP
    found: dict[int, list[float]] = {}
    for due, at in moments:
        if due >= first:
            found.setdefault(int(due), []).append(1000 * (at - due))
    return found


def _figures(title: str, found: Overhead | None) -> Figures:
    assert found is not None
    p50 = found.ratios["p50"]
    anchor = "to an app without an inbox"
    return {
        f"B16 {title}, p50": Measure(p50.value, anchor, GATE, MOONSHOT, p50.low, p50.high),
        f"{title}, difference of means, ms": found.mean.value,
    }


def _recorder() -> float:
    collector = Collector()
    began = time.perf_counter()
    for number in range(RECORDED):
        at = number / 100
        collector.due("publish", at)
        collector.answered("publish", at, at, at, at)
    return (time.perf_counter() - began) / RECORDED * 1e6
