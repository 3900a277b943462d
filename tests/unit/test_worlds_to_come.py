"""How many of the tests to come need a world of the same stack."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from harness.pytest_worlds import NEXT, later_of


class Item:
    """A test as far as it is looked at."""

    def __init__(self, level: str = "", *, stack: object = "session's", **params: str) -> None:
        self.nodeid = "test_x"
        self.fixturenames = ["dapr_isolated"] if level else []
        self.stash = pytest.Stash()
        self._fixtureinfo = SimpleNamespace(name2fixturedefs={"dapr_stack": [stack]})
        self._level = level
        if params:
            self.callspec = SimpleNamespace(params=params)

    def iter_markers(self, name: str) -> list[pytest.Mark]:
        assert name == "dapr"
        return [pytest.mark.dapr(isolation=self._level).mark] if self._level else []


def later(items: list[Item], index: int, following: Item | None = None, **config: Any) -> int:
    item: Any = items[index]
    item.stash[NEXT] = following
    session: Any = SimpleNamespace(
        items=items, stash=pytest.Stash(), config=SimpleNamespace(**config)
    )
    return later_of(item, session)


def test_the_tests_after_one_that_need_a_world_are_counted() -> None:
    """Not those with other levels or without any, nor those that have run."""
    items = [Item("world"), Item("names"), Item("world"), Item(), Item("clean"), Item("world")]

    assert [2, 2, 1, 1, 1, 0] == [later(items, index) for index in range(len(items))]


def test_tests_of_other_stacks_do_not_count() -> None:
    """Another time, another runtime, or another fixture that makes the stack."""
    own = [Item("names", dapr_time="virtual"), Item("world", dapr_time="virtual")]
    others = [
        Item("world"),
        Item("world", dapr_time="real"),
        Item("world", dapr_time="virtual", dapr_runtime="containers"),
        Item("world", dapr_time="virtual", stack="module's"),
    ]

    assert 1 == later([own[0], *others, own[1]], 0)


@pytest.mark.parametrize(
    ("following", "expected"),
    [
        (Item("world"), 1),
        (Item("names"), 0),
        (Item("world", dapr_time="virtual"), 0),
        (None, 0),
    ],
)
def test_a_worker_of_xdist_counts_its_next_test_alone(
    following: Item | None, expected: int
) -> None:
    """All others may go to other workers."""
    items = [Item("names"), Item("world"), Item("world")]

    assert expected == later(items, 0, following, workerinput={})
