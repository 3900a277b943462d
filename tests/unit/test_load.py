"""The parts of a load run that are arithmetic: times, histograms, profiles, judgement, reports."""

from __future__ import annotations

import json
import math
import re
import statistics
from collections.abc import Mapping
from dataclasses import astuple
from functools import cache
from itertools import islice, pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import ConfigError
from harness.load.arrivals import Step, arrivals, offered
from harness.load.budgets import read_budgets
from harness.load.collector import INTENDED, LAG, SERVICE, WAKE, Collector
from harness.load.compare import compare, read_result
from harness.load.histograms import curve, decode, empty, encode, histogram_of, record, summary
from harness.load.judgement import knee, thresholds, validity
from harness.load.overheads import overhead
from harness.load.profile import read_profile
from harness.load.report import hdr_log, junit, page, write_all
from harness.load.result import (
    DELIVERED,
    JOB_FIRED,
    NOTIFIED,
    figures,
    growth,
    rounds_of,
    take_received,
    take_rows,
)
from harness.load.runner import PAIR_NAMES
from harness.load.where import require_local
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


def measured(count: int = 100, took: float = 0.002, name: str = "publish") -> Collector:
    """A run of one request each 10 ms."""
    collector = Collector()
    for number in range(count):
        due = 1000 + number / 100
        collector.due(name, due)
        collector.answered(name, due, due + 0.0005, due + 0.0006, due + took)
    return collector


def test_four_distributions_are_kept() -> None:
    """From when it was due, opened and sent; and how late it was opened."""
    collector = measured(1)

    found = figures(collector, 0)["publish"]
    for distribution, millis in ((INTENDED, 2.0), (WAKE, 1.5), (SERVICE, 1.4), (LAG, 0.5)):
        assert math.isclose(found[distribution]["p50"], millis, rel_tol=0.01)


def test_parts_of_several_processes_are_put_together() -> None:
    """What is drained is gone, and nothing is lost on the way."""
    one, other, whole = measured(100), measured(50), Collector()
    other.failed("publish", 1000.5, "HTTP 500")
    other.acknowledged["lane"].append((7, 1000.5))

    for part in (one, other):
        whole.absorb(json.loads(json.dumps(part.drain())))

    found = figures(whole, 0)["publish"]
    assert (150, 150, 1) == (found["offered"], found["ok"], found["failed"])
    assert {"HTTP 500": 1} == found["errors"]
    assert 150 == found["intended"]["count"]
    assert {"lane": [(7, 1000.5)]} == whole.acknowledged
    assert not one.counts


def test_a_worker_of_another_version_is_a_failure() -> None:
    """What it tells is not mixed with what is understood."""
    whole = measured(10)
    whole.absorb({**measured(10).drain(), "format": 0})

    found = figures(whole, 0)
    assert (10, 1) == (found["publish"]["ok"], found["workers"]["failed"])


def test_a_warm_up_does_not_count() -> None:
    """Seconds from the first request."""
    assert 200 == figures(measured(300), 1)["publish"]["offered"]


def test_what_the_sink_has_noted_is_matched() -> None:
    """Lost, twice and early are counted; a second delivery has no latency."""
    collector = Collector()
    collector.acknowledged["Publish-1-1"] = [(0, 1000.0), (1, 1000.1), (2, 1000.2)]
    collector.acknowledged["Schedule-1-2"] = [(0, 998.0)]
    rows = [
        ["event", "Publish-1-1", 0, 1000.0, 1000.001, 1000.005],
        ["event", "Publish-1-1", 0, 1000.0, 1000.001, 1000.900],
        ["event", "Publish-1-1", 2, 1000.2, 1000.201, 1000.207],
        ["job", "Schedule-1-2", 0, 5e9, 1000.0, 5e9 - 0.5],
    ]

    ledgers = take_received(collector, rows)

    assert {"acknowledged": 3, "lost": 1, "twice": 1, "early": 0} == ledgers[DELIVERED]
    assert {"acknowledged": 1, "lost": 0, "twice": 0, "early": 1} == ledgers[JOB_FIRED]
    found = figures(collector, 0)[DELIVERED]
    assert 2 == found["intended"]["count"]
    assert found["intended"]["max"] < 10


