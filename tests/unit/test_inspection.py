"""What can be looked at in a stack that is up: fates, cursors, limits, masking, without a stack."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from harness.core.errors import ConfigError
from harness.core.observation import Occurrence
from harness.inspection import logs as log_module
from harness.inspection.event_table import EventTable, page_of
from harness.inspection.fates import fate_of
from harness.inspection.logs import Logs, level_in, time_in
from harness.inspection.redelivery import redeliver
from harness.ledger.joining import is_step, ledger_of
from harness.ledger.model import EventPath, Ledger, Names
from harness.stack.beginning import newest
from harness.stack.registry import UpStack
from tests.unit.ledgers import Place, at, cloud_event, handled, publishes, stored

ORDERS = Place("orders")
NAMES = Names({("shop", "/made"): frozenset({"orders"}), ("shop", "/dead"): frozenset({"dead"})})
RECORDED = {"orders": {"shop": True}}


def path_of(*seen: Occurrence) -> EventPath:
    """The only event of a ledger."""
    (found,) = ledger_of(seen, NAMES).events
    return found


def unchanged(text: str) -> str:
    return text


def table_of(*seen: Occurrence, subscribed: Any = RECORDED) -> EventTable:
    """A table of what was observed."""
    table = EventTable(unchanged)
    table.update(ledger_of(seen, NAMES), subscribed)
    return table


EVENT = cloud_event("e1", {"n": 1})
STORED = stored(ORDERS, EVENT)
EXPIRED = stored(ORDERS, cloud_event("e1", 1, expiration="2031-01-01T00:00:00Z"))


@pytest.mark.parametrize(
    ("fate", "seen", "subscribed"),
    [
        ("delivered", [STORED, handled("shop", EVENT, place=ORDERS)], RECORDED),
        ("retrying", [STORED, handled("shop", EVENT, place=ORDERS, status=500)], RECORDED),
        ("dropped", [STORED, handled("shop", EVENT, place=ORDERS, status=404)], RECORDED),
        (
            "delivered",
            [
                STORED,
                handled("shop", EVENT, 2, place=ORDERS, status=500),
                handled("shop", EVENT, 3, place=ORDERS),
            ],
            RECORDED,
        ),
        (
            "dead_letter",
            [
                STORED,
                handled("shop", EVENT, place=ORDERS, status=404),
                stored(Place("dead"), EVENT, 3, of=ORDERS),
            ],
            RECORDED,
        ),
        ("in_flight", [STORED], RECORDED),
        ("not_recorded", [STORED], {"orders": {"shop": False}}),
        ("in_flight", [STORED], {"orders": {"other": False, "shop": True}}),
        ("unhandled", [STORED], {}),
        ("expired", [EXPIRED], RECORDED),
        ("rejected", [publishes("shop", "orders", {"n": 1}, status=500)], RECORDED),
        ("in_flight", [publishes("shop", "orders", {"n": 1})], RECORDED),
    ],
)
def test_the_fate_of_an_event_is_what_daprd_makes_of_it(
    fate: str, seen: list[Occurrence], subscribed: Any
) -> None:
    assert fate == fate_of(path_of(*seen), subscribed, at(10 * 365 * 86400))


def test_an_event_that_has_not_expired_yet_is_in_flight() -> None:
    assert "in_flight" == fate_of(path_of(EXPIRED), RECORDED, at(0))


def test_one_app_that_has_not_accepted_it_makes_an_event_retrying() -> None:
    """Although another one has."""
    seen = [
        STORED,
        handled("shop", EVENT, place=ORDERS),
        handled("bill", EVENT, place=ORDERS, status=503),
    ]

    assert "retrying" == fate_of(path_of(*seen), RECORDED, at(0))


def test_after_the_cursor_come_new_and_changed_rows_only() -> None:
    """Whoever polls replaces rows by their keys."""
    other = stored(Place("orders", 0, 1), cloud_event("e2"), 1.5)
    table = table_of(STORED, other)
    first = page_of(table.rows(lambda _: True), table.revision, 0, 10, [], forgotten=False)
    table.update(ledger_of([STORED, other, handled("shop", EVENT, place=ORDERS)], NAMES), RECORDED)
    rows = table.rows(lambda each: each.row.revision > first.next)

    assert ["e1", "e2"] == [each.id for each in first.rows]
    assert [("e1", "delivered")] == [(each.id, each.outcome) for each in rows]
    assert first.rows[0].key == rows[0].key


def test_a_second_attempt_changes_the_row_of_an_event() -> None:
    """Although its fate stays the same."""
    refused = handled("shop", EVENT, 2, place=ORDERS, status=500)
    table = table_of(STORED, refused)
    (before,) = table.rows(lambda _: True)
    again = handled("shop", EVENT, 3, place=ORDERS, status=500)
    table.update(ledger_of([STORED, refused, again], NAMES), RECORDED)
    (after,) = table.rows(lambda _: True)

    assert (1, 2) == (before.attempts, after.attempts)
    assert ("retrying", "retrying") == (before.outcome, after.outcome)
    assert after.revision > before.revision


def test_an_unchanged_ledger_changes_no_row() -> None:
    table = table_of(STORED)
    before = table.revision
    table.update(ledger_of([STORED], NAMES), RECORDED)

    assert before == table.revision == 1


def test_an_event_expires_although_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger is the same; the time is not."""
    ledger, table = ledger_of([EXPIRED], NAMES), EventTable(unchanged)
    outcomes = []
    for now in (0, 2 * 365 * 86400):
        monkeypatch.setattr("harness.inspection.event_table.time.time_ns", lambda: at(now))  # noqa: B023 - used at once
        table.update(ledger, RECORDED)
        outcomes += [each.outcome for each in table.rows(lambda _: True)]

    assert ["in_flight", "expired"] == outcomes


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (STORED, True),
        (handled("shop", EVENT, place=ORDERS), True),
        (handled("shop", {}, path="/job/invoice", kind="application/json"), True),
        (publishes("shop", "orders", {}), True),
        (handled("shop", {}, path="/daily-cleanup", kind="application/json"), False),
    ],
)
def test_a_cron_binding_does_not_put_the_ledger_together_again(
    seen: Occurrence, expected: bool
) -> None:
    """Whatever is a step of an event or a job does, and nothing else changes a ledger."""
    assert expected == is_step(seen)
    assert expected == (ledger_of([seen], NAMES) != Ledger())


