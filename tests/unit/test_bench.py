"""What the benches make of the values that they measure, and which of them run."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from harness import Settings
from harness.core.journal import Entry
from tests.bench import __main__ as bench
from tests.bench import catalog, first_delivery, history, levels, limits, page, plots
from tests.bench.numbers import (
    Bound,
    Figures,
    Measure,
    alternated,
    around,
    at_least,
    at_most,
    bootstrap,
    paired,
    short,
)
from tests.bench.session import environment

WITHOUT = ["randomly", "asyncio", "dapr-harness"]
"""The plugins that a run within this one does not need."""

SPEC = SimpleNamespace(params={"part": 0.9}, indices={"part": 9})
TITLES = ["B1 start, processes", "B3 attach", "imports", "B1 start, containers"]


def test_both_sides_take_turns_at_going_first() -> None:
    """What gets slower from pair to pair favours neither."""
    order: list[str] = []

    def side(name: str) -> str:
        order.append(name)
        return f"{name}{len(order)}"

    pairs = alternated(3, lambda: side("a"), lambda: side("b"))

    assert ["a", "b", "b", "a", "a", "b"] == order
    assert [("a1", "b2"), ("a4", "b3"), ("a5", "b6")] == pairs


def test_a_paired_ratio_is_a_median_with_an_interval_around_it() -> None:
    """One pair that the machine disturbed does not decide."""
    found = paired([0.08, 0.09, 0.1, 0.11, 9.0], "a start", at_most(0.1))

    assert (0.1, "a start") == (found.value, found.anchor)
    assert found.low is not None
    assert found.high is not None
    assert 0.08 <= found.low <= 0.1 <= found.high <= 9.0
    assert found.gate is not None
    assert found.gate.met(found.value)


def test_an_interval_is_of_the_median_and_the_same_each_time() -> None:
    """With three values it reaches from one end to the other; one value is its own interval."""
    assert (1.0, 100.0) == bootstrap([1.0, 2.0, 100.0])
    assert (2.0, 2.0) == bootstrap([2.0])
    many = [float(value) for value in range(100)]
    low, high = bootstrap(many)
    assert (low, high) == bootstrap(many)
    assert 35 < low < 49.5 < high < 65
    assert {value % 0.5 for value in (low, high)} == {0.0}


def test_a_figure_without_a_gate_is_neither_met_nor_missed() -> None:
    """In the file its gate is empty."""
    figures: Figures = {
        "gated": Measure(2, "x", at_most(1)),
        "not gated": Measure(2, "x", low=1, high=3),
    }
    out = Console(file=io.StringIO(), width=120)

    out.print(bench._table({"a bench": figures}))

    lines = out.file.getvalue().splitlines()  # type: ignore[attr-defined]  # it is a StringIO
    (gated,) = [line for line in lines if " gated" in line and "not" not in line]
    (plain,) = [line for line in lines if "not gated" in line]
    assert "≤ 1 missed" in gated
    assert plain.split() == ["not", "gated", "2", "1", "to", "3", "x"]
    gates = [each["gate"] for each in history.plain(figures).values()]
    assert [{"low": None, "high": 1}, None] == gates


def test_words_choose_benches_and_none_chooses_all() -> None:
    """In the order of the benches, each once."""
    assert TITLES == catalog.chosen(TITLES, [])
    assert ["B3 attach", "imports"] == catalog.chosen(TITLES, ["imports", "B3", "attach"])
    assert ["B1 start, containers"] == catalog.chosen(TITLES, ["start, containers"])


def test_a_word_that_chooses_nothing_is_an_error_that_lists_the_benches() -> None:
    """Otherwise a misspelled one would leave its figures out silently."""
    with pytest.raises(SystemExit, match=r"no bench has 'B33'(.|\n)*B3 attach"):
        catalog.chosen(TITLES, ["imports", "B33"])


def test_the_settings_of_a_bench_reach_its_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    """They run in processes of their own."""
    given = Settings.load(runtime="processes", broker="kafka", state_dir="/x", offline=True)

    seen = Settings.load(environ=environment(given))

    assert ("processes", "kafka", True) == (seen.runtime, seen.broker, seen.offline)
    assert given.state_dir == seen.state_dir


def measured(value: float, low: float | None, high: float | None, gate: Bound | None) -> Measure:
    return Measure(value, "x", gate, None, low, high)


@pytest.mark.parametrize(
    ("found", "broken"),
    [
        (measured(0.2, 0.15, 0.25, at_most(0.1)), True),
        (measured(0.2, 0.09, 0.25, at_most(0.1)), False),
        (measured(0.2, 0.10, 0.25, at_most(0.1)), False),
        (measured(0.05, 0.04, 0.06, at_most(0.1)), False),
        (measured(0.4, 0.3, 0.45, at_least(0.5)), True),
        (measured(0.4, 0.3, 0.5, at_least(0.5)), False),
        (measured(3, 2.5, 4, around(1, 0.15)), True),
        (measured(0.2, None, None, at_most(0.1)), False),
        (measured(0.2, 0.15, 0.25, None), False),
    ],
)
def test_a_gate_is_broken_if_the_whole_interval_is_outside(found: Measure, broken: bool) -> None:
    """Otherwise a run with few pairs would fail by chance; without an interval, none is."""
    assert broken == found.broken


def test_broken_gates_are_told_with_bench_figure_and_interval() -> None:
    """Figures that keep theirs, and figures without one, are not told."""
    figures: dict[str, Figures] = {
        "B3 attach": {"call": measured(0.2, 0.15, 0.25, at_most(0.1)), "seconds": 2.0},
        "B5 folder": {"copy": measured(0.2, 0.15, 0.25, at_most(0.35))},
    }

    assert ["B3 attach: call is 0.15 to 0.25, the gate is ≤ 0.1"] == bench.broken(figures)


@pytest.mark.parametrize(
    ("quick", "value", "code"), [(True, 0.2, 1), (True, 0.05, 0), (False, 0.2, 0)]
)
def test_only_a_quick_run_fails_because_of_a_gate(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, quick: bool, value: float, code: int
) -> None:
    """The figures are written in each case."""
    figures: Figures = {"call": paired([value] * 3, "x", at_most(0.1))}
    assert code == run_with(monkeypatch, tmp_path, lambda _: figures, quick=quick)

    (row,) = history.read(tmp_path / history.FILE)
    assert value == row["figures"]["B"]["call"]["value"]
    assert (tmp_path / page.FILE).is_file()
    assert quick != (tmp_path / "bench.json").is_file()


def test_a_bench_that_fails_is_an_error_and_the_others_are_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is told at the end, after the figures."""

    def fails(_: Settings) -> Figures:
        raise AssertionError("jobs were lost")

    assert 1 == run_with(monkeypatch, tmp_path, lambda _: {"seconds": 2.0}, fails)

    (row,) = history.read(tmp_path / history.FILE)
    assert {"B": {"seconds": 2.0}} == row["figures"]
    assert "C failed: AssertionError: jobs were lost" == capsys.readouterr().out.splitlines()[-1]


