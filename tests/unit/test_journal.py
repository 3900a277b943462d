"""The journal keeps order, and the waterfall is a pure function of it."""

from __future__ import annotations

from harness.core.journal import Entry, Journal
from harness.report.waterfall import draw, node_starts


def test_entries_are_kept_in_order_and_passed_on() -> None:
    """Until the subscription ends."""
    journal = Journal()
    told: list[Entry] = []
    journal.note("before")
    journal.pass_on(told.append)
    journal.note("a")
    journal.note("b", "node", x=1)
    journal.pass_on(None)
    journal.note("after")

    assert ["before", "a", "b", "after"] == [entry.kind for entry in journal]
    assert ["a", "b"] == [entry.kind for entry in told]
    assert ("node", {"x": 1}) == (told[1].node, told[1].facts)


def entries(*rows: tuple[float, str, str, str]) -> list[Entry]:
    return [Entry(at, kind, node, {"check": check}) for at, kind, node, check in rows]


def test_the_waterfall_shows_the_last_start() -> None:
    """Times count from its beginning; a node that never got ready still shows."""
    rows = node_starts(
        entries(
            (1, "start.begun", "", ""),
            (2, "node.started", "old", ""),
            (10, "start.begun", "", ""),
            (10, "node.started", "a", ""),
            (11, "check.passed", "a", "port"),
            (12, "node.ready", "a", ""),
            (12, "node.started", "b", ""),
            (14, "start.ended", "", ""),
            (15, "check.passed", "a", "port"),
        )
    )

    assert [("a", 0, [("port", 1)], 2), ("b", 2, [], None)] == [
        (row.node, row.started, row.passed, row.ready) for row in rows
    ]
    assert draw(rows, width=4) == [
        "a   2.00 s |==1==| 1:port 1.00",
        "b   2.00 s |    =|",
    ]


def test_the_waterfall_shows_the_cpu_time_of_nodes_where_it_is_known() -> None:
    """A container's is not."""
    began = [Entry(0, "start.begun", "", {})]
    begun = [Entry(0, "node.started", name, {}) for name in "ab"]
    ready = [Entry(2, "node.ready", "a", {"cpu": 0.25}), Entry(2, "node.ready", "b", {})]
    rows = node_starts([*began, *begun, *ready])

    assert [0.25, None] == [row.cpu for row in rows]
    assert draw(rows, width=1) == ["a   2.00 s  0.25 CPU |==|", "b   2.00 s           |==|"]


def test_the_waterfall_of_an_empty_journal_is_empty() -> None:
    """No division by zero."""
    assert draw(node_starts([])) == []
