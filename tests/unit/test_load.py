"""The parts of a load run that are arithmetic: times, histograms, profiles, criteria, reports."""

from __future__ import annotations

import json
import math
import re
import statistics
import time
from argparse import ArgumentTypeError
from collections.abc import Callable
from dataclasses import astuple, replace
from functools import cache
from itertools import islice, pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest
from hdrh.log import HistogramLogReader
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import Broker, ConfigError, Topology
from harness.load.generate.arrivals import arrivals
from harness.load.generate.local_only import require_local
from harness.load.judge.compare import compare, comparison
from harness.load.judge.criteria import (
    Pairs,
    arrivals_seen,
    compared,
    errors,
    failing,
    has_failed,
    knee,
    lateness,
    losses,
    thresholds,
    users,
    validity,
    verdict,
)
from harness.load.judge.evaluation import knee_of, sent
from harness.load.judge.overheads import bounds, overhead
from harness.load.measure import receivers
from harness.load.measure.collector import INTENDED, LAG, SERVICE, UNFINISHED, WAKE, Collector
from harness.load.measure.figures import (
    began,
    figures,
    generator_cpu,
    growth,
    lag_p99,
    rounds_of,
    second_of,
)
from harness.load.measure.histograms import (
    curve,
    decode,
    empty,
    encode,
    histogram_of,
    record,
    summary,
)
from harness.load.measure.outcomes import Came, acknowledged_of, at_each, lanes_by_outcome, settle
from harness.load.measure.ranks import ranked
from harness.load.model.budgets import read_budgets
from harness.load.model.declared import Declared, Outcome
from harness.load.model.figures import Counts, Figures, Second, Traffic
from harness.load.model.measurements import FORMAT, CpuSample
from harness.load.model.pairs import ACKNOWLEDGED, DELIVERED, FLOOR, TIMER, pairs_of
from harness.load.model.profile import Profile, RawKafka, Step, offered, read_profile
from harness.load.model.result import (
    Comparison,
    Criterion,
    Environment,
    Knee,
    LagSample,
    Ledger,
    ProcessSample,
    ProcessUse,
    Result,
    StepP99,
    read_result,
)
from harness.load.model.targets import Targets
from harness.load.model.typed import json_argument
from harness.load.render.page import errors_of, floor_said, page, warmup_said
from harness.load.render.report import hdr_log, junit, write_all
from harness.load.runner import require_raw_topic
from tests.support import ROOT

ONE = [Step(100, 5)]


def test_constant_arrivals_are_evenly_spaced() -> None:
    """As many as the rate says, whatever the moment at which a lane begins."""
    times = list(arrivals(ONE, "constant", "a"))

    assert 500 == len(times)
    assert all(math.isclose(later - earlier, 0.01) for earlier, later in pairwise(times))


def test_poisson_arrivals_are_independent() -> None:
    """Their mean gap is that of the rate, and gaps vary as much as they are long."""
    times = list(islice(arrivals([Step(100, 1000)], "poisson", "a"), 20_000))
    gaps = [later - earlier for earlier, later in pairwise(times)]

    assert math.isclose(statistics.fmean(gaps), 0.01, rel_tol=0.03)
    assert math.isclose(statistics.stdev(gaps), 0.01, rel_tol=0.05)


@pytest.mark.parametrize("kind", ["constant", "poisson"])
def test_a_seed_decides_the_times(kind: str) -> None:
    """The same again, and other ones for another."""
    once, again, other = (list(arrivals(ONE, kind, seed)) for seed in ("a", "a", "b"))

    assert once == again
    assert once != other


def test_steps_follow_each_other() -> None:
    """Each with its own rate, none before the one before has ended."""
    steps = [Step(10, 2), Step(100, 1)]
    times = list(arrivals(steps, "constant", "a"))

    assert (20, 100) == (sum(t < 2 for t in times), sum(t >= 2 for t in times))
    assert 120 == offered(steps)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(min_value=1e-6, max_value=59), min_size=1, max_size=200))
def test_a_histogram_keeps_three_digits(values: list[float]) -> None:
    """Of every value, also as text."""
    whole = histogram_of(values)

    found = summary(decode(encode(whole)))

    assert summary(whole) == found
    assert math.isclose(found["max"] / 1000, max(values), rel_tol=2e-3, abs_tol=2e-6)


def test_a_minute_is_the_longest() -> None:
    """And nothing is lost: it counts."""
    histogram = empty()
    record(histogram, 600)

    assert (1, True) == (summary(histogram)["count"], summary(histogram)["max"] >= 59_000)


def test_the_curve_ends_where_there_is_nothing_more() -> None:
    """A hundred values say nothing of one in a thousand."""
    histogram = empty()
    for value in range(100):
        record(histogram, value / 1000 + 0.001)

    points = curve(histogram)

    assert [value for _, value in points] == sorted(value for _, value in points)
    assert 99 <= points[-1][0] < 99.9


def measured(
    count: int = 100, took: float = 0.002, name: str = "publish", start: float = 1000
) -> Collector:
    """A run of one request each 10 ms."""
    collector = Collector()
    for number in range(count):
        due = start + number / 100
        collector.due(name, due)
        collector.answered(name, due, due + 0.0005, due + 0.0006, due + took)
    return collector


def test_four_distributions_are_kept() -> None:
    """From when it was due, opened and sent; and how late it was opened."""
    collector = measured(1)

    found = figures(collector, 0)["publish"]
    for distribution, millis in ((INTENDED, 2.0), (WAKE, 1.5), (SERVICE, 1.4), (LAG, 0.5)):
        assert math.isclose(found.distribution(distribution)["p50"], millis, rel_tol=0.01)