def run_with(
    monkeypatch: pytest.MonkeyPatch, folder: Path, *benches: catalog.Bench, quick: bool = False
) -> int:
    """The exit code of a run of these benches, on a machine that stays as it is."""
    titled = dict(zip("BC", benches, strict=False))
    monkeypatch.setattr(bench, "EVERYWHERE", titled)
    monkeypatch.setattr(bench, "QUICK", titled)
    monkeypatch.setattr(bench, "WITH_AN_ENGINE", {})
    monkeypatch.setattr(bench, "engine_obstacle", lambda: "no engine")
    monkeypatch.setattr(bench, "limits", lambda: {limits.ECHO: 20.0})
    monkeypatch.setattr(sys, "argv", ["bench", *(["--quick"] if quick else [])])
    monkeypatch.chdir(folder)
    with pytest.raises(SystemExit) as ended:
        bench.main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize(
    ("after", "told"),
    [
        (20.0, ""), (25.0, ""), (15.0, ""),
        (25.1, "20.0 us before and 25.1 us after, +26%"),
        (14.9, "20.0 us before and 14.9 us after, -26%"),
    ],
)  # fmt: skip
def test_a_run_is_noisy_if_the_echo_has_moved_by_more_than_a_quarter(
    after: float, told: str
) -> None:
    """In either direction; other limits may move."""
    other = {"spawn": 1.0}
    found = limits.noisy({limits.ECHO: 20.0, **other}, {limits.ECHO: after, "spawn": 9.0})

    assert bool(told) == bool(found)
    assert told in found


