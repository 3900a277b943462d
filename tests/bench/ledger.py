"""B16: what the delivery ledger costs for each event, and how long a bundle takes."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

import psycopg

from harness import Settings, World, running
from harness.bundle.causes import causes_of
from harness.bundle.collect import Collector
from harness.bundle.model import Failure
from harness.bundle.page import write
from harness.core.observation import epoch_ns
from harness.dapr.model import BulkEntry
from harness.stack.stack import Stack
from tests.bench.numbers import Figures, Measure, alternated, at_most, bootstrap, paired
from tests.bench.shop import SHOP, pubsub_of, shops, topic_of

EVENTS, PAIRS, ORDINARY = 1000, 8, 5
TABLES, ROWS, KEYS = 12, 1000, 50
"""Of the database whose rows and keys are in a bundle."""

ANCHOR = "the same events in a tap and an inbox"
GOAL = at_most(0.5)


def ledger(settings: Settings, pairs: int = PAIRS) -> Figures:
    """On one stack: worlds that ask the ledger, and worlds that read topic and inbox, A B B A."""
    settings = replace(settings, runtime="processes")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with running(shops(folder, database=True), settings) as stack:
            _fill(stack)

            def asked(ask: Callable[[World], int]) -> float:
                with World(stack) as world:
                    _publish(world, EVENTS)
                    began = time.process_time()
                    assert EVENTS == ask(world)
                    return (time.process_time() - began) / EVENTS * 1e6

            found = alternated(pairs, lambda: asked(_by_ledger), lambda: asked(_by_probes))
            with World(stack) as world:
                _publish(world, ORDINARY)
                _bundle(world, folder / "artefacts", Collector)  # imports what it needs
                bundles = alternated(
                    pairs,
                    lambda: _bundle(world, folder / "artefacts", Collector),
                    lambda: _bundle(world, folder / "artefacts", WithoutRows),
                )
    took = [ours for ours, _ in bundles]
    return {
        "ledger, processor time for each event, µs (median)": median(ours for ours, _ in found),
        "tap and inbox, the same (median)": median(other for _, other in found),
        "B16 ledger, processor time for each event": paired(
            [ours / other for ours, other in found], ANCHOR
        ),
        "B16 bundle of a test with five events, s": Measure(
            median(took), "half a second", GOAL, None, *bootstrap(took), tuple(took)
        ),
        "B16 bundle with rows and keys": paired(
            [ours / other for ours, other in bundles], "the same bundle without them"
        ),
    }


class WithoutRows(Collector):
    """Collects what a bundle has, apart from what is in databases."""

    def _databases(self) -> None:  # type: ignore[override]  # nothing is read
        return None


def _fill(stack: Stack) -> None:
    """Rows and keys as an ordinary system has them."""
    with psycopg.connect(stack.book.exports("postgres")["dsn"], autocommit=True) as database:
        for number in range(TABLES):
            database.execute(
                f"CREATE TABLE orders_{number} AS SELECT g AS id, gen_random_uuid() AS buyer, "
                f"now() AS at, repeat('x', 200) AS note FROM generate_series(1, {ROWS}) AS g"
            )
    with World(stack) as world:
        for number in range(KEYS):
            world.sidecar(SHOP).save_state("store", f"cart-{number}", {"items": [number] * 20})


def _publish(world: World, count: int) -> None:
    """Publish events, and wait until the app has been delivered all of them."""
    entries = [BulkEntry(f"{number}", {"n": number, "of": world.id}) for number in range(count)]
    world.sidecar(SHOP).publish_bulk(pubsub_of(SHOP), topic_of(SHOP), entries)
    world.eventually(lambda: len(_delivered(world)) == count, timeout=120)


def _delivered(world: World) -> set[str]:
    """The ids of the events of this world that the app was delivered."""
    found = world.inbox(SHOP).all(path="/orders")
    return {each.id for each in found if each.data["of"] == world.id}


def _by_ledger(world: World) -> int:
    found = world.ledger.events(data={"of": world.id})
    return sum(bool(each.attempts) for each in found)


def _by_probes(world: World) -> int:
    stored = world.topic(topic_of(SHOP)).collect(EVENTS, timeout=60)
    return len(_delivered(world) & {each.id for each in stored})


def _bundle(world: World, folder: Path, collector: type[Collector]) -> float:
    began = time.perf_counter()
    failure = Failure(
        "bench.py::test_orders", "call", "E   assert 1 == 2",
        epoch_ns(world.beginning.at), time.time_ns(),
    )  # fmt: skip
    found = collector(world.observed, world.account).collect(failure)
    write(replace(found, causes=causes_of(found)), folder)
    return time.perf_counter() - began