def test_parts_of_several_processes_are_put_together() -> None:
    """What is drained is gone, and nothing is lost on the way."""
    one, other, whole = measured(100), measured(50), Collector()
    other.failed("publish", 1000.5, "HTTP 500")
    other.acknowledge("lane", 7, 1000.5)

    for part in (one, other):
        whole.absorb(json.loads(json.dumps(part.drain())))

    found = figures(whole, 0)["publish"]
    assert (150, 150, 1) == (found.offered, found.ok, found.failed)
    assert {"HTTP 500": 1} == found.errors
    assert 150 == found.intended["count"]
    assert {"lane": [(7, 1000.5)]} == whole.acknowledged
    assert not one.counts


def test_a_worker_of_another_version_is_a_failure() -> None:
    """What it tells is not mixed with what is understood."""
    whole = measured(10, start=time.monotonic())
    whole.absorb({**measured(10).drain(), "format": 0})

    found = figures(whole, 0)
    assert (10, 1) == (found["publish"].ok, found["workers"].failed)


def test_a_warm_up_does_not_count() -> None:
    """Seconds from the first request."""
    assert 200 == figures(measured(300), 1)["publish"].offered


def acked(lane: str, *due: float) -> Collector:
    """A lane whose requests were acknowledged, and two others."""
    collector = Collector()
    for number, moment in enumerate(due):
        collector.acknowledge(lane, number, moment)
    return collector


def test_what_came_is_matched_with_what_was_acknowledged() -> None:
    """By ids: lost, twice and early are counted; a second one has no latency."""
    collector = acked("Orders-1-1", 1000.0, 1000.1, 1000.2, 1000.9)
    for due in (1000.0, 1004.0):
        collector.due("other", due)
    asked = acknowledged_of(collector, ["Orders-1-1"])
    came = [
        Came("Orders-1-1-0", 1000.005),
        Came("Orders-1-1-0", 1000.9),
        Came("Orders-1-1-2", 1000.207),
        Came("Orders-1-1-3", 4.5, due=5.0),
        Came("Orders-2-1-0", 1000.0),
    ]

    ledger = settle(collector, "orders to handler", asked, came)

    assert Ledger(4, lost=1, twice=1, early=1, lost_ids=["Orders-1-1-1"]) == ledger
    found = figures(collector, 0)["orders to handler"]
    assert (3, 1, "outcome") == (found.ok, found.lost, found.kind)
    # What was lost is no faster than the run was long: it ended at 1005.
    assert 4 == found.intended["count"]
    assert math.isclose(found.intended["max"], 4900, rel_tol=0.01)


def test_lost_requests_are_named_as_far_as_a_reader_can_use_it() -> None:
    """The first twenty by when they were due; the others are counted."""
    collector = acked("A-1-1", *(1000.0 + number for number in range(30)))

    ledger = settle(collector, "a", acknowledged_of(collector, ["A-1-1"]), [])
    (lost, _twice) = losses({"a": ledger})

    assert [f"A-1-1-{number}" for number in range(20)] == list(ledger.lost_ids)
    assert (False, True) == (lost.met, lost.fact.endswith("A-1-1-19 and 10 more"))


def test_lanes_belong_to_what_their_users_declare() -> None:
    """Whatever their class is called; two classes may have one outcome."""
    event = Outcome("arrived", "event", topic="orders", pubsub="pubsub")
    collector = Collector()
    for lane, user in (("Orders-1-1", "Orders"), ("Refunds-1-2", "Refunds")):
        collector.lanes[lane] = user
        collector.declared[user] = Declared((user.lower(),), event)
    collector.lanes["Publish-1-3"] = "Publish"
    collector.declared["Publish"] = Declared(("publish",))

    assert {event: ["Orders-1-1", "Refunds-1-2"]} == lanes_by_outcome(collector)
    assert [(event, "shop")] == at_each(event, ["shop"])
    assert ["arrived at a", "arrived at b"] == [e.name for e, _ in at_each(event, ["a", "b"])]


ROWS = {"shop": (0, 2), "shop-2": (1,), "other": (0, 1)}