def test_a_table_of_limits_shows_how_they_have_changed() -> None:
    """In percent of what they were before."""
    out = Console(file=io.StringIO(), width=100)

    out.print(limits.table({"echo": 20.0}, {"echo": 25.0}))

    last = out.file.getvalue().rstrip().splitlines()[-1]  # type: ignore[attr-defined]  # it is a StringIO
    assert ["echo", "20.0", "25.0", "+25%"] == last.split()


MACHINE = {"cores": 2, "system": "Linux"}


def row(at: str, figures: Figures, **more: Any) -> history.Row:
    """A run as it is in the file."""
    echo = {limits.ECHO: 20.0}
    kept = {
        "at": at, "commit": "c0ffee", "machine": MACHINE, "versions": {"Dapr": "1.18.2"},
        "quick": False, "noisy": "", "limits": {"before": echo, "after": echo},
        "figures": {"a bench": history.plain(figures)},
    }  # fmt: skip
    return json.loads(json.dumps({**kept, **more}))  # type: ignore[no-any-return]


def test_a_history_keeps_every_run_and_survives_one_that_was_killed(tmp_path: Path) -> None:
    """What was written incompletely is skipped, and does not take the next run with it."""
    file = tmp_path / history.FILE
    assert [] == history.read(file)
    history.append(file, row("1", {"seconds": 1.0}))
    with file.open("a") as opened:
        opened.write('{"at": "2", "fig')
    history.append(file, row("3", {"seconds": 3.0}))

    assert ["1", "3"] == [each["at"] for each in history.read(file)]


def test_a_series_has_the_runs_of_one_machine_that_have_the_figure() -> None:
    """Oldest first, with intervals where there are any, and what is to be known of the run."""
    rows = [
        row("0", {"call": 5.0}, machine={"cores": 64, "system": "Linux"}),
        row("1", {"call": 1.0}, noisy="noisy: it moved"),
        row("2", {"other": 2.0}),
        row("3", {"call": paired([2.0, 3.0, 4.0], "x")}, quick=True),
    ]

    found = history.series(history.of_one_machine(rows), "a bench", "call")

    assert [
        history.Point("1", 1.0, None, None, True, False),
        history.Point("3", 3.0, 2.0, 4.0, False, True),
    ] == found
    assert ["call"] == [*history.latest(rows)["a bench"]]


def test_what_a_run_measured_is_written_with_its_machine_and_versions() -> None:
    """JSON that any program can read, so without infinity."""
    figures: Figures = {"call": paired([0.1, 0.2, 0.3], "x", at_most(0.15), at_least(0.1))}
    made = history.row_of(
        {"a bench": figures}, {limits.ECHO: 20.0}, {limits.ECHO: 30.0}, dapr="1.18.2", quick=True
    )

    assert made == json.loads(json.dumps(made, allow_nan=False))
    each = made["figures"]["a bench"]["call"]
    assert [0.1, 0.2, 0.3] == each["values"]
    assert ({"low": None, "high": 0.15}, {"low": 0.1, "high": None}) == (
        each["gate"], each["moonshot"],
    )  # fmt: skip
    assert not each["broken"]
    assert made["noisy"].startswith("noisy: ")
    assert {"Python", "Dapr", "Kafka", "PostgreSQL"} == {*made["versions"]}