def test_a_new_subscriber_changes_the_fate_of_what_nobody_handled() -> None:
    ledger = ledger_of([STORED], NAMES)
    table = EventTable(unchanged)
    table.update(ledger, {})
    (before,) = table.rows(lambda _: True)
    table.update(ledger, RECORDED)
    (after,) = table.rows(lambda _: True)

    assert ("unhandled", "in_flight") == (before.outcome, after.outcome)
    assert after.revision > before.revision


def pages(limit: int, number: int) -> list[list[int]]:
    """The revisions on each page of a number of rows, from the cursor 1 on."""
    seen = [stored(Place("orders", 0, n), cloud_event(f"e{n}"), n) for n in range(number)]
    table = table_of(*seen)
    found, after = list[list[int]](), 1
    while rows := table.rows(lambda each: each.row.revision > after):  # noqa: B023 - used at once
        page = page_of(rows, table.revision, after, limit, [], forgotten=False)
        found.append([each.revision for each in page.rows])
        after = page.next
    return found


def test_pages_after_a_cursor_have_every_row_once() -> None:
    assert [[2, 3], [4, 5], [6, 7]] == pages(limit=2, number=7)


def test_the_first_page_has_the_last_rows_and_says_that_there_are_more() -> None:
    table = table_of(*(stored(Place("orders", 0, n), cloud_event(f"e{n}"), n) for n in range(5)))
    rows = table.rows(lambda _: True)
    cut = page_of(rows, table.revision, 0, 2, [], forgotten=False)
    whole = page_of(rows, table.revision, 0, 5, [], forgotten=False)
    older = page_of(rows, table.revision, 0, 5, [], forgotten=True)

    assert (["e3", "e4"], 5, True) == ([each.id for each in cut.rows], cut.next, cut.truncated)
    assert (False, True) == (whole.truncated, older.truncated)
    assert 5 == cut.total