def test_events_of_an_app_arrive_at_any_of_its_replicas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which Dapr knows by one app-id; another app receives all events itself."""

    def ask(_method: str, url: str, **_: Any) -> httpx.Response:
        app = url.split("/")[2].partition(":")[0]
        subscribed = [{"pubsubname": "pubsub", "topic": "orders"}]
        metadata = {"id": app.partition("-")[0], "subscriptions": subscribed}
        rows = [["event", "A-1-1", number, 1000.0, 1000.0, 1000.5] for number in ROWS[app]]
        start = int(url.rpartition("=")[2]) if "since" in url else 0
        return httpx.Response(200, json=metadata if "metadata" in url else rows[start:])

    monkeypatch.setattr(receivers, "ask", ask)
    collector = acked("A-1-1", 1000.0, 1000.0, 1000.0)
    collector.lanes["A-1-1"] = "A"
    collector.declared["A"] = Declared(("a",), Outcome("seen", "event", "", "pubsub", "orders"))
    stack: Any = SimpleNamespace(book=SimpleNamespace(endpoints=dict))
    targets = Targets(
        {app: f"http://{app}:1" for app in ROWS}, {app: f"http://{app}:2" for app in ROWS}, ""
    )

    ledgers = receivers.Receivers(stack, targets, 0, patience=0.3).ledgers(collector)

    assert {"seen at shop": 0, "seen at other": 1} == {n: each.lost for n, each in ledgers.items()}
    assert {0} == {each.twice for each in ledgers.values()}


@pytest.mark.parametrize(
    ("ledger", "seen", "kept"),
    [
        (Ledger(5), True, True),
        (Ledger(5, lost=1, lost_ids=["a-1"]), True, False),
        (Ledger(5, twice=1), True, False),
        (Ledger(5, early=1), True, False),
        (Ledger(5, lost=5, lost_ids=["a-1"]), False, False),
        (Ledger(242, problem="no app subscribes to 'orders' of 'pubsub'"), False, True),
        (Ledger(0), False, True),
    ],
)
def test_what_became_of_requests_is_judged(ledger: Ledger, seen: bool, kept: bool) -> None:
    """Nothing lost, early or twice; and a run of which nothing came, or can be seen, is invalid."""
    assert [seen] == [each.met for each in arrivals_seen({"a": ledger})]
    assert kept == all(each.met for each in losses({"a": ledger}))


def test_an_invalid_run_names_what_nobody_listens_to() -> None:
    """With how much was acknowledged."""
    (mark,) = arrivals_seen({"orders": Ledger(242, problem="no app subscribes to 'orders'")})

    assert ("seen: orders", "242 acknowledged, and no app subscribes to 'orders'") == (
        mark.name, mark.fact,
    )  # fmt: skip


def test_some_things_may_come_twice_where_a_profile_says_so() -> None:
    """As a share of what was acknowledged."""
    ledger = {"a": Ledger(100, twice=5)}

    assert [True, False] == [losses(ledger, share)[1].met for share in (0.05, 0.04)]


def test_every_class_of_a_profile_must_have_run() -> None:
    """Locust goes on without one that could not be made."""
    lanes = {"Orders-1-1": "Orders"}

    assert users(["Orders"], lanes).met
    missing = users(["Orders", "Refunds"], lanes, "KeyError: 'x'")
    assert (False, "never began: Refunds; KeyError: 'x'") == (missing.met, missing.fact)


def test_what_was_refused_is_as_late_as_the_end_of_the_run() -> None:
    """A stall of 2 s of 10, half of it refused: the p90 is that of the stall, not of the rest."""
    collector = Collector()
    for number in range(1000):
        due = 1000 + number / 100
        collector.due("publish", due)
        if 400 <= number < 500:
            collector.missed("publish", due, "refused: too many in flight")
        else:
            done = max(due, 1006.0) if 500 <= number < 600 else due
            collector.answered("publish", due, due, due, done + 0.0007)

    found = figures(collector, 0)["publish"]
    assert (1000, 900, 100) == (found.offered, found.ok, found.failed)
    assert 1000 == found.intended["count"]
    assert found.intended["p90"] > 900
    assert found.service["count"] == 900
    assert (1000, 900) == sent({"publish": found})
    assert max(rounds_of(collector, 0)["publish"][1004]) > 5000


def test_what_was_not_answered_when_the_run_ended_has_failed() -> None:
    """It was due, and nothing is known of it: as late as the end at least."""
    collector = measured(100)
    collector.due("publish", 1000.5)
    collector.due("publish", 1003.5)
    collector.close()
    collector.close()

    found = figures(collector, 0)["publish"]
    assert (102, 100, 2, {UNFINISHED: 2}) == (
        found.offered, found.ok, found.failed, found.errors,
    )  # fmt: skip
    assert (102, 100) == sent({"publish": found})
    assert found.intended["max"] > 2900


def test_one_base_for_every_figure() -> None:
    """Counts, errors and marks after the warm-up; the warm-up beside them; references in none."""
    collector = measured(400)
    collector.failed("publish", 1000.5, "HTTP 500")
    for second in (1001.5, 1003.5, 1003.6):
        collector.failed("publish", second, "HTTP 503")
    for due in (999.0, 1003.0):
        collector.due(ACKNOWLEDGED, due)
        collector.failed(ACKNOWLEDGED, due, "no broker")

    names = figures(collector, 2)
    found = names["publish"]
    assert 1000 == began(collector)
    assert (200, 200, 2, {"HTTP 503": 2}) == (
        found.offered, found.ok, found.failed, found.errors,
    )  # fmt: skip
    assert (200, 2) == (found.warmup.offered, found.warmup.failed)
    assert found.intended["count"] == found.ok
    mark = errors(names, 0.01)
    assert (True, "2 of 200 requests failed, 1.00%, at most 1.00%") == (mark.met, mark.fact)
    assert not errors(names, 0.009).met
    assert (200, 200) == sent(names)
    text = warmup_said(replace(result(warmup=2), names=names))
    assert "first 2 s (warm-up), 200 requests, 2 of them failed" in text


def test_seconds_are_of_one_axis_and_say_which_are_the_warm_up_s() -> None:
    """From the first request; samples of other clocks' beginnings are moved there."""
    collector = measured(400)
    collector.cpu["locust 1"] = [CpuSample(999, 90.0), CpuSample(1001, 10.0), CpuSample(1003, 20.0)]

    found = figures(collector, 2)["publish"]

    assert [0, 1, 2] == [row.second for row in found.seconds]
    assert [(0, 100, 100, 0, 0), (1, 100, 100, 0, 0)] == found.traffic[:2]
    assert {"locust 1": [(1, 10.0), (3, 20.0)]} == generator_cpu(collector)


def test_the_warm_up_is_in_no_budget() -> None:
    """What was slow, late or broken in it breaks nothing."""
    collector = measured(300)
    for number in range(100):
        due = 1000 + number / 100
        collector.answered("publish", due, due + 0.5, due + 0.5, due + 3)

    names = figures(collector, 1)
    assert lateness(names, {"max": 10})[0].met
    assert not lateness(figures(collector, 0), {"max": 10})[0].met
    assert (True, True) == (lag_p99(collector, 1) < 1, lag_p99(collector, 0) > 100)
    assert {1001, 1002} == rounds_of(collector, 1)["publish"].keys()
    samples = [ProcessSample(at, 0, rss) for at, rss in enumerate([10, 50, 50, 50])]
    assert math.isclose(growth(samples, 1), 0)