def test_a_page_has_a_plot_of_each_figure_and_needs_nothing_from_outside() -> None:
    """With the newest value, its bounds and the noise of the newest run; in both colour schemes."""
    newest = paired([0.05, 0.06, 0.07], "a start", at_most(0.1), at_most(0.01))
    rows = [
        row("2026-01-01", {"call": paired([0.3], "x", at_most(0.1)), "seconds": 1.0}),
        row("2026-01-02", {"call": newest, "seconds": 2.0}, noisy="noisy: it moved"),
    ]

    text = page.page(rows)

    assert 2 == text.count("<svg")
    assert ["http://", "https://", "src=", "href=", "@import", "url("] == [
        each for each in ("http://", "https://", "src=", "href=", "@import", "url(")
        if each not in text
    ]  # fmt: skip
    assert "color-scheme: light dark" in text
    assert "prefers-color-scheme: dark" in text
    assert "gate ≤ 0.1 met" in text
    assert "moonshot ≤ 0.01 missed" in text
    assert "against: a start" in text
    assert '<p class="noise">noisy: it moved</p>' in text
    assert "2026-01-01: 0.3, 0.3 to 0.3" in text
    assert "2026-01-02: 0.06, 0.05 to 0.07, noisy" in text
    assert 3 == text.count('class="pair"')


def test_a_page_has_its_benches_by_number_and_says_how_old_figures_are() -> None:
    """A run of some benches leaves those of the others as they were."""
    one = history.plain({"call": 1234.5})
    older, newest = (row(f"2026-01-0{day}T10:11:12+00:00", {}) for day in (1, 2))
    older |= {"figures": {"B2 x": one, "load": one}, "quick": True}
    newest |= {"figures": {"B14 x": one, "none": {}}}

    text = page.page([older, newest])

    assert [
        "B2 x <small>2026-01-01 10:11 UTC, quick</small>", "B14 x",
        "load <small>2026-01-01 10:11 UTC, quick</small>",
    ] == re.findall(r"<h2>(?!Limits)(.*?)</h2>", text)  # fmt: skip
    assert '<span class="value">1234</span>' in text


@pytest.mark.parametrize(
    ("value", "told"),
    [(0.08196, "0.082"), (9.996, "10"), (999.4, "999"), (999.6, "1000"), (-2571.0, "-2571")],
)
def test_a_figure_is_told_without_an_exponent(value: float, told: str) -> None:
    """Milliseconds of a stack are thousands."""
    assert told == short(value)


def test_texts_of_a_page_are_escaped() -> None:
    """Titles, names and anchors, and dates in a plot."""
    evil = "<script>alert('&')</script>"
    made = row(evil, {evil: paired([1.0], evil)}, commit=evil, noisy=evil)
    made["figures"] = {evil: made["figures"]["a bench"]}

    text = page.page([made])

    assert "<script" not in text
    assert text.count("&lt;script&gt;") >= 6


def test_a_plot_places_values_between_zero_and_the_highest() -> None:
    """Bounds are on the axis; a pair beyond it is at its edge; below zero, the axis goes on."""
    scale = plots.Scale([2.0, 4.0])
    top, bottom = plots.TOP, plots.HEIGHT - plots.BOTTOM
    places = [scale.place(each) for each in (0.0, 2.0, 4.0, 9.0, -1.0)]
    assert [bottom, (top + bottom) / 2, top, top, bottom] == places
    assert bottom == plots.Scale([-1.0, 4.0]).place(-1.0)
    assert bottom == plots.Scale([0.0]).place(0.0)

    point = history.Point("1", 0.02, 0.01, 0.03, noisy=False, quick=False)
    drawn = plots.plot([point], {"gate": {"low": None, "high": 0.1}}, [])
    assert f'<line class="gate" x1="{plots.LEFT}" x2="294" y1="{top:.1f}"' in drawn
    assert "gate: 0.1" in drawn


