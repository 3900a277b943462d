"""What daprd concludes from an answer; tests/claims/test_delivery.py asks a running one."""

from __future__ import annotations

import json

import pytest

from harness.ledger.outcomes import outcome_of, outcome_of_job, outcomes_of_bulk


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("", "success"),
        ("fine", "success"),
        ("{}", "success"),
        ('{"status": ""}', "success"),
        ('{"status": null}', "success"),
        ('{"status": 5}', "success"),
        ('["DROP"]', "success"),
        ('{"status": "DROP"', "success"),
        ('{"status": "DROP", "more": NaN}', "success"),
        ("[" * 100_000, "success"),
        ('{"status": "SUCCESS"}', "success"),
        ('{"status": "success"}', "retry"),
        ('{"status": "RETRY"}', "retry"),
        ('{"status": "processed"}', "retry"),
        ('{"status": "DROP"}', "drop"),
        ('{"STATUS": "DROP"}', "drop"),
        (' \n{"status": "DROP"} and more', "drop"),
        ('{"status": "RETRY", "Status": "SUCCESS", "status": "DROP"}', "drop"),
    ],
)
def test_the_word_in_a_successful_answer_decides(answer: str, expected: str) -> None:
    """As Go reads JSON: what it cannot read is a success."""
    assert expected == outcome_of(200, answer)


@pytest.mark.parametrize(
    ("status", "expected"),
    [(200, "success"), (204, "success"), (404, "drop"), (302, "retry"), (422, "retry"),
     (500, "retry")],
)  # fmt: skip
def test_a_status_decides_whatever_the_word_is(status: int, expected: str) -> None:
    """The word counts only with 2xx."""
    word = "" if expected == "success" else '{"status": "SUCCESS"}'

    assert expected == outcome_of(status, word)


def test_each_entry_of_a_bulk_has_its_own_outcome() -> None:
    """One that is not mentioned, or without a word, is delivered again."""
    rows = [
        {"entryId": "a", "status": "SUCCESS"},
        {"entryId": "b", "status": "DROP"},
        {"entryId": "c", "status": ""},
        {"entryID": "d", "status": "RETRY"},
    ]

    found = outcomes_of_bulk(200, json.dumps({"statuses": rows}), ["a", "b", "c", "d", "e"])

    assert found == {"a": "success", "b": "drop", "c": "retry", "d": "retry", "e": "retry"}


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "fine",
        "[]",
        '{"statuses": 5}',
        '{"statuses": [{"entryId": "a", "status": "SUCCESS"}, 5]}',
    ],
)
def test_all_of_a_bulk_is_delivered_again_if_its_answer_cannot_be_read(answer: str) -> None:
    """Unlike a single event, which then counts as handled."""
    assert {"a": "retry"} == outcomes_of_bulk(200, answer, ["a"])


def test_a_bulk_without_a_route_is_dropped_and_a_failed_one_is_delivered_again() -> None:
    """As single events."""
    assert {"a": "drop"} == outcomes_of_bulk(404, "", ["a"])
    assert {"a": "retry"} == outcomes_of_bulk(500, "", ["a"])


def test_a_job_is_done_with_any_success_and_without_a_route() -> None:
    """Whatever the body is."""
    assert ["success", "success", "drop", "retry"] == [
        outcome_of_job(each) for each in (200, 204, 404, 500)
    ]