def test_ranks_are_the_nearest_ones() -> None:
    """Of a hundred values the p99 is the 99th; of ten it is the last, of one the one."""
    hundred = [float(number) for number in range(1, 101)]

    for count in (1, 7, 10, 99, 100, 200, 1000):
        ordered = [float(number) for number in range(1, count + 1)]
        for percent in (1, 50, 90, 99):
            assert ranked(ordered, percent / 100) == max(-(-percent * count // 100), 1)
    assert (7, 100, 50.5, 50.0, 90.0, 99.0) == second_of(7, hundred[::-1])
    assert (11.0, 390.0) == bounds([float(number) for number in range(1, 401)])


@pytest.mark.parametrize(
    ("late", "met"),
    [({"p99": 3, "max": 3}, True), ({"p99": 3, "max": 1}, False), ({"p99": 1, "max": 3}, False)],
)
def test_lateness_is_bounded_in_milliseconds(late: dict[str, float], met: bool) -> None:
    """At every figure that is given; of no reference."""
    collector = measured(100)
    collector.absorb(measured(100, 9.0, ACKNOWLEDGED).drain())

    assert [("late: publish", met)] == [
        (each.name, each.met) for each in lateness(figures(collector, 0), late)
    ]
    assert [] == lateness(figures(collector, 0), {})


def test_a_consumer_that_stops_for_two_seconds_is_late_by_default() -> None:
    """Of a minute: its p50 is that of any other minute."""
    collector = measured(6000)
    asked = {f"a-{number}": 1000 + number / 100 for number in range(6000)}
    settle(collector, "seen", asked, [
        Came(key, max(due, 1032.0 if 1030 <= due < 1032 else due) + 0.004)
        for key, due in asked.items()
    ])  # fmt: skip

    late = lateness(figures(collector, 2), Profile("x", {}, ()).late)

    assert {"late: publish": True, "late: seen": False} == {e.name: e.met for e in late}


def test_pairs_follow_what_users_declare() -> None:
    """Of any name; of references only where they are measured."""
    classes = [
        Declared(("an order",), Outcome("order seen", "event"), (("an order", "a refund"),)),
        Declared(("job schedule",), Outcome("job fired", "job")),
        Declared((FLOOR,)),
    ]

    found = pairs_of(classes, raw=True)

    own = ("an order", "a refund")
    floors = [("an order", FLOOR), ("job schedule", FLOOR)]
    assert {
        ("an order", ACKNOWLEDGED),
        ("order seen", DELIVERED),
        ("job fired", TIMER),
        *floors,
        own,
    } == {*found}
    assert [own, *floors] == pairs_of(classes, raw=False)


KNOWN = ("publish / raw", "state / floor")


@pytest.mark.parametrize(
    ("pairs", "fact"),
    [
        (Pairs(["publish / raw"], KNOWN), "no two seconds with both"),
        (Pairs((), ["publish / floor"]), "no user class(.|\n)*did you mean 'publish / floor'"),
        (Pairs(["publish / raw"], KNOWN, {"raw": "crashed"}), "raw was not measured.* crashed"),
    ],
)
def test_a_pair_that_is_missing_breaks_its_budget(pairs: Pairs, fact: str) -> None:
    """Not measured, unknown to users and profiles, or compared with what crashed."""
    (mark,) = thresholds({"publish / raw": {"p50": 4.0}}, [], pairs)

    assert not mark.met
    assert re.search(fact, mark.fact), mark.fact


def test_a_declared_pair_that_was_not_measured_makes_a_run_invalid() -> None:
    """Such as one with a misspelt name; without declared pairs there is no such criterion."""
    found = overhead("slow", "quick", two(0.002, 0.001))
    assert found is not None
    measured_, missing = ("slow", "quick"), ("slow", "quik")

    (kept,) = compared([measured_, measured_], [found])
    (broken,) = compared([measured_, missing], [found])

    assert (True, "1 measured") == (kept.met, kept.fact)
    assert (False, "not measured: slow / quik") == (broken.met, broken.fact)
    assert [] == compared([], [found])


def test_a_budget_of_another_profile_is_not_judged() -> None:
    """Its pair is known, and this run does not measure it."""
    assert [] == thresholds({"publish / raw": {"p50": 4.0}}, [], Pairs((), KNOWN))


def test_a_reference_that_crashed_breaks_the_budgets_of_what_it_measured() -> None:
    """The ratio of the seconds until then does not count."""
    found = overhead("slow", "quick", two(0.002, 0.001))
    assert found is not None
    crashed = Pairs(["slow / quick"], (), {"quick": "raw Kafka: crashed"})

    (mark,) = thresholds({"slow / quick": {"p50": 4.0}}, [found], crashed)

    assert (False, True) == (mark.met, "raw Kafka: crashed" in mark.fact)


def test_what_a_name_is_compared_with_does_not_get_slower_by_failing() -> None:
    """A floor that stops answering would make every ratio small: the budget is broken."""
    collector = measured(300, 0.002, "publish")
    for number in range(300):
        due = 1000 + number / 100
        collector.due(FLOOR, due)
        if number % 10:
            collector.answered(FLOOR, due, due, due, due + 0.001)
        else:
            collector.missed(FLOOR, due, "Refused")

    found = overhead(
        "publish", FLOOR, rounds_of(collector, 0), rounds_of(collector, 0, failed=False)
    )
    assert found is not None
    assert math.isclose(2, found.ratios["mean"].value, rel_tol=0.01)
    wrong = failing(figures(collector, 0))
    assert {FLOOR: "30 of 300 failed or were lost, at most 1%"} == wrong
    budgets = {"publish / floor": {"p50": 4.0}}
    (mark,) = thresholds(budgets, [found], Pairs(["publish / floor"], (), wrong))
    assert not mark.met


def test_raw_kafka_needs_its_topic() -> None:
    """Before anything starts, in any project; a class named Publish asks for none."""
    own = Topology(Broker(topics=["orders:3"]))
    require_raw_topic(own, Profile("mine", {"Publish": 5.0}, tuple(ONE)))
    wanted = Profile("mine", {}, tuple(ONE), raw_kafka=RawKafka("load-raw", 5))

    with pytest.raises(ConfigError, match=r"'load-raw'(.|\n)*topics orders"):
        require_raw_topic(own, wanted)
    require_raw_topic(Topology(Broker(topics=["load-raw:3"])), wanted)


BROKEN = {"thresholds": [Criterion("errors", False, "")]}
INVALID = {"validity": [Criterion("noise", False, "")]}


@pytest.mark.parametrize(
    ("changed", "code", "said"),
    [
        ({}, 0, "valid and has kept its budgets"),
        (BROKEN, 1, "not kept: errors. The run is valid"),
        (INVALID, 4, r"is invalid \(noise\)"),
        ({**BROKEN, **INVALID}, 1, r"not kept: errors. The run is invalid \(noise\)"),
        ({"died": "broker exited\nmore"}, 4, "cut short: broker exited$"),
    ],
)
def test_the_headline_is_of_the_exit_code(changed: dict[str, Any], code: int, said: str) -> None:
    """One function says both."""
    found = verdict(replace(result(), **{"thresholds": [], "validity": [], **changed}))

    assert code == found[0]
    assert re.search(said, found[1])


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, False),
        ({**BROKEN, **INVALID}, False),
        ({"died": "broker exited"}, True),
        ({"ledgers": {"Publish": Ledger(10, lost=1)}}, True),
    ],
)
def test_a_load_has_failed_if_more_than_figures_is_bad(
    changed: dict[str, Any], *, expected: bool
) -> None:
    """Only then does it leave a bundle by itself."""
    clean = {name: replace(row, errors={}) for name, row in result().names.items()}
    found = replace(result(), **{"names": clean, "ledgers": {}, **changed})
    refused = {name: replace(row, errors={"500": 1}) for name, row in clean.items()}

    assert expected == has_failed(found)
    assert has_failed(replace(found, names=refused))