def test_rows_are_matched_by_the_id_of_their_event() -> None:
    """One was made 30 ms after its event was due, the other is missing."""
    collector = Collector()
    collector.acknowledged["Notify-1-1"] = [(0, 1000.0), (1, 1000.1)]

    ledger = take_rows(collector, {"Notify-1-1-0": 5_001_000.03}, 5_000_000.0)

    assert {"acknowledged": 2, "lost": 1, "twice": 0, "early": 0} == ledger
    assert math.isclose(figures(collector, 0)[NOTIFIED]["intended"]["max"], 30, rel_tol=0.01)


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
def test_a_run_is_void_when_its_generator_was_not_up_to_it(
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
    kept = thresholds({"slow / quick": {"p50": 5, "p99": 3}}, [found])
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

    kept = thresholds({"slow / quick": {"p99": 5, "p50": 1.5}}, [found])

    assert [("p99", True), ("p50", False)] == [(e.name[-3:], e.met) for e in kept]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('["a / c"]\np50 = 2', r"no pair is named 'a / c'(.|\n)*did you mean 'a / b'"),
        ('["a / b"]\np5 = 2', r"no figure is named 'p5'(.|\n)*did you mean 'p50'"),
        ('["a / b"]\np50 = 0', "p50 of a / b is 0"),
        ('["a / b"]\np50 = true', "p50 of a / b is True"),
        ('"a / b" = 2', "a / b is 2"),
        ("[", "not valid TOML"),
    ],
)
def test_a_budget_that_nothing_could_break_is_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    """What is misspelt would be kept for ever."""
    (tmp_path / "budgets.toml").write_text(text)

    with pytest.raises(ConfigError, match=message):
        read_budgets(tmp_path / "budgets.toml", ["a / b"])
    assert {} == read_budgets(tmp_path / "none.toml", ["a / b"])


def test_our_budgets_can_be_judged() -> None:
    """Each of a pair that is measured."""
    assert read_budgets(ROOT / "loadtests" / "budgets.toml", PAIR_NAMES)


def test_the_knee_is_where_the_p99_has_doubled() -> None:
    """None when it never does."""
    assert 200 == knee([(50, 3.0), (100, 5.0), (200, 6.5), (400, 90.0)])
    assert None is knee([(50, 3.0), (100, 5.0)])


def test_growth_is_from_the_first_to_the_last_quarter() -> None:
    """Of memory."""
    assert math.isclose(1.0, growth([(i, 0.0, 100 if i < 50 else 200) for i in range(100)]))


@pytest.mark.parametrize("name", ["smoke", "latency", "ramp", "soak", "burst"])
def test_our_profiles_are_sound(name: str) -> None:
    """Within their bounds, with a word for people."""
    found = read_profile(ROOT / "loadtests" / "profiles", name)

    assert found.about
    assert found.requests > 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps = [[1, 5]]\n[rates]\nA = 0\n", "a rate of zero"),
        ("steps = [[0, 5]]\n[rates]\nA = 1\n", "a rate of zero"),
        ("steps = [[1, 0]]\n[rates]\nA = 1\n", "without duration"),
        ("steps = [[1, 5000]]\n[rates]\nA = 1\n", "the bound is 900"),
        ("steps = [[1, 500]]\n[rates]\nA = 9000\n", "the bound is 500000"),
        ("steps = [[1, 5]]\narrivals = 'bursty'\n[rates]\nA = 1\n", "arrivals 'bursty'"),
        ("steps = [[1, 5]]\nwarmup = 5\n[rates]\nA = 1\n", "leaves nothing"),
        ("steps = [[1, 5]]\nlanes = 0\n[rates]\nA = 1\n", "lanes"),
        ("steps = [[1]]\n[rates]\nA = 1\n", r"\[factor, seconds\]"),
        ("steps = [[1, 5]]\n", "no rates"),
        ("stepps = 1\n", r"'stepps'(.|\n)*did you mean 'steps'"),
        ("seed = 'x'\nsteps = [[1, 5]]\n[rates]\nA = 1\n", "seed is 'x'"),
        ("steps = [", "not valid TOML"),
    ],
)
def test_a_wrong_profile_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """With the file, what is wrong and what is expected."""
    (tmp_path / "mine.toml").write_text(text)

    with pytest.raises(ConfigError, match=message):
        read_profile(tmp_path, "mine")


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
def names_of(took: float) -> dict[str, dict[str, Any]]:
    """Figures of ten seconds."""
    return figures(measured(1000, took), 1)


