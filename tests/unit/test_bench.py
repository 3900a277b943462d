"""What the benches make of the values that they measure, and which of them run."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from harness import Settings
from tests.bench import __main__ as bench
from tests.bench import warm
from tests.bench.numbers import Figures, Measure, alternated, at_most, paired

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
    assert ["≤ 1", ""] == [each["gate"] for each in bench._plain(figures).values()]


def test_words_choose_benches_and_none_chooses_all() -> None:
    """In the order of the benches, each once."""
    assert TITLES == bench.chosen(TITLES, [])
    assert ["B3 attach", "imports"] == bench.chosen(TITLES, ["imports", "B3", "attach"])
    assert ["B1 start, containers"] == bench.chosen(TITLES, ["start, containers"])


def test_a_word_that_chooses_nothing_is_an_error_that_lists_the_benches() -> None:
    """Otherwise a misspelled one would leave its figures out silently."""
    with pytest.raises(SystemExit, match=r"no bench has 'B33'(.|\n)*B3 attach"):
        bench.chosen(TITLES, ["imports", "B33"])


def test_the_settings_of_a_bench_reach_its_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    """They run in processes of their own."""
    given = Settings.load(runtime="processes", broker="kafka", state_dir="/x", offline=True)

    seen = Settings.load(environ=warm._environment(given))

    assert ("processes", "kafka", True) == (seen.runtime, seen.broker, seen.offline)
    assert given.state_dir == seen.state_dir