def test_the_knee_is_where_the_p99_of_a_step_has_doubled() -> None:
    """Steps from the first request; what the warm-up has of the first one does not count."""
    seconds = [
        Second(second, 1, 0, 0, 0, 9.0 if second < 1 or second >= 4 else 3.0) for second in range(6)
    ]
    traffic = [Traffic(second, 10 if second < 4 else 40, 0, 0, 0) for second in range(6)]
    profile = Profile("ramp", {"P": 10}, (Step(1, 2), Step(1, 2), Step(4, 2)), warmup=1, knee="p")

    row = Figures("request", 0, 0, 0, 0, {}, Counts(), seconds, traffic)
    found = knee_of({"p": row}, profile)

    assert found == Knee([StepP99(10, 3.0), StepP99(10, 3.0), StepP99(40, 9.0)], 40)
    assert knee_of({}, profile) is None


@pytest.mark.parametrize(
    ("given_", "wrong"),
    [
        ({}, ""),
        ({"cpu": {"a": [85, 90]}}, "generator CPU"),
        ({"lag_p99": 2.5}, "scheduler lag"),
        ({"sent": 980}, "achieved"),
        ({"noise": (20.0, 26.0)}, "noise"),
    ],
)
def test_a_run_is_invalid_when_its_generator_was_not_up_to_it(
    given_: dict[str, Any], wrong: str
) -> None:
    """Each condition by itself."""
    calm = {"cpu": {"a": [50]}, "lag_p99": 1.0, "offered": 1000, "sent": 1000, "noise": (20, 21)}

    marks = validity(**{**calm, **given_})

    assert ([wrong] if wrong else []) == [each.name for each in marks if not each.met]


def two(first: float, second: float) -> dict[str, dict[int, list[float]]]:
    """A slow and a quick name, over the same seconds."""
    collector = measured(300, first, "slow")
    collector.absorb(measured(300, second, "quick").drain())
    return rounds_of(collector, 0)


def test_an_overhead_is_a_difference_of_means() -> None:
    """With an interval from the seconds, and ratios of percentiles; and a budget for those."""
    found = overhead("slow", "quick", two(0.004, 0.001))
    assert found is not None

    assert math.isclose(found.mean.value, 3, rel_tol=0.01)
    assert found.mean.low <= found.mean.value <= found.mean.high
    for ratio in found.ratios.values():
        assert math.isclose(ratio.value, 4, rel_tol=0.01)
    kept = thresholds({"slow / quick": {"p50": 5, "p99": 3}}, [found], Pairs())
    assert [True, False] == [each.met for each in kept]
    assert overhead("slow", "nothing", two(1, 1)) is None


def test_an_interval_is_of_what_seconds_differ_by() -> None:
    """One second in ten is slow: the p99 may be of it or not; the median does not care."""
    quick = {second: [1.0] * 20 for second in range(40)}
    slow = {second: [10.0 if second == 7 else 2.0] * 20 for second in range(40)}

    found = overhead("slow", "quick", {"slow": slow, "quick": quick})
    assert found is not None

    assert (2.0, 2.0, 2.0) == astuple(found.ratios["p50"])
    assert (2.0, 10.0, 10.0) == tuple(sorted(astuple(found.ratios["p99"])))
    assert math.isclose(found.mean.value, 1.2)
    assert 1.0 <= found.mean.low < 1.2 < found.mean.high < 2