def result(took: float = 0.002, **profile: Any) -> dict[str, Any]:
    """A result as a run makes it."""
    names = names_of(took)
    steps = [{"rate": 1.0, "seconds": 10.0}]
    return {
        "schema": 1,
        "profile": {
            "name": "mine", "about": "a <test>", "rates": {"Publish": 100.0}, "steps": steps,
            "warmup": 1, "arrivals": "constant", "seed": 1, "lanes": 1, **profile,
        },
        "began": "2030-01-01T00:00:00+00:00",
        "environment": {"dapr": "1.18.2", "runtime": "processes", "cores": 2},
        "died": "",
        "names": names,
        "ledgers": {DELIVERED: {"acknowledged": 5, "lost": 0, "twice": 1, "early": 0}},
        "overheads": [],
        "validity": [{"name": "noise", "met": True, "fact": "quiet"}],
        "valid": True,
        "thresholds": [{"name": "errors", "met": False, "fact": "5 of <9>"}],
        "knee": None,
        "noise": [20, 21],
        "generator": {"locust 1": [10.0, 12.0]},
        "processes": {
            "daprd": {"samples": [(0.0, 5.0, 50_000_000), (1.0, 6.0, 51_000_000)], "growth": 0.02}
        },
        "consumer_lag": {"load-sink": [(0.0, 3), (2.0, 40)]},
    }  # fmt: skip


def test_a_report_is_whole_and_needs_nothing_else(tmp_path: Path) -> None:
    """Four files; the page refers to nothing outside, and what it is told is text."""
    written = write_all(result(), tmp_path / "out")

    assert {".html", ".json", ".xml", ".hlog"} == {path.suffix for path in written}
    html = written[0].read_text()
    assert not re.search(r"(src|href)=|url\(|@import", html)
    assert "a &lt;test&gt;" in html
    assert html.count("<svg") == 6
    assert result()["names"].keys() == read_result(written[1])["names"].keys()
    assert not list((tmp_path / "out").glob(".*"))


def test_a_void_run_and_an_empty_one_have_a_page(tmp_path: Path) -> None:
    """A stack that died at once has measured nothing."""
    dead = {**result(), "names": {}, "ledgers": {}, "valid": False, "died": "broker exited"}

    assert "broker exited" in page(dead)
    assert "nothing was measured" in page(dead)


def test_a_budget_that_was_not_kept_is_a_failure_for_ci() -> None:
    """In JUnit's words."""
    suite = ElementTree.fromstring(junit(result()))

    assert ("2", "1") == (suite.get("tests"), suite.get("failures"))
    assert ["5 of <9>"] == [each.get("message") for each in suite.iter("failure")]


def test_an_hdr_log_can_be_read_again() -> None:
    """By any tool that knows the format."""
    (row,) = [line for line in hdr_log(result()).splitlines() if "publish_intended" in line]

    assert 900 == decode(row.rpartition(",")[2]).get_total_count()


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


def test_a_result_is_compared_with_its_own_file(tmp_path: Path) -> None:
    """What was a tuple in memory is a list in the file, and the same."""
    fresh = result(steps=({"rate": 1.0, "seconds": 10.0},))
    (tmp_path / "r.json").write_text(json.dumps(fresh))

    assert {"noise"} == {e.verdict for e in compare(read_result(tmp_path / "r.json"), fresh)}


@pytest.mark.parametrize(
    ("earlier", "message"),
    [
        (result(lanes=2), "differ in lanes"),
        (result(rates={"Publish": 1.0}), "differ in rates"),
        ({**result(), "valid": False}, "earlier run is void"),
    ],
)
def test_what_cannot_be_compared_is_refused(earlier: Mapping[str, Any], message: str) -> None:
    """Runs of different shape, and void ones."""
    with pytest.raises(ConfigError, match=message):
        compare(earlier, result())


def test_a_file_that_is_no_result(tmp_path: Path) -> None:
    """Missing, broken, something else."""
    for text in (None, "{", "[]", "{}"):
        file = tmp_path / "r.json"
        file.unlink(missing_ok=True)
        if text is not None:
            file.write_text(text)
        with pytest.raises(ConfigError, match=r"r\.json"):
            read_result(file)