def test_events_that_share_an_id_have_keys_of_their_own() -> None:
    """An id that repeats is an error with the keys, not one of the events."""
    other = stored(Place("orders", 0, 1), cloud_event("e1", source="bill"), 1.5)
    table = table_of(STORED, other)
    keys = [each.key for each in table.rows(lambda _: True)]

    assert 2 == len(set(keys))
    assert ["shop", "bill"] == [table.find(key).path.source for key in keys]
    with pytest.raises(ConfigError, match=f"(?s)2 events have the id 'e1'.*{keys[0]} on orders"):
        str(table.find("e1"))


def test_an_unknown_event_names_a_similar_one() -> None:
    table = table_of(stored(ORDERS, cloud_event("order-17")))

    with pytest.raises(ConfigError, match="did you mean 'order-17'"):
        table.find("order-71")
    with pytest.raises(ConfigError, match="no event has the id"):
        table.find("")


def test_records_without_an_id_are_found_by_their_keys() -> None:
    """Binary ones, too, and their keys stay the same."""
    raw = [stored(Place("orders", 0, n), b"\xff\xfe%d" % n, n) for n in range(3)]
    keys = [each.key for each in table_of(*raw).rows(lambda _: True)]
    again = [each.key for each in table_of(*raw, STORED).rows(lambda each: not each.path.id)]

    assert 3 == len(set(keys))
    assert keys == again


def test_secrets_are_masked_in_rows() -> None:
    """In every field that an event has."""
    body = cloud_event("id-canary", "canary", type="type-canary")
    table = EventTable(lambda text: text.replace("canary", "***"))
    table.update(ledger_of([stored(Place("topic-canary"), body)], NAMES), {})

    (row,) = table.rows(lambda _: True)

    assert "canary" not in str(row.as_json())
    assert ("id-***", "topic-***", "type-***") == (row.id, row.topic, row.type)


def test_a_megabyte_of_data_is_a_row_like_others() -> None:
    (row,) = table_of(stored(ORDERS, cloud_event("e1", "x" * 2**20))).rows(lambda _: True)

    assert 2**20 + 2 == row.size
    assert len(str(row.as_json())) < 1000


LOG = """\
time="2030-01-01T00:00:02.5Z" level=warning msg="second" ver=1
  and what belongs to it
"""
APP_LOG = """\
2030-01-01 00:00:01,000 INFO first
2030-01-01 00:00:03,000 ERROR the third with secret-1
"""


def logs_in(folder: Path, **files: str) -> Logs:
    """The logs of nodes."""
    for name, text in files.items():
        (folder / f"{name}.log").write_text(text)
    return Logs(folder, lambda text: text.replace("secret-1", "***"))


def test_the_lines_of_all_logs_are_in_the_order_of_time(tmp_path: Path) -> None:
    """A line without a time follows the one before it; secrets are masked."""
    page = logs_in(tmp_path, daprd=LOG, app=APP_LOG).page()

    assert [
        ("app", "info", "2030-01-01 00:00:01,000 INFO first"),
        ("daprd", "warning", 'time="2030-01-01T00:00:02.5Z" level=warning msg="second" ver=1'),
        ("daprd", None, "  and what belongs to it"),
        ("app", "error", "2030-01-01 00:00:03,000 ERROR the third with ***"),
    ] == [(each.node, each.level, each.text) for each in page.lines]
    assert not page.truncated


def test_after_the_cursor_come_new_lines_only(tmp_path: Path) -> None:
    """A line whose end is still to be written comes when it is complete."""
    logs = logs_in(tmp_path, app="one\ntwo\nthr")
    first = logs.page()
    with (tmp_path / "app.log").open("a") as file:
        file.write("ee\nfour\n")
    second = logs.page(after=first.next)

    assert ["one", "two"] == [each.text for each in first.lines]
    assert ["three", "four"] == [each.text for each in second.lines]
    assert [] == logs.page(after=second.next).lines


def test_lines_are_chosen_by_node_and_text(tmp_path: Path) -> None:
    logs = logs_in(tmp_path, a="Alpha\nbeta\n", b="alpha\n")

    assert ["a", "b"] == sorted(each.node for each in logs.page(texts=["ALPHA"]).lines)
    assert ["Alpha"] == [each.text for each in logs.page(nodes=["a"], texts=["alpha"]).lines]
    assert 3 == len(logs.page(texts=["alpha", "beta"]).lines)