def test_a_budget_is_broken_by_what_is_no_noise() -> None:
    """An interval that reaches into the budget breaks none; one that is beyond it does."""
    slow = {second: [10.0 if second == 7 else 2.0] * 20 for second in range(40)}
    rounds = {"slow": slow, "quick": {second: [1.0] * 20 for second in range(40)}}
    found = overhead("slow", "quick", rounds)
    assert found is not None

    kept = thresholds({"slow / quick": {"p99": 5, "p50": 1.5}}, [found], Pairs())

    assert [("p99", True), ("p50", False)] == [(e.name[-3:], e.met) for e in kept]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('["floor"]\np50 = 2', r"the name 'floor'\n.*a pair: \[.NAME / OTHER NAME.\]"),
        ('["a / floor"]\np5 = 2', r"the name 'p5' of a / floor(.|\n)*did you mean 'p50'"),
        ('["a / floor"]\np50 = 0', r"a / floor\.p50 is 0\n.*greater than 0"),
        ('["a / floor"]\np50 = true', r"a / floor\.p50 is True\n.*a valid number"),
        ('["a / floor"]\np50 = nan', r"a / floor\.p50 is nan\n.*a finite number"),
        ('"a / floor" = 2', r"a / floor is 2\n(.|\n)*docs/load.md"),
        ("[", "not valid TOML"),
    ],
)
def test_a_budget_that_cannot_be_judged_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """What is misspelt would be kept for ever."""
    (tmp_path / "budgets.toml").write_text(text)

    with pytest.raises(ConfigError, match=message):
        read_budgets(tmp_path / "budgets.toml")
    assert {} == read_budgets(tmp_path / "none.toml")


def test_our_budgets_can_be_judged() -> None:
    """Each of a pair that is measured."""
    assert read_budgets(ROOT / "loadtests" / "budgets.toml")


def test_the_knee_is_where_the_p99_has_doubled() -> None:
    """None when it never does."""
    rows = [StepP99(*each) for each in ((50, 3.0), (100, 5.0), (200, 6.5), (400, 90.0))]
    assert 200 == knee(rows)
    assert None is knee(rows[:2])


def test_growth_is_from_the_first_to_the_last_quarter() -> None:
    """Of memory."""
    samples = [ProcessSample(i, 0.0, 100 if i < 50 else 200) for i in range(100)]
    assert math.isclose(1.0, growth(samples))


@pytest.mark.parametrize("name", ["smoke", "latency", "ramp", "soak", "burst"])
def test_our_profiles_are_sound(name: str) -> None:
    """Within their bounds, with a word for people."""
    found = read_profile(ROOT / "loadtests" / "profiles", name)

    assert found.about
    assert found.requests > 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps = [[1, 5]]\n[rates]\nA = 0\n", r"rates\.A is 0\n.*greater than 0"),
        ("steps = [[0, 5]]\n[rates]\nA = 1\n", r"steps\.0\.0 is 0\n.*greater than 0"),
        ("steps = [[1, 0]]\n[rates]\nA = 1\n", r"steps\.0\.1 is 0\n.*greater than 0"),
        ("steps = [[1, 5000]]\n[rates]\nA = 1\n", "the bound is 900"),
        ("steps = [[1, 500]]\n[rates]\nA = 9000\n", "the bound is 500000"),
        (
            "steps = [[1, 5]]\narrivals = 'bursty'\n[rates]\nA = 1\n",
            r"arrivals is 'bursty'\n.*'constant' or 'poisson'",
        ),
        ("steps = [[1, 5]]\nwarmup = 5\n[rates]\nA = 1\n", "leaves nothing"),
        (
            "steps = [[1, 5]]\nlanes = 0\n[rates]\nA = 1\n",
            r"lanes is 0\n.*greater than or equal to 1",
        ),
        ("steps = [[1]]\n[rates]\nA = 1\n", r"steps\.0 is \[1\]\n.*at least 2 values"),
        ("steps = [[1, 5]]\n", "rates is missing"),
        ("steps = [[1, 5]]\nrates = {A = 'x'}\n", r"rates\.A is 'x'\n.*a valid number"),
        (
            "steps = [[1, 5]]\npairs = [['a']]\n[rates]\nA = 1\n",
            r"pairs\.0 is \['a'\]\n.*at least 2 values",
        ),
        (
            "steps = [[1, 5]]\npairs = [['a', '']]\n[rates]\nA = 1\n",
            r"pairs\.0\.1 is ''\n.*at least 1 character",
        ),
        (
            "steps = [[1, 5]]\n[rates]\nA = 1\n[budgets.a]\np50 = 1\n",
            r"the name 'a' of budgets\n.*a pair",
        ),
        (
            "steps = [[1, 5]]\nlate = {p99 = 0}\n[rates]\nA = 1\n",
            r"late\.p99 is 0\n.*greater than 0",
        ),
        (
            "steps = [[1, 5]]\nlate = {p98 = 5}\n[rates]\nA = 1\n",
            r"the name 'p98' of late\n.*one of mean, p50",
        ),
        (
            "steps = [[1, 5]]\nraw_kafka = {topic = 'a'}\n[rates]\nA = 1\n",
            r"raw_kafka\.rate is missing",
        ),
        ("stepps = 1\n", r"stepps is unknown(.|\n)*did you mean 'steps'"),
        ("seed = 'x'\nsteps = [[1, 5]]\n[rates]\nA = 1\n", r"seed is 'x'\n.*a valid integer"),
        ("seed = true\nsteps = [[1, 5]]\n[rates]\nA = 1\n", r"seed is True\n.*a valid integer"),
        ("name = 'x'\nsteps = [[1, 5]]\n[rates]\nA = 1\n", "name is unknown"),
        ("steps = [", "not valid TOML"),
    ],
)
def test_a_wrong_profile_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """With the file, what is wrong and what is expected."""
    (tmp_path / "mine.toml").write_text(text)

    with pytest.raises(ConfigError, match=message):
        read_profile(tmp_path, "mine")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[1, 5], [2]]", r"1 is \[2\] \(expected: at least 2 values\)"),
        ("[[0, 5]]", r"0\.0 is 0 \(expected: greater than 0\)"),
        ("[1", r"'\[1': Expecting"),
    ],
)
def test_an_argument_that_is_not_the_expected_json_is_one_sentence(text: str, message: str) -> None:
    """What is right, or left out, is passed on as it is."""
    check = json_argument(list[Step])

    assert ("", "[[1, 5]]") == (check(""), check("[[1, 5]]"))
    with pytest.raises(ArgumentTypeError, match=message):
        check(text)


