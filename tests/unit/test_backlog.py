"""Whose event holds a consumer group up."""

from __future__ import annotations

import pytest

from harness.probe.backlog import Held, held_up, written_during

WORLDS = [
    ("first", {"orders": {0: 5}}),
    ("second", {"orders": {0: 8, 1: 2}}),
    ("third", {"orders": {0: 8, 1: 2}, "new": {0: 0}}),
]


def test_a_group_is_held_up_where_its_next_event_is_older_than_the_test() -> None:
    """A group at the end of a partition, or that reads it no longer, is not."""
    committed = {
        "shop": {("orders", 0): 7, ("orders", 1): 2, ("new", 0): 0, ("unknown", 0): 3},
        "left": {("orders", 0): 5},
    }
    assigned = {"shop": {*committed["shop"]}, "left": set[tuple[str, int]]()}

    assert held_up(committed, assigned, WORLDS) == [Held("shop", "orders", 0, 7)]


def test_a_group_without_a_commit_is_held_up_by_the_first_event_of_the_session() -> None:
    """It joined before the first test, and commits within a second of what it has handled."""
    assigned = {"fresh": {("orders", 0), ("new", 0)}}

    assert held_up({"fresh": {("orders", 0): -1001}}, assigned, WORLDS) == [
        Held("fresh", "orders", 0, 5, committed=False)
    ]
    assert held_up({}, assigned, WORLDS[:1]) == []


@pytest.mark.parametrize(
    ("partition", "offset", "test"),
    [(0, 4, ""), (0, 5, "first"), (0, 7, "first"), (0, 8, "third"), (1, 1, "first")],
)
def test_an_event_belongs_to_the_last_test_that_began_before_it(
    partition: int, offset: int, test: str
) -> None:
    """A partition that did not exist when a test began is read from its beginning."""
    assert written_during(Held("g", "orders", partition, offset), WORLDS) == test