def test_pages_of_lines_after_a_cursor_have_every_line_once(tmp_path: Path) -> None:
    logs = logs_in(tmp_path, app="".join(f"line {n}\n" for n in range(7)))
    found, after = list[str](), 1
    for _ in range(3):
        page = logs.page(after=after, limit=2)
        found += [each.text for each in page.lines]
        after = page.next

    assert [f"line {n}" for n in range(1, 7)] == found


def test_only_the_last_lines_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the page says that there were more."""
    logs = logs_in(tmp_path, app="".join(f"line {n}\n" for n in range(50)))
    monkeypatch.setattr(log_module, "FIRST", 100)
    page = logs.page()

    assert "line 49" == page.lines[-1].text
    assert len(page.lines) < 20
    assert page.truncated


def test_a_log_of_a_node_that_began_again_is_read_from_its_beginning(tmp_path: Path) -> None:
    logs = logs_in(tmp_path, app="a long first line\n")
    first = logs.page()
    (tmp_path / "app.log").write_text("new\n")

    assert ["new"] == [each.text for each in logs.page(after=first.next).lines]


def test_a_log_that_is_not_utf_8_is_shown(tmp_path: Path) -> None:
    (tmp_path / "app.log").write_bytes(b"\xff\xfe caf\xe9\n\x00\n")

    assert 2 == len(Logs(tmp_path, unchanged).page().lines)


def test_a_line_without_any_time_is_as_old_as_its_log(tmp_path: Path) -> None:
    logs = logs_in(tmp_path, app="hello\n")
    os.utime(tmp_path / "app.log", (1000, 1000))

    assert [1000.0] == [each.at for each in logs.page().lines]


@pytest.mark.parametrize(
    ("head", "seconds"),
    [
        ('time="1970-01-01T00:00:01.123456789Z" level=info', 1.123456),
        ("1970-01-01T00:00:02,500+00:00 INFO  GroupMetadataManager", 2.5),
        ("1970-01-01 00:00:03.000 UTC [27702] LOG:  ready", 3.0),
        ("1970-01-01T01:00:04+01:00 x", 4.0),
        ("1970-99-01T01:00:04Z x", None),
        ("INFO: 127.0.0.1", None),
    ],
)
def test_times_of_daprd_kafka_and_postgresql_are_read(head: str, seconds: float | None) -> None:
    assert seconds == time_in(head)


@pytest.mark.parametrize(
    ("head", "level"),
    [
        ('time="x" level=error msg="no info"', "error"),
        ("INFO:     127.0.0.1", "info"),
        ("WARN  [main]", "warning"),
        ("CRITICAL: x", "fatal"),
        ("information", None),
    ],
)
def test_the_level_of_a_line_is_the_first_that_it_names(head: str, level: str | None) -> None:
    assert level == level_in(head)


@pytest.mark.parametrize(
    ("ends", "starts"),
    [
        ({"a": {0: 3}}, {"a": {0: 0}}),
        ({"a": {0: 30}}, {"a": {0: 20}}),
        ({"a": {0: 2, 1: 30}, "b": {0: 1}}, {"a": {0: 0, 1: 23}, "b": {0: 0}}),
        ({"a": {0: -1, 1: 30}}, {"a": {0: 0, 1: 20}}),
        ({}, {}),
    ],
)
def test_the_newest_records_of_a_broker_are_read_up_to_a_number(
    ends: dict[str, dict[int, int]], starts: dict[str, dict[int, int]]
) -> None:
    """Ten here; what a short partition does not need is left to the others."""
    assert starts == newest(ends, 10)


UP = UpStack("default", 1, "", 0.0, "/nowhere", "token")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (EventPath("e1", "", "", "", 1, ""), "its topic is not known"),
        (path_of(stored(ORDERS, b"\xff\x00")), "it is binary"),
    ],
)
def test_what_cannot_be_published_again_is_an_error(path: EventPath, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        redeliver(UP, path, {})


def test_an_empty_ledger_is_an_empty_page() -> None:
    table = EventTable(unchanged)
    table.update(Ledger(), {})

    assert [] == page_of(table.rows(lambda _: True), 0, 0, 10, [], forgotten=False).rows