def test_an_unknown_profile_gets_a_suggestion() -> None:
    """From those that are there."""
    with pytest.raises(ConfigError, match=r"'smok'(.|\n)*did you mean 'smoke'"):
        read_profile(ROOT / "loadtests" / "profiles", "smok")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://localhost:80/x", "http://[::1]:3"])
def test_load_stays_on_this_machine(url: str) -> None:
    """The loopback is fine."""
    assert url == require_local(url)


@pytest.mark.parametrize("url", ["http://10.0.0.1", "http://example.org", "http://0.0.0.0:1"])
def test_load_for_others_is_refused(url: str) -> None:
    """Unless it is said."""
    with pytest.raises(ConfigError, match="is refused"):
        require_local(url)
    assert url == require_local(url, allow_remote=True)


@cache
def names_of(took: float) -> dict[str, Figures]:
    """Figures of ten seconds."""
    return figures(measured(1000, took), 1)


def result(took: float = 0.002, **profile: Any) -> Result:
    """A result as a run makes it."""
    described: dict[str, Any] = {"name": "mine", "about": "a <test>", "rates": {"Publish": 100.0}}
    described |= {"steps": (Step(1, 10),), "warmup": 1, "arrivals": "constant"}
    samples = [ProcessSample(0.0, 5.0, 50_000_000), ProcessSample(1.0, 6.0, 51_000_000)]
    return Result(
        profile=Profile(**{**described, **profile}),
        began="2030-01-01T00:00:00+00:00",
        environment=Environment("processes", "1.18.2", "kafka", "3.11", "Linux", 2),
        died="",
        noise=(20, 21),
        generator={"locust 1": [CpuSample(0, 10.0), CpuSample(1, 12.0)]},
        processes={"daprd": ProcessUse(samples, 0.02)},
        consumer_lag={"load-sink": [LagSample(0.0, 3), LagSample(2.0, 40)]},
        names=names_of(took),
        ledgers={"publish to handler": Ledger(5, lost=1, twice=1, lost_ids=["a-1"])},
        overheads=[],
        validity=[Criterion("noise", True, "quiet")],
        valid=True,
        thresholds=[Criterion("errors", False, "5 of <9>")],
        knee=None,
        late=0.5,
    )


def test_a_report_is_whole_and_needs_nothing_else(tmp_path: Path) -> None:
    """Four files; the page refers to nothing outside, and what it is told is text."""
    written = write_all(result(), tmp_path / "out")

    assert {".html", ".json", ".xml", ".hlog"} == {path.suffix for path in written}
    html = written[0].read_text()
    assert not re.search(r"(src|href)=|url\(|@import", html)
    assert "a &lt;test&gt;" in html
    assert html.count("<svg") == 6  # by percentile, by second, requests, CPU, memory, lag
    assert result().names.keys() == read_result(written[1]).names.keys()
    assert not list((tmp_path / "out").glob(".*"))


def test_an_invalid_run_and_an_empty_one_have_a_page(tmp_path: Path) -> None:
    """A stack that died at once has measured nothing."""
    dead = replace(result(), names={}, ledgers={}, valid=False, died="broker exited")

    assert "The run was cut short: broker exited" in page(dead)
    assert "nothing was measured" in page(dead)
    assert ["broker exited"] == [
        each.get("message") for each in ElementTree.fromstring(junit(dead)).iter("failure")
    ][1:]


def test_the_page_says_what_the_exit_code_says() -> None:
    """A run that is valid and has broken a budget does not begin with a tick."""
    broken, fine = result(), replace(result(), thresholds=[])

    assert '<p class="verdict no">Budgets were not kept: errors. The run is valid.' in page(broken)
    assert '<p class="verdict yes">The run is valid and has kept its budgets.' in page(fine)


def test_the_page_names_what_was_lost_and_what_it_was_compared_with() -> None:
    """Ids, and the changes beyond noise."""
    compared = comparison(replace(result(), began="2029-01-01"), result(0.003))

    html = page(replace(result(0.003), comparison=compared))

    assert "<code>a-1</code>" in html
    assert "Compared with 2029-01-01" in html
    assert '<td class="no">slower</td>' in html
    problem = Comparison("2029-01-01", problem="not compared: invalid")
    assert "not compared: invalid." in page(replace(result(), comparison=problem))


def test_failures_are_a_table_and_a_chart() -> None:
    """Each error with its count and share; seconds of the axis that all charts have."""
    collector = measured(900)
    for number in range(9):
        collector.missed("publish", 1003 + number / 10, "Timeout: <x>")
    names = figures(collector, 1)

    html = page(replace(result(), names=names))

    assert [("publish", "Timeout: <x>", 9, 9 / 800)] == errors_of(names)
    assert "<code>Timeout: &lt;x&gt;</code>" in html
    assert html.count("<svg") == 7
    ticks = set(re.findall(r"(\d+) s</text>", html))
    assert {"0", "2", "4", "6", "8"} == ticks
    # All of them but the one by percentile.
    assert 6 == html.count("<title>warm-up: not counted</title>")