def test_the_runs_of_a_plot_go_from_left_to_right() -> None:
    """The newest is at the right edge, also if it is alone."""
    places = [plots._across(number, 3) for number in range(3)]

    assert sorted(places) == places
    assert places[-1] == plots._across(0, 1)
    assert plots.LEFT < places[0]


def test_a_first_delivery_counts_from_the_healthy_sidecar() -> None:
    """Of the subscriber, not of another one; the start is that of the call."""
    entries = [
        Entry(1.0, "start.begun", "", {}),
        Entry(2.0, "check.passed", "shop-daprd", {"check": "port"}),
        Entry(3.0, "check.passed", "shop-daprd", {"check": "app"}),
        Entry(4.0, "check.passed", "shop-daprd", {"check": "deliveries"}),
        Entry(5.0, "check.passed", "other-daprd", {"check": "app"}),
    ]

    assert (1.0, 3.0) == first_delivery.moments(entries, "shop-daprd")


def test_levels_take_turns() -> None:
    """A B C, C B A; those of which there are fewer are spread over the run."""

    def spec(number: int, of: int) -> SimpleNamespace:
        return SimpleNamespace(params={"part": number / of}, indices={"part": number})

    quick = [(name, spec(n, 4)) for name in ("test_without", "test_names") for n in range(4)]
    own = [(name, spec(n, 2)) for name in ("test_world", "test_stack") for n in range(2)]
    ends = [("test_last", None), ("test_first", None)]

    found = sorted([*quick, *own, *ends], key=lambda each: levels.rank(*each))

    assert [
        "first", "without", "names", "world", "stack", "names", "without",
        "stack", "world", "without", "names", "names", "without", "last",
    ] == [name.removeprefix("test_") for name, _ in found]  # fmt: skip


def test_the_cost_of_a_level_is_what_it_adds_to_a_test() -> None:
    """A single slow test without anything does not decide what nothing costs."""
    took = {"test_without": [1.0, 1.0, 9.0], "test_names": [1.5, 1.25, 1.0]}

    assert [0.5, 0.25, 0.0] == levels.above(took, "test_without")["test_names"]


def test_the_end_of_the_session_is_no_cost_of_a_test(pytester: pytest.Pytester) -> None:
    """The last test has the teardown of the stack, so it is not one of those that are compared."""
    now = [0.0]
    pytester.makepyfile("""
        import pytest

        @pytest.fixture(scope="session")
        def stack(request):
            yield
            request.config.now[0] += 1000

        def test_without(stack, request): request.config.now[0] += 1
        def test_last(stack): pass
    """)

    class Now:
        def pytest_configure(self, config: Any) -> None:
            config.now = now

    timer = levels.Timer(lambda: now[0])
    without = [word for name in WITHOUT for word in ("-p", f"no:{name}")]
    pytester.inline_run(*without, plugins=[timer, Now()]).assertoutcome(passed=2)

    assert {"test_without": [1]} == timer.took
    assert now == [1001]


@pytest.mark.parametrize("text", [levels.TEXT, levels.WAITING])
def test_no_level_has_the_last_test_of_a_run(text: str) -> None:
    """Each would lose a value to which the other levels have a counterpart."""
    tests = re.findall(r"def (test_\w+)", text)

    assert "test_last" == max(tests, key=lambda name: levels.rank(name, SPEC))


def test_make_bench_measures_every_figure_of_the_documentation() -> None:
    """Each row of its table begins with the number of a bench."""
    text = (Path(__file__).parents[2] / "docs/benchmarks.md").read_text()
    documented = {*re.findall(r"^\| (B[0-9]+) ", text, re.MULTILINE)}

    assert {"B1", "B2", "B3", "B4", "B5", "B6", "B14", "B15", "B17"} <= documented
    assert documented <= {title.split()[0] for title in catalog.EVERYWHERE}


def test_quick_benches_are_among_those_of_a_whole_run() -> None:
    """Under the same title, so that a history compares them."""
    assert {*catalog.QUICK} <= {*catalog.EVERYWHERE}
