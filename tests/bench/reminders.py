"""B10 of actors: when reminders come, against when they were due."""

from __future__ import annotations

import tempfile
from pathlib import Path

from harness import Settings, Topology, World, running
from harness.load.measure.histograms import histogram_of, summary
from harness.load.model.profile import Profile, Step
from harness.load.runner import LoadRun
from loadtests.topology import sink
from tests.bench.load import validity_of
from tests.bench.numbers import Figures, Measure, at_most
from tests.bench.sinks import rows_of_sink

STORE = """\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: actors}
spec:
  type: state.in-memory
  version: v1
  metadata: [{name: actorStateStore, value: "true"}]
"""
PROFILE = Profile(name="reminders", rates={"Remind": 20}, steps=(Step(1, 60),), warmup=0)
ALLOWED = "Dapr's tests allow 1 s"


def reminders(settings: Settings) -> Figures:
    """Twenty a second, each of an actor of its own, due two seconds later."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "actors.yaml").write_text(STORE)
        topology = Topology(sink("actor-sink", "actors"), resources=folder)
        with running(topology, settings) as stack, World(stack) as world:
            result = LoadRun(stack, PROFILE, Path(__file__).with_name("locustfile.py")).run()
            registered = result.names["reminder registered"]
            rows = rows_of_sink(world.url("actor-sink"), registered.ok)
    came = {row[2]: row for row in reversed(rows)}
    late = summary(histogram_of(max(row[5] - row[3], 0.0) for row in came.values()))
    early = sum(row[5] < row[3] for row in came.values())
    return {
        **validity_of(result),
        "reminders": len(came),
        "B10 early": Measure(early, "none may be", at_most(0), at_most(0)),
        "came twice": len(rows) - len(came),
        "registered, p50, ms": registered.intended["p50"],
        "B10 late, p99, ms": Measure(late["p99"], ALLOWED, at_most(100), at_most(25)),
        "late, p50, ms": late["p50"],
    }