def test_what_is_below_the_floor_is_told() -> None:
    """The sentence is of the table's own figures; outcomes and references are no requests."""
    collector = measured(300, 0.002, "floor")
    for name, took in (("slow", 0.004), ("quick", 0.001)):
        collector.absorb(measured(300, took, name).drain())
    collector.took("seen", 1001.0, 0.0001)

    names = figures(collector, 0)
    assert "Below it: quick (1.00 ms)" in floor_said(names)
    assert "slow" not in floor_said(names)
    assert "seen" not in floor_said(names)
    del names["quick"]
    assert floor_said(names).endswith("No request of this run was below it.")
    del names["floor"]
    assert floor_said(names) == ""


def test_a_budget_that_was_not_kept_is_a_failure_for_ci() -> None:
    """In JUnit's words."""
    suite = ElementTree.fromstring(junit(result()))

    assert ("2", "1") == (suite.get("tests"), suite.get("failures"))
    assert ["5 of <9>"] == [each.get("message") for each in suite.iter("failure")]


def test_an_hdr_log_can_be_read_again(tmp_path: Path) -> None:
    """By the reader of hdrhistogram, and in milliseconds."""
    (tmp_path / "run.hlog").write_text(hdr_log(result()))
    reference = empty()
    reader = HistogramLogReader(str(tmp_path / "run.hlog"), reference)
    counts = []
    while (found := reader.get_next_interval_histogram()) is not None:
        counts.append(found.get_total_count())
    reader.close()

    assert [900] * 4 == counts
    (row,) = [line for line in hdr_log(result()).splitlines() if "publish_intended" in line]
    assert row.startswith("Tag=publish_intended,1.000,9.000,1.99")


def test_a_report_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """With the folder."""
    (tmp_path / "file").touch()

    with pytest.raises(ConfigError, match=r"cannot be written to .*file"):
        write_all(result(), tmp_path / "file")


@pytest.mark.parametrize(
    ("took", "verdict"),
    [(0.002, "noise"), (0.00205, "noise"), (0.003, "slower"), (0.001, "faster")],
)
def test_runs_are_compared_beyond_noise(took: float, verdict: str) -> None:
    """A change of less than five in a hundred is not told."""
    assert {verdict} == {each.verdict for each in compare(result(), result(took))}


def test_a_result_is_the_same_after_it_was_written_and_read(tmp_path: Path) -> None:
    """Every field, with its type: tuples, named tuples and nested dataclasses."""
    fresh = replace(
        result(raw_kafka=RawKafka("raw", 5), pairs=(("a", "b"),), budgets={"a / b": {"p50": 2}}),
        comparison=comparison(result(), result(0.003)),
        knee=Knee([StepP99(1, 2.0)], None),
        overheads=[each for each in [overhead("slow", "quick", two(0.004, 0.001))] if each],
    )
    (tmp_path / "r.json").write_text(fresh.json())

    found = read_result(tmp_path / "r.json")

    assert fresh == found
    assert {"noise"} == {each.verdict for each in compare(found, fresh)}


@pytest.mark.parametrize(
    ("earlier", "message"),
    [
        (result(lanes=2), "differ in lanes"),
        (result(rates={"Publish": 1.0}), "differ in rates"),
        (replace(result(), valid=False), "earlier run is invalid"),
    ],
)
def test_what_cannot_be_compared_is_refused(earlier: Result, message: str) -> None:
    """Runs of different shape, and invalid ones."""
    with pytest.raises(ConfigError, match=message):
        compare(earlier, result())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.update(schema=2), "another version(.|\n)*schema 4(.|\n)*schema 2"),
        (lambda data: data.pop("valid"), "is damaged(.|\n)*valid is missing"),
        (lambda data: data.update(more=1), "is damaged(.|\n)*more is unknown"),
        (lambda data: data.update(died=None), "is damaged(.|\n)*died is None .*string"),
        (lambda data: data["names"]["publish"].update(ok="x"), r"publish.ok is 'x' .*integer"),
        (
            lambda data: data["names"]["publish"]["seconds"].append([1]),
            r"names\.publish\.seconds\.9 is \[1\] .*2 values",
        ),
        (
            lambda data: data["names"]["publish"].update(failed="1"),
            r"publish.failed is '1' .*integer",
        ),
        (lambda data: data["profile"].update(steps=3), "profile.steps is 3 .*array"),
    ],
)
def test_a_result_that_is_damaged_or_of_another_version_is_one_sentence(
    tmp_path: Path, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    """It names the file, the place in it, and what was expected there."""
    data = json.loads(result().json())
    change(data)
    (tmp_path / "r.json").write_text(json.dumps(data))

    with pytest.raises(ConfigError, match=rf"r\.json(.|\n)*{message}"):
        read_result(tmp_path / "r.json")


def test_a_file_that_is_no_result(tmp_path: Path) -> None:
    """Missing, cut off, something else."""
    for text in (None, "{", "[]", "{}", result().json()[:5000]):
        file = tmp_path / "r.json"
        file.unlink(missing_ok=True)
        if text is not None:
            file.write_text(text)
        with pytest.raises(ConfigError, match=r"r\.json"):
            read_result(file)


@pytest.mark.parametrize("damaged", [None, [], {}, {"format": 0}, {"format": FORMAT, "answers": 1}])
def test_damaged_measurements_of_a_process_are_a_failure(damaged: Any) -> None:
    """What is missing is not left out of a run in silence."""
    collector = measured(10, start=time.monotonic())
    collector.absorb(damaged)

    assert 1 == figures(collector, 0)["workers"].failed
