"""B11: how many jobs a second are scheduled, and fired; the whole span, divided by the count."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness import Settings, Stack, running
from harness.load.model.targets import targets_of
from loadtests.topology import load
from tests.bench.numbers import Figures, Measure, at_least, at_most
from tests.bench.sinks import rows_of_sink

ROOT = Path(__file__).parent.parent.parent
COUNT, CONNECTIONS, AHEAD = 3000, 16, 20.0
DAPR_SCHEDULED, DAPR_FIRED = 756.0, 727.0
"""A second; Dapr's own performance reports of 1.18, schedule acknowledged and end to end."""

SYNCS = 200


def rates(settings: Settings) -> Figures:
    """Jobs that are all due at one moment after they were scheduled; and jobs due at once."""
    with running(load, settings) as stack:
        floor = _sync(Path(tempfile.gettempdir()))
        first = _burst(stack, time.time() + AHEAD, seen=0)
        second = _burst(stack, 0.0, seen=COUNT)
    acknowledged = COUNT / (first["ended"] - first["began"])
    fired = COUNT / (max(first["fired"]) - first["due"])
    honest = COUNT / (max(second["fired"]) - second["began"])
    early = sum(at < first["due"] for at in first["fired"])
    wrong = first["wrong"] + second["wrong"] + early
    half, all_of_it = at_least(0.5), at_least(1)
    return {
        "jobs, each time": COUNT,
        "B11 failed, early, fired twice or never": Measure(wrong, "none may be", at_most(0)),
        "fsync of 4 KiB, p50, ms": floor,
        "scheduled a second": acknowledged,
        "fired a second, all due at one moment": fired,
        "from the first schedule to the last fire, a second": honest,
        "B11 scheduled": Measure(
            acknowledged / DAPR_SCHEDULED, f"Dapr's report: {DAPR_SCHEDULED:g}/s", half, all_of_it
        ),
        "B11 scheduled and fired, the whole span": Measure(
            honest / DAPR_FIRED, f"Dapr's report: {DAPR_FIRED:g}/s", half, all_of_it
        ),
    }


def _burst(stack: Stack, due: float, *, seen: int) -> dict[str, Any]:
    token = stack.book.token("dapr-api")
    targets = targets_of(stack.addresses(), token)
    words = [targets.sidecar("load-sink"), token, f"{COUNT}", f"{CONNECTIONS}", f"{due}"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.job_burst", *words],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    told = json.loads(done.stdout)
    assert not due or told["ended"] < due, "they were due before the last was scheduled"
    rows = rows_of_sink(targets.app("load-sink"), seen + COUNT, patience=60)[seen:]
    fired = _first(rows)
    return {
        **told,
        "due": due,
        "fired": fired,
        "wrong": len(told["failed"]) + (COUNT - len(fired)) + (len(rows) - len(fired)),
    }


def _first(rows: Sequence[Sequence[Any]]) -> list[float]:
    found: dict[int, float] = {}
    for _kind, _lane, number, _due, _sent, entered in rows:
        found.setdefault(number, entered)
    return list(found.values())


def _sync(folder: Path) -> float:
    """What etcd pays at least for what it has acknowledged."""
    took = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(SYNCS):
            began = time.perf_counter()
            os.write(file.fileno(), bytes(4096))
            os.fsync(file.fileno())
            took.append(time.perf_counter() - began)
    return statistics.median(took) * 1000
